/* SPDX-License-Identifier: MIT */
/* The laws of lw_priority_semaphore.  Rows R339 to R350. */
#include "tests/primitives/crowd.h"

#include "primitives/lock.h"

TestSuite(priority_semaphore, .init = watchdog);

static uint32_t free_permits(lw_priority_semaphore *semaphore)
{
    return lw_load_rlx(&semaphore->lock._number);
}

static void assert_idle(lw_priority_semaphore *semaphore, uint32_t permits)
{
    cr_assert_eq(free_permits(semaphore), permits);
    cr_assert_null(semaphore->lock._queue);
    cr_assert_eq(lw_priority_semaphore_locked(semaphore), permits == 0);
}

/* ---- never more inside than there are permits, and none gets lost */

enum { PERMITS = 3 };

struct shared {
    lw_priority_semaphore semaphore;
    int inside;
};

static void act_inside(struct member *member)
{
    struct shared *shared = member->crowd->object;

    for (int i = 0; i < 60; i++) {
        int priority = (int)(random_draw(&member->random) % 3) - 1;
        int err = lw_priority_semaphore_acquire(&shared->semaphore, priority,
                                                random_deadline(member));

        if (err < 0) {
            cr_assert(is_interruption(err), "%d", err);
            continue;
        }
        cr_assert_leq(__atomic_add_fetch(&shared->inside, 1, __ATOMIC_ACQ_REL), PERMITS, "R341");
        maybe_yield(member);
        cr_assert_geq(__atomic_sub_fetch(&shared->inside, 1, __ATOMIC_ACQ_REL), 0);
        cr_assert_eq(lw_priority_semaphore_release(&shared->semaphore, LW_STRICT), 0);
    }
}

static int crowds(void *arg)
{
    (void)arg;
    for (uint64_t seed = 1; seed <= (uint64_t)rounds(30); seed++) {
        struct shared shared = {.semaphore = LW_PRIORITY_SEMAPHORE_INIT("crowd", PERMITS)};
        struct crowd crowd = {.tasks = 12,
                              .threads = 2,
                              .cancels = true,
                              .act = act_inside,
                              .object = &shared,
                              .seed = seed};

        crowd_run(&crowd);
        assert_idle(&shared.semaphore, PERMITS); /* R345 */
    }
    return 0;
}

Test(priority_semaphore, permits_are_conserved_when_waits_end_early)
{
    run_all(crowds, NULL);
}

/* ---- results */

static int use_codes(void *arg)
{
    lw_priority_semaphore semaphore = LW_PRIORITY_SEMAPHORE_INIT("codes", 2), zeroed = {0};
    int err = 1;

    (void)arg;
    cr_assert_eq(lw_priority_semaphore_release(&semaphore, LW_STRICT), -EOVERFLOW, "R346");
    cr_assert_eq(lw_priority_semaphore_release(&semaphore, 2), -EINVAL);
    LW_WITH(&semaphore.lock, LW_NOW, err) {
        cr_assert_eq(free_permits(&semaphore), 1);
    }
    cr_assert_eq(err, 0, "R340");
    assert_idle(&semaphore, 2);
    for (int i = 0; i < 2; i++) {
        cr_assert_not(lw_priority_semaphore_locked(&semaphore), "R348");
        cr_assert_eq(lw_priority_semaphore_acquire(&semaphore, 0, LW_NOW), 0);
    }
    cr_assert(lw_priority_semaphore_locked(&semaphore), "R348");
    cr_assert_eq(lw_priority_semaphore_acquire(&semaphore, 0, LW_NOW), -ETIMEDOUT);
    cr_assert_eq(lw_priority_semaphore_acquire(&semaphore, -9, lw_in(LW_US)), -ETIMEDOUT);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(lw_priority_semaphore_release(&semaphore, LW_STRICT), 0, "R346");
    cr_assert_eq(lw_priority_semaphore_release(&semaphore, LW_STRICT), -EOVERFLOW, "R346");
    assert_idle(&semaphore, 2);
    cr_assert_eq(lw_priority_semaphore_release(&semaphore, 0), 0, "R347");
    assert_idle(&semaphore, 3);
    cr_assert_eq(lw_owner(&semaphore.lock).id, 0);
    semaphore.lock._number = UINT32_MAX;
    cr_assert_eq(lw_priority_semaphore_release(&semaphore, 0), -EOVERFLOW);

    cr_assert_eq(lw_priority_semaphore_acquire(&zeroed, 0, LW_FOREVER), -EINVAL);
    cr_assert_eq(lw_priority_semaphore_release(&zeroed, 0), -EINVAL);
    lw_priority_semaphore_reset(&zeroed);
    cr_assert_eq(zeroed.lock._word._value, 0);
    return 0;
}

Test(priority_semaphore, misuse_has_its_code_and_changes_nothing)
{
    run_all(use_codes, NULL);
    (void)use_codes(NULL); /* a plain thread */
}

/* ---- the order */

enum { WISHES = 6 };

struct wish {
    lw_priority_semaphore *semaphore;
    int priority, place, *served;
};

static int wish(void *arg)
{
    struct wish *wish = arg;
    int err = lw_priority_semaphore_acquire(wish->semaphore, wish->priority, LW_FOREVER);

    if (err == 0)
        __atomic_store_n(&wish->place, __atomic_fetch_add(wish->served, 1, __ATOMIC_RELAXED),
                         __ATOMIC_RELEASE);
    return err;
}

struct line {
    lw_priority_semaphore semaphore;
    struct wish wishes[WISHES];
    lw_task tasks[WISHES];
    int served;
};

/* Who waits, and the place at which each is to be served. */
static const struct {
    int priority, place;
} order[WISHES] = {{0, 2}, {7, 5}, {-3, 0}, {0, 3}, {-3, 1}, {6, 4}};

static void wait_in_line(struct line *line)
{
    for (int i = 0; i < WISHES; i++) {
        line->wishes[i] = (struct wish){&line->semaphore, order[i].priority, -1, &line->served};
        line->tasks[i] = start_waiter(wish, &line->wishes[i]);
    }
}

static int place_of(struct line *line, int i)
{
    return __atomic_load_n(&line->wishes[i].place, __ATOMIC_ACQUIRE);
}

static int whose_place(int place)
{
    int i = 0;

    while (order[i].place != place)
        i++;
    return i;
}

static int serve_one_by_one(void *arg)
{
    struct line line = {.semaphore = LW_PRIORITY_SEMAPHORE_INIT("line", 0)};

    (void)arg;
    wait_in_line(&line);
    for (int i = 0; i < WISHES; i++)
        cr_assert_eq(lw_record_cold(lw_record_of(line.tasks[i].id))->owner, 0, "nobody's");
    for (int place = 0; place < WISHES; place++) {
        int first = whose_place(place);

        /* Strict or not: while somebody waits, none is too many. */
        cr_assert_eq(lw_priority_semaphore_release(&line.semaphore, place % 2), 0);
        cr_assert_eq(join_status(line.tasks[first]), 0);
        cr_assert_eq(place_of(&line, first), place, "R342, R344");
        for (int i = 0; i < WISHES; i++)
            cr_assert_eq(place_of(&line, i) >= 0, order[i].place <= place, "R343: exactly one");
    }
    assert_idle(&line.semaphore, 0);
    return 0;
}

Test(priority_semaphore, each_release_lets_in_the_first_by_priority)
{
    run_all(serve_one_by_one, NULL);
}

static int reset_it(void *arg)
{
    struct line line = {.semaphore = LW_PRIORITY_SEMAPHORE_INIT("reset", 4)};

    (void)arg;
    for (int i = 0; i < 4; i++)
        cr_assert_eq(lw_priority_semaphore_acquire(&line.semaphore, 0, LW_NOW), 0);
    wait_in_line(&line);
    lw_priority_semaphore_reset(&line.semaphore);
    for (int place = 0; place < 4; place++)
        cr_assert_eq(join_status(line.tasks[whose_place(place)]), 0);
    for (int i = 0; i < WISHES; i++) {
        cr_assert_eq(place_of(&line, i) >= 0, order[i].place < 4, "R350: by priority, so many");
        if (order[i].place >= 4)
            cr_assert(is_waiting(line.tasks[i]), "R350: the rest waits");
    }
    lw_priority_semaphore_reset(&line.semaphore);
    for (int place = 4; place < WISHES; place++)
        cr_assert_eq(join_status(line.tasks[whose_place(place)]), 0, "R350: without an error");
    assert_idle(&line.semaphore, 2);
    lw_priority_semaphore_reset(&line.semaphore);
    assert_idle(&line.semaphore, 4); /* R349 */
    cr_assert_eq(lw_priority_semaphore_release(&line.semaphore, 0), 0);
    lw_priority_semaphore_reset(&line.semaphore);
    assert_idle(&line.semaphore, 4); /* R349: also from above */
    return 0;
}

Test(priority_semaphore, a_reset_restores_the_beginning)
{
    run_all(reset_it, NULL);
}

static int cancel_the_first(void *arg)
{
    struct line line = {.semaphore = LW_PRIORITY_SEMAPHORE_INIT("cancel", 0)};

    (void)arg;
    wait_in_line(&line);
    cr_assert_eq(lw_cancel(line.tasks[whose_place(0)]), 0);
    cr_assert_eq(join_status(line.tasks[whose_place(0)]), -ECANCELED);
    cr_assert_eq(free_permits(&line.semaphore), 0, "R345");
    for (int place = 1; place < WISHES; place++) {
        cr_assert_eq(lw_priority_semaphore_release(&line.semaphore, 0), 0);
        cr_assert_eq(join_status(line.tasks[whose_place(place)]), 0);
        cr_assert_eq(place_of(&line, whose_place(place)), place - 1, "R344: after others went");
    }
    assert_idle(&line.semaphore, 0);
    return 0;
}

Test(priority_semaphore, a_cancelled_waiter_leaves_the_line_as_it_was)
{
    run_all(cancel_the_first, NULL);
}
