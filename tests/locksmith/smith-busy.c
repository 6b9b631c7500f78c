/* SPDX-License-Identifier: MIT */
/* The laws of several who want the same: nobody is asked twice at a time, and nothing is released
 * twice. */
#include "tests/locksmith/smiths.h"

#include "locksmith/request.h"

TestSuite(smith_busy, .init = be_alone);

/* A force in a task of its own, whose owner is asked by the time this returns. */
struct forcer {
    lw_locksmith *smith;
    lw_lock *lock;
    int result;
    lw_task task;
};

static int force_it(void *arg)
{
    struct forcer *forcer = arg;

    forcer->result = force(forcer->smith, forcer->lock);
    return 0;
}

static void start_forcer(struct forcer *forcer)
{
    cr_assert_eq(lw_spawn(&forcer->task, force_it, forcer, NULL), 0);
    AWAIT(is_waiting(forcer->task));
}

static int end_forcer(struct forcer *forcer)
{
    cr_assert_eq(lw_join(forcer->task, NULL, LW_FOREVER), 0);
    return forcer->result;
}

static int wait_and_release(struct owner *owner)
{
    lw_force_request again;

    cr_assert_eq(lw_event_wait(&owner->let_go, LW_FOREVER), 0, "R007: it is not disturbed again");
    cr_assert(lw_force_pending(&again), "R007");
    cr_assert_eq(again._ticket, owner->asked._ticket, "R007: it is the same request");
    return lw_release(owner->lock);
}

static int force_twice(void *arg)
{
    lw_mutex mutex = LW_MUTEX_INIT("held");
    struct owner owner = {.lock = &mutex.lock, .when_asked = wait_and_release};
    struct noted noted;
    struct forcer forcer = {&noted.smith, &mutex.lock, 0, {0}};

    (void)arg;
    make_noted(&noted, &mutex.lock);
    start_owner(&owner);
    start_forcer(&forcer);
    AWAIT(owner.pending && is_waiting(owner.task));
    cr_assert_eq(force(&noted.smith, &mutex.lock), LW_FORCE_ALREADY_BEING_FORCED, "R007");
    noted.hooks.already_forcing = note_already;
    noted.result = 33;
    cr_assert_eq(force(&noted.smith, &mutex.lock), 33, "R021");
    cr_assert_calls(noted, "AAAa");
    cr_assert_eq(lw_locksmith_fini(&noted.smith), -EBUSY);
    cr_assert_eq(end_owner(&owner), 0);
    cr_assert_eq(end_forcer(&forcer), LW_FORCE_SUCCESS);
    end_noted(&noted);
    return 0;
}

Test(smith_busy, r007_r021_one_smith_asks_once_at_a_time)
{
    run_all(force_twice, NULL);
}

/* Two smiths, and one lock, or two of the same owner. */
static int force_by_two(void *arg)
{
    lw_mutex mutex = LW_MUTEX_INIT("held"), more = LW_MUTEX_INIT("held as well");
    struct owner owner = {.lock = &mutex.lock, .when_asked = wait_and_release};
    struct noted first, second;
    struct forcer forcer = {&first.smith, &mutex.lock, 0, {0}};
    lw_lock *lock = arg != NULL ? &more.lock : &mutex.lock;

    make_noted(&first, &mutex.lock);
    make_noted(&second, lock);
    start_owner(&owner);
    if (arg != NULL) {
        cr_assert_eq(lw_acquire(&more.lock, LW_NOW), 0);
        cr_assert_eq(lw_transfer(&more.lock, owner.task), 0);
    }
    start_forcer(&forcer);
    AWAIT(owner.pending && is_waiting(owner.task));
    cr_assert_eq(force(&second.smith, lock), LW_FORCE_ALREADY_BEING_FORCED, "R040, R058");
    cr_assert_calls(second, "Ab");
    cr_assert_eq(second.requester, &first.smith, "R058");
    cr_assert_eq(second.lock, lock, "R058");
    cr_assert_eq(second.depth, 0, "R058");
    cr_assert_eq(end_owner(&owner), 0);
    cr_assert_eq(end_forcer(&forcer), LW_FORCE_SUCCESS, "R040");
    end_noted(&first);
    end_noted(&second);
    return 0;
}

static char one_more[] = "one more";

Test(smith_busy, r040_r058_another_smith_is_told_and_asks_nobody)
{
    run_all(force_by_two, NULL);
    run_all(force_by_two, one_more);
}

static lw_event may_release;

static int release_slowly(lw_lock *lock)
{
    int err = lw_event_wait(&may_release, LW_FOREVER);

    return err < 0 ? err : plain_release(lock);
}

static const lw_lock_kind slow_kind = {
    .name = "slow", .acquire = plain_acquire, .release = release_slowly, .locked = plain_locked};

static int release_by_two(void *arg)
{
    struct plain plain = make_plain();
    lw_lock *lock = &plain.semaphore.lock;
    struct noted first, second;
    struct forcer forcer = {&first.smith, lock, 0, {0}};

    (void)arg;
    lw_event_clear(&may_release);
    lock->kind = &slow_kind;
    make_noted(&first, lock);
    make_noted(&second, lock);
    cr_assert_eq(lw_acquire(lock, LW_NOW), 0);
    start_forcer(&forcer);
    cr_assert_eq(force(&second.smith, lock), LW_FORCE_ALREADY_BEING_FORCED, "R040");
    lw_event_set(&may_release);
    cr_assert_eq(end_forcer(&forcer), LW_FORCE_RELEASED, "R040");
    cr_assert_eq(plain.releases, 1, "R040");
    cr_assert_eq(force(&second.smith, lock), LW_FORCE_UNFORCEABLE, "and then it is free");
    end_noted(&first);
    end_noted(&second);
    return 0;
}

Test(smith_busy, r040_nothing_is_released_twice)
{
    run_all(release_by_two, NULL);
}

/* ---- smiths that tell each other */

static int told[2];

static void tell_back(lw_locksmith *smith, lw_lock *lock, lw_locksmith *requester, int depth)
{
    int err;

    told[smith->data != NULL]++;
    cr_assert_leq(depth, LW_BUSY_DEPTH_MAX, "R059");
    err = lw_locksmith_tell_busy(requester, lock, smith, depth + 1);
    cr_assert_eq(err, depth < LW_BUSY_DEPTH_MAX ? 0 : -EOVERFLOW, "R059");
}

Test(smith_busy, r059_smiths_that_tell_each_other_end)
{
    static const lw_locksmith_hooks hooks = {.lock_busy = tell_back};
    static int second_data;
    lw_locksmith first = LW_LOCKSMITH_INIT(&hooks, NULL),
                 second = LW_LOCKSMITH_INIT(&hooks, &second_data);
    lw_locksmith silent = LW_LOCKSMITH_INIT(NULL, NULL);
    lw_mutex mutex = LW_MUTEX_INIT("held");

    cr_assert_eq(lw_locksmith_tell_busy(&first, &mutex.lock, &second, 0), 0);
    cr_assert_eq(told[0] + told[1], LW_BUSY_DEPTH_MAX + 1, "R059");
    cr_assert_eq(told[0], told[1] + 1);
    cr_assert_eq(lw_locksmith_tell_busy(&silent, &mutex.lock, &second, 0), 0);
    cr_assert_eq(lw_locksmith_tell_busy(NULL, &mutex.lock, &first, 0), -EINVAL, "the detector");
    cr_assert_eq(lw_locksmith_tell_busy(&first, &mutex.lock, &second, -1), -EINVAL);
}

/* ---- the detector's requests, as it makes them */

static int note_and_wait(struct owner *owner)
{
    return hold_on(owner);
}

/* Which asks, and ends no wait. */
static int ask_without_a_smith(void *arg)
{
    lw_mutex mutex = LW_MUTEX_INIT("held");
    struct owner owner = {.lock = &mutex.lock, .when_asked = note_and_wait};
    lw_nsec soon = lw_in(1000 * LW_SEC), late = lw_in(2000 * LW_SEC);
    struct lw_request *request, *second;
    struct lw_request_news news;
    struct noted noted;

    make_noted(&noted, &mutex.lock);
    if (arg != NULL) {
        lw_task_options options = {.flags = LW_TASK_FORCIBLE};

        cr_assert_eq(lw_spawn(&owner.task, own_it, &owner, &options), 0);
        cr_assert_eq(lw_event_wait(&owner.holds, LW_FOREVER), 0);
        AWAIT(is_waiting(owner.task));
    } else {
        start_owner(&owner);
    }
    cr_assert_eq(lw_request_claim(&mutex.lock, NULL, &request, NULL), 0);
    cr_assert_eq(lw_request_claim(&mutex.lock, NULL, &second, NULL), -EALREADY);
    cr_assert_eq(lw_request_post(request, owner.task.id, NULL, soon, late, NULL), 0);
    cr_assert_eq(force(&noted.smith, &mutex.lock), LW_FORCE_ALREADY_BEING_FORCED);
    cr_assert_calls(noted, "Ab");
    cr_assert_null(noted.requester, "the detector");
    lw_request_look(request, &news);
    cr_assert(!news.answered && !news.ended && news.until == soon);
    if (arg != NULL)
        AWAIT(owner.pending);
    cr_assert_eq(end_owner(&owner), 0);
    cr_assert_eq(owner.waited, arg != NULL ? -EDEADLK : 0);
    cr_assert(owner.pending);
    cr_assert_null(owner.asked.requester);
    lw_request_look(request, &news);
    cr_assert(!news.ended, "with it");
    lw_request_give(request);
    end_noted(&noted);
    return 0;
}

static char forcible[] = "forcible";

Test(smith_busy, the_detector_s_request_is_only_seen_unless_the_task_is_forcible)
{
    run_all(ask_without_a_smith, NULL);
    run_all(ask_without_a_smith, forcible);
}

Test(smith_busy, there_is_room_for_so_many)
{
    static struct lw_request *claimed[LW_REQUESTS];
    lw_mutex mutexes[LW_REQUESTS + 1] = {0};
    lw_locksmith smith = LW_LOCKSMITH_INIT(NULL, NULL);
    lw_lock *last = &mutexes[LW_REQUESTS].lock;
    struct lw_request *more;

    cr_assert_eq(lw_locksmith_recognize(&smith, last, LW_NOW), LW_RECOGNITION_SUCCESS);
    cr_assert_eq(lw_acquire(last, LW_NOW), 0);
    for (int i = 0; i < LW_REQUESTS; i++)
        cr_assert_eq(lw_request_claim(&mutexes[i].lock, NULL, &claimed[i], NULL), 0);
    cr_assert_eq(lw_request_claim(last, NULL, &more, NULL), -EAGAIN);
    cr_assert_eq(force(&smith, last), -EAGAIN);
    cr_assert_eq(lw_request_claim(&mutexes[0].lock, NULL, &more, NULL), -EALREADY);
    for (int i = 0; i < LW_REQUESTS; i++)
        lw_request_give(claimed[i]);
    cr_assert_eq(force(&smith, last), LW_FORCE_RELEASED);
    cr_assert_eq(lw_locksmith_fini(&smith), 0);
}

Test(smith_busy, who_has_ended_cannot_be_asked)
{
    lw_mutex mutex = {0};
    struct lw_request *request;

    cr_assert_eq(lw_request_claim(&mutex.lock, NULL, &request, NULL), 0);
    cr_assert_eq(lw_request_post(request, (UINT64_C(1) << 40) | 12345, NULL, 1, 1, NULL), -ESRCH);
    lw_request_give(request);
}
