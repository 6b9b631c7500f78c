/* SPDX-License-Identifier: MIT */
/* The laws of locks whose owner ended inside, and who knows it: lw_acquire_inconsistent() and
 * lw_consistent(). */
#include "tests/primitives/kinds.h"

TestSuite(inconsistent, .init = watchdog);

static int end_inside(void *arg)
{
    return lw_acquire(arg, LW_FOREVER);
}

static int take_knowing(void *arg)
{
    return lw_acquire_inconsistent(arg, LW_FOREVER);
}

/* A robust lock, marked. */
static void mark(lw_lock *lock)
{
    lw_task task;

    lock->data = LW_DATA_ROBUST;
    cr_assert_eq(lw_spawn(&task, end_inside, lock, NULL), 0);
    cr_assert_eq(join_status(task), 0);
    cr_assert_eq(lw_acquire(lock, LW_NOW), -EOWNERDEAD);
    cr_assert_not(lw_owned(lock));
}

/* ---- what the two calls return */

static int use_codes(void *arg)
{
    lw_lock *lock = arg;

    cr_assert_eq(lw_consistent(lock), -EPERM, "it is nobody's");
    cr_assert_eq(lw_acquire_inconsistent(lock, LW_NOW), 0, "nobody has marked it");
    cr_assert_eq(lw_consistent(lock), -EINVAL);
    cr_assert_eq(lw_release(lock), 0);
    mark(lock);
    cr_assert_eq(lw_consistent(lock), -EPERM);
    cr_assert_eq(lw_acquire_inconsistent(lock, LW_NOW), 1);
    cr_assert_eq(holds_of_caller(), 1);
    cr_assert(lw_locked(lock));
    cr_assert_eq(lw_consistent(lock), 0);
    cr_assert_eq(lw_consistent(lock), -EINVAL, "already");
    cr_assert_eq(lw_release(lock), 0);
    cr_assert_eq(holds_of_caller(), 0);
    assert_as_made(lock);
    cr_assert_eq(lw_acquire(lock, LW_NOW), 0, "as any other");
    cr_assert_eq(lw_release(lock), 0);
    return 0;
}

Test(inconsistent, one_who_knows_takes_and_repairs_it)
{
    run_kinds(HELD_KINDS, use_codes);
}

Test(inconsistent, a_plain_thread_may_repair_as_well)
{
    for (int i = 0; i < HELD_KINDS; i++) {
        lw_lock lock = *kinds[i];

        lock.data = LW_DATA_ROBUST;
        run_with(1, end_inside, &lock);
        cr_assert_eq(lw_acquire_inconsistent(&lock, LW_NOW), 1);
        cr_assert_eq(lw_consistent(&lock), 0);
        cr_assert_eq(lw_release(&lock), 0);
        assert_as_made(&lock);
    }
}

static int try_anonymous(void *arg)
{
    lw_lock *lock = arg;

    cr_assert_eq(lw_acquire_inconsistent(lock, LW_NOW), 0);
    cr_assert_eq(lw_acquire_inconsistent(lock, LW_NOW), -ETIMEDOUT);
    cr_assert_eq(lw_consistent(lock), -EPERM, "a permit is nobody's");
    cr_assert_eq(lw_release(lock), 0);
    return 0;
}

Test(inconsistent, anonymous_permits_are_never_marked)
{
    for (int i = HELD_KINDS; i < ALL_KINDS; i++) {
        lw_lock lock = *kinds[i];

        run_with(1, try_anonymous, &lock);
        assert_as_made(&lock);
    }
}

static int repair_is_the_owners(void *arg)
{
    return lw_consistent(arg);
}

static int ask_of_another(void *arg)
{
    lw_lock *lock = arg;
    lw_task task;

    mark(lock);
    cr_assert_eq(lw_acquire_inconsistent(lock, LW_NOW), 1);
    cr_assert_eq(lw_spawn(&task, repair_is_the_owners, lock, NULL), 0);
    cr_assert_eq(join_status(task), -EPERM);
    cr_assert(lw_lock_is_marked(lock));
    cr_assert_eq(lw_consistent(lock), 0);
    return lw_release(lock);
}

Test(inconsistent, only_the_owner_says_that_it_is_whole)
{
    run_kinds(HELD_KINDS, ask_of_another);
}

/* ---- others wait for the one who knows */

static int repair_before_waiters(void *arg)
{
    lw_lock *lock = arg;
    lw_task unaware, knowing;

    mark(lock);
    cr_assert_eq(lw_acquire_inconsistent(lock, LW_NOW), 1);
    unaware = start_waiter(acquire_and_release, lock);
    knowing = start_waiter(take_knowing, lock);
    cr_assert_eq(lw_consistent(lock), 0);
    cr_assert_eq(lw_release(lock), 0);
    cr_assert_eq(join_status(unaware), 0);
    cr_assert_eq(join_status(knowing), 0, "repaired meanwhile");
    cr_assert_eq(lw_acquire(lock, LW_FOREVER), -EOWNERDEAD, "and it ended with the lock");
    return 0;
}

Test(inconsistent, who_comes_meanwhile_waits_and_finds_it_whole)
{
    run_kinds(OWNED_KINDS, repair_before_waiters);
}

static int release_marked(void *arg)
{
    lw_lock *lock = arg;
    lw_task unaware, knowing;

    mark(lock);
    cr_assert_eq(lw_acquire_inconsistent(lock, LW_NOW), 1);
    unaware = start_waiter(acquire_and_release, lock);
    knowing = start_waiter(take_knowing, lock);
    cr_assert_eq(lw_release(lock), 0);
    cr_assert_eq(join_status(unaware), -ENOTRECOVERABLE);
    cr_assert_eq(join_status(knowing), -ENOTRECOVERABLE);
    cr_assert_eq(lw_acquire(lock, LW_FOREVER), -ENOTRECOVERABLE);
    cr_assert_eq(lw_acquire_inconsistent(lock, LW_NOW), -ENOTRECOVERABLE);
    cr_assert_eq(lw_consistent(lock), -EPERM);
    cr_assert_eq(lw_release(lock), -EPERM);
    cr_assert(!lw_locked(lock) && !lw_owned(lock));
    cr_assert_eq(lw_owner(lock).id, 0, "its owner lives, and has let go");
    cr_assert_null(lock->_queue);
    cr_assert_eq(holds_of_caller(), 0);
    return 0;
}

Test(inconsistent, released_unrepaired_it_is_dead_for_all)
{
    run_kinds(OWNED_KINDS, release_marked);
}

/* ---- the one who knows ends, too */

static bool go;

static int take_knowing_and_end(void *arg)
{
    int err = lw_acquire_inconsistent(arg, LW_FOREVER);

    AWAIT(__atomic_load_n(&go, __ATOMIC_ACQUIRE));
    return err;
}

static int repair_for_good(void *arg)
{
    int err = lw_acquire_inconsistent(arg, LW_FOREVER);

    if (err == 1)
        cr_assert_eq(lw_consistent(arg), 0);
    return err < 0 ? err : lw_release(arg) < 0 ? -EIO : err;
}

static int end_twice(void *arg)
{
    lw_lock *lock = arg;
    lw_task first, unaware, knowing;

    go = false;
    mark(lock);
    cr_assert_eq(lw_spawn(&first, take_knowing_and_end, lock, NULL), 0);
    AWAIT(lw_locked(lock));
    unaware = start_waiter(acquire_and_release, lock);
    knowing = start_waiter(repair_for_good, lock);
    __atomic_store_n(&go, true, __ATOMIC_RELEASE);
    cr_assert_eq(join_status(first), 1);
    cr_assert_eq(join_status(knowing), 1);
    /* It came to look before the repair, or after it. */
    int err = join_status(unaware);
    cr_assert(err == -EOWNERDEAD || err == 0, "%d", err);
    assert_as_made(lock);
    return 0;
}

Test(inconsistent, when_the_one_who_knows_ends_it_is_marked_as_before)
{
    run_kinds(OWNED_KINDS, end_twice);
}

/* ---- depth */

static int nest_marked(void *arg)
{
    lw_rlock lock = LW_RLOCK_INIT("nested");

    (void)arg;
    mark(&lock.lock);
    cr_assert_eq(lw_acquire_inconsistent(&lock.lock, LW_NOW), 1);
    cr_assert_eq(lw_acquire_inconsistent(&lock.lock, LW_NOW), 1, "deeper, and still marked");
    cr_assert_eq(lw_rlock_acquire(&lock, LW_NOW), 0);
    cr_assert_eq(lw_rlock_release(&lock), 0);
    cr_assert_eq(lw_rlock_release(&lock), 0);
    cr_assert_eq(lw_consistent(&lock.lock), 0);
    cr_assert_eq(lw_acquire_inconsistent(&lock.lock, LW_NOW), 0, "deeper, and repaired");
    cr_assert_eq(lw_rlock_release(&lock), 0);
    cr_assert_eq(lw_rlock_release(&lock), 0);
    assert_as_made(&lock.lock);
    return 0;
}

Test(inconsistent, the_depth_counts_as_otherwise)
{
    run_with(1, nest_marked, NULL);
}

/* ---- waits that end early */

static int take_knowing_soon(void *arg)
{
    return lw_acquire_inconsistent(arg, lw_in(LW_MS));
}

static int wait_in_vain(void *arg)
{
    lw_lock *lock = arg;
    lw_task cancelled, late, purged;

    mark(lock);
    cr_assert_eq(lw_acquire_inconsistent(lock, LW_NOW), 1);
    cancelled = start_waiter(take_knowing, lock);
    purged = start_waiter(take_knowing, lock);
    cr_assert_eq(lw_cancel(cancelled), 0);
    cr_assert_eq(join_status(cancelled), -ECANCELED);
    cr_assert_eq(lw_purge_waiters(lock), 1);
    cr_assert_eq(join_status(purged), -EPIPE);
    cr_assert_eq(lw_spawn(&late, take_knowing_soon, lock, NULL), 0);
    cr_assert_eq(join_status(late), -ETIMEDOUT);
    cr_assert_eq(lw_consistent(lock), 0);
    cr_assert_eq(lw_release(lock), 0);
    assert_as_made(lock);
    return 0;
}

Test(inconsistent, who_knows_waits_as_others_do)
{
    run_kinds(HELD_KINDS, wait_in_vain);
}

/* ---- a condition lets go of what is marked */

static int wait_with_marked(void *arg)
{
    lw_lock *lock = arg;
    lw_condition condition = LW_CONDITION_INIT("marked");
    int err;

    mark(lock);
    cr_assert_eq(lw_acquire_inconsistent(lock, LW_NOW), 1);
    err = lw_condition_wait(&condition, lock, lw_in(LW_MS));
    cr_assert_eq(err, -ENOTRECOVERABLE);
    cr_assert_not(lw_owned(lock));
    cr_assert_eq(holds_of_caller(), 0);
    return 0;
}

Test(inconsistent, a_wait_with_it_releases_it)
{
    run_kinds(OWNED_KINDS, wait_with_marked);
}

/* ---- semaphores: the mark is of all permits */

static int acquire_one(void *arg)
{
    return lw_bounded_semaphore_acquire(arg, 1, LW_FOREVER);
}

static int take_many(void *arg)
{
    lw_bounded_semaphore three = LW_BOUNDED_SEMAPHORE_INIT("three", 3);
    lw_task ended, knowing;

    (void)arg;
    three.lock.data = LW_DATA_ROBUST;
    cr_assert_eq(lw_bounded_semaphore_acquire(&three, 1, LW_NOW), 0, "before the mark");
    cr_assert_eq(lw_spawn(&ended, acquire_one, &three, NULL), 0);
    cr_assert_eq(join_status(ended), 0);
    cr_assert_eq(lw_bounded_semaphore_acquire(&three, 1, LW_NOW), -EOWNERDEAD);
    cr_assert_eq(lw_acquire_inconsistent(&three.lock, LW_NOW), 1);
    cr_assert_eq(lw_bounded_semaphore_release(&three, 1), 0, "the mark stays");
    cr_assert_eq(lw_bounded_semaphore_acquire(&three, 1, LW_NOW), -EOWNERDEAD);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(lw_acquire_inconsistent(&three.lock, LW_NOW), 1);
    cr_assert_eq(lw_acquire_inconsistent(&three.lock, LW_NOW), -ETIMEDOUT, "as many as there are");
    knowing = start_waiter(take_knowing, &three);
    cr_assert_eq(lw_bounded_semaphore_release(&three, 1), 0);
    cr_assert_eq(join_status(knowing), 1, "and has ended with it");
    cr_assert_eq(lw_consistent(&three.lock), 0, "who has all that are held");
    cr_assert_eq(lw_bounded_semaphore_acquire(&three, 1, LW_NOW), 0);
    cr_assert_eq(lw_bounded_semaphore_release(&three, 3), 0);
    cr_assert_eq(three.lock._number, 0);
    return 0;
}

Test(inconsistent, permits_are_taken_knowing_as_long_as_there_are_any)
{
    run_all(take_many, NULL);
}

static struct {
    lw_bounded_semaphore semaphore;
    bool in, out;
} beside;

static int be_inside(void *arg)
{
    cr_assert_eq(lw_acquire_inconsistent(&beside.semaphore.lock, LW_FOREVER), 1);
    __atomic_store_n(&beside.in, true, __ATOMIC_RELEASE);
    AWAIT(__atomic_load_n(&beside.out, __ATOMIC_ACQUIRE));
    (void)arg;
    return 0; /* with its permit */
}

static int repair_beside_another(void *arg)
{
    lw_lock *lock = &beside.semaphore.lock;
    lw_task other;

    (void)arg;
    memset(&beside, 0, sizeof beside);
    beside.semaphore = (lw_bounded_semaphore)LW_BOUNDED_SEMAPHORE_INIT("two", 2);
    mark(lock);
    cr_assert_eq(lw_spawn(&other, be_inside, NULL, NULL), 0);
    AWAIT(__atomic_load_n(&beside.in, __ATOMIC_ACQUIRE));
    cr_assert_eq(lw_acquire_inconsistent(lock, LW_NOW), 1);
    cr_assert_eq(lw_consistent(lock), -EBUSY, "the other may yet end inside");
    __atomic_store_n(&beside.out, true, __ATOMIC_RELEASE);
    cr_assert_eq(join_status(other), 0);
    cr_assert_eq(lw_acquire(lock, LW_NOW), -EOWNERDEAD);
    cr_assert_eq(lw_consistent(lock), 0);
    return lw_release(lock);
}

Test(inconsistent, nobody_says_so_beside_one_who_may_end)
{
    run_all(repair_beside_another, NULL);
}

static int say_that_the_owner_ended(lw_lock *lock, lw_nsec deadline)
{
    (void)lock;
    (void)deadline;
    return -EOWNERDEAD;
}

static int ask_a_kind_of_our_own(void *arg)
{
    lw_lock_kind kind = {
        .acquire = say_that_the_owner_ended, .release = lw_release, .locked = lw_locked};
    lw_lock lock = LW_LOCK_INIT(&kind, "ours");

    (void)arg;
    cr_assert_eq(lw_acquire_inconsistent(&lock, LW_NOW), -EOWNERDEAD);
    cr_assert_eq(lock._word._value, 0);
    cr_assert_eq(holds_of_caller(), 0);
    return 0;
}

/* There is nothing to be taken, however often it is tried. */
Test(inconsistent, a_kind_that_says_so_without_a_mark_is_believed)
{
    run_with(1, ask_a_kind_of_our_own, NULL);
}
