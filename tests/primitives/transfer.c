/* SPDX-License-Identifier: MIT */
/* The laws of lw_transfer(): a hold goes to another task without a gap, and with the end of that
 * one nothing of it is lost.  What is refused: transfer-refused.c. */
#include "tests/primitives/heirs.h"

TestSuite(transfer, .init = watchdog);

/* ---- from one to the other */

static int release_once(struct heir *heir)
{
    int err = lw_release(heir->lock);

    cr_assert_eq(holds_of_caller(), 0);
    return err;
}

static int hand_to_one_who_waits(void *arg)
{
    struct heir heir = {.lock = arg, .act = release_once};
    lw_lock *lock = arg;
    lw_task task, waiter;

    cr_assert_eq(lw_acquire(lock, LW_FOREVER), 0);
    task = start_waiter(be_told, &heir);
    waiter = start_waiter(acquire_and_release, lock);
    cr_assert_eq(lw_transfer(lock, task), 0);
    cr_assert_eq(holds_of_caller(), 0);
    cr_assert_eq(lw_release(lock), -EPERM);
    cr_assert_eq(lw_transfer(lock, task), -EPERM);
    cr_assert(lw_locked(lock), "there was no gap");
    if (has_owner(lock)) {
        cr_assert_eq(lw_owner(lock).id, task.id);
        cr_assert_eq(lw_record_cold(lw_record_of(waiter.id))->owner, task.id, "and it is known");
    }
    lw_event_set(&heir.told);
    cr_assert_eq(join_status(task), 0);
    cr_assert_eq(join_status(waiter), 0);
    assert_as_made(lock);
    return 0;
}

Test(transfer, the_other_releases_it_as_its_own)
{
    run_kinds(HELD_KINDS, hand_to_one_who_waits);
}

/* One worker: the child has not started. */
static int hand_to_a_child(void *arg)
{
    lw_lock *lock = arg;
    lw_task task;

    for (int i = 0; i < 3; i++) {
        cr_assert_eq(lw_acquire(lock, LW_FOREVER), 0);
        cr_assert_eq(lw_spawn(&task, release_now, lock, NULL), 0);
        cr_assert_eq(lw_transfer(lock, task), 0);
        cr_assert_eq(join_status(task), 0);
        assert_as_made(lock);
    }
    return 0;
}

Test(transfer, one_that_has_not_started_may_have_it)
{
    for (int i = 0; i < HELD_KINDS; i++) {
        lw_lock lock = *kinds[i];

        run_with(1, hand_to_a_child, &lock);
    }
}

static int hand_back(struct heir *heir)
{
    lw_task giver = {(uint64_t)(uintptr_t)lw_data()};

    return lw_transfer(heir->lock, giver);
}

static int send_round(void *arg)
{
    struct heir heir = {.lock = arg, .act = hand_back};
    lw_task_options options = {.data = (void *)(uintptr_t)lw_self().id};
    lw_lock *lock = arg;
    lw_task task;

    for (int i = 0; i < 5; i++) {
        lw_event_clear(&heir.told);
        cr_assert_eq(lw_acquire(lock, LW_NOW), 0);
        cr_assert_eq(lw_transfer(lock, lw_self()), 0, "its own");
        cr_assert_eq(holds_of_caller(), 1);
        cr_assert_eq(lw_spawn(&task, be_told, &heir, &options), 0);
        cr_assert_eq(lw_transfer(lock, task), 0);
        lw_event_set(&heir.told);
        cr_assert_eq(join_status(task), 0);
        cr_assert_eq(lw_release(lock), 0);
        cr_assert_eq(holds_of_caller(), 0);
        assert_as_made(lock);
    }
    return 0;
}

Test(transfer, it_may_be_handed_on_and_back)
{
    run_kinds(HELD_KINDS, send_round);
}

/* ---- depth */

static int release_thrice(struct heir *heir)
{
    cr_assert(lw_owned(heir->lock));
    for (int i = 0; i < 3; i++)
        cr_assert_eq(lw_release(heir->lock), 0);
    return lw_release(heir->lock);
}

static int hand_nested(void *arg)
{
    lw_rlock lock = LW_RLOCK_INIT("nested");
    struct heir heir = {.lock = &lock.lock, .act = release_thrice};
    lw_task task;

    (void)arg;
    for (int i = 0; i < 3; i++)
        cr_assert_eq(lw_rlock_acquire(&lock, LW_NOW), 0);
    task = start_waiter(be_told, &heir);
    cr_assert_eq(lw_transfer(&lock.lock, task), 0);
    cr_assert_eq(lw_rlock_release(&lock), -EPERM);
    lw_event_set(&heir.told);
    cr_assert_eq(join_status(task), -EPERM, "and no more than that");
    assert_as_made(&lock.lock);
    return 0;
}

Test(transfer, at_the_depth_that_it_had)
{
    run_all(hand_nested, NULL);
}

/* ---- what the other does with it */

static lw_mutex another;
static lw_condition condition;

/* A wait for a lock makes a hold of it; a condition lets go of it. */
static int wait_with_it(struct heir *heir)
{
    cr_assert_eq(holds_of_caller(), 0);
    cr_assert_eq(lw_mutex_acquire(&another, LW_FOREVER), 0);
    cr_assert_eq(holds_of_caller(), 2);
    cr_assert_eq(lw_mutex_release(&another), 0);
    cr_assert_eq(lw_condition_wait(&condition, heir->lock, LW_FOREVER), 0);
    cr_assert(lw_owned(heir->lock));
    cr_assert_eq(lw_release(heir->lock), 0);
    return (int)holds_of_caller();
}

static int use_fully(void *arg)
{
    struct heir heir = {.lock = arg, .act = wait_with_it};
    lw_lock *lock = arg;
    lw_task task;

    another = (lw_mutex)LW_MUTEX_INIT("another");
    condition = (lw_condition)LW_CONDITION_INIT("told");
    cr_assert_eq(lw_acquire(lock, LW_FOREVER), 0);
    cr_assert_eq(lw_mutex_acquire(&another, LW_NOW), 0);
    task = start_waiter(be_told, &heir);
    cr_assert_eq(lw_transfer(lock, task), 0);
    lw_event_set(&heir.told);
    AWAIT((lw_load_acq(&another.lock._word._value) & LW_LOCK_QUEUED) != 0);
    cr_assert_eq(lw_acquire(lock, LW_NOW), -ETIMEDOUT);
    cr_assert_eq(lw_mutex_release(&another), 0);
    cr_assert_eq(lw_acquire(lock, LW_FOREVER), 0, "the condition has let go of it");
    cr_assert_eq(lw_condition_notify(&condition, 1), 1);
    cr_assert_eq(lw_release(lock), 0);
    cr_assert_eq(join_status(task), 0);
    assert_as_made(lock);
    return 0;
}

Test(transfer, waits_and_conditions_know_it)
{
    run_kinds(OWNED_KINDS, use_fully);
}

/* ---- the other ends */

static int just_end(struct heir *heir)
{
    (void)heir;
    return 0;
}

static int end_with_it(void *arg)
{
    for (int round = 0; round < 4; round++) {
        lw_lock lock = *(lw_lock *)arg;
        struct heir heir = {.lock = &lock, .act = just_end};
        int expected = round % 2 == 0 ? -ENOTRECOVERABLE : -EOWNERDEAD;
        lw_task task, waiter;

        lock.data = round % 2 == 0 ? LW_DATA_OPAQUE : LW_DATA_ROBUST;
        cr_assert_eq(lw_acquire(&lock, LW_FOREVER), 0);
        if (round < 2)
            task = start_waiter(be_told, &heir);
        else
            cr_assert_eq(lw_spawn(&task, be_told, &heir, NULL), 0);
        waiter = start_waiter(acquire_and_release, &lock);
        cr_assert_eq(lw_transfer(&lock, task), 0);
        lw_event_set(&heir.told);
        cr_assert_eq(join_status(task), 0);
        cr_assert_eq(join_status(waiter), expected);
        cr_assert_eq(lw_acquire(&lock, LW_NOW), expected);
        cr_assert_eq(lw_transfer(&lock, lw_self()), -EPERM);
        cr_assert_eq(holds_of_caller(), 0);
    }
    return 0;
}

Test(transfer, with_the_end_of_the_other_it_is_marked)
{
    run_kinds(HELD_KINDS, end_with_it);
}

/* ---- permits */

static int hand_one_of_three(void *arg)
{
    lw_bounded_semaphore three = LW_BOUNDED_SEMAPHORE_INIT("three", 3);
    struct heir heir = {.lock = &three.lock, .act = release_once};
    lw_task task;

    (void)arg;
    cr_assert_eq(lw_bounded_semaphore_acquire(&three, 3, LW_NOW), 0);
    task = start_waiter(be_told, &heir);
    cr_assert_eq(lw_transfer(&three.lock, task), 0);
    cr_assert_eq(three.lock._number, 3);
    cr_assert_eq(lw_bounded_semaphore_release(&three, 3), -EPERM);
    cr_assert_eq(lw_bounded_semaphore_release(&three, 2), 0);
    lw_event_set(&heir.told);
    cr_assert_eq(join_status(task), 0);
    cr_assert_eq(three.lock._number, 0);
    return 0;
}

Test(transfer, of_permits_one_at_a_time)
{
    run_all(hand_one_of_three, NULL);
}

/* ---- who looks whether it is the owner by now, and is told in no other way */

static struct {
    lw_lock *lock;
    bool nests;
    int written; /* plain: only the word of the lock orders it */
} found;

static int find_it(void *arg)
{
    bool nests = found.nests && arg != NULL;

    while (nests ? lw_acquire(found.lock, LW_NOW) != 0 : !lw_owned(found.lock))
        lw_yield();
    cr_assert_eq(found.written++, 7);
    cr_assert(!nests || lw_release(found.lock) == 0);
    cr_assert_eq(lw_release(found.lock), 0);
    cr_assert(!found.nests || lw_release(found.lock) == 0);
    cr_assert_eq(holds_of_caller(), 0);
    return 0;
}

static int let_it_be_found(void *arg)
{
    lw_task task;

    found.lock = arg;
    found.nests = found.lock->kind == &lw_rlock_kind || found.lock->kind == &lw_priority_rlock_kind;
    for (int i = 0; i < 20; i++) {
        cr_assert_eq(lw_acquire(found.lock, LW_NOW), 0);
        cr_assert(!found.nests || lw_acquire(found.lock, LW_NOW) == 0);
        cr_assert_eq(lw_spawn(&task, find_it, i % 2 == 0 ? arg : NULL, NULL), 0);
        lw_yield();
        found.written = 7;
        cr_assert_eq(lw_transfer(found.lock, task), 0);
        cr_assert_eq(join_status(task), 0);
        cr_assert_eq(found.written, 8);
        assert_as_made(found.lock);
    }
    return 0;
}

Test(transfer, who_finds_that_it_owns_it_finds_all_that_was_written)
{
    run_kinds(OWNED_KINDS, let_it_be_found);
}

/* ---- plain threads */

static struct {
    lw_lock *lock;
    uint64_t id;
    bool given;
} shared;

static void *heir_in_a_thread(void *arg)
{
    cr_assert_eq(lw_thread_attach(), 0);
    __atomic_store_n(&shared.id, lw_self().id, __ATOMIC_RELEASE);
    AWAIT(__atomic_load_n(&shared.given, __ATOMIC_ACQUIRE));
    return (void *)(intptr_t)(arg != NULL ? lw_release(shared.lock) : 0);
}

Test(transfer, from_thread_to_thread)
{
    for (int i = 0; i < 2 * HELD_KINDS; i++) {
        lw_lock lock = *kinds[i / 2];
        bool releases = i % 2 == 0;
        pthread_t thread;
        void *result;

        shared.lock = &lock;
        shared.id = 0;
        shared.given = false;
        cr_assert_eq(lw_acquire(&lock, LW_NOW), 0);
        cr_assert_eq(pthread_create(&thread, NULL, heir_in_a_thread, releases ? &lock : NULL), 0);
        AWAIT(__atomic_load_n(&shared.id, __ATOMIC_ACQUIRE) != 0);
        cr_assert_eq(lw_transfer(&lock, (lw_task){shared.id}), 0);
        __atomic_store_n(&shared.given, true, __ATOMIC_RELEASE);
        cr_assert_eq(pthread_join(thread, &result), 0);
        cr_assert_eq((intptr_t)result, 0);
        cr_assert_eq(lw_acquire(&lock, LW_NOW), releases ? 0 : -ENOTRECOVERABLE);
        cr_assert_eq(lw_transfer(&lock, (lw_task){shared.id}), releases ? -ESRCH : -EPERM);
        cr_assert_eq(lw_release(&lock), releases ? 0 : -EPERM);
    }
}

/* ---- kinds, and marks */

static lw_task new_owner;

static int note_owner(lw_lock *lock, lw_task owner)
{
    (void)lock;
    new_owner = owner;
    return 0;
}

static lw_task noted_owner(const lw_lock *lock)
{
    (void)lock;
    return new_owner;
}

static int repair_and_release(struct heir *heir)
{
    cr_assert_eq(lw_consistent(heir->lock), 0);
    return lw_release(heir->lock);
}

static int hand_others(void *arg)
{
    lw_lock_kind kind = {.acquire = lw_acquire, .release = lw_release, .locked = lw_locked};
    lw_lock lock = LW_LOCK_INIT(&kind, "noted"), marked = LW_LOCK_INIT(NULL, "marked");
    struct heir heir = {.lock = &marked, .act = repair_and_release};
    lw_task task = start_waiter(be_told, &heir);

    (void)arg;
    kind.owner = noted_owner;
    kind.set_owner = note_owner;
    new_owner = lw_self();
    cr_assert_eq(lw_transfer(&lock, (lw_task){0}), -ESRCH);
    cr_assert_eq(lw_transfer(&lock, task), 0);
    cr_assert_eq(new_owner.id, task.id);
    cr_assert_eq(lw_transfer(&lock, task), -EPERM);
    marked.data = LW_DATA_ROBUST;
    cr_assert_eq(lw_acquire(&marked, LW_NOW), 0);
    lw_lock_mark(&marked, LW_LOCK_INCONSISTENT);
    (void)lw_hold_remove(lw_record_cold(lw_current()), &marked);
    cr_assert_eq(lw_acquire_inconsistent(&marked, LW_NOW), 1);
    cr_assert_eq(lw_transfer(&marked, task), 0, "with its mark");
    lw_event_set(&heir.told);
    cr_assert_eq(join_status(task), 0);
    assert_as_made(&marked);
    return 0;
}

Test(transfer, a_kind_that_keeps_its_owner_is_told_and_a_mark_goes_along)
{
    run_with(1, hand_others, NULL);
}
