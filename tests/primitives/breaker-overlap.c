/* SPDX-License-Identifier: MIT */
/* The laws of lw_breaker for calls that overlap: places of trials, and results that come late.
 * Rows R125, R126, R130, R131, R137. */
#include "tests/primitives/breakers.h"

TestSuite(breaker_overlap, .init = watchdog);

struct slow {
    lw_breaker *breaker;
    lw_event go;
    int wanted, err, status, ran;
};

static int wait_and_give(void *arg)
{
    struct slow *slow = arg;
    int err;

    slow->ran = 1;
    err = lw_event_wait(&slow->go, LW_FOREVER);
    return err < 0 ? err : slow->wanted;
}

static int call_slowly(void *arg)
{
    struct slow *slow = arg;

    slow->status = 12345;
    slow->err = lw_breaker_call(slow->breaker, wait_and_give, slow, &slow->status);
    return slow->err;
}

static lw_task begin(struct slow *slow, lw_breaker *breaker, int wanted)
{
    *slow = (struct slow){.breaker = breaker, .wanted = wanted};
    return start_waiter(call_slowly, slow);
}

static int end(struct slow *slow, lw_task task)
{
    lw_event_set(&slow->go);
    return join_status(task);
}

static void half_open(lw_breaker *breaker, struct slow *slow, lw_task *task, int wanted)
{
    fail_until_open(breaker);
    clock_now += 101;
    *task = begin(slow, breaker, wanted);
    assert_state(breaker, LW_BREAKER_HALF_OPEN, 0);
}

static int overlap(void *arg)
{
    lw_breaker breaker = make(&small);
    struct slow slow[3];
    lw_task tasks[3];

    (void)arg;
    for (int i = 0; i < 3; i++)
        tasks[i] = begin(&slow[i], &breaker, i);
    cr_assert(slow[0].ran && slow[1].ran && slow[2].ran, "R137");
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(end(&slow[i], tasks[i]), 0);
        cr_assert_eq(slow[i].status, i);
    }
    return 0;
}

Test(breaker_overlap, calls_overlap)
{
    run_all(overlap, NULL);
}

static int take_all_trials(void *arg)
{
    lw_breaker breaker = make(&small);
    struct slow slow[3];
    lw_task tasks[3];
    int before;

    (void)arg;
    half_open(&breaker, &slow[0], &tasks[0], 0);
    tasks[1] = begin(&slow[1], &breaker, 0);
    before = calls;
    cr_assert_eq(call(&breaker, 0), -EBUSY, "R125: the one that moved it is one of the two");
    clock_now += 1000;
    cr_assert_eq(call(&breaker, 0), -EBUSY, "R125: however long they take");
    cr_assert_eq(calls, before, "R125");
    cr_assert_eq(end(&slow[0], tasks[0]), 0);
    assert_state(&breaker, LW_BREAKER_CLOSED, 0);
    cr_assert_eq(end(&slow[1], tasks[1]), 0);
    assert_state(&breaker, LW_BREAKER_CLOSED, 0);
    return 0;
}

Test(breaker_overlap, so_many_trials_and_no_more)
{
    run_all(take_all_trials, NULL);
}

static int return_slots(void *arg)
{
    lw_breaker_options options = small;
    lw_breaker breaker;
    struct slow slow[2];
    lw_task tasks[2];

    (void)arg;
    options.fallback = &instead;
    breaker = make(&options);
    half_open(&breaker, &slow[0], &tasks[0], 0);
    tasks[1] = begin(&slow[1], &breaker, 0);
    cr_assert_eq(call(&breaker, 0), -EBUSY, "R134");
    cr_assert_eq(lw_cancel(tasks[1]), 0);
    cr_assert_eq(join_status(tasks[1]), -ECANCELED, "R130");
    cr_assert_eq(slow[1].status, -ECANCELED, "R130");
    assert_state(&breaker, LW_BREAKER_HALF_OPEN, 0);
    cr_assert_eq(call(&breaker, -ENOENT), -EREMOTEIO, "R130: the place is free");
    assert_state(&breaker, LW_BREAKER_HALF_OPEN, 0);
    cr_assert_eq(lw_cancel(tasks[0]), 0);
    cr_assert_eq(join_status(tasks[0]), -ECANCELED);
    for (int i = 0; i < 9; i++)
        cr_assert_eq(call(&breaker, -ECANCELED), -ECANCELED, "R130: a cancel uses up nothing");
    assert_state(&breaker, LW_BREAKER_HALF_OPEN, 0);
    cr_assert_eq(call(&breaker, 1), 0);
    assert_state(&breaker, LW_BREAKER_CLOSED, 0);
    return 0;
}

Test(breaker_overlap, a_trial_that_ends_gives_its_place_back)
{
    run_all(return_slots, NULL);
}

/* Trials that told nothing, one after the other or at the same time, the last one maybe
 * cancelled. */
static int use_up_trials(void *arg)
{
    for (int way = 0; way < 3; way++) {
        lw_breaker breaker = make(&small);
        struct slow slow[2];
        lw_task tasks[2];

        (void)arg;
        half_open(&breaker, &slow[0], &tasks[0], -ENOENT);
        if (way == 0)
            cr_assert_eq(end(&slow[0], tasks[0]), -EREMOTEIO);
        tasks[1] = begin(&slow[1], &breaker, -ESHUTDOWN);
        if (way == 1)
            cr_assert_eq(end(&slow[0], tasks[0]), -EREMOTEIO);
        if (way == 2) {
            cr_assert_eq(end(&slow[1], tasks[1]), -ESHUTDOWN);
            cr_assert_eq(call(&breaker, -ENOENT), -EREMOTEIO);
            cr_assert_eq(call(&breaker, 0), -EBUSY, "two told nothing, one runs");
        }
        assert_state(&breaker, LW_BREAKER_HALF_OPEN, 0);
        clock_now += 1000;
        if (way == 2) {
            cr_assert_eq(lw_cancel(tasks[0]), 0);
            cr_assert_eq(join_status(tasks[0]), -ECANCELED);
        } else {
            cr_assert_eq(end(&slow[1], tasks[1]), -ESHUTDOWN);
        }
        assert_state(&breaker, LW_BREAKER_OPEN, 0); /* R126 */
        clock_now += 100;
        cr_assert_eq(call(&breaker, 0), -EHOSTDOWN, "R126: the interval begins then");
        clock_now += 1;
        cr_assert_eq(call(&breaker, 0), 0, "R126");
        assert_state(&breaker, LW_BREAKER_CLOSED, 0);
    }
    return 0;
}

Test(breaker_overlap, it_leaves_half_open_whatever_trials_say)
{
    run_all(use_up_trials, NULL);
}

/* Results of calls of an earlier epoch, in each state. */
static int be_late(void *arg)
{
    static const int statuses[] = {0, -EIO, -ENOENT, -ECANCELED, -ESHUTDOWN};
    enum { STATUSES = 5 };

    (void)arg;
    for (int i = 0; i < STATUSES * 3; i++) {
        lw_breaker breaker = make(&small);
        struct slow late, trial, again;
        lw_task late_task, trial_task, again_task;
        int status = statuses[i % STATUSES], when = i / STATUSES;

        late_task = begin(&late, &breaker, status);
        half_open(&breaker, &trial, &trial_task, 0);
        if (when == 0) { /* a call of CLOSED, while a trial runs */
            (void)end(&late, late_task);
            assert_state(&breaker, LW_BREAKER_HALF_OPEN, 0); /* R131 */
            again_task = begin(&again, &breaker, 0);
            cr_assert_eq(call(&breaker, 0), -EBUSY, "R131: it gave no place back");
            (void)end(&again, again_task);
            (void)end(&trial, trial_task);
            assert_state(&breaker, LW_BREAKER_CLOSED, 0);
            continue;
        }
        trial.wanted = status;
        cr_assert_eq(call(&breaker, when == 1 ? -EIO : 0), 0);
        if (when == 1) { /* a trial, and a call of CLOSED, while it is OPEN */
            clock_now += 100;
            (void)end(&trial, trial_task);
            (void)end(&late, late_task);
            assert_state(&breaker, LW_BREAKER_OPEN, 0); /* R131 */
            clock_now += 1;
            cr_assert_eq(call(&breaker, 0), 0, "R131: the interval was not moved");
            continue;
        }
        cr_assert_eq(call(&breaker, -EIO), 0); /* both, while it is CLOSED again */
        (void)end(&trial, trial_task);
        (void)end(&late, late_task);
        assert_state(&breaker, LW_BREAKER_CLOSED, 1); /* R131 */
    }
    return 0;
}

Test(breaker_overlap, what_comes_late_changes_nothing)
{
    run_all(be_late, NULL);
}

/* ---- a crowd */

/* A service that is down now and then. */
struct service {
    lw_breaker breaker;
    int ran, done, refused;
    bool down;
};

static int serve(void *arg)
{
    struct service *service = arg;

    (void)__atomic_add_fetch(&service->ran, 1, __ATOMIC_RELAXED);
    lw_yield();
    return __atomic_load_n(&service->down, __ATOMIC_RELAXED) ? -EIO : 0;
}

static void ask(struct member *member)
{
    struct service *service = member->crowd->object;

    for (int i = 0; i < 200; i++) {
        int status = 1, err = lw_breaker_call(&service->breaker, serve, service, &status);

        if (err == 0)
            (void)__atomic_add_fetch(&service->done, 1, __ATOMIC_RELAXED);
        else
            (void)__atomic_add_fetch(&service->refused, 1, __ATOMIC_RELAXED);
        cr_assert(err == 0 || err == -EHOSTDOWN || err == -EBUSY, "%d", err);
        cr_assert_eq(status == 1, err < 0);
        (void)__atomic_add_fetch(&clock_now, 7, __ATOMIC_RELAXED);
        if (i % 20 == 0)
            __atomic_store_n(&service->down, random_draw(&member->random) % 3 == 0,
                             __ATOMIC_RELAXED);
        maybe_yield(member);
    }
}

static int crowds(void *arg)
{
    (void)arg;
    for (uint64_t seed = 1; seed <= (uint64_t)rounds(40); seed++) {
        struct service service = {.breaker = make(&small)};
        struct crowd crowd = {
            .tasks = 8, .threads = 2, .cancels = true, .act = ask, .object = &service,
            .seed = seed};
        int status = 0;

        crowd_run(&crowd);
        cr_assert_eq(service.done + service.refused, 10 * 200);
        cr_assert_eq(service.ran, service.done);
        service.down = false;
        (void)__atomic_add_fetch(&clock_now, 101, __ATOMIC_RELAXED);
        cr_assert_eq(lw_breaker_call(&service.breaker, serve, &service, &status), 0);
        assert_state(&service.breaker, LW_BREAKER_CLOSED, 0);
    }
    return 0;
}

Test(breaker_overlap, it_comes_back_after_any_crowd)
{
    run_all(crowds, NULL);
}
