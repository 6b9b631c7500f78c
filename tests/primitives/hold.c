/* SPDX-License-Identifier: MIT */
/* What a task holds: known in order, however many, and with the memory for it refused. */
#include "tests/primitives/mutexes.h"

#include "primitives/lock.h"

TestSuite(hold, .init = watchdog);

enum { MANY = 40 };

static void assert_holds(lw_mutex *mutexes, const int *expected, uint32_t count)
{
    struct lw_cold *cold = lw_record_cold(lw_current());
    struct lw_hold_place place = {0};

    cr_assert_eq(cold->nheld, count);
    for (uint32_t i = count; i-- > 0;) {
        place = i == count - 1 ? lw_hold_newest(cold) : lw_hold_older(cold, place);
        cr_assert_eq(lw_hold_lock(lw_hold_in(cold, place)), &mutexes[expected[i]].lock);
    }
}

/* To and fro over the edges of the record and of the chunks. */
static int hold_more_and_fewer(void *arg)
{
    lw_mutex mutexes[MANY] = {0};
    int expected[MANY];
    uint32_t count = 0;
    uint64_t random = 3;
    bool rising = true;

    (void)arg;
    for (int i = 0; i < MANY; i++)
        expected[i] = i; /* all of them, those that are held first */
    for (long round = 0; round < rounds(4000); round++) {
        uint64_t draw = random_draw(&random) >> 40;

        rising = count == 0 || (count < MANY && (draw % 16 == 0 ? !rising : rising));
        if (rising) {
            cr_assert_eq(lw_mutex_acquire(&mutexes[expected[count]], LW_FOREVER), 0);
            count++;
        } else {
            uint32_t victim = draw % 4 == 0 ? (uint32_t)(draw / 4 % count) : count - 1;
            int which = expected[victim];

            cr_assert_eq(lw_mutex_release(&mutexes[which]), 0);
            memmove(&expected[victim], &expected[victim + 1],
                    (--count - victim) * sizeof *expected);
            expected[count] = which;
        }
        assert_holds(mutexes, expected, count);
    }
    while (count > 0)
        cr_assert_eq(lw_mutex_release(&mutexes[expected[--count]]), 0);
    return 0;
}

Test(hold, holds_come_and_go_over_all_edges)
{
    run_all(hold_more_and_fewer, NULL);
}

/* Who holds thousands pays a walk for one, not for each of them: this ended after minutes once. */
static int hold_thousands(void *arg)
{
    enum { THOUSANDS = 8000 };
    static lw_mutex mutexes[THOUSANDS];
    lw_mutex taken = {0};

    (void)arg;
    for (int i = 0; i < THOUSANDS; i++)
        cr_assert_eq(lw_mutex_acquire(&mutexes[i], LW_FOREVER), 0);
    for (int i = 0; i < THOUSANDS; i++) {
        cr_assert_eq(lw_mutex_acquire(&taken, LW_FOREVER), 0);
        cr_assert_eq(lw_mutex_release(&taken), 0);
        cr_assert_eq(lw_mutex_release(&mutexes[i]), 0); /* the oldest */
    }
    return 0;
}

Test(hold, thousands_may_be_held)
{
    run_with(1, hold_thousands, NULL);
}

static int hold_many(void *arg)
{
    lw_mutex mutexes[MANY] = {0};
    int expected[MANY];
    uint32_t count = 0;
    uint64_t random = 7;

    (void)arg;
    for (int i = 0; i < MANY; i++) {
        cr_assert_eq(lw_mutex_acquire(&mutexes[i], LW_FOREVER), 0);
        expected[count++] = i;
        assert_holds(mutexes, expected, count);
    }
    while (count > 0) { /* in any order */
        uint32_t victim = (uint32_t)(random_draw(&random) % count);

        cr_assert_eq(lw_mutex_release(&mutexes[expected[victim]]), 0);
        assert_free(&mutexes[expected[victim]]);
        memmove(&expected[victim], &expected[victim + 1], (--count - victim) * sizeof *expected);
        assert_holds(mutexes, expected, count);
    }
    cr_assert_null(lw_record_cold(lw_current())->holds_more);
    return 0;
}

Test(hold, holds_are_known_in_order_however_many_and_however_released)
{
    run_all(hold_many, NULL);
    (void)hold_many(NULL);
}

static int hold_without_memory(void *arg)
{
    lw_mutex mutexes[8] = {0};
    struct lw_cold *cold = lw_record_cold(lw_current());

    (void)arg;
    sys_fail(SYS_MMAP, 1, true);
    for (int i = 0; i < 8; i++)
        cr_assert_eq(lw_mutex_acquire(&mutexes[i], LW_FOREVER), 0);
    cr_assert(sys_failed());
    sys_fail(SYS_MMAP, 0, false);
    cr_assert_eq(cold->nheld, 3);
    cr_assert_eq(cold->holds_lost, 5);
    cr_assert_eq(lw_mutex_acquire(&mutexes[7], LW_FOREVER), -EDEADLK);
    for (int i = 0; i < 8; i++)
        cr_assert_eq(lw_mutex_release(&mutexes[i]), 0);
    cr_assert_eq(lw_mutex_release(&mutexes[7]), -EPERM);
    cr_assert_eq(cold->nheld, 0);
    cr_assert_eq(cold->holds_lost, 0);
    for (int i = 0; i < 8; i++)
        assert_free(&mutexes[i]);
    return 0;
}

Test(hold, without_memory_for_a_hold_the_lock_is_granted_all_the_same)
{
    sys_watch();
    run_with(1, hold_without_memory, NULL);
}

static int end_with_a_lost_hold(void *arg)
{
    lw_mutex *mutexes = arg;

    sys_fail(SYS_MMAP, 1, true);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(lw_mutex_acquire(&mutexes[i], LW_FOREVER), 0);
    sys_fail(SYS_MMAP, 0, false);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(lw_mutex_release(&mutexes[i]), 0);
    cr_assert_eq(lw_record_cold(lw_current())->holds_lost, 1);
    return 0;
}

static int take_from_the_ended(void *arg)
{
    lw_mutex mutexes[4] = {0};
    lw_task owner;

    (void)arg;
    cr_assert_eq(lw_spawn(&owner, end_with_a_lost_hold, mutexes, NULL), 0);
    cr_assert_eq(lw_join(owner, NULL, LW_FOREVER), 0);
    cr_assert_eq(lw_mutex_acquire(&mutexes[3], LW_FOREVER), -ENOTRECOVERABLE);
    cr_assert_eq(lw_mutex_acquire(&mutexes[0], LW_FOREVER), 0);
    cr_assert_eq(lw_spawn(&owner, acquire_forever, &mutexes[3], NULL), 0); /* its slot again */
    cr_assert_eq(lw_record_cold(lw_record_of(owner.id))->holds_lost, 0);
    cr_assert_eq(join_status(owner), -ENOTRECOVERABLE);
    return lw_mutex_release(&mutexes[0]);
}

Test(hold, of_an_ended_owner_is_known_though_the_hold_was_lost)
{
    sys_watch();
    run_with(1, take_from_the_ended, NULL);
}

/* The same of the locks that are handed on. */
static int end_with_a_lost_lock(void *arg)
{
    lw_mutex mutexes[3] = {0};

    for (int i = 0; i < 3; i++)
        cr_assert_eq(lw_mutex_acquire(&mutexes[i], LW_FOREVER), 0);
    sys_fail(SYS_MMAP, 1, true);
    cr_assert_eq(lw_acquire(arg, LW_FOREVER), 0);
    sys_fail(SYS_MMAP, 0, false);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(lw_mutex_release(&mutexes[i]), 0);
    cr_assert_eq(lw_record_cold(lw_current())->holds_lost, 1);
    return 0;
}

static int take_a_lost_lock(void *arg)
{
    static const lw_rlock rlock = LW_RLOCK_INIT("rlock");
    static const lw_priority_lock priority_lock = LW_PRIORITY_LOCK_INIT("priority lock");
    const lw_lock *const kinds[] = {&rlock.lock, &priority_lock.lock};
    lw_task owner;

    (void)arg;
    for (int i = 0; i < 2; i++) {
        lw_lock lock = *kinds[i];

        cr_assert_eq(lw_spawn(&owner, end_with_a_lost_lock, &lock, NULL), 0);
        cr_assert_eq(lw_join(owner, NULL, LW_FOREVER), 0);
        cr_assert_eq(lw_acquire(&lock, LW_NOW), -ENOTRECOVERABLE);
        cr_assert_eq(lw_acquire(&lock, LW_FOREVER), -ENOTRECOVERABLE);
    }
    return 0;
}

Test(hold, of_a_lock_that_is_handed_on_it_is_known_too)
{
    sys_watch();
    run_with(1, take_a_lost_lock, NULL);
}

/* ---- what there is beyond the record goes from task to task */

static int hold_again_and_again(void *arg)
{
    lw_mutex mutexes[MANY] = {0};

    (void)arg;
    for (long round = 0; round < rounds(400); round++) {
        int count = round % 4 == 0 ? MANY : 4;

        for (int i = 0; i < count; i++)
            cr_assert_eq(lw_mutex_acquire(&mutexes[i], LW_FOREVER), 0);
        lw_yield();
        for (int i = 0; i < count; i++)
            cr_assert_eq(lw_mutex_release(&mutexes[i]), 0);
        lw_yield();
    }
    return 0;
}

static int hold_in_parallel(void *arg)
{
    lw_task tasks[8];

    (void)arg;
    for (int i = 0; i < 8; i++)
        cr_assert_eq(lw_spawn(&tasks[i], hold_again_and_again, NULL, NULL), 0);
    for (int i = 0; i < 8; i++)
        cr_assert_eq(join_status(tasks[i]), 0);
    return 0;
}

Test(hold, each_of_many_tasks_finds_its_own)
{
    run_with(4, hold_in_parallel, NULL);
}
