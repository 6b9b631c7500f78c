/* SPDX-License-Identifier: MIT */
/* Laws of jobs that own themselves (name lookups): whoever is last drops the job, once; a hung one
 * holds up neither its caller nor calls of the other kind, nor the end of a runtime. */
#include "runtime/helpers.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#include "runtime/os/os.h"
#include "tests/support.h"

TestSuite(helpers, .init = watchdog);

static uint32_t worked, dropped;
static sem_t way;

struct errand {
    struct lw_job job;
    bool hangs;
    int answer;
};

static void work(struct lw_job *job)
{
    struct errand *errand = (struct errand *)(void *)job;

    (void)lw_add_acq_rel(&worked, 1);
    while (errand->hangs && sem_wait(&way) < 0)
        cr_assert_eq(errno, EINTR);
    errand->answer = 42;
}

static void drop(struct lw_job *job)
{
    (void)lw_add_acq_rel(&dropped, 1);
    free(job);
}

/* The answer, or an error. */
static int run_errand(bool hangs, lw_nsec deadline)
{
    struct errand *errand = calloc(1, sizeof *errand);
    int result;

    cr_assert_not_null(errand);
    errand->job.work = work;
    errand->job.drop = drop;
    errand->hangs = hangs;
    result = lw_job_run(&errand->job, deadline, __builtin_return_address(0));
    if (result == 0) {
        result = errand->answer;
        free(errand);
    }
    return result;
}

static void await(const uint32_t *word, uint32_t least)
{
    while (lw_load_acq(word) < least)
        cr_assert_eq(lw_sleep(lw_in(100 * LW_US)), 0);
}

static int check_answer(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10; i++)
        cr_assert_eq(run_errand(false, i % 2 != 0 ? LW_FOREVER : lw_in(3600 * LW_SEC)), 42);
    cr_assert_eq(lw_load_acq(&dropped), 0, "a job was dropped that is its caller's");
    cr_assert_eq(run_errand(false, LW_NOW), -ETIMEDOUT);
    cr_assert_eq(lw_load_acq(&dropped), 1);
    lw_store_rel(&dropped, 0);
    return 0;
}

Test(helpers, job_comes_back_with_its_answer)
{
    run_all(check_answer, NULL);
    (void)check_answer(NULL); /* a plain thread, with no runtime at all */
    assert_no_leaks();
}

static int check_deadline(void *arg)
{
    (void)arg;
    /* On a busy machine the deadline may come before a helper: then the job was dropped unbegun. */
    for (lw_nsec within = 5 * LW_MS; lw_load_acq(&worked) == 0; within *= 2) {
        lw_store_rel(&dropped, 0);
        cr_assert_eq(run_errand(true, lw_in(within)), -ETIMEDOUT);
        if (lw_load_acq(&dropped) == 0)
            await(&worked, 1);
    }
    cr_assert_eq(lw_load_acq(&dropped), 0, "a job was dropped under its helper");
    (void)sem_post(&way);
    await(&dropped, 1);
    lw_store_rel(&worked, 0);
    lw_store_rel(&dropped, 0);
    return 0;
}

Test(helpers, hung_job_is_left_at_the_deadline_and_dropped_by_its_helper)
{
    cr_assert_eq(sem_init(&way, 0, 0), 0);
    run_all(check_deadline, NULL);
    (void)check_deadline(NULL);
    assert_no_leaks();
}

static int err_of_cancelled;

static int hang(void *arg)
{
    (void)arg;
    lw_store_rlx(&err_of_cancelled, run_errand(true, LW_FOREVER)); /* of several, any */
    return 0;
}

static int check_cancel(void *arg)
{
    lw_task task;

    (void)arg;
    cr_assert_eq(lw_spawn(&task, hang, NULL, NULL), 0);
    await(&worked, 1);
    cr_assert_eq(lw_cancel(task), 0);
    cr_assert_eq(lw_join(task, NULL, LW_FOREVER), 0);
    cr_assert_eq(err_of_cancelled, -ECANCELED);
    (void)sem_post(&way);
    await(&dropped, 1);
    lw_store_rel(&worked, 0);
    lw_store_rel(&dropped, 0);
    return 0;
}

Test(helpers, hung_job_is_left_by_a_cancel)
{
    cr_assert_eq(sem_init(&way, 0, 0), 0);
    run_all(check_cancel, NULL);
    assert_no_leaks();
}

static int answer_77(void *arg)
{
    (void)arg;
    return 77;
}

/* All lookup helpers hang; one more waits in vain, without being begun; lw_blocking() works. */
static int check_full(void *arg)
{
    lw_task tasks[LW_LOOKUP_HELPERS];
    int status;

    (void)arg;
    for (int i = 0; i < LW_LOOKUP_HELPERS; i++)
        cr_assert_eq(lw_spawn(&tasks[i], hang, NULL, NULL), 0);
    await(&worked, LW_LOOKUP_HELPERS);
    cr_assert_eq(run_errand(false, lw_in(3 * LW_MS)), -ETIMEDOUT);
    cr_assert_eq(lw_load_acq(&dropped), 1, "who was not begun is not dropped at once");
    cr_assert_eq(lw_load_acq(&worked), LW_LOOKUP_HELPERS);
    for (int i = 0; i < 10; i++) {
        cr_assert_eq(lw_blocking(answer_77, NULL, &status, LW_FOREVER), 0);
        cr_assert_eq(status, 77);
    }
    for (int i = 0; i < LW_LOOKUP_HELPERS; i++)
        (void)sem_post(&way);
    cr_assert_eq(run_errand(false, LW_FOREVER), 42);
    for (int i = 0; i < LW_LOOKUP_HELPERS; i++)
        cr_assert_eq(lw_join(tasks[i], NULL, LW_FOREVER), 0);
    lw_store_rel(&worked, 0);
    lw_store_rel(&dropped, 0);
    return 0;
}

Test(helpers, hung_jobs_hold_up_nothing_but_jobs)
{
    cr_assert_eq(sem_init(&way, 0, 0), 0);
    run_all(check_full, NULL);
    assert_no_leaks();
}

static int leave_hanging(void *arg)
{
    (void)arg;
    cr_assert_eq(lw_spawn(NULL, hang, NULL, NULL), 0);
    await(&worked, 1);
    return 0;
}

Test(helpers, hung_job_does_not_hold_up_the_end_of_its_runtime)
{
    cr_assert_eq(sem_init(&way, 0, 0), 0);
    run_with(2, leave_hanging, NULL); /* the stop cancels the wait */
    cr_assert_eq(err_of_cancelled, -ECANCELED);
    cr_assert_eq(lw_load_acq(&dropped), 0);
    (void)sem_post(&way);
    await(&dropped, 1);
    lw_store_rel(&dropped, 0);
    run_with(2, check_answer, NULL);
    assert_no_leaks();
}

/* ---- no threads */

static int create_fails;

static int failing_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *arg)
{
    return create_fails-- > 0 ? EAGAIN : pthread_create(thread, attributes, run, arg);
}

static int check_no_thread(void *arg)
{
    (void)arg;
    lw_sys.thread_create = failing_create;
    create_fails = 1;
    cr_assert_eq(run_errand(false, LW_FOREVER), -EAGAIN);
    cr_assert_eq(lw_load_acq(&dropped), 1);
    cr_assert_eq(run_errand(false, LW_FOREVER), 42);
    create_fails = 0;
    return 0;
}

Test(helpers, without_threads_the_job_is_refused)
{
    run_with(1, check_no_thread, NULL);
    assert_no_leaks();
}

/* ---- everything at once: each job is freed exactly once, by its caller or by drop */

static uint32_t answers, failures;

static int hurry(void *arg)
{
    uint64_t seed = (uint64_t)(uintptr_t)arg;

    for (int i = 0; i < 20; i++) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        int result = run_errand(false, lw_in((lw_nsec)(seed >> 33) % (300 * LW_US)));

        (void)lw_add_acq_rel(result == 42 ? &answers : &failures, 1);
        cr_assert(result == 42 || result == -ETIMEDOUT || result == -ECANCELED, "%d", result);
    }
    return 0;
}

static int check_hurry(void *arg)
{
    enum { TASKS = 40 };
    lw_task tasks[TASKS];

    (void)arg;
    for (long round = 0; round < rounds(20); round++) {
        for (uintptr_t i = 0; i < TASKS; i++)
            cr_assert_eq(lw_spawn(&tasks[i], hurry, (void *)(i + 1000 * (uintptr_t)round), NULL),
                         0);
        for (int i = 0; i < TASKS; i += 5)
            (void)lw_cancel(tasks[i]);
        for (int i = 0; i < TASKS; i++)
            cr_assert_eq(lw_join(tasks[i], NULL, LW_FOREVER), 0);
    }
    await(&dropped, lw_load_acq(&failures));
    cr_assert_eq(lw_load_acq(&dropped), lw_load_acq(&failures));
    return 0;
}

Test(helpers, each_job_ends_once)
{
    run_all(check_hurry, NULL);
    cr_assert_gt(answers, 0u);
    assert_no_leaks();
}
