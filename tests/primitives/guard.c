/* SPDX-License-Identifier: MIT */
/* The laws of lw_resource_guard and of the guards of objects.  Rows R095 to R115. */
#include "tests/primitives/crowd.h"

#include <latchwork/guard.h>
#include <stdio.h>

TestSuite(guard, .init = watchdog);

/* ---- one guard */

static int use_guard(void *arg)
{
    lw_resource_guard guard = LW_RESOURCE_GUARD_INIT("writing", "the journal");
    int err;

    (void)arg;
    cr_assert_not(lw_resource_guard_guarded(&guard), "R105");
    cr_assert_eq(lw_resource_guard_exit(&guard), -EPERM, "R103");
    cr_assert_eq(lw_resource_guard_enter(&guard), 0, "R097");
    cr_assert(lw_resource_guard_guarded(&guard), "R097, R105");
    cr_assert_eq(lw_resource_guard_enter(&guard), -EBUSY, "R098, R099: at once, the same task too");
    cr_assert(lw_resource_guard_guarded(&guard), "R098");
    cr_assert_eq(lw_resource_guard_exit(&guard), 0, "R101");
    cr_assert_not(lw_resource_guard_guarded(&guard), "R101, R105");
    LW_SCOPE(&guard.scope, LW_NOW, err) {
        int inner = 1;

        cr_assert(lw_resource_guard_guarded(&guard), "R101: entered again");
        LW_SCOPE(&guard.scope, LW_NOW, inner)
            cr_assert_fail("entered twice");
        cr_assert_eq(inner, -EBUSY, "R098");
        err = -EIO;
    }
    cr_assert_eq(err, -EIO, "R102");
    cr_assert_not(lw_resource_guard_guarded(&guard), "R105: also after a failure");
    return 0;
}

Test(guard, who_finds_it_held_is_told_at_once)
{
    run_all(use_guard, NULL);
    (void)use_guard(NULL); /* a plain thread */
}

Test(guard, the_message_names_the_action_and_the_resource)
{
    lw_resource_guard named = LW_RESOURCE_GUARD_INIT("writing", "the journal");
    lw_resource_guard unnamed[3] = {LW_RESOURCE_GUARD_INIT("reading", NULL),
                                    LW_RESOURCE_GUARD_INIT(NULL, NULL),
                                    LW_RESOURCE_GUARD_INIT("x", NULL)};
    char text[64], expected[64];
    int size;

    size = lw_resource_guard_message(&named, text, sizeof text);
    cr_assert_str_eq(text, "another task is writing the journal", "R095, R104");
    cr_assert_eq(size, (int)strlen(text));
    for (int i = 0; i < 3; i++) {
        (void)lw_resource_guard_message(&named, text, sizeof text); /* consumes no number */
        (void)lw_resource_guard_message(&unnamed[i], text, sizeof text);
        (void)snprintf(expected, sizeof expected, "another task is %s #%d",
                       i == 0 ? "reading" : i == 1 ? "using" : "x", i + 1);
        cr_assert_str_eq(text, expected, "R096, R104");
        (void)lw_resource_guard_message(&unnamed[i], text, sizeof text);
        cr_assert_str_eq(text, expected, "it keeps its number");
    }
    size = lw_resource_guard_message(&named, text, 8);
    cr_assert_str_eq(text, "another");
    cr_assert_gt(size, 8);
}

struct shared {
    lw_resource_guard guard;
    long inside, entered, refused; /* inside: plain, by who has entered */
};

static void try_to_enter(struct member *member)
{
    struct shared *shared = member->crowd->object;

    for (int i = 0; i < 300; i++) {
        int err = lw_resource_guard_enter(&shared->guard);

        if (err < 0) {
            cr_assert_eq(err, -EBUSY);
            (void)__atomic_add_fetch(&shared->refused, 1, __ATOMIC_RELAXED);
            continue;
        }
        cr_assert_eq(++shared->inside, 1, "R100");
        maybe_yield(member);
        shared->inside--;
        cr_assert_eq(lw_resource_guard_exit(&shared->guard), 0);
        (void)__atomic_add_fetch(&shared->entered, 1, __ATOMIC_RELAXED);
    }
}

static int crowds(void *arg)
{
    (void)arg;
    for (uint64_t seed = 1; seed <= (uint64_t)rounds(20); seed++) {
        struct shared shared = {.guard = LW_RESOURCE_GUARD_INIT("using", "it")};
        struct crowd crowd = {
            .tasks = 8, .threads = 2, .act = try_to_enter, .object = &shared, .seed = seed};

        crowd_run(&crowd);
        cr_assert_eq(shared.entered + shared.refused, 10 * 300);
        cr_assert_not(lw_resource_guard_guarded(&shared.guard));
    }
    return 0;
}

Test(guard, of_many_at_once_one_enters)
{
    run_all(crowds, NULL);
}

/* ---- the guard of an object */

static int objects[3]; /* their addresses are objects */

Test(guard, an_object_has_one_guard)
{
    lw_resource_guard *guard, *same, *other, plain = LW_RESOURCE_GUARD_INIT("using", "it");
    char text[64], name[32];

    cr_assert_eq(lw_unique_guard_get(&guard, NULL, "x"), -EINVAL);
    cr_assert_eq(lw_unique_guard_get(&guard, &objects[0], "first"), 0);
    cr_assert_not(lw_resource_guard_guarded(guard), "R112");
    cr_assert_eq(lw_resource_guard_enter(guard), 0);
    cr_assert_eq(lw_unique_guard_get(&same, &objects[0], "second"), 0, "R111");
    cr_assert_eq(guard, same, "R109");
    cr_assert_eq(lw_resource_guard_enter(same), -EBUSY, "R111");
    cr_assert_eq(lw_resource_guard_enter(&plain), 0, "R107");
    (void)lw_resource_guard_message(same, text, sizeof text);
    (void)snprintf(name, sizeof name, " is first %p", (void *)&objects[0]);
    cr_assert_not_null(strstr(text, name), "R110: %s", text);
    cr_assert_eq(lw_unique_guard_get(&other, &objects[1], "other"), 0);
    cr_assert_neq(other, guard);
    lw_unique_guard_put(other);
    cr_assert_eq(lw_resource_guard_exit(guard), 0);
    lw_unique_guard_put(guard);
    cr_assert_eq(lw_resource_guard_enter(same), 0, "it is there until its last put");
    lw_unique_guard_put(same);
    cr_assert_eq(lw_unique_guard_get(&guard, &objects[0], "third"), 0);
    cr_assert_not(lw_resource_guard_guarded(guard), "R108: a fresh one");
    (void)lw_resource_guard_message(guard, text, sizeof text);
    cr_assert_not_null(strstr(text, " is third "), "R108");
    lw_unique_guard_put(guard);
    assert_no_leaks();
}

Test(guard, after_a_clear_each_object_gets_a_new_one)
{
    lw_resource_guard *old[2], *new;

    for (int i = 0; i < 2; i++)
        cr_assert_eq(lw_unique_guard_get(&old[i], &objects[i], "old"), 0);
    cr_assert_eq(lw_resource_guard_enter(old[0]), 0);
    lw_unique_guard_clear();
    cr_assert_eq(lw_unique_guard_get(&new, &objects[0], "new"), 0);
    cr_assert_neq(new, old[0], "R114");
    cr_assert_eq(lw_resource_guard_enter(new), 0, "both can be held");
    cr_assert_eq(lw_resource_guard_exit(old[0]), 0, "R115");
    cr_assert_eq(lw_resource_guard_enter(old[1]), 0, "R115");
    lw_unique_guard_put(old[0]);
    lw_unique_guard_put(old[1]);
    lw_unique_guard_put(new);
    lw_unique_guard_clear();
    assert_no_leaks();
}

static void get_and_put(struct member *member)
{
    int *inside = member->crowd->object;

    for (int i = 0; i < 200; i++) {
        int object = (int)(random_draw(&member->random) % 3);
        lw_resource_guard *guard, *again;

        cr_assert_eq(lw_unique_guard_get(&guard, &objects[object], "using"), 0);
        cr_assert_eq(lw_unique_guard_get(&again, &objects[object], "using"), 0);
        cr_assert_eq(guard, again, "R113");
        if (lw_resource_guard_enter(guard) == 0) {
            cr_assert_eq(++inside[object], 1, "R113: it is the same for all");
            maybe_yield(member);
            inside[object]--;
            cr_assert_eq(lw_resource_guard_exit(guard), 0);
        }
        lw_unique_guard_put(again);
        lw_unique_guard_put(guard);
    }
}

static int crowds_of_objects(void *arg)
{
    (void)arg;
    for (uint64_t seed = 1; seed <= (uint64_t)rounds(20); seed++) {
        int inside[3] = {0};
        struct crowd crowd = {
            .tasks = 8, .threads = 2, .act = get_and_put, .object = inside, .seed = seed};

        crowd_run(&crowd);
    }
    return 0;
}

Test(guard, all_get_the_same_one)
{
    run_all(crowds_of_objects, NULL);
    assert_no_leaks();
}

/* R106: a type of C has no further ones derived from it.  What makes a unique guard makes it of the
 * one type there is, whatever embeds it; so it has no kind but its own. */
Test(guard, r106_there_is_one_type_of_them)
{
    struct {
        lw_resource_guard guard;
        int more;
    } derived = {LW_RESOURCE_GUARD_INIT("using", NULL), 0};
    lw_resource_guard *unique;

    cr_assert_eq(lw_unique_guard_get(&unique, &derived, "using"), 0);
    cr_assert_neq(unique, &derived.guard, "what it is for is not what it is");
    cr_assert_eq(unique->scope.kind, &lw_resource_guard_kind, "R106");
    lw_unique_guard_put(unique);
}
