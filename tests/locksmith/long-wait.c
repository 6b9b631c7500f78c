/* SPDX-License-Identifier: MIT */
/* The laws of long waits for what nobody owns: each is told of once, all of one place together,
 * and a program that is healthy and idle prints nothing. */
#include "tests/locksmith/heard.h"

#include <sys/mman.h>
#include <unistd.h>

#include "locksmith/printer.h"

static void hear_soon(void)
{
    lw_detector_options options;

    hear();
    lw_detector_get(&options);
    options.long_wait = 20 * LW_MS;
    options.long_hold = 3600 * LW_SEC;
    cr_assert_eq(lw_detector_set(&options), 0);
}

TestSuite(long_wait, .init = hear_soon);

enum { CROWD = 50 };

static struct {
    lw_event event;
    lw_channel channel;
    lw_semaphore signal;
    lw_bounded_semaphore permits;
    lw_latch latch;
    lw_mutex mutex;
    int room[1];
    lw_fn *wait;
} it;

static void set_up(lw_fn *wait)
{
    memset(&it, 0, sizeof it);
    it.event = (lw_event)LW_EVENT_INIT("event");
    it.signal = (lw_semaphore)LW_SEMAPHORE_INIT("signal", 0);
    it.permits = (lw_bounded_semaphore)LW_BOUNDED_SEMAPHORE_INIT("permits", 1);
    it.latch = (lw_latch)LW_LATCH_INIT("latch", 1);
    it.mutex = (lw_mutex)LW_MUTEX_INIT("mutex");
    lw_channel_init(&it.channel, "channel", it.room, sizeof *it.room, 1);
    it.wait = wait;
    forget_heard();
}

/* What is called last in a function may return to who called that: then it would not be a place of
 * its own. */
static int stay(int err)
{
    static volatile int stayed;

    stayed++;
    return err;
}

static int await_event(void *arg)
{
    (void)arg;
    return stay(lw_event_wait(&it.event, LW_FOREVER));
}

static int await_event_within(void *arg)
{
    (void)arg;
    return stay(lw_event_wait(&it.event, lw_in(3600 * LW_SEC)));
}

static int receive(void *arg)
{
    int value;

    (void)arg;
    return stay(lw_channel_receive(&it.channel, &value, LW_FOREVER));
}

static int send_twice(void *arg)
{
    int value = 1, err = lw_channel_send(&it.channel, &value, LW_FOREVER);

    (void)arg;
    return err < 0 ? err : stay(lw_channel_send(&it.channel, &value, LW_FOREVER));
}

static int await_signal(void *arg)
{
    (void)arg;
    return stay(lw_acquire(&it.signal.lock, LW_FOREVER));
}

static int await_permit(void *arg)
{
    (void)arg;
    return stay(lw_acquire(&it.permits.lock, LW_FOREVER));
}

static int await_latch(void *arg)
{
    (void)arg;
    return stay(lw_latch_wait(&it.latch, LW_FOREVER));
}

static int await_event_with_a_lock(void *arg)
{
    int err = lw_acquire(&it.mutex.lock, LW_FOREVER);

    if (err == 0) {
        err = await_event(arg);
        (void)!lw_release(&it.mutex.lock);
    }
    return err;
}

static int sleep_long(void *arg)
{
    (void)arg;
    return stay(lw_sleep(lw_in(3600 * LW_SEC)));
}

static void start_all(lw_task *tasks, int count)
{
    for (int i = 0; i < count; i++) {
        cr_assert_eq(lw_spawn(&tasks[i], it.wait, NULL, NULL), 0);
        AWAIT(is_waiting(tasks[i]));
    }
}

static void end_all(lw_task *tasks, int count)
{
    for (int i = 0; i < count; i++) {
        cr_assert_eq(lw_cancel(tasks[i]), 0);
        cr_assert_eq(join_status(tasks[i]), -ECANCELED);
    }
}

/* All that can be told of has been. */
static void look_until_all_are_old(const lw_task *tasks, int count)
{
    lw_nsec now = lw_now();

    AWAIT(lw_now() > now + 60 * LW_MS);
    for (int i = 0; i < count; i++)
        cr_assert(is_waiting(tasks[i]));
    while (lw_detector_scan() < 0)
        lw_yield();
}

/* ---- who is told of */

/* All who wait at one place, in as few reports as there were looks at which some became old. */
static int wait_in_a_crowd(void *arg)
{
    static lw_fn *const waits[] = {await_event, receive, await_signal, await_latch,
                                   await_event_with_a_lock};
    static const char *const kinds[] = {"event", "channel to receive", "semaphore", "latch",
                                        "event"};

    (void)arg;
    for (int i = 0; i < 5; i++) {
        int count = i == 4 ? 1 : CROWD;
        lw_task tasks[CROWD];

        set_up(waits[i]);
        start_all(tasks, count);
        AWAIT(told() != 0);
        look_until_all_are_old(tasks, count);
        cr_assert_leq(told(), count);
        cr_assert_eq(heard.of[LW_VERDICT_LONG_WAIT], told());
        cr_assert_str_eq(heard.member[0].kind, kinds[i]);
        cr_assert_eq(heard.member[0].hold_count, i == 4);
        cr_assert_leq(heard.members, 4, "so many in full");
        cr_assert_geq(heard.at - heard.member[0].since, 20 * LW_MS);
        forget_heard();
        for (int looks = 0; looks < 10; looks++)
            cr_assert_leq(lw_detector_scan(), 0, "each once");
        cr_assert_eq(told(), 0);
        end_all(tasks, count);
    }
    return 0;
}

Test(long_wait, is_told_of_once_and_by_place)
{
    run_all(wait_in_a_crowd, NULL);
}

/* S13, S14: permits that are owned are waited for by who would be told of otherwise. */
static int wait_for_what_is_owned(void *arg)
{
    lw_task task;

    (void)arg;
    set_up(await_permit);
    cr_assert_eq(lw_acquire(&it.permits.lock, LW_FOREVER), 0);
    start_all(&task, 1);
    look_until_all_are_old(&task, 1);
    cr_assert_eq(told(), 0);
    end_all(&task, 1);
    return lw_release(&it.permits.lock);
}

Test(long_wait, s13_is_none_for_permits_that_somebody_has)
{
    run_all(wait_for_what_is_owned, NULL);
}

static int wait_as_one_may(void *arg)
{
    static lw_fn *const waits[] = {await_event_within, sleep_long};

    (void)arg;
    for (int i = 0; i < 2; i++) {
        lw_task task;

        set_up(waits[i]);
        start_all(&task, 1);
        look_until_all_are_old(&task, 1);
        cr_assert_eq(told(), 0);
        end_all(&task, 1);
    }
    return 0;
}

Test(long_wait, is_none_with_a_deadline_or_asleep)
{
    run_all(wait_as_one_may, NULL);
}

static void *wait_on_thread(void *arg)
{
    cr_assert_eq(await_event(arg), 0);
    return arg;
}

static int wait_as_a_thread(void *arg)
{
    pthread_t thread;

    (void)arg;
    set_up(await_event);
    cr_assert_eq(pthread_create(&thread, NULL, wait_on_thread, NULL), 0);
    AWAIT(told() != 0);
    cr_assert_eq(heard.verdict, LW_VERDICT_LONG_WAIT);
    lw_event_set(&it.event);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    return 0;
}

Test(long_wait, may_be_a_threads)
{
    run_all(wait_as_a_thread, NULL);
}

/* ---- on the standard error */

static int wait_unheard(void *wait)
{
    lw_detector_counts before, counts;
    lw_task task;

    set_up(*(lw_fn *const *)wait);
    lw_detector_read(&before);
    start_all(&task, 1);
    do {
        lw_yield();
        lw_detector_read(&counts);
    } while (counts.verdicts[LW_VERDICT_LONG_WAIT] == before.verdicts[LW_VERDICT_LONG_WAIT]);
    end_all(&task, 1);
    return 0;
}

Test(long_wait, prints_nothing_of_those_who_may_just_be_idle)
{
    static lw_fn *const waits[] = {receive, await_event, await_signal, send_twice, await_latch,
                                   await_event_with_a_lock};
    lw_detector_options options = {.mode = LW_DETECTOR_FORCE, .long_wait = 20 * LW_MS};

    cr_assert_eq(lw_detector_set(&options), 0);
    for (int i = 0; i < 6; i++) {
        int fd = memfd_create("said", MFD_CLOEXEC), before = dup(STDERR_FILENO);
        char said[4096] = "";

        cr_assert_eq(dup2(fd, STDERR_FILENO), STDERR_FILENO);
        /* Each on one number of workers only: what was printed once is not printed again. */
        run_with(1u << i % 3, wait_unheard, (void *)(uintptr_t)&waits[i]);
        cr_assert(lw_printer_await(lw_in(60 * LW_SEC)));
        cr_assert_eq(dup2(before, STDERR_FILENO), STDERR_FILENO);
        cr_assert_geq(pread(fd, said, sizeof said - 1, 0), 0);
        (void)close(fd);
        (void)close(before);
        if (i < 3)
            cr_assert_str_eq(said, "");
        else
            cr_assert_not_null(strstr(said, "latchwork: LONG_WAIT of 1,"), "%s", said);
    }
}

static int look_though_off(void *arg)
{
    lw_detector_options options;
    lw_task task;

    (void)arg;
    set_up(await_event);
    lw_detector_get(&options);
    options.mode = LW_DETECTOR_OFF;
    options.long_wait = 1;
    cr_assert_eq(lw_detector_set(&options), 0);
    start_all(&task, 1);
    cr_assert_eq(lw_detector_scan(), 0);
    cr_assert_eq(told(), 0);
    end_all(&task, 1);
    return 0;
}

Test(long_wait, is_told_to_nobody_while_nobody_is_to_look)
{
    run_all(look_though_off, NULL);
}
