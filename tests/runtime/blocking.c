/* SPDX-License-Identifier: MIT */
/* Laws of lw_blocking(): a function either ran to its end or never will, and the caller knows
 * which; what blocks a helper blocks no worker; helpers are as many as were asked for, and end. */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/atomic.h"
#include "runtime/os/os.h"
#include "tests/support.h"

TestSuite(blocking, .init = watchdog);

static int tid(void)
{
    return (int)syscall(SYS_gettid);
}

static void sem_take(sem_t *sem)
{
    while (sem_wait(sem) < 0)
        cr_assert_eq(errno, EINTR);
}

/* A function that blocks its helper until told to go on. */
struct gate {
    sem_t open;
    uint32_t entered, ended;
};

static void gate_init(struct gate *gate)
{
    *gate = (struct gate){0};
    cr_assert_eq(sem_init(&gate->open, 0, 0), 0);
}

static int pass_gate(void *arg)
{
    struct gate *gate = arg;

    (void)lw_add_acq_rel(&gate->entered, 1);
    sem_take(&gate->open);
    (void)lw_add_acq_rel(&gate->ended, 1);
    return 5;
}

static void await(const uint32_t *word, uint32_t least)
{
    while (lw_load_acq(word) < least)
        cr_assert_eq(lw_sleep(lw_in(100 * LW_US)), 0);
}

/* A task that calls pass_gate with a deadline. */
struct caller {
    struct gate *gate;
    lw_nsec within; /* LW_FOREVER; else from the call on */
    int err, status, after;
    lw_task task;
};

static int call_gate(void *arg)
{
    struct caller *caller = arg;

    caller->status = -77;
    int err = lw_blocking(pass_gate, caller->gate, &caller->status, lw_in(caller->within));

    caller->after = lw_checkpoint();
    lw_store_rel(&caller->err, err);
    return 0;
}

static void start(struct caller *caller, struct gate *gate, lw_nsec within)
{
    *caller = (struct caller){.gate = gate, .within = within};
    cr_assert_eq(lw_spawn(&caller->task, call_gate, caller, NULL), 0);
}

static void finish(struct caller *caller)
{
    int status = -1;

    cr_assert_eq(lw_join(caller->task, &status, LW_FOREVER), 0);
    cr_assert_eq(status, 0);
}

/* ---- what it does */

static int say_tid(void *arg)
{
    *(int *)arg = tid();
    return -42;
}

static int check_other_thread(void *arg)
{
    int there = 0, status = 0;

    (void)arg;
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(lw_blocking(say_tid, &there, &status, LW_FOREVER), 0);
        cr_assert_eq(status, -42);
        cr_assert(there != 0 && there != tid());
        cr_assert_eq(lw_blocking(say_tid, &there, NULL, lw_in(LW_SEC)), 0);
    }
    return 0;
}

Test(blocking, gives_the_status_of_a_function_that_ran_on_another_thread)
{
    run_all(check_other_thread, NULL);
    assert_no_leaks();
}

Test(blocking, runs_the_function_in_place_on_a_plain_thread)
{
    int there = 0, status = 0;

    cr_assert_eq(lw_blocking(say_tid, &there, &status, LW_FOREVER), 0);
    cr_assert_eq(there, tid());
    cr_assert_eq(status, -42);
}

static int check_progress(void *arg)
{
    struct gate gate;
    struct caller caller;

    (void)arg;
    gate_init(&gate);
    start(&caller, &gate, LW_FOREVER);
    await(&gate.entered, 1);
    for (int i = 0; i < 100; i++)
        lw_yield();
    cr_assert_eq(lw_load_acq(&gate.ended), 0);
    (void)sem_post(&gate.open); /* only a task that runs meanwhile lets it end */
    finish(&caller);
    cr_assert_eq(caller.err, 0);
    cr_assert_eq(caller.status, 5);
    return 0;
}

Test(blocking, blocks_no_worker)
{
    run_all(check_progress, NULL);
}

static int count_up(void *arg)
{
    (void)lw_add_acq_rel((uint32_t *)arg, 1);
    return 0;
}

static int check_now(void *arg)
{
    uint32_t count = 0;

    (void)arg;
    cr_assert_eq(lw_blocking(count_up, &count, NULL, LW_NOW), -ETIMEDOUT);
    cr_assert_eq(lw_load_acq(&count), 0);
    return 0;
}

Test(blocking, does_not_wait_with_lw_now)
{
    run_all(check_now, NULL);
}

/* ---- the bound */

enum { HELPERS = 3, CALLS = 40 };

struct crowd {
    uint32_t inside, most, calls;
    struct gate gate;
};

static int be_inside(void *arg)
{
    struct crowd *crowd = arg;
    uint32_t now = lw_add_acq_rel(&crowd->inside, 1) + 1, most = lw_load_acq(&crowd->most);

    while (most < now && !lw_cas_acq_rel(&crowd->most, &most, now))
        continue;
    while (lw_load_acq(&crowd->most) < HELPERS) /* so many come in at once, or this never ends */
        lw_sys.yield();
    (void)lw_sub_acq_rel(&crowd->inside, 1);
    return 0;
}

static int call_inside(void *arg)
{
    struct crowd *crowd = arg;

    cr_assert_eq(lw_blocking(be_inside, crowd, NULL, LW_FOREVER), 0);
    (void)lw_add_acq_rel(&crowd->calls, 1);
    return 0;
}

static int spawn_crowd(void *arg)
{
    lw_task tasks[CALLS];

    for (int i = 0; i < CALLS; i++)
        cr_assert_eq(lw_spawn(&tasks[i], call_inside, arg, NULL), 0);
    for (int i = 0; i < CALLS; i++)
        cr_assert_eq(lw_join(tasks[i], NULL, LW_FOREVER), 0);
    return 0;
}

Test(blocking, uses_all_helpers_and_not_one_more)
{
    for (unsigned workers = 1; workers <= 4; workers *= 2) {
        lw_options options = {.workers = workers, .helpers = HELPERS};
        struct crowd crowd = {0};

        cr_assert_eq(lw_run(&options, spawn_crowd, &crowd), 0);
        cr_assert_eq(crowd.most, HELPERS);
        cr_assert_eq(crowd.calls, CALLS);
    }
    assert_no_leaks();
}

static int check_threads(void *arg)
{
    long before = count_resources().threads;
    uint32_t count = 0;

    (void)arg;
    for (int i = 0; i < 20; i++)
        cr_assert_eq(lw_blocking(count_up, &count, NULL, LW_FOREVER), 0);
    cr_assert_leq(count_resources().threads, before + 1, "one call at a time needs one helper");
    return 0;
}

Test(blocking, leaves_no_threads_behind)
{
    long before;

    run_with(1, check_progress, NULL); /* sanitizers make a thread of their own */
    before = count_resources().threads;
    run_with(1, check_threads, NULL);
    run_all(check_other_thread, NULL);
    AWAIT(count_resources().threads <= before); /* a joined thread may be seen a moment longer */
}

/* ---- deadline and cancel */

static int check_deadline(void *arg)
{
    struct gate gate;
    struct caller started, queued, late;
    lw_nsec after;

    (void)arg;
    gate_init(&gate);
    start(&started, &gate, 300 * LW_MS);
    await(&gate.entered, 1);
    after = lw_in(300 * LW_MS);
    start(&queued, &gate, 5 * LW_MS);
    start(&late, &gate, -LW_MS);
    finish(&queued); /* by its deadline, since the one helper is taken */
    finish(&late);
    cr_assert_eq(queued.err, -ETIMEDOUT);
    cr_assert_eq(late.err, -ETIMEDOUT);
    cr_assert_eq(lw_sleep(after), 0);
    (void)sem_post(&gate.open);
    finish(&started);
    cr_assert_eq(started.err, 0, "a deadline ended a call that had started: %d", started.err);
    cr_assert_eq(started.status, 5);
    cr_assert_eq(lw_load_acq(&gate.entered), 1, "a call that timed out ran");

    start(&late, &gate, -LW_MS); /* a helper is free: the deadline has no part in it */
    (void)sem_post(&gate.open);
    finish(&late);
    cr_assert(late.err == 0 || late.err == -ETIMEDOUT);
    cr_assert_eq(lw_load_acq(&gate.entered), late.err == 0 ? 2 : 1);
    return 0;
}

static void run_with_one_helper(lw_fn *fn)
{
    for (unsigned workers = 1; workers <= 4; workers *= 2) {
        lw_options options = {.workers = workers, .helpers = 1};

        cr_assert_eq(lw_run(&options, fn, NULL), 0);
    }
    assert_no_leaks();
}

Test(blocking, ends_by_the_deadline_only_while_it_waits_for_a_helper)
{
    run_with_one_helper(check_deadline);
}

static int check_cancel(void *arg)
{
    struct gate gate;
    struct caller started, queued;

    (void)arg;
    gate_init(&gate);
    start(&started, &gate, LW_FOREVER);
    await(&gate.entered, 1);
    start(&queued, &gate, LW_FOREVER);
    for (int i = 0; i < 10; i++)
        lw_yield();
    cr_assert_eq(lw_cancel(queued.task), 0);
    finish(&queued);
    cr_assert_eq(queued.err, -ECANCELED);
    cr_assert_eq(queued.after, 0, "a cancel was delivered twice");

    cr_assert_eq(lw_cancel(started.task), 0);
    for (int i = 0; i < 10; i++)
        lw_yield();
    cr_assert_eq(lw_load_acq(&gate.ended), 0);
    (void)sem_post(&gate.open);
    finish(&started);
    cr_assert_eq(started.err, 0);
    cr_assert_eq(started.after, -ECANCELED, "a cancel was lost");
    cr_assert_eq(lw_load_acq(&gate.entered), 1, "a cancelled call ran");
    return 0;
}

Test(blocking, is_cancelled_only_while_it_waits_for_a_helper)
{
    run_with_one_helper(check_cancel);
}

static int call_cancelled(void *arg)
{
    uint32_t *count = arg;

    cr_assert_eq(lw_blocking(count_up, count, NULL, LW_FOREVER), -ECANCELED);
    cr_assert_eq(lw_blocking(count_up, count, NULL, LW_FOREVER), 0);
    return 0;
}

static int check_cancelled_before(void *arg)
{
    uint32_t count = 0;
    lw_task task;

    (void)arg;
    for (uint32_t i = 0; i < 3; i++) { /* without a helper, and with one that is idle */
        lw_store_rel(&count, 0);
        cr_assert_eq(lw_spawn(&task, call_cancelled, &count, NULL), 0);
        cr_assert_eq(lw_cancel(task), 0);
        cr_assert_eq(lw_join(task, NULL, LW_FOREVER), 0);
        cr_assert_eq(lw_load_acq(&count), 1);
    }
    return 0;
}

static int call_in_cancelled_group(void *arg)
{
    struct gate *gate = arg;
    uint32_t ran = 0;

    (void)lw_add_acq_rel(&gate->entered, 1);
    AWAIT(lw_load_acq(&gate->ended) != 0);
    cr_assert_eq(lw_blocking(count_up, &ran, NULL, LW_FOREVER), -ECANCELED);
    cr_assert_eq(ran, 0);
    return 0;
}

static int check_cancelled_group(void *arg)
{
    lw_group group = LW_GROUP_INIT(0);
    struct gate gate = {0};
    uint32_t count = 0;

    (void)arg;
    cr_assert_eq(lw_blocking(count_up, &count, NULL, LW_FOREVER), 0); /* a helper, now idle */
    cr_assert_eq(lw_group_spawn(&group, call_in_cancelled_group, &gate, NULL), 0);
    AWAIT(lw_load_acq(&gate.entered) != 0);
    lw_group_cancel(&group);
    lw_store_rel(&gate.ended, 1);
    cr_assert_eq(lw_group_end(&group, 0), 0);
    return 0;
}

Test(blocking, learns_what_the_group_of_its_task_was_told)
{
    run_all(check_cancelled_group, NULL);
}

Test(blocking, delivers_a_cancel_from_before_and_does_not_run)
{
    run_with(1, check_cancelled_before, NULL);
}

/* With one worker: the wait of a queued call has ended, but its task had no turn yet to leave the
 * queue when a helper comes for it. */
static int check_ended_in_queue(void *arg)
{
    struct gate gate;
    struct caller started, queued;

    (void)arg;
    gate_init(&gate);
    start(&started, &gate, LW_FOREVER);
    await(&gate.entered, 1);
    start(&queued, &gate, LW_FOREVER);
    lw_yield();
    cr_assert_eq(lw_cancel(queued.task), 0);
    (void)sem_post(&gate.open);
    (void)sem_post(&gate.open);
    while (lw_load_acq(&gate.ended) == 0)
        lw_sys.yield();
    for (lw_nsec until = lw_in(2 * LW_MS); lw_now() < until;) /* the helper looks at its queue */
        lw_sys.yield();
    finish(&started);
    finish(&queued);
    cr_assert_eq(started.err, 0);
    cr_assert_eq(queued.err, -ECANCELED);
    cr_assert_eq(lw_load_acq(&gate.entered), 1, "a cancelled call ran");
    return 0;
}

Test(blocking, whose_wait_has_ended_does_not_run_though_it_is_still_queued)
{
    lw_options options = {.workers = 1, .helpers = 1};

    for (int i = 0; i < 5; i++)
        cr_assert_eq(lw_run(&options, check_ended_in_queue, NULL), 0);
}

/* Each call says 0 exactly when its function ran: with few helpers, deadlines and cancels. */
struct mixed {
    uint32_t ran, said;
    lw_nsec within;
};

static int touch(void *arg)
{
    struct mixed *mixed = arg;

    (void)lw_add_acq_rel(&mixed->ran, 1);
    if (mixed->within % 3 == 0)
        lw_sys.yield();
    return 0;
}

static int call_mixed(void *arg)
{
    struct mixed *mixed = arg;

    for (int i = 0; i < 5; i++) {
        int err = lw_blocking(touch, mixed, NULL, lw_in(mixed->within));

        cr_assert(err == 0 || err == -ETIMEDOUT || err == -ECANCELED, "%d", err);
        if (err == 0)
            (void)lw_add_acq_rel(&mixed->said, 1);
    }
    return 0;
}

static int check_mixed(void *arg)
{
    enum { TASKS = 50 };
    struct mixed mixed[TASKS] = {0};
    lw_task tasks[TASKS];

    (void)arg;
    for (long round = 0; round < rounds(40); round++) {
        for (int i = 0; i < TASKS; i++) {
            mixed[i].within = (i * 7 + round * 13) % 100 * 3 * LW_US;
            cr_assert_eq(lw_spawn(&tasks[i], call_mixed, &mixed[i], NULL), 0);
        }
        for (int i = 0; i < TASKS; i += 3)
            (void)lw_cancel(tasks[i]);
        for (int i = 0; i < TASKS; i++)
            cr_assert_eq(lw_join(tasks[i], NULL, LW_FOREVER), 0);
        for (int i = 0; i < TASKS; i++)
            cr_assert_eq(lw_load_acq(&mixed[i].ran), lw_load_acq(&mixed[i].said));
    }
    return 0;
}

Test(blocking, ran_exactly_when_it_says_so)
{
    for (unsigned workers = 1; workers <= 4; workers *= 2) {
        lw_options options = {.workers = workers, .helpers = 2};

        cr_assert_eq(lw_run(&options, check_mixed, NULL), 0);
    }
}

/* ---- what the function may do */

static int empty(void *arg)
{
    (void)arg;
    return 3;
}

static int use_library(void *arg)
{
    lw_semaphore *semaphore = arg;
    int here = tid(), there = 0, status = 0;

    cr_assert_eq(lw_semaphore_acquire(semaphore, 1, LW_FOREVER), 0);
    cr_assert_eq(lw_sleep(lw_in(LW_MS)), 0);
    cr_assert_eq(lw_blocking(say_tid, &there, NULL, LW_FOREVER), 0);
    cr_assert_eq(there, here);
    lw_task task;
    cr_assert_eq(lw_spawn(&task, empty, NULL, NULL), 0);
    cr_assert_eq(lw_join(task, &status, LW_FOREVER), 0);
    cr_assert_eq(status, 3);
    return 0;
}

static int check_guest(void *arg)
{
    lw_semaphore semaphore = LW_SEMAPHORE_INIT("s", 0);

    (void)arg;
    cr_assert_eq(lw_semaphore_release(&semaphore, 1), 0);
    cr_assert_eq(lw_blocking(use_library, &semaphore, NULL, LW_FOREVER), 0);
    return 0;
}

Test(blocking, function_may_use_the_library)
{
    run_all(check_guest, NULL);
    assert_no_leaks();
}

/* ---- the end of the runtime */

static struct gate last_gate;

static int leave_caller(void *arg)
{
    struct caller *caller = arg;

    start(caller, &last_gate, LW_FOREVER);
    cr_assert_eq(lw_detach(caller->task), 0);
    await(&last_gate.entered, 1);
    return 0;
}

static void *open_later(void *arg)
{
    (void)arg;
    (void)usleep(20000);
    (void)sem_post(&last_gate.open);
    return NULL;
}

Test(blocking, is_waited_for_when_the_runtime_stops)
{
    struct caller caller;
    pthread_t thread;

    gate_init(&last_gate);
    cr_assert_eq(pthread_create(&thread, NULL, open_later, NULL), 0);
    cr_assert_eq(lw_run(NULL, leave_caller, &caller), 0);
    cr_assert_eq(lw_load_acq(&last_gate.ended), 1);
    cr_assert_eq(caller.err, 0);
    (void)pthread_join(thread, NULL);
    assert_no_leaks();
}

Test(blocking, of_a_task_that_was_given_up_still_ends)
{
    static struct caller caller; /* its task outlives lw_run() */
    lw_options options = {.workers = 2, .stop_within = 30 * LW_MS};

    gate_init(&last_gate);
    caller.err = 1;
    cr_assert_eq(lw_run(&options, leave_caller, &caller), 0);
    cr_assert_eq(lw_load_acq(&last_gate.ended), 0);
    run_with(1, check_other_thread, NULL); /* as if nothing had been */
    (void)sem_post(&last_gate.open);
    while (lw_load_acq(&caller.err) == 1)
        lw_sys.yield();
    cr_assert_eq(lw_load_acq(&caller.err), 0);
    run_with(1, check_other_thread, NULL);
}
