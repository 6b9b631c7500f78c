/* SPDX-License-Identifier: MIT */
/* The laws of lw_select() for arms that acquire locks, of each of the library's kinds. */
#include "tests/primitives/crowd.h"

#include "primitives/lock.h"

TestSuite(select_locks, .init = watchdog);

union any_lock {
    lw_lock lock;
    lw_rwlock rw;
};

struct sort {
    const char *name;
    union any_lock lock;
    size_t face; /* where the lock to acquire is in it */
    bool owned;
};

static const struct sort sorts[] = {
    {"mutex", {.lock = LW_LOCK_INIT(NULL, "mutex")}, 0, true},
    {"named mutex", {.lock = LW_LOCK_INIT(&lw_mutex_kind, "mutex")}, 0, true},
    {"rlock", {.lock = LW_LOCK_INIT_(&lw_rlock_kind, "rlock", 0, LW_LOCK_HANDED_)}, 0, true},
    {"priority lock", {.lock = LW_LOCK_INIT_(&lw_priority_lock_kind, "p", 0, LW_LOCK_HEAP_)}, 0,
     true},
    {"priority rlock", {.lock = LW_LOCK_INIT_(&lw_priority_rlock_kind, "p", 0, LW_LOCK_HEAP_)}, 0,
     true},
    {"semaphore", {.lock = LW_LOCK_INIT_(&lw_semaphore_kind, "s", 1, 0)}, 0, false},
    {"bounded semaphore",
     {.lock = LW_LOCK_INIT_(&lw_bounded_semaphore_kind, "b", 0, LW_LOCK_COUNTED_(1))}, 0, false},
    {"priority semaphore",
     {.lock = LW_LOCK_INIT_(&lw_priority_semaphore_kind, "p", 1,
                            LW_LOCK_COUNTED_(1) | LW_LOCK_RANKED_)}, 0, false},
    {"rwlock, to write", {.rw = LW_RWLOCK_INIT("rw", 0)}, offsetof(lw_rwlock, write), true},
};

enum { SORTS = sizeof sorts / sizeof *sorts };

static lw_lock *face_of(union any_lock *lock, const struct sort *sort)
{
    return (lw_lock *)(void *)((char *)lock + sort->face);
}

static struct lw_cold *caller(void)
{
    return lw_record_cold(lw_current());
}

struct turns {
    const struct sort *sort;
    union any_lock lock;
    lw_event never;
    int order[4], count; /* guarded by the lock */
};

struct turn {
    struct turns *turns;
    int number;
    bool selects;
};

static int take_turn(void *arg)
{
    struct turn *turn = arg;
    struct turns *turns = turn->turns;
    lw_lock *lock = face_of(&turns->lock, turns->sort);
    lw_arm arms[2] = {lw_arm_event(&turns->never, NULL), lw_arm_acquire(lock)};

    if (turn->selects) {
        int index = lw_select(arms, 2, LW_FOREVER);

        if (index < 0)
            return index;
        cr_assert_eq(index, 1);
        if (arms[1].result < 0)
            return arms[1].result;
    } else {
        cr_assert_eq(lw_acquire(lock, LW_FOREVER), 0);
    }
    cr_assert_eq(lw_owned(lock), turns->sort->owned, "%s", turns->sort->name);
    cr_assert_eq(caller()->nheld, lw_load_rlx(&lock->_word._value) == 0 ||
                                          lock->kind == &lw_semaphore_kind ||
                                          lock->kind == &lw_priority_semaphore_kind
                                      ? 0u
                                      : 1u);
    turns->order[turns->count++] = turn->number;
    return lw_release(lock);
}

/* Selects and acquires queue in turn; all are served in that order. */
static int line_up(void *arg)
{
    struct turns turns = {.sort = arg, .lock = ((const struct sort *)arg)->lock};
    lw_lock *lock = face_of(&turns.lock, turns.sort);
    struct turn each[4];
    lw_task tasks[4];

    cr_assert_eq(lw_acquire(lock, LW_NOW), 0);
    for (int i = 0; i < 4; i++) {
        each[i] = (struct turn){&turns, i, i % 2 == 0};
        tasks[i] = start_waiter(take_turn, &each[i]);
    }
    cr_assert_eq(lw_release(lock), 0);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(join_status(tasks[i]), 0);
    cr_assert_eq(turns.count, 4);
    if (lock->kind != NULL && lock->kind != &lw_mutex_kind) /* where some may barge */
        for (int i = 0; i < 4; i++)
            cr_assert_eq(turns.order[i], i, "%s", turns.sort->name);
    cr_assert_not(lw_locked(lock));
    cr_assert_eq(lw_acquire(lock, LW_NOW), 0);
    cr_assert_eq(lw_release(lock), 0);
    cr_assert_null(lock->_queue);
    return 0;
}

Test(select_locks, an_arm_is_served_in_its_turn)
{
    for (int i = 0; i < SORTS; i++)
        run_all(line_up, (void *)&sorts[i]);
}

/* One that is cancelled, or has something else happen, leaves its place to the next. */
static int leave_the_line(void *arg)
{
    struct turns turns = {.sort = arg, .lock = ((const struct sort *)arg)->lock};
    lw_lock *lock = face_of(&turns.lock, turns.sort);
    struct turn selects = {&turns, 0, true}, acquires = {&turns, 1, false};
    lw_task first, second;

    cr_assert_eq(lw_acquire(lock, LW_NOW), 0);
    first = start_waiter(take_turn, &selects);
    second = start_waiter(take_turn, &acquires);
    cr_assert_eq(lw_cancel(first), 0);
    cr_assert_eq(join_status(first), -ECANCELED);
    cr_assert_eq(lw_release(lock), 0);
    cr_assert_eq(join_status(second), 0);
    cr_assert_not(lw_locked(lock));
    cr_assert_null(lock->_queue);
    return 0;
}

Test(select_locks, one_that_leaves_holds_nobody_up)
{
    for (int i = 0; i < SORTS; i++)
        run_all(leave_the_line, (void *)&sorts[i]);
}

/* ---- readers: those that waited only for a writer that selects go on when it leaves */

static int read_once(void *arg)
{
    int err = lw_acquire(&((lw_rwlock *)arg)->read, LW_FOREVER);

    return err < 0 ? err : lw_release(&((lw_rwlock *)arg)->read);
}

static int write_once(void *arg)
{
    int err = lw_acquire(&((lw_rwlock *)arg)->write, LW_FOREVER);

    return err < 0 ? err : lw_release(&((lw_rwlock *)arg)->write);
}

struct either {
    lw_rwlock rw;
    lw_event stop;
    bool reads;
    int index;
};

static int select_either(void *arg)
{
    struct either *either = arg;
    lw_lock *face = either->reads ? &either->rw.read : &either->rw.write;
    lw_arm arms[2] = {lw_arm_event(&either->stop, NULL), lw_arm_acquire(face)};

    either->index = lw_select(arms, 2, LW_FOREVER);
    return either->index == 1 ? lw_release(face) : 0;
}

static int select_faces(void *arg)
{
    struct either either = {.rw = LW_RWLOCK_INIT("rw", 0)};
    lw_task writer, readers[2];

    (void)arg;
    cr_assert_eq(lw_acquire(&either.rw.read, LW_NOW), 0);
    writer = start_waiter(select_either, &either); /* it bars readers at once */
    readers[0] = start_waiter(read_once, &either.rw);
    lw_event_set(&either.stop);
    cr_assert_eq(join_status(writer), 0);
    cr_assert_eq(either.index, 0);
    cr_assert_eq(join_status(readers[0]), 0);
    cr_assert_eq(lw_release(&either.rw.read), 0);
    lw_event_clear(&either.stop);
    cr_assert_eq(lw_acquire(&either.rw.write, LW_NOW), 0);
    either.reads = true;
    readers[0] = start_waiter(select_either, &either);
    readers[1] = start_waiter(read_once, &either.rw);
    cr_assert_eq(lw_release(&either.rw.write), 0);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(join_status(readers[i]), 0);
    cr_assert_eq(either.index, 1);
    cr_assert_not(lw_locked(&either.rw.write));
    return 0;
}

/* A writer waits behind the one that selects. */
static int select_before_a_writer(void *arg)
{
    struct either either = {.rw = LW_RWLOCK_INIT("rw", 0)};
    lw_task selecting, writer, reader;

    (void)arg;
    cr_assert_eq(lw_acquire(&either.rw.read, LW_NOW), 0);
    selecting = start_waiter(select_either, &either);
    writer = start_waiter(write_once, &either.rw);
    reader = start_waiter(read_once, &either.rw);
    lw_event_set(&either.stop);
    cr_assert_eq(join_status(selecting), 0);
    cr_assert_eq(lw_release(&either.rw.read), 0);
    cr_assert_eq(join_status(reader), 0);
    cr_assert_eq(join_status(writer), 0);
    cr_assert_not(lw_locked(&either.rw.write));
    return 0;
}

/* Two arms of one lock are no reason for each other to wait, or to fail. */
static int select_twice(void *arg)
{
    lw_rwlock *rw = arg;
    lw_arm arms[2] = {lw_arm_acquire(&rw->write), lw_arm_acquire(&rw->write)};
    int index = lw_select(arms, 2, LW_FOREVER);

    if (index < 0 || arms[index].result < 0)
        return index < 0 ? index : arms[index].result;
    return lw_release(&rw->write);
}

static int select_both(void *arg)
{
    lw_rwlock *rw = arg;
    lw_arm arms[2] = {lw_arm_acquire(&rw->write), lw_arm_acquire(&rw->read)};
    int index = lw_select(arms, 2, LW_FOREVER);

    if (index != 1 || arms[1].result < 0)
        return -1;
    return lw_release(&rw->read);
}

static int select_one_lock_twice(void *arg)
{
    lw_rwlock rw = LW_RWLOCK_INIT("twice", 0);
    lw_task task;

    (void)arg;
    cr_assert_eq(lw_acquire(&rw.read, LW_NOW), 0);
    task = start_waiter(select_twice, &rw);
    cr_assert_eq(lw_release(&rw.read), 0);
    cr_assert_eq(join_status(task), 0);
    cr_assert_eq(lw_acquire(&rw.write, LW_NOW), 0);
    task = start_waiter(select_both, &rw);
    cr_assert_eq(lw_rwlock_downgrade(&rw), 0);
    cr_assert_eq(join_status(task), 0);
    cr_assert_eq(lw_release(&rw.read), 0);
    cr_assert_not(lw_locked(&rw.write));
    return 0;
}

Test(select_locks, a_writer_that_leaves_lets_readers_go_on)
{
    run_all(select_faces, NULL);
    run_all(select_before_a_writer, NULL);
    run_all(select_one_lock_twice, NULL);
}

/* ---- what cannot be */

static int lend(lw_lock *lock, lw_nsec deadline)
{
    return lw_mutex_acquire((lw_mutex *)lock, deadline);
}

static int misuse(void *arg)
{
    lw_lock_kind lease = lw_mutex_kind;
    lw_mutex own = LW_MUTEX_INIT("own"), user = LW_MUTEX_INIT("user");
    lw_priority_lock also = LW_PRIORITY_LOCK_INIT("own");
    lw_rwlock rw = LW_RWLOCK_INIT("own", 0), zeroed = {0};
    lw_arm arm = lw_arm_acquire(&own.lock);

    (void)arg;
    lease.acquire = lend;
    user.lock.kind = &lease;
    cr_assert_eq(lw_mutex_acquire(&own, LW_NOW), 0);
    cr_assert_eq(lw_select(&arm, 1, LW_NOW), -ETIMEDOUT);
    cr_assert_eq(lw_select(&arm, 1, LW_FOREVER), 0);
    cr_assert_eq(arm.result, -EDEADLK);
    cr_assert_eq(lw_mutex_release(&own), 0);
    cr_assert_eq(lw_priority_lock_acquire(&also, 0, LW_NOW), 0);
    arm = lw_arm_acquire(&also.lock);
    cr_assert_eq(lw_select(&arm, 1, LW_FOREVER), 0);
    cr_assert_eq(arm.result, -EDEADLK);
    cr_assert_eq(lw_priority_lock_release(&also), 0);
    cr_assert_eq(lw_acquire(&rw.read, LW_NOW), 0);
    arm = lw_arm_acquire(&rw.write);
    cr_assert_eq(lw_select(&arm, 1, LW_FOREVER), 0);
    cr_assert_eq(arm.result, -EDEADLK);
    cr_assert_eq(lw_release(&rw.read), 0);
    zeroed.write.kind = &lw_rwlock_write_kind;
    arm = lw_arm_acquire(&zeroed.write);
    cr_assert_eq(lw_select(&arm, 1, LW_FOREVER), 0);
    cr_assert_eq(arm.result, -EINVAL);
    arm = lw_arm_acquire(&user.lock);
    cr_assert_eq(lw_select(&arm, 1, LW_FOREVER), 0);
    cr_assert_eq(arm.result, 0, "free: its own acquire was called");
    cr_assert_eq(lw_mutex_release(&user), 0);
    return 0;
}

/* Nobody can tell what the acquire of a user's kind does beside waiting. */
static int hold_for_ever(void *arg)
{
    cr_assert_eq(lw_mutex_acquire(arg, LW_FOREVER), 0);
    while (lw_sleep(LW_FOREVER) == 0)
        continue;
    return lw_mutex_release(arg);
}

static int select_a_users(void *arg)
{
    lw_lock_kind lease = lw_mutex_kind;
    lw_mutex user = LW_MUTEX_INIT("user");
    lw_arm arm = lw_arm_acquire(&user.lock);
    lw_task holder;

    (void)arg;
    lease.acquire = lend;
    user.lock.kind = &lease;
    holder = start_waiter(hold_for_ever, &user);
    cr_assert_eq(lw_select(&arm, 1, LW_NOW), -ETIMEDOUT);
    cr_assert_eq(lw_select(&arm, 1, LW_FOREVER), 0);
    cr_assert_eq(arm.result, -EINVAL);
    cr_assert_eq(lw_cancel(holder), 0);
    return join_status(holder);
}

Test(select_locks, misuse_is_an_arm_that_happens_with_an_error)
{
    run_all(misuse, NULL);
    run_all(select_a_users, NULL);
}

/* ---- a holder of permits that ends marks them, for selects as well */

static int take_and_end(void *arg)
{
    return lw_bounded_semaphore_acquire(arg, 1, LW_FOREVER);
}

static int select_permit(void *arg)
{
    lw_arm arm = lw_arm_acquire(arg);

    return lw_select(&arm, 1, LW_FOREVER) == 0 ? arm.result : -1;
}

static int mark_permits(void *arg)
{
    lw_bounded_semaphore semaphore = LW_BOUNDED_SEMAPHORE_INIT("marked", 2);
    lw_task ending, waiter;

    (void)arg;
    semaphore.lock.data = LW_DATA_ROBUST;
    cr_assert_eq(lw_bounded_semaphore_acquire(&semaphore, 2, LW_NOW), 0);
    ending = start_waiter(take_and_end, &semaphore);
    waiter = start_waiter(select_permit, &semaphore.lock);
    cr_assert_eq(lw_bounded_semaphore_release(&semaphore, 1), 0);
    cr_assert_eq(join_status(ending), 0);
    cr_assert_eq(join_status(waiter), -EOWNERDEAD);
    cr_assert_eq(select_permit(&semaphore.lock), -EOWNERDEAD);
    cr_assert_eq(lw_bounded_semaphore_release(&semaphore, 1), 0);
    cr_assert_eq(select_permit(&semaphore.lock), -EOWNERDEAD, "also when there are some");
    cr_assert_eq(caller()->nheld, 0);
    return 0;
}

Test(select_locks, nobody_is_let_in_unaware_by_a_select)
{
    run_all(mark_permits, NULL);
}

/* ---- a crowd: exclusion, whether one selects or acquires */

struct contest {
    const struct sort *sort;
    union any_lock locks[2];
    long counts[2];
};

static void contend_for(struct member *member)
{
    struct contest *contest = member->crowd->object;
    lw_lock *locks[2] = {face_of(&contest->locks[0], contest->sort),
                         face_of(&contest->locks[1], contest->sort)};

    for (long i = rounds(200); i > 0; i--) {
        lw_arm arms[2] = {lw_arm_acquire(locks[0]), lw_arm_acquire(locks[1])};
        int index = (int)(random_draw(&member->random) % 2), err;

        if (random_draw(&member->random) % 2 == 0) {
            err = index = lw_select(arms, 2, random_deadline(member));
            if (err >= 0)
                err = arms[index].result;
        } else {
            err = lw_acquire(locks[index], random_deadline(member));
        }
        if (err < 0) {
            cr_assert(is_interruption(err), "%d", err);
            continue;
        }
        contest->counts[index]++;
        maybe_yield(member);
        contest->counts[index]++;
        cr_assert_eq(contest->counts[index] % 2, 0);
        cr_assert_eq(lw_release(locks[index]), 0);
    }
}

static int crowd_contends(void *arg)
{
    const struct sort *sort = arg;
    struct contest contest = {.sort = sort, .locks = {sort->lock, sort->lock}};
    struct crowd crowd = {.tasks = 5, .threads = 2, .cancels = true, .act = contend_for,
                          .object = &contest, .seed = 3};

    crowd_run(&crowd);
    for (int i = 0; i < 2; i++) {
        lw_lock *lock = face_of(&contest.locks[i], sort);

        cr_assert_not(lw_locked(lock));
        cr_assert_null(lock->_queue);
        cr_assert_eq(lw_acquire(lock, LW_NOW), 0);
        cr_assert_eq(lw_release(lock), 0);
    }
    return 0;
}

Test(select_locks, one_is_inside_whether_it_selects_or_acquires)
{
    for (int i = 0; i < SORTS; i++)
        run_with(2, crowd_contends, (void *)&sorts[i]);
    run_all(crowd_contends, (void *)&sorts[0]);
}
