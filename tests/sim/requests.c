/* SPDX-License-Identifier: MIT */
/* Requests to let go of a lock, in many schedules: one ends one wait of the owner or none, an
 * answer that was in time is received, no end of an owner goes unseen, and nobody is left with a
 * flag. */
#include "locksmith/request.h"
#include "primitives/lock.h"
#include "tests/sim/explore.h"

TestSuite(requests, .init = watchdog);

enum { ASKED = LW_FORCE | LW_ANSWERED | LW_FIRST };

static struct {
    lw_mutex mutex;
    lw_priority_lock ranked;
    lw_lock *lock;
    lw_locksmith smith, other;
    lw_event holds, end;
    lw_task owner, forcer;
    int received, answered, interrupted, result, second, stale;
    lw_answer answer;
    bool cancels, shields;
} it;

static void note_answer(lw_locksmith *smith, lw_lock *lock, lw_answer answer, intptr_t value)
{
    LW_SIM_CHECK((smith == &it.smith || smith == &it.other) && lock == it.lock);
    if (answer == LW_ANSWER_RELEASED && value == 0)
        return; /* just let go of */
    LW_SIM_CHECK(value == (intptr_t)answer + 1);
    it.received++;
    it.answer = answer;
}

static const lw_locksmith_hooks hooks = {.answer_received = note_answer};

static void set_up(bool ranked)
{
    memset(&it, 0, sizeof it);
    it.mutex = (lw_mutex)LW_MUTEX_INIT("simulated");
    it.ranked = (lw_priority_lock)LW_PRIORITY_LOCK_INIT("simulated");
    it.lock = ranked ? &it.ranked.lock : &it.mutex.lock;
    it.smith = (lw_locksmith)LW_LOCKSMITH_INIT(&hooks, NULL);
    it.other = (lw_locksmith)LW_LOCKSMITH_INIT(&hooks, NULL);
    LW_SIM_CHECK(lw_locksmith_recognize(&it.smith, it.lock, LW_FOREVER) ==
                 LW_RECOGNITION_SUCCESS);
    LW_SIM_CHECK(lw_locksmith_recognize(&it.other, it.lock, LW_FOREVER) ==
                 LW_RECOGNITION_SUCCESS);
}

static void tear_down(void)
{
    LW_SIM_CHECK(lw_locksmith_fini(&it.smith) == 0);
    LW_SIM_CHECK(lw_locksmith_fini(&it.other) == 0);
    LW_SIM_CHECK(it.lock->_queue == NULL);
}

static void check_flags(void)
{
    LW_SIM_CHECK((lw_load_rlx(&lw_current()->ctl) & ASKED) == 0);
}

/* ---- an owner that is asked does one thing or the other */

static void answer(const lw_force_request *asked, lw_answer with)
{
    int err = lw_force_answer(asked, with, (intptr_t)with + 1);

    LW_SIM_CHECK(err == 0 || err == -ESTALE);
    it.answered += err == 0;
    it.stale += err == -ESTALE;
    if (err == 0)
        LW_SIM_CHECK(lw_force_answer(asked, with, 1) != 0);
}

/* How many of its waits were ended. */
static int wait_a_little(void)
{
    int err = lw_sleep(lw_in((1 + sim_choose(3)) * 5 * LW_US));

    LW_SIM_CHECK(err == 0 || err == -EDEADLK);
    return err != 0;
}

static int be_owner(void *arg)
{
    lw_force_request asked;
    bool pending = false;
    unsigned what = sim_choose(6);

    (void)arg;
    LW_SIM_CHECK(lw_acquire(it.lock, LW_FOREVER) == 0);
    lw_event_set(&it.holds);
    for (unsigned i = sim_choose(4); i > 0; i--)
        it.interrupted += wait_a_little();
    pending = lw_force_pending(&asked);
    LW_SIM_CHECK(!pending || asked.lock == it.lock);
    if (pending && what > 0 && what != LW_ANSWER_LATER)
        answer(&asked, (lw_answer)(what % 5));
    it.interrupted += wait_a_little();
    if (what == 5)
        return -EIO;
    LW_SIM_CHECK(lw_release(it.lock) == 0);
    /* Once nobody asks any more, nothing of it is left. */
    while (lw_event_wait(&it.end, LW_FOREVER) != 0)
        it.interrupted++;
    check_flags();
    LW_SIM_CHECK(!lw_force_pending(&asked) && lw_sleep(lw_in(1)) == 0);
    return 0;
}

static int be_forcer(void *arg)
{
    lw_locksmith *smith = arg;
    int result = lw_event_wait(&it.holds, LW_FOREVER);

    LW_SIM_CHECK(result == 0 || (result == -ECANCELED && it.cancels));
    if (result < 0)
        return 0;
    result = lw_locksmith_force(smith, it.lock, NULL, 0, draw_deadline());
    LW_SIM_CHECK(result == -ETIMEDOUT || result == LW_FORCE_UNFORCEABLE ||
                 result == LW_FORCE_ALREADY_BEING_FORCED || result == LW_FORCE_SUCCESS ||
                 result == LW_FORCE_FAILURE || result == LW_FORCE_OWNER_COMPLETED ||
                 result == -ECANCELED);
    LW_SIM_CHECK(result != -ECANCELED || it.cancels);
    check_flags();
    LW_SIM_CHECK(!lw_owned(it.lock));
    return 0;
}

/* Silence, but for what the program says: nobody reads what an owner ended with. */
static void quiet(lw_locksmith *smith, lw_lock *lock, int err)
{
    (void)smith;
    (void)lock;
    LW_SIM_CHECK(err == -EIO);
}

static const lw_locksmith_hooks quiet_hooks = {.answer_received = note_answer,
                                               .task_raised_other = quiet};

static int ask_and_answer(void *arg)
{
    lw_task tasks[3];
    int status;

    set_up(arg != NULL);
    it.smith.hooks = it.other.hooks = &quiet_hooks;
    it.cancels = sim_choose(2) == 0;
    tasks[0] = start(be_owner, NULL);
    tasks[1] = start(be_forcer, &it.smith);
    tasks[2] = start(be_forcer, &it.other);
    if (it.cancels)
        (void)lw_cancel(tasks[1]);
    LW_SIM_CHECK(end_of(tasks[1]) == 0);
    LW_SIM_CHECK(end_of(tasks[2]) == 0);
    lw_event_set(&it.end);
    status = end_of(tasks[0]);
    LW_SIM_CHECK(status == 0 || status == -EIO);
    /* Each request ends one wait at most, and there were two at most. */
    LW_SIM_CHECK(it.interrupted <= 2);
    /* In time: received, once, also by a force that was cancelled. */
    LW_SIM_CHECK(it.received == it.answered);
    tear_down();
    return 0;
}

static char ranked[] = "ranked";

Test(requests, an_answer_in_time_is_received)
{
    sim_all(ask_and_answer, NULL);
    sim_some(ask_and_answer, ranked, 2);
}

/* ---- whoever is asked hears it, before it waits, or while it does, or after a shield */

static int wait_for_ever(void *arg)
{
    lw_force_request asked;

    (void)arg;
    LW_SIM_CHECK(lw_acquire(it.lock, LW_FOREVER) == 0);
    lw_event_set(&it.holds);
    if (it.shields) {
        LW_SHIELD() {
            LW_SIM_CHECK(lw_sleep(lw_in(20 * LW_US)) == 0);
        }
    }
    LW_SIM_CHECK(lw_sleep(LW_FOREVER) == -EDEADLK);
    LW_SIM_CHECK(lw_force_pending(&asked) && asked.requester == &it.smith);
    check_flags();
    LW_SIM_CHECK(lw_sleep(lw_in(1)) == 0);
    LW_SIM_CHECK(lw_release(it.lock) == 0);
    return 0;
}

static int force_for_ever(void *arg)
{
    (void)arg;
    LW_SIM_CHECK(lw_event_wait(&it.holds, LW_FOREVER) == 0);
    LW_SIM_CHECK(lw_locksmith_force(&it.smith, it.lock, NULL, 0, LW_FOREVER) == LW_FORCE_SUCCESS);
    check_flags();
    return 0;
}

static int acquire_and_release(void *arg)
{
    (void)arg;
    LW_SIM_CHECK(lw_acquire(it.lock, LW_FOREVER) == 0);
    LW_SIM_CHECK(lw_release(it.lock) == 0);
    return 0;
}

/* A detector has its waits in hand, now and then. */
static int claim_its_waits(void *arg)
{
    struct lw_record *record = lw_record_of(*(uint64_t *)arg);
    struct lw_cold *cold = lw_record_cold(record);

    for (unsigned i = 1 + sim_choose(3); i > 0; i--) {
        uint64_t seen = lw_load_acq(&cold->wait);

        if (lw_wait_claim(cold, seen)) {
            for (unsigned j = sim_choose(4); j > 0; j--)
                lw_sim_point();
            lw_wait_let_go(record, seen);
        }
        lw_yield();
    }
    return 0;
}

static int hear(bool goes_by_rank, bool claims)
{
    lw_task tasks[4];
    uint64_t owner;

    set_up(goes_by_rank);
    it.shields = sim_choose(2) == 0;
    tasks[0] = start(wait_for_ever, NULL);
    owner = tasks[0].id;
    tasks[1] = start(force_for_ever, NULL);
    LW_SIM_CHECK(lw_event_wait(&it.holds, LW_FOREVER) == 0);
    tasks[2] = start(acquire_and_release, NULL);
    if (claims)
        tasks[3] = start(claim_its_waits, &owner);
    for (int i = 0; i < (claims ? 4 : 3); i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    tear_down();
    return 0;
}

static int hear_it(void *arg)
{
    return hear(arg != NULL, false);
}

static int hear_it_claimed(void *arg)
{
    return hear(arg != NULL, true);
}

Test(requests, who_is_asked_hears_it_at_a_wait)
{
    sim_all(hear_it, NULL);
    sim_some(hear_it, ranked, 2);
    sim_all(hear_it_claimed, NULL);
}

Test(requests, who_is_asked_hears_it_in_every_schedule)
{
    sim_every(hear_it, NULL, 1, 50);
}

/* ---- no end of an owner goes unseen */

static int end_with_it(void *arg)
{
    (void)arg;
    LW_SIM_CHECK(lw_acquire(it.lock, LW_FOREVER) == 0);
    lw_event_set(&it.holds);
    if (sim_choose(2) == 0)
        lw_sim_point();
    return 0;
}

static int force_one_who_ends(void *arg)
{
    int result;

    (void)arg;
    LW_SIM_CHECK(lw_event_wait(&it.holds, LW_FOREVER) == 0);
    result = lw_locksmith_force(&it.smith, it.lock, NULL, 0, LW_FOREVER);
    /* A robust one is nobody's then, perhaps just after it was looked at. */
    LW_SIM_CHECK(result == LW_FORCE_OWNER_COMPLETED ||
                 (it.lock->data == LW_DATA_ROBUST &&
                  (result == LW_FORCE_UNFORCEABLE || result == LW_FORCE_SUCCESS)));
    check_flags();
    return 0;
}

static int end_while_asked(void *arg)
{
    lw_task tasks[2];

    set_up(arg != NULL);
    it.lock->data = sim_choose(2) == 0 ? LW_DATA_ROBUST : LW_DATA_OPAQUE;
    tasks[0] = start(end_with_it, NULL);
    tasks[1] = start(force_one_who_ends, NULL);
    LW_SIM_CHECK(end_of(tasks[0]) == 0);
    LW_SIM_CHECK(end_of(tasks[1]) == 0);
    /* The slot's next task is asked nothing. */
    LW_SIM_CHECK(end_of(start(force_one_who_ends, NULL)) == 0);
    tear_down();
    return 0;
}

Test(requests, no_end_of_an_owner_goes_unseen)
{
    sim_all(end_while_asked, NULL);
    sim_some(end_while_asked, ranked, 2);
    sim_every(end_while_asked, NULL, 1, 50);
}

/* An owner of a lock that knows nothing of its end: only the request tells. */
struct bare {
    lw_lock lock;
    uint32_t taken;
    uint64_t owner;
};

static struct bare bare;

static int bare_acquire(lw_lock *lock, lw_nsec deadline)
{
    int err = 0;

    while (err == 0 && __atomic_exchange_n(&bare.taken, 1, __ATOMIC_ACQUIRE) != 0) {
        err = lw_lock_wait(lock, &bare.taken, 1, deadline);
        if (err == -EAGAIN)
            err = 0;
    }
    if (err == 0)
        bare.owner = lw_self().id;
    return err;
}

static int bare_release(lw_lock *lock)
{
    (void)lock;
    bare.owner = 0;
    __atomic_store_n(&bare.taken, 0, __ATOMIC_RELEASE);
    (void)lw_futex_wake(&bare.taken, 1);
    return 0;
}

static bool bare_locked(const lw_lock *lock)
{
    (void)lock;
    return bare.taken != 0;
}

static lw_task bare_owner(const lw_lock *lock)
{
    (void)lock;
    return (lw_task){bare.owner};
}

static const lw_lock_kind bare_kind = {.name = "bare",
                                       .acquire = bare_acquire,
                                       .release = bare_release,
                                       .locked = bare_locked,
                                       .owner = bare_owner};

static int end_of_a_bare_one(void *arg)
{
    lw_task tasks[2];

    (void)arg;
    set_up(false);
    bare = (struct bare){.lock = LW_LOCK_INIT(&bare_kind, "bare")};
    it.lock = &bare.lock;
    LW_SIM_CHECK(lw_locksmith_recognize(&it.smith, it.lock, LW_FOREVER) ==
                 LW_RECOGNITION_SUCCESS);
    tasks[0] = start(end_with_it, NULL);
    tasks[1] = start(force_one_who_ends, NULL);
    LW_SIM_CHECK(end_of(tasks[0]) == 0);
    LW_SIM_CHECK(end_of(tasks[1]) == 0);
    LW_SIM_CHECK(nobody_waited());
    tear_down();
    return 0;
}

Test(requests, nor_of_one_whose_lock_does_not_tell)
{
    sim_all(end_of_a_bare_one, NULL);
    sim_every(end_of_a_bare_one, NULL, 1, 50);
}

/* ---- the hosted task is the first */

static int inside, hosted_ran;

static int be_hosted(void *arg)
{
    LW_SIM_CHECK(inside++ == 0 && lw_owned(it.lock));
    LW_SIM_CHECK(it.second == 0 || arg != NULL);
    hosted_ran++;
    lw_sim_point();
    inside--;
    return 7;
}

static int come_second(void *arg)
{
    int err = lw_acquire(it.lock, LW_FOREVER);

    (void)arg;
    LW_SIM_CHECK(err == 0);
    LW_SIM_CHECK(inside++ == 0);
    it.second++;
    lw_sim_point();
    inside--;
    LW_SIM_CHECK(lw_release(it.lock) == 0);
    return 0;
}

static int let_go_when_asked(void *arg)
{
    (void)arg;
    LW_SIM_CHECK(lw_acquire(it.lock, LW_FOREVER) == 0);
    lw_event_set(&it.holds);
    LW_SIM_CHECK(lw_sleep(LW_FOREVER) == -EDEADLK);
    LW_SIM_CHECK(inside == 0 && lw_release(it.lock) == 0);
    return 0;
}

static int host_it(void *arg)
{
    static const lw_host_timeouts patient = {LW_FOREVER, LW_FOREVER, LW_FOREVER};
    int status = 0;
    int err = lw_locksmith_host(&it.smith, it.lock, be_hosted, arg, &status, &patient, LW_FOREVER);

    LW_SIM_CHECK(err == 0 ? status == 7 : err == -ECANCELED && it.cancels);
    check_flags();
    return 0;
}

static int host_first(void *arg)
{
    lw_task owner, waiter, host;

    set_up(arg != NULL);
    inside = hosted_ran = 0;
    it.cancels = sim_choose(4) == 0;
    owner = start(let_go_when_asked, NULL);
    LW_SIM_CHECK(lw_event_wait(&it.holds, LW_FOREVER) == 0);
    waiter = start_waiting(come_second, NULL);
    host = start(host_it, it.cancels ? &it : NULL);
    if (it.cancels)
        (void)lw_cancel(host);
    (void)end_of(host);
    LW_SIM_CHECK(hosted_ran == 1 || it.cancels);
    if (it.cancels) /* it was perhaps not asked */
        LW_SIM_CHECK(lw_locksmith_force(&it.smith, it.lock, NULL, 0, LW_FOREVER) > 0);
    LW_SIM_CHECK(end_of(owner) == 0 && end_of(waiter) == 0);
    LW_SIM_CHECK(!lw_locked(it.lock));
    tear_down();
    return 0;
}

Test(requests, the_hosted_task_is_the_first)
{
    sim_all(host_first, NULL);
    sim_some(host_first, ranked, 2);
}
