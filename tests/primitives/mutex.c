/* SPDX-License-Identifier: MIT */
/* The laws of lw_mutex. */
#include "tests/primitives/mutexes.h"

#include "primitives/lock.h"

TestSuite(mutex, .init = watchdog);

static uint32_t holds_of_caller(void)
{
    return lw_record_cold(lw_current())->nheld;
}

/* ---- one at a time */

struct shared {
    lw_mutex mutex;
    long inside, count, taken; /* plain: guarded by the mutex */
    long acts;
};

static void act_inside(struct member *member)
{
    struct shared *shared = member->crowd->object;

    for (long i = 0; i < shared->acts; i++) {
        lw_nsec deadline = member->crowd->cancels ? random_deadline(member) : LW_FOREVER;
        int err = lw_mutex_acquire(&shared->mutex, deadline);

        if (err < 0) {
            cr_assert(is_interruption(err), "%d", err);
            cr_assert_not(lw_owned(&shared->mutex.lock));
            continue;
        }
        cr_assert(lw_owned(&shared->mutex.lock));
        cr_assert_eq(++shared->inside, 1);
        shared->taken++;
        maybe_yield(member);
        shared->count++;
        cr_assert_eq(--shared->inside, 0);
        cr_assert_eq(lw_mutex_release(&shared->mutex), 0);
    }
    cr_assert_eq(holds_of_caller(), 0);
}

static int crowds_without_interruption(void *arg)
{
    (void)arg;
    for (uint64_t seed = 1; seed <= (uint64_t)rounds(20); seed++) {
        struct shared shared = {.acts = 100};
        struct crowd crowd = {
            .tasks = 8, .threads = 2, .act = act_inside, .object = &shared, .seed = seed};

        crowd_run(&crowd);
        cr_assert_eq(shared.count, 10 * shared.acts);
        assert_free(&shared.mutex);
    }
    return 0;
}

Test(mutex, one_at_a_time_is_inside)
{
    run_all(crowds_without_interruption, NULL);
}

static int crowds_with_cancels(void *arg)
{
    (void)arg;
    for (uint64_t seed = 1; seed <= (uint64_t)rounds(40); seed++) {
        struct shared shared = {.acts = 60};
        struct crowd crowd = {.tasks = 12,
                              .threads = 2,
                              .cancels = true,
                              .act = act_inside,
                              .object = &shared,
                              .seed = seed};

        crowd_run(&crowd);
        cr_assert_eq(shared.count, shared.taken);
        assert_free(&shared.mutex);
    }
    return 0;
}

Test(mutex, no_grant_is_lost_or_doubled_when_waits_end_early)
{
    run_all(crowds_with_cancels, NULL);
}

/* ---- results */

static int use_codes(void *arg)
{
    lw_mutex mutex = LW_MUTEX_INIT("codes");

    (void)arg;
    cr_assert_eq(lw_mutex_release(&mutex), -EPERM);
    cr_assert_eq(lw_mutex_acquire(&mutex, LW_NOW), 0);
    cr_assert(lw_mutex_locked(&mutex));
    cr_assert_eq(lw_owner(&mutex.lock).id, lw_self().id);
    cr_assert_eq(lw_mutex_acquire(&mutex, LW_FOREVER), -EDEADLK);
    cr_assert_eq(lw_mutex_acquire(&mutex, LW_NOW), -ETIMEDOUT);
    cr_assert_eq(lw_mutex_release(&mutex), 0);
    cr_assert_eq(lw_mutex_release(&mutex), -EPERM);
    assert_free(&mutex);
    return 0;
}

Test(mutex, misuse_has_its_code_and_changes_nothing)
{
    run_all(use_codes, NULL);
    (void)use_codes(NULL); /* a plain thread */
}

static int release_of_another(void *arg)
{
    lw_mutex *mutex = arg;

    cr_assert_eq(lw_mutex_release(mutex), -EPERM);
    cr_assert_eq(lw_mutex_acquire(mutex, LW_NOW), -ETIMEDOUT);
    return 0;
}

static int hold_against_another(void *arg)
{
    lw_mutex mutex = LW_MUTEX_INIT(NULL);
    lw_task task;

    (void)arg;
    cr_assert_eq(lw_mutex_acquire(&mutex, LW_FOREVER), 0);
    cr_assert_eq(lw_spawn(&task, release_of_another, &mutex, NULL), 0);
    cr_assert_eq(join_status(task), 0);
    cr_assert(lw_owned(&mutex.lock));
    cr_assert_eq(lw_mutex_release(&mutex), 0);
    return 0;
}

Test(mutex, only_the_owner_releases)
{
    run_all(hold_against_another, NULL);
}

static int wait_in_vain(void *arg)
{
    lw_mutex *mutex = arg;
    lw_nsec deadline = lw_in(3 * LW_MS);

    cr_assert_eq(lw_mutex_acquire(mutex, deadline), -ETIMEDOUT);
    cr_assert_geq(lw_now(), deadline);
    cr_assert_eq(lw_mutex_acquire(mutex, 5), -EINVAL); /* a duration */
    return 0;
}

static int hold_for_long(void *arg)
{
    lw_mutex mutex = LW_MUTEX_INIT(NULL);
    lw_task tasks[3];

    (void)arg;
    cr_assert_eq(lw_mutex_acquire(&mutex, LW_FOREVER), 0);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(lw_spawn(&tasks[i], wait_in_vain, &mutex, NULL), 0);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(join_status(tasks[i]), 0);
    cr_assert_null(mutex.lock._queue);
    cr_assert_eq(lw_mutex_release(&mutex), 0);
    assert_free(&mutex);
    return 0;
}

Test(mutex, a_deadline_ends_the_wait_not_before_it_passed)
{
    run_all(hold_for_long, NULL);
}

static int cancel_a_waiter(void *arg)
{
    lw_mutex mutex = LW_MUTEX_INIT(NULL);
    lw_task first, second;

    (void)arg;
    cr_assert_eq(lw_mutex_acquire(&mutex, LW_FOREVER), 0);
    first = start_waiter(acquire_forever, &mutex);
    second = start_waiter(acquire_forever, &mutex);
    cr_assert_eq(lw_cancel(first), 0);
    cr_assert_eq(join_status(first), -ECANCELED);
    cr_assert_eq(lw_mutex_release(&mutex), 0);
    cr_assert_eq(join_status(second), 0);
    assert_free(&mutex);
    return 0;
}

Test(mutex, a_cancelled_waiter_passes_nothing_on_and_keeps_nobody)
{
    run_all(cancel_a_waiter, NULL);
}

/* ---- fairness */

static int note_owner(void *arg)
{
    lw_mutex *mutex = arg;

    cr_assert_eq(lw_mutex_acquire(mutex, LW_FOREVER), 0);
    cr_assert_eq(lw_owner(&mutex->lock).id, lw_self().id);
    return lw_mutex_release(mutex);
}

static int starve_and_hand_over(void *arg)
{
    lw_mutex mutex = LW_MUTEX_INIT(NULL);
    lw_nsec until;
    lw_task first, second;

    (void)arg;
    cr_assert_eq(lw_mutex_acquire(&mutex, LW_FOREVER), 0);
    first = start_waiter(note_owner, &mutex);
    second = start_waiter(note_owner, &mutex);
    cr_assert_eq(lw_mutex_release(&mutex), 0); /* the first is sent to try again */
    cr_assert_eq(word_of(&mutex), LW_LOCK_QUEUED | LW_LOCK_WOKEN);
    cr_assert_eq(lw_mutex_acquire(&mutex, LW_NOW), 0); /* and meets one who came by */
    for (until = lw_in(2 * LW_MS); lw_now() < until;)
        continue;
    AWAIT((word_of(&mutex) & LW_LOCK_FAIR) != 0);
    cr_assert_eq(word_of(&mutex) & LW_LOCK_WOKEN, 0);
    cr_assert_eq(lw_mutex_release(&mutex), 0);
    cr_assert_eq(lw_owner(&mutex.lock).id, first.id); /* it has it, and has not run yet */
    cr_assert_eq(lw_mutex_acquire(&mutex, LW_NOW), -ETIMEDOUT);
    cr_assert_eq(join_status(first), 0);
    cr_assert_eq(join_status(second), 0);
    assert_free(&mutex);
    return 0;
}

Test(mutex, who_loses_for_a_millisecond_is_handed_the_mutex)
{
    run_with(1, starve_and_hand_over, NULL);
}

struct line {
    lw_mutex mutex;
    int order[8], count;
};

struct place {
    struct line *line;
    int number;
};

static int take_turn(void *arg)
{
    struct place *place = arg;

    cr_assert_eq(lw_mutex_acquire(&place->line->mutex, LW_FOREVER), 0);
    place->line->order[place->line->count++] = place->number;
    return lw_mutex_release(&place->line->mutex);
}

static int queue_up(void *arg)
{
    struct line line = {0};
    struct place places[8];
    lw_task tasks[8];

    (void)arg;
    cr_assert_eq(lw_mutex_acquire(&line.mutex, LW_FOREVER), 0);
    for (int i = 0; i < 8; i++) {
        places[i] = (struct place){&line, i};
        tasks[i] = start_waiter(take_turn, &places[i]);
    }
    cr_assert_eq(lw_mutex_release(&line.mutex), 0);
    for (int i = 0; i < 8; i++)
        cr_assert_eq(join_status(tasks[i]), 0);
    for (int i = 0; i < 8; i++)
        cr_assert_eq(line.order[i], i);
    return 0;
}

Test(mutex, waiters_take_it_in_order_when_nobody_comes_by)
{
    run_all(queue_up, NULL);
}

/* ---- the last touch */

struct counted {
    lw_mutex mutex;
    int users; /* guarded by the mutex, which goes with the last of them */
};

static int use_and_leave(void *arg)
{
    struct counted *counted = arg;
    bool last;

    cr_assert_eq(lw_mutex_acquire(&counted->mutex, LW_FOREVER), 0);
    lw_yield();
    last = --counted->users == 0;
    cr_assert_eq(lw_mutex_release(&counted->mutex), 0);
    if (last)
        free(counted);
    return 0;
}

static int free_with_the_last(void *arg)
{
    (void)arg;
    for (long round = 0; round < rounds(500); round++) {
        struct counted *counted = calloc(1, sizeof *counted);
        lw_task tasks[4];

        counted->users = 4;
        for (int i = 0; i < 4; i++)
            cr_assert_eq(lw_spawn(&tasks[i], use_and_leave, counted, NULL), 0);
        for (int i = 0; i < 4; i++)
            cr_assert_eq(join_status(tasks[i]), 0);
    }
    return 0;
}

Test(mutex, the_last_inside_may_free_it)
{
    run_all(free_with_the_last, NULL);
}

/* ---- what others see */

/* What the detector will read: the wait of each, and who owns it at the head only. */
static int look_at_waits(void *arg)
{
    lw_mutex mutex = LW_MUTEX_INIT("looked at");
    struct lw_cold *cold[2];
    lw_task tasks[2];

    (void)arg;
    cr_assert_eq(lw_mutex_acquire(&mutex, LW_FOREVER), 0);
    for (int i = 0; i < 2; i++) {
        tasks[i] = start_waiter(acquire_forever, &mutex);
        cold[i] = lw_record_cold(lw_record_of(tasks[i].id));
        cr_assert_eq(cold[i]->object, (uintptr_t)&mutex);
        cr_assert_eq(cold[i]->kind, LW_WAIT_LOCK);
        cr_assert_str_eq(cold[i]->object_name, "looked at");
    }
    cr_assert_eq(cold[0]->owner, lw_self().id);
    cr_assert_eq(cold[1]->owner, 0);
    cr_assert_eq(lw_cancel(tasks[0]), 0);
    cr_assert_eq(join_status(tasks[0]), -ECANCELED);
    cr_assert_eq(cold[1]->owner, lw_self().id);
    cr_assert_eq(lw_mutex_release(&mutex), 0);
    cr_assert_eq(join_status(tasks[1]), 0);
    return 0;
}

Test(mutex, the_head_waiter_says_who_owns_it)
{
    run_all(look_at_waits, NULL);
}
