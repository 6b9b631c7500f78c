/* SPDX-License-Identifier: MIT */
/* The laws of lw_transfer(): a hold goes to another task without a gap, and with the end of that
 * one nothing of it is lost. */
#include "tests/primitives/kinds.h"

TestSuite(transfer, .init = watchdog);

/* One who is handed something, and told so. */
struct heir {
    lw_lock *lock;
    lw_event told;
    int (*act)(struct heir *heir);
};

static int be_told(void *arg)
{
    struct heir *heir = arg;
    int err = lw_event_wait(&heir->told, LW_FOREVER);

    return err < 0 ? err : heir->act(heir);
}

static int release_once(struct heir *heir)
{
    int err = lw_release(heir->lock);

    cr_assert_eq(holds_of_caller(), 0);
    return err;
}

static bool has_owner(const lw_lock *lock)
{
    return lock->kind != &lw_bounded_semaphore_kind;
}

/* ---- from one to the other */

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

static int release_now(void *lock)
{
    return lw_release(lock);
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

Test(transfer, misuse_has_its_code_and_changes_nothing)
{
    run_kinds(HELD_KINDS, codes);
    for (int i = HELD_KINDS; i < ALL_KINDS; i++) {
        lw_lock lock = *kinds[i];

        cr_assert_eq(lw_acquire(&lock, LW_NOW), 0);
        cr_assert_eq(lw_transfer(&lock, lw_self()), -EPERM, "a permit of nobody's");
    }
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

Test(transfer, what_cannot_be_noted_is_not_handed_over)
{
    int scarce = 0;

    sys_watch();
    run_with(1, hand_without_memory, &scarce);
    scarce = 1;
    run_with(1, hand_without_memory, &scarce);
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
