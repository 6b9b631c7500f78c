/* SPDX-License-Identifier: MIT */
/* The laws of kinds of the user's: from scratch, with lw_lock_wait(), and around a lock of the
 * library's; and of lw_lock_fini(). */
#include "tests/primitives/kinds.h"

TestSuite(scratch, .init = watchdog);

/* ---- a flag that is tested and set: 0 free, 1 taken, 2 taken and perhaps waited for */

struct flag {
    lw_lock lock;
    uint32_t taken;
    uint64_t owner;
};

static int flag_acquire(lw_lock *lock, lw_nsec deadline)
{
    struct flag *flag = (struct flag *)lock;
    uint32_t free = 0;
    int err = lw_thread_attach(); /* else lw_self() is nobody */

    if (err == 0 &&
        __atomic_compare_exchange_n(&flag->taken, &free, 1, false, __ATOMIC_ACQUIRE,
                                    __ATOMIC_RELAXED))
        err = -EALREADY;
    while (err == 0 && __atomic_exchange_n(&flag->taken, 2, __ATOMIC_ACQUIRE) != 0) {
        err = lw_lock_wait(lock, &flag->taken, 2, deadline);
        if (err == -EAGAIN)
            err = 0;
    }
    if (err < 0 && err != -EALREADY)
        return err;
    __atomic_store_n(&flag->owner, lw_self().id, __ATOMIC_RELAXED);
    return 0;
}

static lw_task flag_owner(const lw_lock *lock)
{
    return (lw_task){__atomic_load_n(&((const struct flag *)lock)->owner, __ATOMIC_RELAXED)};
}

static int flag_release(lw_lock *lock)
{
    struct flag *flag = (struct flag *)lock;

    if (!lw_owned(lock))
        return -EPERM;
    __atomic_store_n(&flag->owner, 0, __ATOMIC_RELAXED);
    if (__atomic_exchange_n(&flag->taken, 0, __ATOMIC_RELEASE) == 2)
        (void)lw_futex_wake(&flag->taken, 1);
    return 0;
}

static bool flag_locked(const lw_lock *lock)
{
    return __atomic_load_n(&((const struct flag *)lock)->taken, __ATOMIC_RELAXED) != 0;
}

static const lw_lock_kind flag_kind = {.name = "flag",
                                       .acquire = flag_acquire,
                                       .release = flag_release,
                                       .locked = flag_locked,
                                       .owner = flag_owner};

#define FLAG_INIT(name) {.lock = LW_LOCK_INIT(&flag_kind, name)}

/* ---- it excludes, and waits of it end as others do */

static long entries, counted;

static void act(struct member *member)
{
    lw_lock *lock = member->crowd->object;

    for (int i = 0; i < 60; i++) {
        int err;

        LW_WITH(lock, random_deadline(member), err) {
            cr_assert(lw_owned(lock));
            entries++;
            maybe_yield(member);
        }
        cr_assert(err == 0 || is_interruption(err), "%d", err);
        (void)__atomic_add_fetch(&counted, err == 0, __ATOMIC_RELAXED);
    }
}

static int crowds(void *arg)
{
    (void)arg;
    for (uint64_t seed = 1; seed <= (uint64_t)rounds(20); seed++) {
        struct flag flag = FLAG_INIT("crowded");
        struct crowd crowd = {
            .tasks = 8, .threads = 2, .cancels = true, .act = act, .object = &flag, .seed = seed};

        entries = counted = 0;
        crowd_run(&crowd);
        cr_assert_eq(entries, counted);
        cr_assert(!lw_locked(&flag.lock) && lw_owner(&flag.lock).id == 0);
    }
    return 0;
}

Test(scratch, a_kind_from_scratch_excludes_and_gives_up)
{
    run_all(crowds, NULL);
}

/* ---- what others see of a wait for it */

static int look_at_the_wait(void *arg)
{
    struct flag flag = FLAG_INIT("seen"), other = FLAG_INIT("another");
    struct lw_cold *cold;
    lw_task waiter;

    (void)arg;
    cr_assert_eq(lw_lock_wait(&flag.lock, &flag.taken, 1, LW_FOREVER), -EAGAIN);
    cr_assert_eq(lw_lock_wait(&flag.lock, &flag.taken, 0, LW_NOW), -ETIMEDOUT);
    cr_assert_eq(lw_lock_wait(&flag.lock, (char *)&flag.taken + 1, 0, LW_FOREVER), -EINVAL);
    cr_assert_eq(lw_acquire(&flag.lock, LW_FOREVER), 0);
    waiter = start_waiter(acquire_and_release, &flag);
    cold = lw_record_cold(lw_record_of(waiter.id));
    cr_assert_eq(cold->kind, LW_WAIT_LOCK);
    cr_assert_eq(cold->object, (uintptr_t)&flag.lock);
    cr_assert_str_eq(cold->object_name, "seen");
    cr_assert_eq(cold->owner, lw_self().id);
    cr_assert_eq(lw_futex_wake(&other.taken, LW_ALL), 0);
    cr_assert_eq(lw_futex_wake(&flag.lock, LW_ALL), 0, "by the word, not by the lock");
    cr_assert_eq(lw_release(&flag.lock), 0);
    cr_assert_eq(join_status(waiter), 0);
    return 0;
}

Test(scratch, a_wait_for_it_is_one_for_a_lock)
{
    run_all(look_at_the_wait, NULL);
}

/* ---- a condition lets go of it, and takes it again */

struct stocked {
    struct flag flag;
    lw_condition condition;
    int stock;
};

static bool is_stocked(void *arg)
{
    return ((struct stocked *)arg)->stock > 0;
}

static int take_from_stock(void *arg)
{
    struct stocked *stocked = arg;
    int err;

    LW_WITH(&stocked->flag.lock, LW_FOREVER, err) {
        err = lw_condition_wait_for(&stocked->condition, &stocked->flag.lock, is_stocked, stocked,
                                    LW_FOREVER);
        cr_assert(lw_owned(&stocked->flag.lock));
        if (err == 0)
            stocked->stock--;
    }
    return err;
}

static int use_with_condition(void *arg)
{
    struct stocked stocked = {.flag = FLAG_INIT("stock")};
    lw_task takers[3];
    int err;

    (void)arg;
    for (int i = 0; i < 3; i++)
        takers[i] = start_waiter(take_from_stock, &stocked);
    cr_assert_eq(lw_cancel(takers[1]), 0);
    cr_assert_eq(join_status(takers[1]), -ECANCELED);
    for (int i = 0; i < 2; i++) {
        LW_WITH(&stocked.flag.lock, LW_FOREVER, err) {
            stocked.stock++;
            cr_assert_eq(lw_condition_notify(&stocked.condition, 1), 1);
        }
        cr_assert_eq(err, 0);
    }
    cr_assert_eq(join_status(takers[0]), 0);
    cr_assert_eq(join_status(takers[2]), 0);
    cr_assert(stocked.stock == 0 && !lw_locked(&stocked.flag.lock));
    return 0;
}

Test(scratch, a_condition_works_with_it)
{
    run_all(use_with_condition, NULL);
}

/* ---- a kind around a lock of the library's */

/* Its release waits until what was done inside is written out by another task. */
struct written {
    lw_rlock lock;
    lw_event asked, done;
    int pending, on_disk;
};

static int written_acquire(lw_lock *lock, lw_nsec deadline)
{
    return lw_rlock_acquire((lw_rlock *)lock, deadline);
}

static int written_release(lw_lock *lock)
{
    struct written *written = (struct written *)lock;

    if (!lw_owned(lock))
        return -EPERM;
    lw_event_set(&written->asked);
    LW_SHIELD()
        cr_assert_eq(lw_event_wait(&written->done, LW_FOREVER), 0);
    return lw_rlock_release(&written->lock);
}

static bool written_locked(const lw_lock *lock)
{
    return lw_rlock_locked((const lw_rlock *)lock);
}

static const lw_lock_kind written_kind = {.name = "written",
                                          .acquire = written_acquire,
                                          .release = written_release,
                                          .locked = written_locked};

static int write_out(void *arg)
{
    struct written *written = arg;

    cr_assert_eq(lw_event_wait(&written->asked, LW_FOREVER), 0);
    lw_yield();
    written->on_disk = written->pending;
    lw_event_set(&written->done);
    return 0;
}

static int release_by_waiting(void *arg)
{
    struct written written = {.lock = LW_RLOCK_INIT("written")};
    lw_task writer;
    int err;

    (void)arg;
    written.lock.lock.kind = &written_kind;
    cr_assert_eq(lw_spawn(&writer, write_out, &written, NULL), 0);
    LW_WITH(&written.lock.lock, LW_FOREVER, err) {
        /* What the scope was entered for is reached through the lock it was given: no factory is
         * needed, R219 and R222; nothing is made when none is asked for. */
        ((struct written *)&written.lock.lock)->pending = 7;
    }
    cr_assert_eq(err, 0);
    cr_assert_eq(written.on_disk, 7, "R221: the release was waited for before the scope ended");
    cr_assert_not(lw_locked(&written.lock.lock));
    cr_assert_eq(join_status(writer), 0);
    return 0;
}

Test(scratch, a_release_that_waits_ends_before_its_scope)
{
    run_all(release_by_waiting, NULL);
}

/* R223: a kind that says nothing agrees: acknowledge is NULL in all of the library's, and a lock
 * is used without it. */
Test(scratch, the_kinds_of_the_library_agree_by_saying_nothing)
{
    cr_assert_null(lw_mutex_kind.acknowledge);
    for (int i = 1; i < ALL_KINDS; i++) {
        cr_assert_null(kinds[i]->kind->acknowledge, "R223");
        cr_assert_null(kinds[i]->kind->set_owner);
    }
}

/* ---- the end of a lock */

static lw_lock *forgotten;

static void note_forgotten(lw_lock *lock)
{
    cr_assert_null(forgotten);
    forgotten = lock;
}

static int fini_each(void *arg)
{
    lw_lock *lock = arg;
    bool anonymous = lock->kind == &lw_semaphore_kind || lock->kind == &lw_priority_semaphore_kind;
    lw_task waiter;

    forgotten = NULL;
    cr_assert_eq(lw_acquire(lock, LW_NOW), 0);
    if (!anonymous)
        cr_assert_eq(lw_lock_fini(lock), -EBUSY, "it is held");
    waiter = start_waiter(acquire_and_release, lock);
    cr_assert_eq(lw_lock_fini(lock), -EBUSY, "it is waited for");
    cr_assert_null(forgotten);
    cr_assert_eq(lw_release(lock), 0);
    cr_assert_eq(join_status(waiter), 0);
    cr_assert_eq(lw_lock_fini(lock), 0);
    cr_assert_eq(forgotten, lock);
    assert_as_made(lock);
    return 0;
}

Test(scratch, a_lock_that_is_used_does_not_end)
{
    lw_lock_forgotten = note_forgotten;
    run_kinds(ALL_KINDS, fini_each);
    lw_lock_forgotten = NULL;
}

/* One worker: the mutex is free, and its heir is on its way to it. */
static int fini_before_the_heir(void *arg)
{
    lw_mutex mutex = LW_MUTEX_INIT("heir");
    lw_task heir;

    (void)arg;
    cr_assert_eq(lw_mutex_acquire(&mutex, LW_NOW), 0);
    heir = start_waiter(acquire_and_release, &mutex);
    cr_assert_eq(lw_mutex_release(&mutex), 0);
    cr_assert_not(lw_mutex_locked(&mutex));
    cr_assert_eq(lw_lock_fini(&mutex.lock), -EBUSY);
    cr_assert_eq(join_status(heir), 0);
    cr_assert_eq(lw_lock_fini(&mutex.lock), 0);
    return 0;
}

static int end_inside(void *arg)
{
    return lw_acquire(arg, LW_FOREVER);
}

static int fini_others(void *arg)
{
    struct flag flag = FLAG_INIT("from scratch");
    lw_mutex dead = LW_MUTEX_INIT("dead");
    lw_task task;

    (void)arg;
    cr_assert_eq(lw_acquire(&flag.lock, LW_NOW), 0);
    cr_assert_eq(lw_lock_fini(&flag.lock), -EBUSY);
    cr_assert_eq(lw_release(&flag.lock), 0);
    cr_assert_eq(lw_lock_fini(&flag.lock), 0);
    cr_assert_eq(lw_spawn(&task, end_inside, &dead, NULL), 0);
    cr_assert_eq(join_status(task), 0);
    cr_assert_eq(lw_acquire(&dead.lock, LW_NOW), -ENOTRECOVERABLE);
    cr_assert_eq(lw_lock_fini(&dead.lock), 0, "nobody has it any more");
    return 0;
}

Test(scratch, one_that_somebody_is_about_to_take_is_used)
{
    run_with(1, fini_before_the_heir, NULL);
    run_with(1, fini_others, NULL);
}
