/* SPDX-License-Identifier: MIT */
/* The laws of lw_transfer() where it is refused, for misuse or for want of memory: nothing changes,
 * and the caller has what it had. */
#include "tests/primitives/heirs.h"

TestSuite(transfer_refused, .init = watchdog);

/* ---- codes */

static bool has_ended(lw_task task)
{
    const struct lw_record *record = lw_record_of(task.id);

    return record != NULL && (lw_load_acq(&record->place) & LW_PLACE_ENDED) != 0;
}

static int codes(void *arg)
{
    lw_lock *lock = arg;
    lw_task task, child, ended, waiting;

    cr_assert_eq(lw_transfer(lock, lw_self()), -EPERM);
    cr_assert_eq(lw_acquire(lock, LW_NOW), 0);
    cr_assert_eq(lw_spawn(&task, release_now, lock, NULL), 0);
    ended = task;
    cr_assert_eq(lw_join(task, NULL, LW_FOREVER), 0);
    cr_assert_eq(lw_transfer(lock, ended), -ESRCH, "joined");
    cr_assert_eq(lw_transfer(lock, (lw_task){0}), -ESRCH);
    cr_assert_eq(lw_transfer(lock, (lw_task){UINT64_MAX >> 8}), -ESRCH);
    cr_assert_eq(lw_spawn(&child, release_now, lock, NULL), 0);
    AWAIT(has_ended(child));
    cr_assert_eq(lw_transfer(lock, child), -ESRCH, "ended, not joined");
    cr_assert_eq(join_status(child), -EPERM);
    waiting = start_waiter(acquire_and_release, lock);
    if (has_owner(lock)) {
        cr_assert_eq(lw_transfer(lock, waiting), -EBUSY, "it waits for this very one");
        cr_assert(lw_owned(lock));
    }
    cr_assert_eq(holds_of_caller(), 1, "the caller has it as before");
    cr_assert_eq(lw_release(lock), 0);
    cr_assert_eq(join_status(waiting), 0);
    assert_as_made(lock);
    return 0;
}

Test(transfer_refused, misuse_has_its_code_and_changes_nothing)
{
    run_kinds(HELD_KINDS, codes);
    for (int i = HELD_KINDS; i < ALL_KINDS; i++) {
        lw_lock lock = *kinds[i];

        cr_assert_eq(lw_acquire(&lock, LW_NOW), 0);
        cr_assert_eq(lw_transfer(&lock, lw_self()), -EPERM, "a permit of nobody's");
    }
}

/* ---- without memory */

enum { MANY = 20 };
static lw_mutex many[MANY];

static int release_half(struct heir *heir)
{
    (void)heir;
    for (int i = 0; i < MANY; i += 2)
        cr_assert_eq(lw_mutex_release(&many[i]), 0);
    return 0;
}

static int hand_without_memory(void *arg)
{
    struct heir heir = {.act = release_half};
    lw_task task;
    lw_mutex mutex = LW_MUTEX_INIT("kept");
    int *scarce = arg;

    memset(many, 0, sizeof many);
    task = start_waiter(be_told, &heir);
    cr_assert_eq(lw_mutex_acquire(&mutex, LW_NOW), 0);
    if (*scarce == 0) {
        sys_fail(SYS_MMAP, 1, true);
        cr_assert_eq(lw_transfer(&mutex.lock, task), -ENOMEM);
        cr_assert(lw_owned(&mutex.lock) && sys_failed());
        sys_fail(SYS_MMAP, 0, false);
    }
    for (int i = 0; i < MANY; i++) {
        cr_assert_eq(lw_mutex_acquire(&many[i], LW_NOW), 0);
        cr_assert_eq(lw_transfer(&many[i].lock, task), 0);
    }
    lw_event_set(&heir.told);
    cr_assert_eq(join_status(task), 0);
    for (int i = 0; i < MANY; i++)
        cr_assert_eq(lw_mutex_acquire(&many[i], LW_NOW), i % 2 == 0 ? 0 : -ENOTRECOVERABLE);
    for (int i = 0; i < MANY; i += 2)
        cr_assert_eq(lw_mutex_release(&many[i]), 0);
    return lw_mutex_release(&mutex);
}

Test(transfer_refused, what_cannot_be_noted_is_not_handed_over)
{
    int scarce = 0;

    sys_watch();
    run_with(1, hand_without_memory, &scarce);
    scarce = 1;
    run_with(1, hand_without_memory, &scarce);
}
