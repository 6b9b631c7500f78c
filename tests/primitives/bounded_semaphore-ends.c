/* SPDX-License-Identifier: MIT */
/* The laws of lw_bounded_semaphore when whoever has permits ends, or there is no memory to note
 * whose they are. */
#include "tests/primitives/bounded.h"

TestSuite(bounded_semaphore_ends, .init = watchdog);

/* ---- tasks that end */

static int end_with_permits(void *arg)
{
    return lw_bounded_semaphore_acquire(arg, 2, LW_FOREVER);
}

static int enter_and_leave(void *arg)
{
    int err = lw_bounded_semaphore_acquire(arg, 1, LW_FOREVER);

    return err < 0 ? err : lw_bounded_semaphore_release(arg, 1);
}

static int accept_repair(lw_lock *lock)
{
    (void)lock;
    return 0;
}

static int end_before_others(void *arg)
{
    lw_lock_kind repairable = lw_bounded_semaphore_kind;
    lw_bounded_semaphore semaphore = LW_BOUNDED_SEMAPHORE_INIT("left behind", 2);
    int expected = *(int *)arg;
    lw_task ending, waiter;

    repairable.repair = accept_repair;
    if (expected == 0)
        semaphore.lock.kind = &repairable;
    else if (expected == -EOWNERDEAD)
        semaphore.lock.data = LW_DATA_ROBUST;
    cr_assert_eq(lw_bounded_semaphore_acquire(&semaphore, 1, LW_NOW), 0);
    ending = start_waiter(end_with_permits, &semaphore);
    waiter = start_waiter(enter_and_leave, &semaphore);
    cr_assert_eq(lw_bounded_semaphore_release(&semaphore, 1), 0);
    cr_assert_eq(join_status(ending), 0);
    cr_assert_eq(join_status(waiter), expected);
    cr_assert_eq(lw_bounded_semaphore_acquire(&semaphore, 1, LW_NOW), expected);
    if (expected == 0)
        cr_assert_eq(lw_bounded_semaphore_release(&semaphore, 1), 0);
    assert_idle(&semaphore, 2);
    return 0;
}

Test(bounded_semaphore_ends, nobody_enters_unaware_that_a_holder_ended)
{
    static int expected[] = {-ENOTRECOVERABLE, -EOWNERDEAD, 0};

    for (int i = 0; i < 3; i++)
        run_all(end_before_others, &expected[i]);
}

/* All of a task's permits are one thing to repair, and nobody is let in before it is. */
static struct {
    lw_bounded_semaphore semaphore;
    int repairs, inside;
} ended;

static int repair_once(lw_lock *lock)
{
    cr_assert_eq(lw_bounded_semaphore_release((lw_bounded_semaphore *)lock, 1), -EPERM);
    cr_assert_eq(__atomic_load_n(&ended.inside, __ATOMIC_ACQUIRE), 0);
    ended.repairs++;
    return 0;
}

static int take_many_and_end(void *arg)
{
    (void)arg;
    cr_assert_eq(lw_bounded_semaphore_acquire(&ended.semaphore, 1, LW_NOW), 0);
    cr_assert_eq(lw_bounded_semaphore_acquire(&ended.semaphore, 19998, LW_NOW), 0);
    cr_assert_eq(lw_bounded_semaphore_acquire(&ended.semaphore, 1, LW_NOW), 0);
    AWAIT((lw_load_rlx(&ended.semaphore.lock._word._value) & LW_LOCK_QUEUED) != 0);
    return 0;
}

static int enter_after(void *arg)
{
    int err = lw_bounded_semaphore_acquire(&ended.semaphore, 1, LW_FOREVER);

    (void)arg;
    __atomic_store_n(&ended.inside, 1, __ATOMIC_RELEASE);
    return err < 0 ? err : lw_bounded_semaphore_release(&ended.semaphore, 1);
}

static int end_with_many(void *arg)
{
    lw_lock_kind repairable = lw_bounded_semaphore_kind;
    lw_task ending, waiter;

    (void)arg;
    memset(&ended, 0, sizeof ended);
    ended.semaphore = (lw_bounded_semaphore)LW_BOUNDED_SEMAPHORE_INIT("many", 20000);
    repairable.repair = repair_once;
    ended.semaphore.lock.kind = &repairable;
    cr_assert_eq(lw_spawn(&ending, take_many_and_end, NULL, NULL), 0);
    AWAIT(held(&ended.semaphore) == 20000);
    cr_assert_eq(lw_spawn(&waiter, enter_after, NULL, NULL), 0);
    cr_assert_eq(join_status(ending), 0);
    cr_assert_eq(join_status(waiter), 0);
    cr_assert_eq(ended.repairs, 1);
    assert_idle(&ended.semaphore, 20000);
    return 0;
}

Test(bounded_semaphore_ends, what_a_holder_leaves_is_repaired_once)
{
    run_all(end_with_many, NULL);
}

/* ---- without memory */

static int take_without_memory(void *arg)
{
    lw_bounded_semaphore semaphore = LW_BOUNDED_SEMAPHORE_INIT("no memory", 100000);
    lw_mutex mutexes[3] = {{LW_LOCK_INIT(NULL, NULL)}};

    (void)arg;
    sys_fail(SYS_MMAP, 1, true);
    cr_assert_eq(lw_bounded_semaphore_acquire(&semaphore, 3 * 8191, LW_NOW), 0, "in the record");
    cr_assert_eq(lw_bounded_semaphore_release(&semaphore, 3 * 8191), 0);
    cr_assert_eq(lw_bounded_semaphore_acquire(&semaphore, 3 * 8191 + 1, LW_NOW), -ENOMEM);
    cr_assert_eq(held(&semaphore), 0);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(lw_mutex_acquire(&mutexes[i], LW_NOW), 0);
    cr_assert_eq(lw_bounded_semaphore_acquire(&semaphore, 1, LW_FOREVER), -ENOMEM);
    cr_assert(sys_failed());
    sys_fail(SYS_MMAP, 0, false);
    cr_assert_eq(lw_bounded_semaphore_acquire(&semaphore, 20000, LW_NOW), 0);
    cr_assert_eq(lw_bounded_semaphore_acquire(&semaphore, 90000, LW_NOW), -ETIMEDOUT);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(lw_mutex_release(&mutexes[i]), 0);
    cr_assert_eq(lw_bounded_semaphore_release(&semaphore, 20000), 0);
    cr_assert_eq(lw_bounded_semaphore_acquire(&semaphore, 100001, LW_NOW), -ETIMEDOUT);
    cr_assert_eq(holds_of_caller(), 0);
    cr_assert_eq(lw_record_cold(lw_current())->holds_lost, 0);
    cr_assert_null(lw_record_cold(lw_current())->holds_more);
    return 0;
}

Test(bounded_semaphore_ends, no_permit_is_taken_that_cannot_be_noted)
{
    sys_watch();
    run_with(1, take_without_memory, NULL);
}
