/* SPDX-License-Identifier: MIT */
/* The laws between a locksmith and the owner of a lock: the request ends one wait of it, it sees
 * what is asked, and what it answers, or how it ends, is told. */
#include "tests/locksmith/smiths.h"

TestSuite(smith_owners, .init = be_alone);

/* ---- owners are asked */

static int owner_releases(void *arg)
{
    lw_mutex mutex = LW_MUTEX_INIT("held");
    struct owner owner = {.lock = &mutex.lock, .when_asked = release_it};
    struct noted noted;
    int info = 0;

    (void)arg;
    make_noted(&noted, &mutex.lock);
    start_owner(&owner);
    cr_assert_eq(lw_locksmith_force(&noted.smith, &mutex.lock, &info, LW_INFO_GIVEN, LW_FOREVER),
                 LW_FORCE_SUCCESS, "R011");
    cr_assert_not(lw_locked(&mutex.lock));
    cr_assert_eq(lw_owner(&mutex.lock).id, 0);
    cr_assert_eq(end_owner(&owner), 0);
    cr_assert_eq(owner.waited, -EDEADLK, "R031");
    cr_assert(owner.pending);
    cr_assert_eq(owner.asked.lock, &mutex.lock, "R032");
    cr_assert_eq(owner.asked.requester, &noted.smith);
    cr_assert_eq(owner.asked.info, &info);
    cr_assert_eq(owner.asked.deadline, LW_FOREVER);
    cr_assert_calls(noted, "AR");
    cr_assert_eq(noted.answer, LW_ANSWER_RELEASED);
    end_noted(&noted);
    return 0;
}

Test(smith_owners, r011_r031_r032_the_owner_s_wait_ends_and_it_sees_what_is_asked)
{
    run_all(owner_releases, NULL);
}

/* Its wait began after it was asked; what need not wait is no place to hear it. */
static int wait_later(void *arg)
{
    struct owner *owner = arg;
    lw_mutex other = LW_MUTEX_INIT("other");

    cr_assert_eq(lw_acquire(owner->lock, LW_FOREVER), 0);
    lw_event_set(&owner->holds);
    while (!lw_force_pending(&owner->asked)) {
        lw_yield();
        cr_assert_eq(lw_acquire(&other.lock, LW_FOREVER), 0);
        cr_assert_eq(lw_checkpoint(), 0);
        cr_assert_eq(lw_release(&other.lock), 0);
    }
    owner->waited = lw_sleep(LW_FOREVER);
    cr_assert_eq(lw_sleep(lw_in(1)), 0, "once");
    cr_assert(lw_force_pending(&owner->asked));
    cr_assert_eq(lw_backoff(LW_FOREVER), -EDEADLK, "it still holds the lock");
    cr_assert_eq(lw_release(owner->lock), 0);
    cr_assert_eq(lw_backoff(LW_FOREVER), 0, "it may start over");
    cr_assert_eq(lw_backoff(LW_FOREVER), -EDEADLK, "once");
    return 0;
}

/* The owner does that; its next wait that may fail is to fail. */
static void ask_while(lw_fn *owns, const char *why)
{
    lw_mutex mutex = LW_MUTEX_INIT("held");
    struct owner owner = {.lock = &mutex.lock};
    struct noted noted;

    make_noted(&noted, &mutex.lock);
    cr_assert_eq(lw_spawn(&owner.task, owns, &owner, NULL), 0);
    cr_assert_eq(lw_event_wait(&owner.holds, LW_FOREVER), 0);
    cr_assert_eq(force(&noted.smith, &mutex.lock), LW_FORCE_SUCCESS);
    cr_assert_eq(end_owner(&owner), 0);
    cr_assert_eq(owner.waited, -EDEADLK, "%s", why);
    end_noted(&noted);
}

static int owner_runs(void *arg)
{
    (void)arg;
    ask_while(wait_later, "R033");
    return 0;
}

Test(smith_owners, r033_one_that_runs_hears_it_at_its_next_wait)
{
    run_all(owner_runs, NULL);
}

static int wait_shielded(void *arg)
{
    struct owner *owner = arg;

    cr_assert_eq(lw_acquire(owner->lock, LW_FOREVER), 0);
    cr_assert_eq(lw_shield_enter(), 0);
    lw_event_set(&owner->holds);
    while (!lw_force_pending(&owner->asked))
        cr_assert_eq(lw_sleep(lw_in(LW_MS)), 0, "R380: not in it");
    cr_assert_eq(lw_sleep(lw_in(LW_MS)), 0);
    cr_assert_eq(lw_shield_exit(), 0);
    owner->waited = lw_sleep(LW_FOREVER);
    return lw_release(owner->lock);
}

static int owner_is_shielded(void *arg)
{
    (void)arg;
    ask_while(wait_shielded, "R380: but after it");
    return 0;
}

Test(smith_owners, r380_a_shield_puts_it_off)
{
    run_all(owner_is_shielded, NULL);
}

static int owner_says_nothing(void *arg)
{
    lw_mutex mutex = LW_MUTEX_INIT("held");
    struct owner owner = {.lock = &mutex.lock, .when_asked = hold_on};
    lw_force_request old = {0};
    struct noted noted;

    (void)arg;
    make_noted(&noted, &mutex.lock);
    start_owner(&owner);
    cr_assert_eq(force_for_a_while(&noted.smith, &mutex.lock), LW_FORCE_FAILURE, "R009, R034");
    cr_assert_eq(lw_owner(&mutex.lock).id, owner.task.id);
    cr_assert_calls(noted, "A");
    old = owner.asked;
    cr_assert_eq(lw_force_answer(&old, LW_ANSWER_VALUE, 1), -ESTALE);
    cr_assert_eq(end_owner(&owner), 0);
    cr_assert_eq(lw_locksmith_force(&noted.smith, &mutex.lock, NULL, 0, LW_FOREVER),
                 LW_FORCE_UNFORCEABLE);
    end_noted(&noted);
    return 0;
}

Test(smith_owners, r009_r034_who_does_not_answer_keeps_it_and_the_force_ends)
{
    run_all(owner_says_nothing, NULL);
}

static int owner_is_not_asked(void *arg)
{
    lw_mutex mutex = LW_MUTEX_INIT("held");
    struct owner owner = {.lock = &mutex.lock, .when_asked = release_it};
    struct noted noted;

    (void)arg;
    make_noted(&noted, &mutex.lock);
    start_owner(&owner);
    cr_assert_eq(lw_locksmith_force(&noted.smith, &mutex.lock, NULL, 0, LW_NOW), LW_FORCE_FAILURE);
    cr_assert_eq(end_owner(&owner), 0);
    cr_assert_eq(owner.waited, 0);
    end_noted(&noted);
    return 0;
}

Test(smith_owners, now_asks_nobody)
{
    run_all(owner_is_not_asked, NULL);
}

/* ---- answers */

static int answer_and_release(struct owner *owner)
{
    cr_assert_eq(lw_force_answer(&owner->asked, LW_ANSWER_RELEASED, owner->value), 0);
    cr_assert_not(lw_force_pending(&owner->asked), "it has said so");
    cr_assert_eq(lw_force_answer(&owner->asked, LW_ANSWER_REFUSED, 0), -EALREADY);
    return lw_release(owner->lock);
}

static int answer_and_hold(struct owner *owner)
{
    cr_assert_eq(lw_force_answer(&owner->asked, LW_ANSWER_REFUSED, owner->value), 0);
    return hold_on(owner);
}

static int answer_with_a_value(struct owner *owner)
{
    cr_assert_eq(lw_force_answer(&owner->asked, LW_ANSWER_VALUE, owner->value), 0);
    return hold_on(owner);
}

static int say_later_and_release(struct owner *owner)
{
    lw_nsec before = owner->asked.deadline;

    cr_assert_eq(lw_force_answer(&owner->asked, LW_ANSWER_LATER, 0), -EINVAL);
    cr_assert_eq(lw_force_answer(&owner->asked, (lw_answer)7, 0), -EINVAL);
    cr_assert_eq(lw_force_answer(NULL, LW_ANSWER_RELEASED, 0), -EINVAL);
    cr_assert_eq(lw_force_answer(&owner->asked, LW_ANSWER_LATER, 100 * LW_SEC), 0);
    cr_assert(lw_force_pending(&owner->asked), "it is still asked");
    cr_assert_lt(owner->asked.deadline, before, "until then");
    AWAIT(__atomic_load_n(&owner->noted->answers, __ATOMIC_ACQUIRE) == 1);
    return lw_release(owner->lock);
}

static int say_later_and_hold(struct owner *owner)
{
    cr_assert_eq(lw_force_answer(&owner->asked, LW_ANSWER_LATER, LW_MS), 0);
    return hold_on(owner);
}

static const struct {
    int (*when_asked)(struct owner *owner);
    int result;
    const char *calls;
    lw_answer last;
    intptr_t value;
} answers[] = {
    {answer_and_release, LW_FORCE_SUCCESS, "AR", LW_ANSWER_RELEASED, 42},
    {answer_and_hold, LW_FORCE_FAILURE, "AR", LW_ANSWER_REFUSED, 42},
    {answer_with_a_value, LW_FORCE_FAILURE, "AR", LW_ANSWER_VALUE, 42},
    {say_later_and_release, LW_FORCE_SUCCESS, "ARR", LW_ANSWER_RELEASED, 0},
    {say_later_and_hold, LW_FORCE_FAILURE, "AR", LW_ANSWER_LATER, LW_MS},
};

static int answer_it(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        lw_mutex mutex = LW_MUTEX_INIT("held");
        struct owner owner = {
            .lock = &mutex.lock, .when_asked = answers[i].when_asked, .value = 42};
        struct noted noted;

        make_noted(&noted, &mutex.lock);
        owner.noted = &noted;
        start_owner(&owner);
        cr_assert_eq(force(&noted.smith, &mutex.lock), answers[i].result, "R009, R022: %zu", i);
        cr_assert_str_eq(noted.calls, answers[i].calls, "R022: %zu", i);
        cr_assert_eq(noted.lock, &mutex.lock);
        cr_assert_eq(noted.answer, answers[i].last, "R022: %zu", i);
        cr_assert_eq(noted.value, answers[i].value, "R022: %zu", i);
        cr_assert_eq(end_owner(&owner), 0);
        end_noted(&noted);
    }
    return 0;
}

Test(smith_owners, r022_an_answer_is_received_once)
{
    run_all(answer_it, NULL);
}

static int answer_and_end(struct owner *owner)
{
    cr_assert_eq(lw_force_answer(&owner->asked, LW_ANSWER_VALUE, 23), 0);
    return -EIO; /* with the lock */
}

static int owner_answers_and_ends(void *arg)
{
    lw_mutex mutex = LW_MUTEX_INIT("held");
    struct owner owner = {.lock = &mutex.lock, .when_asked = answer_and_end};
    struct noted noted;

    (void)arg;
    make_noted(&noted, &mutex.lock);
    start_owner(&owner);
    cr_assert_eq(force(&noted.smith, &mutex.lock), LW_FORCE_FAILURE);
    cr_assert_eq(end_owner(&owner), -EIO);
    cr_assert_calls(noted, "AR");
    cr_assert_eq(noted.value, 23, "R023");
    end_noted(&noted);
    return 0;
}

Test(smith_owners, r023_an_answer_outlives_the_one_who_gave_it)
{
    run_all(owner_answers_and_ends, NULL);
}

static int answer_for_another(void *arg)
{
    return lw_force_answer(&((struct owner *)arg)->asked, LW_ANSWER_REFUSED, 0);
}

static int let_another_answer(struct owner *owner)
{
    lw_task other;
    int status = 0;

    cr_assert_eq(lw_spawn(&other, answer_for_another, owner, NULL), 0);
    cr_assert_eq(lw_join(other, &status, LW_FOREVER), 0);
    cr_assert_eq(status, -EPERM);
    return release_it(owner);
}

/* The owner lets go, in whatever way that does. */
static int force_succeeds(void *arg)
{
    lw_mutex mutex = LW_MUTEX_INIT("held");
    struct owner owner = {.lock = &mutex.lock, .when_asked = *(when_asked_fn **)arg};
    struct noted noted;

    make_noted(&noted, &mutex.lock);
    start_owner(&owner);
    cr_assert_eq(force(&noted.smith, &mutex.lock), LW_FORCE_SUCCESS);
    cr_assert_eq(end_owner(&owner), 0);
    end_noted(&noted);
    return 0;
}

Test(smith_owners, only_who_is_asked_answers)
{
    when_asked_fn *asks_another = let_another_answer;

    run_all(force_succeeds, &asks_another);
}

/* ---- owners that end */

static int end_with(struct owner *owner)
{
    return (int)owner->value;
}

static const struct {
    int status, result;
    const char *calls;
} ends[] = {
    {0, LW_FORCE_OWNER_COMPLETED, "A"},
    {5, LW_FORCE_OWNER_COMPLETED, "A"},
    {-EDEADLK, LW_FORCE_FAILURE, "ApH"},
    {-EIO, LW_FORCE_FAILURE, "AoH"},
    {-ECANCELED, LW_FORCE_FAILURE, "AoH"},
    {-ESHUTDOWN, -ESHUTDOWN, "A"},
    {-ENOTRECOVERABLE, -ENOTRECOVERABLE, "A"},
};

static int owner_ends(void *arg)
{
    cr_assert_eq(lw_handlers_register(NULL, &lw_mutex_kind, note_handler, NULL, LW_REPLACE), 0);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        lw_mutex mutex = LW_MUTEX_INIT("held");
        struct owner owner = {
            .lock = &mutex.lock, .when_asked = end_with, .value = ends[i].status};
        struct noted noted;

        mutex.lock.data = arg != NULL ? LW_DATA_ROBUST : LW_DATA_OPAQUE;
        make_noted(&noted, &mutex.lock);
        start_owner(&owner);
        if (arg == NULL)
            cr_assert_eq(force(&noted.smith, &mutex.lock), ends[i].result, "R081, R083: %zu", i);
        else /* robust: nobody has it any more */
            cr_assert_eq(force(&noted.smith, &mutex.lock),
                         ends[i].result == LW_FORCE_FAILURE ? LW_FORCE_SUCCESS : ends[i].result,
                         "R083: %zu", i);
        cr_assert_str_eq(noted.calls, ends[i].calls, "R083, R085: %zu", i);
        if (strchr(noted.calls, 'o') != NULL)
            cr_assert_eq(noted.err, ends[i].status, "R083");
        cr_assert_eq(end_owner(&owner), ends[i].status);
        end_noted(&noted);
    }
    cr_assert_eq(lw_handlers_register(NULL, &lw_mutex_kind, NULL, NULL, LW_REPLACE), 0);
    return 0;
}

static char robust[] = "robust";

Test(smith_owners, r006_r081_r083_r085_the_end_of_the_owner_is_told_by_its_status)
{
    run_all(owner_ends, NULL);
    run_all(owner_ends, robust);
}

/* Takes the lock, and ends with it. */
static int take_and_end(void *lock)
{
    return lw_acquire(lock, LW_NOW);
}

static int force_a_dead_one(void *arg)
{
    lw_mutex mutex = LW_MUTEX_INIT("dead");
    struct noted noted;
    lw_task task;

    (void)arg;
    make_noted(&noted, &mutex.lock);
    cr_assert_eq(lw_spawn(&task, take_and_end, &mutex, NULL), 0);
    cr_assert_eq(lw_join(task, NULL, LW_FOREVER), 0);
    cr_assert_eq(force(&noted.smith, &mutex.lock), LW_FORCE_OWNER_COMPLETED, "R006");
    noted.hooks.eager_fallback = note_eager;
    noted.result = 99;
    cr_assert_eq(force(&noted.smith, &mutex.lock), 99, "R026");
    noted.result = 0;
    cr_assert_eq(force(&noted.smith, &mutex.lock), LW_FORCE_FAILURE);
    cr_assert_calls(noted, "AAeAe");
    end_noted(&noted);
    return 0;
}

Test(smith_owners, r006_r026_an_owner_that_has_ended_cannot_be_asked)
{
    run_all(force_a_dead_one, NULL);
}

/* ---- it is handed over: who lets go does not get it again first */

static int release_and_take_again(struct owner *owner)
{
    cr_assert_eq(lw_release(owner->lock), 0);
    cr_assert_eq(lw_acquire(owner->lock, LW_NOW), -ETIMEDOUT, "it is another's already");
    return 0;
}

/* On one worker nobody else runs in between. */
Test(smith_owners, who_lets_go_does_not_take_it_again_first)
{
    when_asked_fn *hands_over = release_and_take_again;

    run_with(1, force_succeeds, &hands_over);
}
