/* SPDX-License-Identifier: MIT */
/* The guards of objects: who enters one adds one to the object's plain counter, in two steps with
 * anything between them, and in the end the counter is the number of those who entered; who finds
 * it entered goes away.  Guards come with the first get and go with the last put, again and again;
 * the object of one actor alone is never in use by another; and in the end none is still there.
 *
 * In every other lap guards are cleared now and then: of one object there are several then, so only
 * the guards themselves are looked at. */
#include <string.h>

#include "tests/torture/torture.h"

enum { ENTERED = 1, BUSY, CLEARED, INSIDE /* one per shared object */ };
enum { SHARED = 4, NAME = 24 };

static struct object {
    uint64_t plain;
    char name[NAME]; /* as its guards call it; constant */
} shared[SHARED], own[ACTORS_MAX];

static uint32_t clears_begun, clears_ended;

static const char using[] = "using";

static bool clears(void)
{
    return torture_lap() % 2 == 1;
}

static void name(struct object *object)
{
    *object = (struct object){0};
    (void)snprintf(object->name, sizeof object->name, "%p", (void *)object);
}

static void setup(void)
{
    for (int i = 0; i < SHARED; i++)
        name(&shared[i]);
    for (int i = 0; i < ACTORS_MAX; i++)
        name(&own[i]);
}

static lw_resource_guard *get(struct object *object)
{
    lw_resource_guard *guard = NULL;

    CHECK(lw_unique_guard_get(&guard, object, using) == 0, "no guard");
    CHECK(guard->action == using && strcmp(guard->resource, object->name) == 0,
          "a guard of %s, not of %s", guard->resource, object->name);
    return guard;
}

static void clear(struct actor *actor)
{
    (void)lw_add_acq_rel(&clears_begun, 1);
    lw_unique_guard_clear();
    (void)lw_add_acq_rel(&clears_ended, 1);
    count(actor, CLEARED, 1);
}

static void add_one(struct actor *actor, struct object *object, int which)
{
    uint64_t seen = object->plain;

    if (draw(&actor->random) % 16 == 0)
        give_way();
    object->plain = seen + 1;
    count(actor, which, 1);
}

static void use_shared(struct actor *actor)
{
    int number = (int)(draw(&actor->random) % SHARED);
    struct object *object = &shared[number];
    bool skip = BROKEN(1, &actor->random, 1000);
    lw_resource_guard *guard = get(object);
    int err = skip ? 0 : lw_resource_guard_enter(guard);

    CHECK(err == 0 || err == -EBUSY, "an enter returned %d", err);
    count(actor, err == 0 ? ENTERED : BUSY, 1);
    if (err == 0 && !clears())
        add_one(actor, object, INSIDE + number);
    if (err == 0 && !skip)
        CHECK(lw_resource_guard_exit(guard) == 0, "it was left by another");
    if (!BROKEN(2, &actor->random, 1000))
        lw_unique_guard_put(guard);
}

static uint32_t has_cleared(void)
{
    return lw_load_acq(&clears_ended);
}

/* Two gets of one object, between which no clear was at work: `from` is what has_cleared() was. */
static void check_same(const lw_resource_guard *guard, const lw_resource_guard *other,
                       uint32_t from)
{
    CHECK(guard == other || lw_load_acq(&clears_begun) != from, "an object has two guards");
}

static void use_own(struct actor *actor)
{
    struct object *object = &own[actor->index];
    uint32_t from = has_cleared();
    lw_resource_guard *first = get(object), *second = get(object), *third;

    check_same(first, second, from);
    CHECK(lw_resource_guard_enter(first) == 0, "another has entered");
    CHECK(first != second || lw_resource_guard_enter(second) == -EBUSY, "entered twice");
    if (clears() && draw(&actor->random) % 64 == 0) {
        clear(actor);
        lw_unique_guard_put(second);
        second = get(object);
    }
    CHECK(lw_resource_guard_guarded(first), "it is not entered any more");
    CHECK(lw_resource_guard_exit(first) == 0, "it was left by another");
    from = has_cleared();
    third = get(object);
    lw_unique_guard_put(first); /* it may be one that was cleared, and the last put of it */
    first = get(object);
    check_same(first, third, from);
    lw_unique_guard_put(first);
    lw_unique_guard_put(second);
    lw_unique_guard_put(third);
}

static bool act(struct actor *actor)
{
    if (draw(&actor->random) % 4 == 0)
        use_own(actor);
    else
        use_shared(actor);
    if (clears() && draw(&actor->random) % 256 == 0)
        clear(actor);
    count(actor, OPERATIONS, 1);
    if (draw(&actor->random) % 16 == 0)
        give_way();
    return !torture_over();
}

/* A guard that is made now has this action. */
static void check_gone(struct object *object)
{
    static const char checking[] = "checking";
    lw_resource_guard *guard = NULL;

    CHECK(lw_unique_guard_get(&guard, object, checking) == 0, "no guard");
    CHECK(guard->action == checking, "a guard of %s is still there", object->name);
    lw_unique_guard_put(guard);
}

static void check(void)
{
    for (int i = 0; i < SHARED; i++) {
        CHECK(shared[i].plain == torture_sum(INSIDE + i), "counted to %llu by %llu",
              ull(shared[i].plain), ull(torture_sum(INSIDE + i)));
        check_gone(&shared[i]);
    }
    for (int i = 0; i < ACTORS_MAX; i++)
        check_gone(&own[i]);
}

static void report(void)
{
    (void)printf("%llu entered, %llu found it entered, %llu clears", ull(torture_total(ENTERED)),
                 ull(torture_total(BUSY)), ull(torture_total(CLEARED)));
}

const struct torture torture = {
    .name = "guards",
    .tasks = 20,
    .guests = 4,
    .setup = setup,
    .act = act,
    .check = check,
    .report = report,
};
