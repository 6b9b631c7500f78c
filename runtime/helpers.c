/* SPDX-License-Identifier: MIT */
/* Sets of helper threads.  One per runtime serves lw_blocking() (blocking.c), one serves name
 * lookups.
 *
 * A set makes a thread when a job comes and none is idle, up to its bound; then jobs queue up.  (A
 * thread that is coming may be taken by another job, so one is made for each that is queued.)
 * Idle threads are taken newest first and leave when nothing came for a while, so the coldest go.
 *
 *     job:   QUEUED -> STARTED -> ENDED     or REFUSED: nobody is going to run it
 *            QUEUED: its waiter may still leave, and takes it out of the queue.  When a helper
 *                    takes it out, a job that nobody owns has its wait ended, to go on shielded
 *            STARTED: the waiter of a job that owns itself may leave it ABANDONED; then the
 *                    helper drops it
 *
 * Invariants, all under the set's guard.
 * - A job in the queue has a waiter, and some thread that will look at the queue: threads > 0.
 * - job->waiter is set only while that task or guest is in the wait for this job (or has been ended
 *   from outside and has not yet been here again).  So a claim never hits another wait.
 * - threads = idle + working + coming; leaving are no longer in threads.
 * - After the guard was dropped nobody touches a job that another may let go.
 *
 * Threads are joined by each other: who leaves joins the one that left before it, and fini the last
 * one.
 *
 * No ordering of its own: jobs and what they carry pass under the guard, or through lw_wake(). */
#include "runtime/helpers.h"

#include <errno.h>
#include <latchwork/cancel.h>

#include "runtime/courier.h"
#include "runtime/fork.h"
#include "runtime/os/os.h"
#include "runtime/wait.h"
#include "runtime/worker.h"

#define GUARD UINT64_C(1)

#ifdef LW_TINY
#define LINGER (2 * LW_MS)
#else
#define LINGER (5 * LW_SEC)
#endif

enum { HELPER_WAITS, HELPER_WORKS, HELPER_LEAVES };

struct helper {          /* on its thread's own stack */
    struct helper *next; /* in idle */
    struct lw_job *job;  /* handed over while it was idle */
    uint32_t word;       /* its futex */
};

struct lw_helpers {
    uint64_t guard;
    struct lw_job *first, *last; /* the queue */
    struct helper *idle;
    uint32_t max, threads, working, coming, leaving, queued;
    uint32_t changed; /* futex of who waits for threads to leave */
    bool closing;
    bool has_left; /* left: to be joined */
    pthread_t left;
};

static struct lw_helpers lookups = {.max = LW_LOOKUP_HELPERS};
static uint32_t runtimes; /* that have a set of their own; the last one's end clears lookups, too */

static bool is_owned(const struct lw_job *job)
{
    return job->drop != NULL; /* by itself: a lookup */
}

/* ---- the queue; under the guard */

static void queue_push(struct lw_helpers *set, struct lw_job *job)
{
    job->state = LW_JOB_QUEUED;
    job->next = NULL;
    if (set->last != NULL)
        set->last->next = job;
    else
        set->first = job;
    set->last = job;
    set->queued++;
}

static void queue_remove(struct lw_helpers *set, struct lw_job *job)
{
    struct lw_job *before = NULL;

    if (set->first == job)
        set->first = job->next;
    else
        for (before = set->first; before->next != job; before = before->next)
            continue;
    if (before != NULL)
        before->next = job->next;
    if (set->last == job)
        set->last = before;
    set->queued--;
}

static struct lw_job *queue_pop(struct lw_helpers *set)
{
    struct lw_job *job = set->first;

    if (job != NULL)
        queue_remove(set, job);
    return job;
}

/* ---- a helper's life */

/* Take the first job that is still wanted.  *woken: its waiter, to be told that it was started. */
static struct lw_job *take_queued(struct lw_helpers *set, struct lw_record **woken)
{
    struct lw_job *job;

    while ((job = queue_pop(set)) != NULL) {
        if (is_owned(job))
            break;
        *woken = job->waiter;
        job->waiter = NULL;
        if (lw_wake_claim(*woken))
            break;
        *woken = NULL;
        job->state = LW_JOB_REFUSED; /* its wait was ended: it is no longer in the queue */
    }
    if (job != NULL) {
        job->state = LW_JOB_STARTED;
        set->working++;
    }
    return job;
}

/* Sleep until a job is handed over.  NULL: none came for a while, or the set closes: leave. */
static struct lw_job *idle_wait(struct lw_helpers *set, struct helper *me)
{
    lw_nsec until = lw_sys.now() + LINGER;
    uint32_t word;

    while (lw_load_rlx(&me->word) == HELPER_WAITS && lw_sys.now() < until)
        lw_sys.futex_wait(&me->word, HELPER_WAITS, until);
    lw_guard_take(&set->guard, GUARD);
    word = lw_load_rlx(&me->word);
    if (word == HELPER_WAITS) { /* nobody took us out */
        struct helper **link = &set->idle;

        while (*link != me)
            link = &(*link)->next;
        *link = me->next;
        set->threads--;
        set->leaving++;
    }
    lw_guard_drop(&set->guard, GUARD);
    return word == HELPER_WORKS ? me->job : NULL;
}

/* With the guard held: the next job; NULL: leave.  `ended` waits for the job before, and is woken
 * when this helper is to be had again: so who calls time after time keeps to one helper. */
static struct lw_job *next_job(struct lw_helpers *set, struct helper *me, struct lw_record *ended)
{
    struct lw_record *begun = NULL;
    struct lw_job *job = take_queued(set, &begun);
    bool leaves = job == NULL && set->closing;

    if (leaves) {
        set->threads--;
        set->leaving++;
    } else if (job == NULL) {
        me->word = HELPER_WAITS;
        me->job = NULL;
        me->next = set->idle;
        set->idle = me;
    }
    lw_guard_drop(&set->guard, GUARD);
    if (ended != NULL)
        lw_wake(ended, LW_GRANTED, LW_WAKE_TAIL);
    if (begun != NULL)
        lw_wake(begun, LW_GRANTED, LW_WAKE_TAIL);
    return job != NULL || leaves ? job : idle_wait(set, me);
}

/* The job (NULL: none) that the thread works for is in its record, so that a detector knows who
 * waits for it.  Whoever waits for a lookup holds nothing up: it is no call of the user's. */
static void work_for(const struct lw_job *job)
{
    struct lw_record *me = job == NULL || is_owned(job) ? lw_current() : lw_current_or_attach();

    if (me != NULL)
        lw_store_rlx(&me->arg, (void *)(uintptr_t)job);
}

/* Returns with the guard held who is to be woken, or NULL. */
static struct lw_record *run_job(struct lw_helpers *set, struct lw_job *job)
{
    struct lw_record *waiter;

    work_for(job);
    job->work(job);
    work_for(NULL);
    lw_guard_take(&set->guard, GUARD);
    if (job->state == LW_JOB_ABANDONED) {
        lw_guard_drop(&set->guard, GUARD);
        job->drop(job);
        lw_guard_take(&set->guard, GUARD);
        set->working--;
        return NULL;
    }
    set->working--;
    lw_store_rlx(&job->state, LW_JOB_ENDED); /* who was granted may look without the guard */
    waiter = job->waiter;
    if (waiter != NULL && !lw_wake_claim(waiter))
        waiter = NULL; /* ended otherwise: it comes here by itself */
    return waiter;
}

/* The end of a helper, which joins who left before it. */
static void leave(struct lw_helpers *set)
{
    pthread_t before;
    bool join;

    lw_guard_take(&set->guard, GUARD);
    join = set->has_left;
    before = set->left;
    set->has_left = true;
    set->left = lw_sys.thread_self();
    set->leaving--;
    (void)lw_add_rlx(&set->changed, 1);
    lw_guard_drop(&set->guard, GUARD);
    lw_sys.futex_wake(&set->changed, INT32_MAX); /* fini joins us before it frees the set */
    if (join)
        (void)lw_sys.thread_join(before, NULL);
}

static void *helper_main(void *arg)
{
    struct lw_helpers *set = arg;
    struct helper me = {0};
    struct lw_record *ended = NULL;
    struct lw_job *job;

    lw_sys.thread_name("lw-helper");
    lw_guard_take(&set->guard, GUARD);
    set->coming--;
    while ((job = next_job(set, &me, ended)) != NULL)
        ended = run_job(set, job);
    leave(set);
    return NULL;
}

/* ---- the set */

/* Nobody is left to run what is queued.  Under the guard; wake the batch after it. */
static void refuse_queued(struct lw_helpers *set, struct lw_wake_batch *batch)
{
    struct lw_job *job;

    while ((job = queue_pop(set)) != NULL) {
        job->state = LW_JOB_REFUSED;
        if (lw_wake_claim(job->waiter))
            lw_wake_batch_add(batch, job->waiter);
    }
}

/* Make one more thread.  With the guard held, and not held meanwhile.  False: there is none to be
 * had.  Then what is queued waits for those there are, or is refused when there are none. */
static bool make_helper(struct lw_helpers *set)
{
    struct lw_wake_batch refused = {0};
    pthread_t thread;
    bool made;

    set->threads++;
    set->coming++;
    lw_guard_drop(&set->guard, GUARD);
    made = lw_sys.thread_create(&thread, NULL, helper_main, set) == 0;
    lw_guard_take(&set->guard, GUARD);
    if (made)
        return true;
    set->coming--;
    if (--set->threads == 0)
        refuse_queued(set, &refused);
    if (refused.first != NULL) {
        lw_guard_drop(&set->guard, GUARD);
        lw_wake_batch_run(&refused, LW_GRANTED);
        lw_guard_take(&set->guard, GUARD);
    }
    return false;
}

int lw_helpers_submit(struct lw_helpers *set, struct lw_job *job, struct lw_record *me,
                      lw_nsec deadline, const void *site, bool *started)
{
    struct helper *helper;

    lw_guard_take(&set->guard, GUARD);
    while (set->idle == NULL && set->threads < set->max && set->coming <= set->queued)
        if (!make_helper(set))
            break;
    helper = set->idle;
    *started = helper != NULL;
    if (helper == NULL && set->threads == 0) {
        lw_guard_drop(&set->guard, GUARD);
        return -EAGAIN;
    }
    if (helper != NULL && !is_owned(job))
        lw_wait_begin_shielded(me, LW_WAIT_CALL, job, NULL, LW_FOREVER, site);
    else
        lw_wait_begin(me, LW_WAIT_CALL, job, NULL, deadline, site);
    job->waiter = me;
    if (helper == NULL) {
        queue_push(set, job);
        lw_guard_drop(&set->guard, GUARD);
        return 0;
    }
    job->state = LW_JOB_STARTED;
    set->idle = helper->next;
    set->working++;
    helper->job = job;
    lw_store_rlx(&helper->word, HELPER_WORKS);
    lw_guard_drop(&set->guard, GUARD);
    lw_sys.futex_wake(&helper->word, 1); /* it may have looked, worked and left: no harm */
    return 0;
}

bool lw_helpers_unqueue(struct lw_helpers *set, struct lw_job *job)
{
    bool running;

    lw_guard_take(&set->guard, GUARD);
    if (job->state == LW_JOB_QUEUED)
        queue_remove(set, job);
    running = job->state == LW_JOB_STARTED;
    if (running)
        job->state = LW_JOB_ABANDONED;
    lw_guard_drop(&set->guard, GUARD);
    return !running;
}

void lw_helpers_await(struct lw_helpers *set, struct lw_job *job, struct lw_record *me,
                      const void *site)
{
    bool ended;

    lw_guard_take(&set->guard, GUARD);
    ended = job->state == LW_JOB_ENDED;
    if (!ended) {
        lw_wait_begin_shielded(me, LW_WAIT_CALL, job, NULL, LW_FOREVER, site);
        job->waiter = me;
    }
    lw_guard_drop(&set->guard, GUARD);
    if (!ended)
        (void)lw_wait_finish_shielded(me);
}

/* Let idle threads go and wait until they have; of a set that closes, all. */
static void retire(struct lw_helpers *set)
{
    pthread_t left;
    bool join;

    lw_guard_take(&set->guard, GUARD);
    for (;;) {
        struct helper *helper = set->idle;
        uint32_t seen = lw_load_rlx(&set->changed);

        if (helper == NULL && set->leaving == 0 && (!set->closing || set->threads == 0))
            break;
        if (helper != NULL) {
            set->idle = helper->next;
            set->threads--;
            set->leaving++;
            lw_store_rlx(&helper->word, HELPER_LEAVES);
        }
        lw_guard_drop(&set->guard, GUARD);
        if (helper != NULL)
            lw_sys.futex_wake(&helper->word, 1);
        else
            lw_sys.futex_wait(&set->changed, seen, LW_FOREVER);
        lw_guard_take(&set->guard, GUARD);
    }
    join = set->has_left;
    left = set->left;
    set->has_left = false;
    lw_guard_drop(&set->guard, GUARD);
    if (join)
        (void)lw_sys.thread_join(left, NULL);
}

int lw_helpers_init(struct lw_runtime *runtime)
{
    struct lw_helpers *set = lw_sys.calloc(1, sizeof *set);

    if (set == NULL)
        return -ENOMEM;
    set->max = runtime->helpers_max != 0 ? runtime->helpers_max : LW_HELPERS_DEFAULT;
    runtime->helpers = set;
    (void)lw_add_rlx(&runtimes, 1);
    return 0;
}

void lw_helpers_fini(struct lw_runtime *runtime)
{
    struct lw_helpers *set = runtime->helpers;

    if (set == NULL)
        return;
    runtime->helpers = NULL;
    lw_guard_take(&set->guard, GUARD);
    set->closing = true;
    lw_guard_drop(&set->guard, GUARD);
    retire(set);
    lw_sys.free(set);
    if (lw_sub_acq_rel(&runtimes, 1) == 1) {
        retire(&lookups); /* those that hang in a lookup own what they work on, and stay */
        lw_courier_retire();
    }
}

bool lw_helpers_exist(void)
{
    return lookups.threads + lookups.leaving != 0;
}

/* ---- name lookups */

int lw_job_run(struct lw_job *job, lw_nsec deadline, const void *site)
{
    struct lw_record *me;
    enum lw_outcome outcome;
    bool started;
    int err;

    if (lw_forked())
        err = -ECHILD;
    else if (deadline == LW_NOW)
        err = -ETIMEDOUT;
    else
        err = lw_wait_enter(&me, deadline);
    if (err == 0)
        err = lw_checkpoint();
    if (err == 0)
        err = lw_helpers_submit(&lookups, job, me, deadline, site, &started);
    if (err < 0) {
        job->drop(job);
        return err;
    }
    outcome = lw_wait_finish(me);
    if (outcome == LW_GRANTED && lw_load_rlx(&job->state) == LW_JOB_ENDED)
        return 0;
    err = outcome == LW_GRANTED ? -EAGAIN : lw_wait_error(me, outcome);
    if (lw_helpers_unqueue(&lookups, job))
        job->drop(job);
    return err;
}
