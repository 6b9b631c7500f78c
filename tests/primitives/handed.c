/* SPDX-License-Identifier: MIT */
/* The laws of all locks that are handed on: lw_rlock, lw_priority_lock, lw_priority_rlock. */
#include "tests/primitives/handed.h"

TestSuite(handed, .init = watchdog);

static const lw_rlock rlock = LW_RLOCK_INIT("rlock");
static const lw_priority_lock priority_lock = LW_PRIORITY_LOCK_INIT("priority lock");
static const lw_priority_rlock priority_rlock = LW_PRIORITY_RLOCK_INIT("priority rlock");

static const lw_lock *const all[] = {&rlock.lock, &priority_lock.lock, &priority_rlock.lock};

/* A law for each of them: law(arg) gets one that is free. */
static void run_each(lw_fn *law)
{
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
        lw_lock lock = *all[i];

        run_all(law, &lock);
        assert_free(&lock);
    }
}

/* ---- one at a time */

struct shared {
    lw_lock *lock;
    long inside, count, taken; /* plain: guarded by the lock */
    long acts;
};

static void act_inside(struct member *member)
{
    struct shared *shared = member->crowd->object;

    for (long i = 0; i < shared->acts; i++) {
        lw_nsec deadline = member->crowd->cancels ? random_deadline(member) : LW_FOREVER;
        int err = lw_acquire(shared->lock, deadline);

        if (err < 0) {
            cr_assert(is_interruption(err), "%d", err);
            cr_assert_not(lw_owned(shared->lock));
            continue;
        }
        cr_assert(lw_owned(shared->lock));
        cr_assert_eq(++shared->inside, 1);
        shared->taken++;
        maybe_yield(member);
        shared->count++;
        cr_assert_eq(--shared->inside, 0);
        cr_assert_eq(lw_release(shared->lock), 0);
    }
    cr_assert_eq(holds_of_caller(), 0);
}

/* R320, R353: those who wait let others of their worker run. */
static int crowds_without_interruption(void *arg)
{
    for (uint64_t seed = 1; seed <= (uint64_t)rounds(10); seed++) {
        struct shared shared = {.lock = arg, .acts = 60};
        struct crowd crowd = {
            .tasks = 8, .threads = 2, .act = act_inside, .object = &shared, .seed = seed};

        crowd_run(&crowd);
        cr_assert_eq(shared.count, 10 * shared.acts);
        assert_free(arg);
    }
    return 0;
}

Test(handed, one_at_a_time_is_inside)
{
    run_each(crowds_without_interruption);
}

/* R324, R327, R355, R389, R390 */
static int crowds_with_cancels(void *arg)
{
    for (uint64_t seed = 1; seed <= (uint64_t)rounds(20); seed++) {
        struct shared shared = {.lock = arg, .acts = 40};
        struct crowd crowd = {.tasks = 12,
                              .threads = 2,
                              .cancels = true,
                              .act = act_inside,
                              .object = &shared,
                              .seed = seed};

        crowd_run(&crowd);
        cr_assert_eq(shared.count, shared.taken);
        assert_free(arg);
    }
    return 0;
}

Test(handed, no_grant_is_lost_or_doubled_when_waits_end_early)
{
    run_each(crowds_with_cancels);
}

/* ---- results */

static int release_of_another(void *arg)
{
    cr_assert_eq(lw_release(arg), -EPERM, "R226, R229, R330, R357, R388");
    cr_assert_not(lw_owned(arg), "R228, R332, R359, R393: a child of the owner is not the owner");
    cr_assert_eq(lw_acquire(arg, LW_NOW), -ETIMEDOUT, "R325: held");
    cr_assert_eq(lw_acquire(arg, lw_in(LW_MS)), -ETIMEDOUT, "R323, R336");
    cr_assert_eq(lw_acquire(arg, 5), -EINVAL, "a duration");
    cr_assert_eq(holds_of_caller(), 0);
    return 0;
}

static int use_codes(void *arg)
{
    lw_lock *lock = arg;
    lw_task task;

    cr_assert_eq(lw_release(lock), -EPERM, "R227, R329, R356: an over-release");
    cr_assert_not(lw_owned(lock), "R228");
    cr_assert_eq(lw_acquire(lock, LW_NOW), 0, "R319, R325, R333: free");
    cr_assert(lw_locked(lock) && lw_owned(lock), "R331, R332, R358, R359");
    cr_assert_eq(lw_owner(lock).id, lw_self().id, "R338");
    cr_assert_eq(lw_spawn(&task, release_of_another, lock, NULL), 0);
    cr_assert_eq(join_status(task), 0);
    cr_assert(lw_owned(lock), "R226, R330: the owner keeps it");
    cr_assert_eq(holds_of_caller(), 1);
    cr_assert_eq(lw_release(lock), 0, "R225");
    cr_assert_eq(lw_release(lock), -EPERM, "R227, R329, R356");
    assert_free(lock);
    return 0;
}

Test(handed, misuse_has_its_code_and_changes_nothing)
{
    run_each(use_codes);
}

Test(handed, a_plain_thread_is_an_owner_like_a_task)
{
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
        lw_lock lock = *all[i];

        cr_assert_eq(lw_release(&lock), -EPERM);
        cr_assert_eq(lw_acquire(&lock, LW_NOW), 0);
        cr_assert(lw_owned(&lock));
        cr_assert_eq(lw_release(&lock), 0);
        assert_free(&lock);
    }
}

/* They are known by their words: a zeroed one is not taken for a mutex. */
static int use_zeroed(void *arg)
{
    lw_rlock one = {0};
    lw_priority_lock two = {0};
    lw_priority_rlock three = {0};

    (void)arg;
    for (int i = 0; i < 2; i++) { /* the first use of the task, and one more */
        cr_assert_eq(lw_rlock_acquire(&one, LW_FOREVER), -EINVAL);
        cr_assert_eq(lw_rlock_release(&one), -EINVAL);
        cr_assert_eq(lw_priority_lock_acquire(&two, 0, LW_FOREVER), -EINVAL);
        cr_assert_eq(lw_priority_lock_release(&two), -EINVAL);
        cr_assert_eq(lw_priority_rlock_acquire(&three, 0, LW_FOREVER), -EINVAL);
        cr_assert_eq(lw_priority_rlock_release(&three), -EINVAL);
    }
    cr_assert_eq(one.lock._word._value | two.lock._word._value | three.lock._word._value, 0);
    return 0;
}

Test(handed, a_zeroed_one_is_refused)
{
    run_all(use_zeroed, NULL);
}

static int enter_by_scope(void *arg)
{
    lw_lock *lock = arg;
    int err = 1;

    LW_WITH(lock, LW_FOREVER, err) {
        cr_assert(lw_owned(lock));
        err = 7;
    }
    cr_assert_eq(err, 7, "R217, R220, R319, R352");
    assert_free(lock);
    return 0;
}

Test(handed, a_scope_takes_it_and_gives_it_back)
{
    run_each(enter_by_scope);
}

/* ---- handing on */

/* One worker: the heir does not run before the releaser lets it. */
static int hand_over(void *arg)
{
    lw_lock *lock = arg;
    lw_task heir;

    cr_assert_eq(lw_acquire(lock, LW_FOREVER), 0);
    heir = start_waiter(acquire_and_release, lock);
    cr_assert_eq(lw_release(lock), 0);
    cr_assert(lw_locked(lock), "R331: without a gap");
    cr_assert_eq(lw_owner(lock).id, heir.id, "R332, R338: from the grant on");
    cr_assert_not(lw_owned(lock));
    cr_assert_eq(lw_release(lock), -EPERM);
    cr_assert_eq(lw_acquire(lock, LW_NOW), -ETIMEDOUT);
    cr_assert_eq(lw_acquire(lock, LW_FOREVER), 0, "R328: after the one it was handed to");
    cr_assert_eq(lw_release(lock), 0);
    cr_assert_eq(join_status(heir), 0);
    return 0;
}

Test(handed, a_release_makes_the_first_waiter_the_owner)
{
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
        lw_lock lock = *all[i];

        run_with(1, hand_over, &lock);
        assert_free(&lock);
    }
}

/* A cancel that comes after the grant is the next wait's: R327, R390. */
static int release_then_wait(void *arg)
{
    lw_lock *lock = arg;

    cr_assert_eq(lw_acquire(lock, LW_FOREVER), 0);
    cr_assert(lw_owned(lock));
    cr_assert_eq(lw_sleep(LW_FOREVER), -ECANCELED);
    return lw_release(lock);
}

static int cancel_the_heir(void *arg)
{
    lw_lock *lock = arg;
    lw_task heir, next;

    cr_assert_eq(lw_acquire(lock, LW_FOREVER), 0);
    heir = start_waiter(release_then_wait, lock);
    next = start_waiter(acquire_and_release, lock);
    cr_assert_eq(lw_release(lock), 0);
    cr_assert_eq(lw_cancel(heir), 0);
    cr_assert_eq(join_status(heir), 0);
    cr_assert_eq(join_status(next), 0);
    return 0;
}

Test(handed, an_heir_that_is_cancelled_has_it_and_passes_it_on)
{
    run_each(cancel_the_heir);
}

static int cancel_a_waiter(void *arg)
{
    lw_lock *lock = arg;
    struct line line = {.lock = lock};
    struct place places[3] = {{&line, 0, 0}, {&line, 1, 0}, {&line, 2, 0}};
    lw_task tasks[3];

    cr_assert_eq(lw_acquire(lock, LW_FOREVER), 0);
    for (int i = 0; i < 3; i++)
        tasks[i] = queue_up(&places[i]);
    cr_assert_eq(lw_cancel(tasks[1]), 0);
    cr_assert_eq(join_status(tasks[1]), -ECANCELED, "R324, R355, R389");
    cr_assert(lw_owned(lock), "R389: the owner is unchanged");
    cr_assert_eq(lw_release(lock), 0);
    cr_assert_eq(join_status(tasks[0]), 0);
    cr_assert_eq(join_status(tasks[2]), 0);
    cr_assert(line.count == 2 && line.order[0] == 0 && line.order[1] == 2, "R324, R389: the order");
    return 0;
}

Test(handed, who_gives_up_leaves_the_line_as_it_was)
{
    run_each(cancel_a_waiter);
}

/* ---- the last touch */

struct counted {
    lw_lock lock;
    int users; /* guarded by the lock, which goes with the last of them */
};

static int use_and_leave(void *arg)
{
    struct counted *counted = arg;
    bool last;

    cr_assert_eq(lw_acquire(&counted->lock, LW_FOREVER), 0);
    lw_yield();
    last = --counted->users == 0;
    cr_assert_eq(lw_release(&counted->lock), 0);
    if (last)
        free(counted);
    return 0;
}

static int free_with_the_last(void *arg)
{
    for (long round = 0; round < rounds(200); round++) {
        struct counted *counted = calloc(1, sizeof *counted);
        lw_task tasks[4];

        counted->lock = *(lw_lock *)arg;
        counted->users = 4;
        for (int i = 0; i < 4; i++)
            cr_assert_eq(lw_spawn(&tasks[i], use_and_leave, counted, NULL), 0);
        for (int i = 0; i < 4; i++)
            cr_assert_eq(join_status(tasks[i]), 0);
    }
    return 0;
}

Test(handed, the_last_inside_may_free_it)
{
    run_each(free_with_the_last);
}

/* ---- owners that end */

static int end_inside(void *arg)
{
    return lw_acquire(arg, LW_FOREVER);
}

static int end_inside_for_others(void *arg)
{
    lw_lock *lock = arg;
    lw_task waiters[3];

    cr_assert_eq(lw_acquire(lock, LW_FOREVER), 0);
    waiters[0] = start_waiter(end_inside, lock);
    for (int i = 1; i < 3; i++)
        waiters[i] = start_waiter(acquire_and_release, lock);
    cr_assert_eq(lw_release(lock), 0);
    cr_assert_eq(join_status(waiters[0]), 0);
    for (int i = 1; i < 3; i++)
        cr_assert_eq(join_status(waiters[i]),
                     lock->data == LW_DATA_ROBUST ? -EOWNERDEAD : -ENOTRECOVERABLE);
    cr_assert_not(lw_locked(lock));
    cr_assert_null(lock->_queue);
    return 0;
}

static int lose_the_owner(void *arg)
{
    lw_lock opaque = *(const lw_lock *)arg, robust = opaque;

    robust.data = LW_DATA_ROBUST;
    (void)end_inside_for_others(&opaque);
    cr_assert_eq(lw_acquire(&opaque, LW_NOW), -ENOTRECOVERABLE);
    cr_assert_eq(lw_release(&opaque), -EPERM);
    (void)end_inside_for_others(&robust);
    cr_assert_eq(lw_acquire(&robust, LW_FOREVER), -EOWNERDEAD);
    cr_assert_eq(lw_owner(&robust).id, 0);
    return 0;
}

Test(handed, nobody_enters_unaware_that_its_owner_ended)
{
    run_each(lose_the_owner);
}

static int made_whole;

static int make_whole(lw_lock *lock)
{
    cr_assert(lw_owned(lock));
    made_whole++;
    return 0;
}

/* At whatever depth its owner was. */
static int nest_and_end(void *arg)
{
    int err = lw_acquire(arg, LW_FOREVER);

    return err < 0 ? err : lw_acquire(arg, LW_FOREVER);
}

static int repair_it(void *arg)
{
    lw_lock_kind repairable = *((lw_lock *)arg)->kind;
    lw_lock lock = *(lw_lock *)arg;
    bool nests = lock.kind != &lw_priority_lock_kind;
    struct line line = {.lock = &lock};
    struct place places[2] = {{&line, 0, 0}, {&line, 1, 0}};
    lw_task ending, tasks[2];

    repairable.repair = make_whole;
    lock.kind = &repairable;
    made_whole = 0;
    cr_assert_eq(lw_acquire(&lock, LW_FOREVER), 0);
    ending = start_waiter(nests ? nest_and_end : end_inside, &lock);
    for (int i = 0; i < 2; i++)
        tasks[i] = queue_up(&places[i]);
    cr_assert_eq(lw_release(&lock), 0);
    cr_assert_eq(join_status(ending), 0);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(join_status(tasks[i]), 0);
    cr_assert_eq(made_whole, 1);
    cr_assert(line.order[0] == 0 && line.order[1] == 1, "handed on in order");
    assert_free(&lock);
    return 0;
}

Test(handed, a_repaired_lock_is_handed_on)
{
    run_each(repair_it);
}

/* A task that ends repairs one, while another is dead already: nobody nests in that. */
static lw_lock dead, repaired;

static int enter_the_dead(lw_lock *lock)
{
    (void)lock;
    cr_assert_eq(lw_acquire(&dead, LW_NOW), -ENOTRECOVERABLE);
    cr_assert_eq(lw_release(&dead), -EPERM);
    made_whole++;
    return 0;
}

static int end_inside_both(void *arg)
{
    (void)arg;
    cr_assert_eq(lw_acquire(&repaired, LW_FOREVER), 0);
    return lw_acquire(&dead, LW_FOREVER);
}

static int enter_what_is_dead(void *arg)
{
    lw_lock_kind repairable = lw_mutex_kind;
    lw_task task;

    repairable.repair = enter_the_dead;
    dead = *(lw_lock *)arg;
    repaired = (lw_lock)LW_LOCK_INIT(&repairable, NULL);
    made_whole = 0;
    cr_assert_eq(lw_spawn(&task, end_inside_both, NULL, NULL), 0);
    cr_assert_eq(join_status(task), 0);
    cr_assert_eq(made_whole, 1);
    cr_assert_not(lw_locked(&repaired));
    return 0;
}

Test(handed, its_last_owner_does_not_nest_in_a_dead_one)
{
    run_each(enter_what_is_dead);
}

/* ---- what others see */

static int look_at_the_head(void *arg)
{
    lw_lock *lock = arg;
    bool by_priority = lw_lock_has_heap(lock->_word._value);
    struct line line = {.lock = lock};
    struct place places[3] = {{&line, 0, 5}, {&line, 1, -5}, {&line, 2, 0}};
    struct lw_cold *cold[3];
    lw_task tasks[3];
    int head = by_priority ? 1 : 0;

    cr_assert_eq(lw_acquire(lock, LW_FOREVER), 0);
    for (int i = 0; i < 3; i++) {
        tasks[i] = queue_up(&places[i]);
        cold[i] = lw_record_cold(lw_record_of(tasks[i].id));
        cr_assert_eq(cold[i]->object, (uintptr_t)lock);
        cr_assert_eq(cold[i]->kind, LW_WAIT_LOCK);
    }
    for (int i = 0; i < 3; i++)
        cr_assert_eq(cold[i]->owner, i == head ? lw_self().id : 0);
    cr_assert_eq(lw_cancel(tasks[head]), 0);
    cr_assert_eq(join_status(tasks[head]), -ECANCELED);
    cr_assert_eq(cold[by_priority ? 2 : 1]->owner, lw_self().id);
    cr_assert_eq(lw_release(lock), 0);
    for (int i = 0; i < 3; i++)
        if (i != head)
            cr_assert_eq(join_status(tasks[i]), 0);
    return 0;
}

Test(handed, the_head_waiter_says_who_owns_it)
{
    run_each(look_at_the_head);
}
