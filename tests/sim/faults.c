/* SPDX-License-Identifier: MIT */
/* Each call of the system that may fail, fails: the k-th one, k = 1, 2 ... until a run makes fewer,
 * once or from then on, each kind of call by itself and all together, in several schedules.
 *
 * A round uses a bit of everything.  While calls fail, each of its own calls has to succeed or to
 * give an error that is documented for it.  Then nothing fails any more, and a second round in the
 * same process has to succeed in all of it.  And at the end there is no more memory, there are no
 * more descriptors in use and no more threads attached than after two rounds without faults, and
 * no stack and no record is lost. */
#include <criterion/criterion.h>
#include <errno.h>
#include <latchwork.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/atomic.h"
#include "runtime/sim/settings.h"
#include "runtime/sim/world.h"
#include "tests/lost.h"
#include "tests/support.h"

TestSuite(faults, .init = watchdog);

enum { CHILDREN = 3, HELD = 24, SEEDS = 3 };

static const struct kind {
    const char *name;
    unsigned bits;
} kinds[] = {
    {"memory", 1u << SIM_FAULT_MEMORY},
    {"mappings", 1u << SIM_FAULT_MAP},
    {"threads", 1u << SIM_FAULT_THREAD},
    {"descriptors", 1u << SIM_FAULT_DESCRIPTOR},
    {"epoll", 1u << SIM_FAULT_POLL},
    {"others", 1u << SIM_FAULT_OTHER},
    {"all of them", (1u << SIM_FAULTS) - 1},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* What the rounds of one schedule share; fresh in each. */
static struct trial {
    bool strict; /* nothing fails: everything has to succeed */
    lw_mutex mutex;
    lw_semaphore semaphore;
    lw_event event;
    lw_condition condition;
    lw_channel channel;
    int items[2];
    bool said;
    uint32_t ended;
    int inside, listener;
    char port[8];
} trial;

/* What went through, of all rounds in all schedules: a sweep in which all is refused shows
 * nothing. */
static unsigned long refused, granted;

/* The result of a call that has to have succeeded, or to have failed for one of these reasons
 * (0 ends them). */
static int shall(int result, const char *call, int line, const int *errors)
{
    if (result >= 0) {
        granted++;
        return result;
    }
    refused++;
    while (*errors != 0 && *errors != result)
        errors++;
    if (*errors == 0 || trial.strict)
        sim_fail(LW_SIM_FAILED_CHECK, "line %d: %s gave %d (%s)", line, call, result,
                 strerror(-result));
    return result;
}

#define SHALL(call, ...) shall((int)(call), #call, __LINE__, (const int[]){__VA_ARGS__, 0})

/* ---- what the tasks do */

static int use_primitives(void *arg)
{
    int item = 5, got = 0;

    if (lw_mutex_acquire(&trial.mutex, LW_FOREVER) == 0) {
        LW_SIM_CHECK(++trial.inside == 1);
        lw_yield();
        LW_SIM_CHECK(--trial.inside == 0);
        LW_SIM_CHECK(lw_mutex_release(&trial.mutex) == 0);
    }
    if (SHALL(lw_semaphore_acquire(&trial.semaphore, 1, lw_in(LW_SEC)), -ETIMEDOUT) == 0)
        LW_SIM_CHECK(lw_semaphore_release(&trial.semaphore, 1) == 0);
    LW_SIM_CHECK(lw_sleep(lw_in(LW_MS)) == 0);
    LW_SIM_CHECK(lw_channel_send(&trial.channel, &item, LW_FOREVER) == 0);
    LW_SIM_CHECK(lw_channel_receive(&trial.channel, &got, LW_FOREVER) == 0 && got == 5);
    LW_SIM_CHECK(lw_event_wait(&trial.event, LW_FOREVER) == 0);
    return (int)(intptr_t)arg;
}

static int wait_for_word(void *arg)
{
    LW_SIM_CHECK(lw_mutex_acquire(&trial.mutex, LW_FOREVER) == 0);
    while (!trial.said)
        LW_SIM_CHECK(lw_condition_wait(&trial.condition, &trial.mutex.lock, LW_FOREVER) == 0);
    LW_SIM_CHECK(lw_mutex_release(&trial.mutex) == 0);
    return (int)(intptr_t)arg;
}

/* More than fit into a record; what cannot be noted is held all the same. */
static int hold_many(void *arg)
{
    lw_mutex held[HELD] = {0};

    (void)arg;
    for (int i = 0; i < HELD; i++)
        LW_SIM_CHECK(lw_mutex_acquire(&held[i], LW_FOREVER) == 0);
    for (int i = 0; i < HELD; i++)
        LW_SIM_CHECK(lw_mutex_release(&held[(i * 7) % HELD]) == 0);
    return 0;
}

static int block(void *arg)
{
    *(int *)arg += 1;
    return 9;
}

static void *visit(void *arg)
{
    /* A thread's first acquire makes its record. */
    if (SHALL(lw_mutex_acquire(&trial.mutex, LW_FOREVER), -ENOMEM) == 0)
        LW_SIM_CHECK(lw_mutex_release(&trial.mutex) == 0);
    (void)SHALL(lw_event_wait(&trial.event, LW_FOREVER), -ENOMEM);
    return arg;
}

/* ---- a connection */

static int serve(void *arg)
{
    char byte = 0;
    int fd = SHALL(lw_accept(trial.listener, NULL, NULL, lw_in(LW_SEC)), -ETIMEDOUT, -ENOMEM,
                   -ENOSPC, -ECANCELED, -EBADF);

    (void)arg;
    if (fd < 0)
        return 0;
    if (SHALL(lw_read_all(fd, &byte, 1, lw_in(LW_SEC)), -ENOMEM, -ENOSPC, -ETIMEDOUT, -ENODATA,
              -ECONNRESET) == 0) {
        LW_SIM_CHECK(byte == 'x');
        (void)SHALL(lw_write_all(fd, "y", 1, LW_FOREVER), -EPIPE, -ECONNRESET);
    }
    LW_SIM_CHECK(lw_close(fd) == 0);
    return 0;
}

static void connect_to_it(void)
{
    char byte = 0;
    int fd = SHALL(lw_connect_tcp("127.0.0.1", trial.port, lw_in(LW_SEC)), -EAGAIN, -ENOMEM,
                   -EMFILE, -ENFILE, -ENOSPC, -ETIMEDOUT);

    if (fd < 0)
        return;
    (void)SHALL(lw_write_all(fd, "x", 1, LW_FOREVER), -ENOMEM, -ENOSPC, -EPIPE, -ECONNRESET);
    if (SHALL(lw_read_all(fd, &byte, 1, lw_in(2 * LW_SEC)), -ENOMEM, -ENOSPC, -ETIMEDOUT, -ENODATA,
              -ECONNRESET) == 0)
        LW_SIM_CHECK(byte == 'y');
    LW_SIM_CHECK(lw_close(fd) == 0);
}

static void talk(void)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    lw_task server;
    int spawned;

    trial.listener = SHALL(lw_listen_tcp("127.0.0.1", "0", LW_FOREVER), -EAGAIN, -ENOMEM, -EMFILE,
                           -ENFILE, -ENOSPC);
    if (trial.listener < 0)
        return;
    LW_SIM_CHECK(sim_getsockname(trial.listener, (struct sockaddr *)&address, &size) == 0);
    (void)snprintf(trial.port, sizeof trial.port, "%u",
                   (unsigned)ntohs(((struct sockaddr_in *)&address)->sin_port));
    spawned = SHALL(lw_spawn(&server, serve, NULL, NULL), -ENOMEM);
    if (spawned == 0) {
        connect_to_it();
        LW_SIM_CHECK(lw_join(server, NULL, LW_FOREVER) == 0);
    }
    LW_SIM_CHECK(lw_close(trial.listener) == 0);
}

/* ---- a round */

static void use_group(void)
{
    lw_group group = LW_GROUP_INIT(0);
    int children = 0;

    for (int i = 0; i < CHILDREN; i++)
        children += SHALL(lw_group_spawn(&group, i == 0 ? hold_many : wait_for_word, NULL, NULL),
                          -ENOMEM) == 0;
    LW_SIM_CHECK(lw_group_running(&group) <= (uint32_t)children);
    LW_SIM_CHECK(lw_mutex_acquire(&trial.mutex, LW_FOREVER) == 0);
    trial.said = true;
    (void)lw_condition_notify(&trial.condition, LW_ALL);
    LW_SIM_CHECK(lw_mutex_release(&trial.mutex) == 0);
    LW_SIM_CHECK(lw_group_end(&group, 0) == 0);
}

static int use_all(void *arg)
{
    lw_task tasks[CHILDREN];
    bool spawned[CHILDREN];
    pthread_t guest;
    int status, calls = 0, made;

    (void)arg;
    for (int i = 0; i < CHILDREN; i++)
        spawned[i] = SHALL(lw_spawn(&tasks[i], use_primitives, (void *)(intptr_t)i, NULL),
                           -ENOMEM) == 0;
    made = pthread_create(&guest, NULL, visit, NULL);
    LW_SIM_CHECK(made == 0 || (made == EAGAIN && !trial.strict));
    if (SHALL(lw_blocking(block, &calls, &status, LW_FOREVER), -ENOMEM, -EAGAIN) == 0)
        LW_SIM_CHECK(calls == 1 && status == 9);
    else
        LW_SIM_CHECK(calls == 0);
    use_group();
    talk();
    if (spawned[0])
        LW_SIM_CHECK(lw_join(tasks[0], NULL, lw_in(LW_MS)) == -ETIMEDOUT);
    lw_event_set(&trial.event);
    for (int i = 0; i < CHILDREN; i++)
        if (spawned[i])
            LW_SIM_CHECK(lw_join(tasks[i], &status, LW_FOREVER) == 0 && status == i);
    if (made == 0)
        LW_SIM_CHECK(pthread_join(guest, NULL) == 0);
    lw_store_rel(&trial.ended, 1);
    return 0;
}

static void *play(void *arg)
{
    lw_options options = {.workers = 2, .helpers = 2};
    lw_task_options here = {0};
    lw_runtime *runtime;
    lw_task task;
    int status = -1;

    trial = (struct trial){.strict = trial.strict};
    trial.semaphore = (lw_semaphore)LW_SEMAPHORE_INIT(NULL, 2);
    lw_channel_init(&trial.channel, NULL, trial.items, sizeof *trial.items, 2);
    if (SHALL(lw_start(&runtime, &options), -ENOMEM, -EAGAIN, -EMFILE, -ENFILE, -ENOSPC) < 0)
        return arg;
    here.runtime = runtime;
    if (SHALL(lw_spawn(&task, use_all, NULL, &here), -ENOMEM) == 0) {
        if (SHALL(lw_thread_attach(), -ENOMEM) == 0) {
            LW_SIM_CHECK(lw_join(task, &status, LW_FOREVER) == 0);
            LW_SIM_CHECK(status == 0);
        } else {
            while (!lw_load_acq(&trial.ended)) /* the end of the runtime would cancel them */
                (void)sched_yield();
        }
    }
    LW_SIM_CHECK(lw_stop(runtime, LW_FOREVER) == 0);
    return arg;
}

/* ---- a schedule */

struct sweep {
    unsigned kinds;
    unsigned long at;
    bool for_good;
    uint64_t seed;
    unsigned long calls, blocks; /* out: in the first round; after the second */
    unsigned descriptors;
    long guests;
};

/* On a thread of its own, so that what the thread has is gone with it. */
static void play_apart(unsigned faults)
{
    pthread_t thread;

    LW_SIM_CHECK(pthread_create(&thread, NULL, play, NULL) == 0);
    sim_settings->fault_kinds = faults;
    LW_SIM_CHECK(pthread_join(thread, NULL) == 0);
    sim_settings->fault_kinds = 0;
}

static int play_twice(void *arg)
{
    struct sweep *sweep = arg;
    struct lost lost;

    trial.strict = sweep->at == 0;
    play_apart(sweep->kinds);
    sweep->calls = sim_fault_calls();
    trial.strict = true;
    play_apart(0);
    lost = count_lost();
    LW_SIM_CHECK(lost.settled && !is_lost(&lost));
    lw_trim();
    lost = count_lost();
    LW_SIM_CHECK(lost.settled && !is_lost(&lost));
    sweep->guests = lost.guests;
    sweep->blocks = sim_blocks();
    sweep->descriptors = sim_descriptors_open();
    return 0;
}

/* False: the round was over before the call that should have failed. */
static bool run(struct sweep *sweep, const char *name)
{
    lw_sim_options options = {.seed = sweep->seed, .schedules = 1};

    sim_settings->fault_at = sweep->at;
    sim_settings->fault_for_good = sweep->for_good;
    sim_settings->fault_happened = false;
    cr_assert_eq(lw_sim_run(&options, play_twice, sweep, NULL), LW_SIM_PASSED,
                 "%s, call %lu%s, seed %lu", name, sweep->at,
                 sweep->for_good ? " and all after it" : "", (unsigned long)sweep->seed);
    sim_settings->fault_kinds = 0;
    return sim_settings->fault_happened;
}

static uint64_t number_of(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);

    return text != NULL && *text != '\0' ? strtoull(text, NULL, 0) : otherwise;
}

static unsigned long sweep_kind(const struct kind *kind, bool for_good, uint64_t seed)
{
    struct sweep calm = {.kinds = kind->bits, .seed = seed};
    unsigned long points = 0;

    (void)run(&calm, kind->name);
    for (unsigned long at = 1;; at++) {
        struct sweep sweep = {kind->bits, at, for_good, seed, 0, 0, 0, 0};

        if (!run(&sweep, kind->name))
            break;
        points++;
        cr_assert_eq(sweep.descriptors, calm.descriptors, "%s, call %lu, seed %lu: %u descriptors",
                     kind->name, at, (unsigned long)seed, sweep.descriptors);
        cr_assert_eq(sweep.guests, calm.guests, "%s, call %lu, seed %lu: %ld guests", kind->name,
                     at, (unsigned long)seed, sweep.guests);
        cr_assert_eq(sweep.blocks, calm.blocks, "%s, call %lu, seed %lu: %lu blocks, %lu before",
                     kind->name, at, (unsigned long)seed, sweep.blocks, calm.blocks);
    }
    return points;
}

static void sweep_all(bool for_good)
{
    uint64_t first = number_of("LW_SIM_FIRST", 1), seeds = number_of("LW_SIM_SCHEDULES", SEEDS);

    sim_settings->plain = true;
    sim_settings->no_shortening = true;
    sim_settings->own_weather = true;
    sim_settings->weather.short_io = 4;
    for (unsigned i = 0; i < KINDS; i++) {
        unsigned long points = 0;

        refused = granted = 0;
        for (uint64_t seed = first; seed < first + seeds; seed++)
            points += sweep_kind(&kinds[i], for_good, seed);
        cr_log_info("%s: %lu calls failed; %lu were granted what they wanted, %lu were refused",
                    kinds[i].name, points, granted, refused);
        cr_assert_gt(points, 0u, "%s", kinds[i].name);
    }
}

Test(faults, of_one_call_are_told_and_leave_nothing)
{
    sweep_all(false);
}

Test(faults, that_stay_are_told_and_leave_nothing)
{
    sweep_all(true);
}
