/* SPDX-License-Identifier: MIT */
/* The driver: laps, actors, stalls, cancels, and the watch for lost wakeups.
 *
 * Threads beside the runtime's and the actors': the staller, which signals threads of the process
 * at random; the canceller; the watcher.  The watcher reads counters only, so that it does not
 * disturb. */
#include "tests/torture/torture.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "runtime/os/os.h"
#include "tests/lost.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SLOW 10
#endif
#if __has_feature(thread_sanitizer)
#define TSAN 1
#endif
#endif
#ifdef __SANITIZE_THREAD__
#define TSAN 1
#endif
#if !defined(SLOW) && (defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__))
#define SLOW 10
#endif
#ifndef SLOW
#define SLOW 1
#endif
#ifdef TORTURE_BREAK
enum { PATIENCE = 2 }; /* seconds */
#else
enum { PATIENCE = 20 * SLOW };
#endif

enum { WORKERS_MAX = 8, THREADS_MAX = 256, LAPS_MIN = 8 };

static struct {
    uint64_t seed, streams, pauses;
    unsigned lap, workers;
    bool over, ended; /* the lap; the run */
    int done;         /* actors that have done with the lap */
    uint64_t added[COUNTS], totals[COUNTS];
    uint64_t stalls, cancels;
    struct actor actors[ACTORS_MAX];
} run;

_Noreturn void torture_fail(const char *truth, const char *format, ...)
{
    va_list args;

    flockfile(stderr);
    (void)fprintf(stderr, "torture %s: FAILED: seed %llu, lap %u on %u workers: %s: ", torture.name,
                  ull(run.seed), run.lap, run.workers, truth);
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
    abort();
}

bool torture_over(void)
{
    return lw_load_acq(&run.over);
}

unsigned torture_lap(void)
{
    return run.lap;
}

struct actor *torture_actor(int index)
{
    return &run.actors[index];
}

uint64_t torture_sum(int which)
{
    uint64_t sum = lw_load_rlx(&run.added[which]);

    for (int i = 0; i < torture.tasks + torture.guests; i++)
        sum += lw_load_rlx(&run.actors[i].counts[which]);
    return sum;
}

uint64_t torture_total(int which)
{
    return run.totals[which];
}

void torture_add(int which, uint64_t by)
{
    (void)lw_add_rlx(&run.added[which], by);
}

uint64_t torture_stream(void)
{
    return run.seed ^ (lw_add_rlx(&run.streams, 1) + 1) * UINT64_C(0xd1342543de82ef95);
}

static void pause_for(lw_nsec duration)
{
    struct timespec time = {duration / LW_SEC, duration % LW_SEC};

    (void)nanosleep(&time, NULL);
}

/* ---- stalls */

/* Runs between any two instructions of whoever it was sent to; touches nothing of the library. */
static void on_stall(int number)
{
    uint64_t random = run.seed + lw_add_rlx(&run.pauses, 1), length = draw(&random);
    int saved = errno;

    (void)number;
    pause_for((lw_nsec)((length >> 8) % (length % 8 == 0 ? 5 * LW_MS : 200 * LW_US)));
    errno = saved;
}

#ifdef TSAN
/* TSan runs handlers at once in a thread that joins another; but there glibc frees the stacks of
 * threads, and when TSan does its part of that it has a lock of its own, which it takes for the
 * handler, too: it would wait for itself. */
static int join_undisturbed(pthread_t thread, void **result)
{
    sigset_t stall, before;
    int err;

    (void)sigemptyset(&stall);
    (void)sigaddset(&stall, SIGUSR2);
    (void)pthread_sigmask(SIG_BLOCK, &stall, &before);
    err = pthread_join(thread, result);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return err;
}
#endif

static int list_threads(pid_t *threads)
{
    DIR *directory = opendir("/proc/self/task");
    struct dirent *entry;
    int found = 0;

    CHECK(directory != NULL, "errno %d", errno);
    while (found < THREADS_MAX && (entry = readdir(directory)) != NULL)
        if (entry->d_name[0] != '.')
            threads[found++] = atoi(entry->d_name);
    (void)closedir(directory);
    return found;
}

/* Two laps of three: what needs no stall to go wrong has its chance, too. */
static void *staller(void *arg)
{
    uint64_t random = torture_stream();
    pid_t threads[THREADS_MAX], self = gettid();
    int found = 0;

    for (unsigned round = 0; !lw_load_acq(&run.ended); round++) {
        if (round % 16 == 0)
            found = list_threads(threads);
        pid_t victim = threads[draw(&random) % (uint64_t)found];
        if (lw_load_rlx(&run.lap) % 3 != 2 && victim != self &&
            syscall(SYS_tgkill, getpid(), victim, SIGUSR2) == 0)
            run.stalls++;
        pause_for((lw_nsec)(draw(&random) % (500 * LW_US)));
    }
    return arg;
}

/* ---- cancels */

static void *canceller(void *arg)
{
    uint64_t random = torture_stream();

    while (!lw_load_acq(&run.ended)) {
        for (uint64_t burst = draw(&random) % 16; burst > 0; burst--) {
            int index = (int)(draw(&random) % (uint64_t)torture.tasks);
            lw_task task = {lw_load_rlx(&run.actors[index].task.id)};

            if (lw_cancel(task) == 0)
                run.cancels++;
        }
        pause_for((lw_nsec)(draw(&random) % (200 * LW_US)));
    }
    return arg;
}

/* ---- lost wakeups */

static void *watcher(void *arg)
{
    uint64_t before = 0;
    lw_nsec limit = lw_in(PATIENCE * LW_SEC);

    while (!lw_load_acq(&run.ended)) {
        uint64_t counted = lw_load_rlx(&run.totals[OPERATIONS]) + torture_sum(OPERATIONS);

        pause_for(10 * LW_MS); /* stalls cut it short */
        if (counted != before)
            limit = lw_in(PATIENCE * LW_SEC);
        before = counted;
        if (lw_now() >= limit) {
            (void)fprintf(stderr, "torture %s: %d of %d actors have done; the tasks:\n",
                          torture.name, lw_load_acq(&run.done), torture.tasks + torture.guests);
            (void)lw_dump(STDERR_FILENO);
            torture_fail("no wakeup is lost", "nothing happened for %d s", PATIENCE);
        }
    }
    return arg;
}

/* ---- laps */

static int act(void *arg)
{
    struct actor *actor = arg;

    while (torture.act(actor))
        continue;
    (void)lw_add_acq_rel(&run.done, 1);
    return 0;
}

static void *act_as_guest(void *arg)
{
    (void)act(arg);
    return NULL;
}

/* The first task of a lap. */
static int lap(void *arg)
{
    static pthread_t guests[ACTORS_MAX];
    lw_nsec end = lw_in(*(lw_nsec *)arg);
    int actors = torture.tasks + torture.guests;

    for (int i = 0; i < actors; i++) {
        struct actor *actor = &run.actors[i];
        lw_task task;

        if (i >= torture.tasks) {
            CHECK(pthread_create(&guests[i], NULL, act_as_guest, actor) == 0, "no thread");
        } else {
            CHECK(lw_spawn(&task, act, actor, NULL) == 0, "no task");
            lw_store_rlx(&actor->task.id, task.id);
        }
    }
    while (lw_sleep(end) != 0)
        continue;
    lw_store_rel(&run.over, true);
    while (lw_load_acq(&run.done) < actors) {
        if (torture.finish != NULL)
            torture.finish();
        (void)!lw_sleep(lw_in(LW_MS));
    }
    for (int i = 0; i < actors; i++)
        if (i >= torture.tasks)
            (void)lw_sys.thread_join(guests[i], NULL);
        else
            CHECK(lw_join(run.actors[i].task, NULL, LW_FOREVER) == 0, "actor %d", i);
    return 0;
}

/* The lap's runtime is gone, and so are its plain threads. */
static void check_depots(void)
{
    struct lost lost = count_lost();

    CHECK(lost.settled, "a runtime is up");
    CHECK(!is_lost(&lost), "lost: %ld stacks, %ld promises of stacks, %ld records", lost.stacks,
          lost.promises, lost.records);
}

static void run_lap(lw_nsec length)
{
    lw_options options = {.name = torture.name, .stop_within = 3600 * LW_SEC};
    int status;

    options.workers = run.workers = (unsigned)((run.seed + run.lap) % WORKERS_MAX) + 1;
    lw_store_rlx(&run.over, false);
    lw_store_rlx(&run.done, 0);
    for (int i = 0; i < torture.tasks + torture.guests; i++) {
        struct actor *actor = &run.actors[i];

        lw_store_rlx(&actor->task.id, 0);
        actor->index = i;
        actor->random = torture_stream();
    }
    if (torture.setup != NULL)
        torture.setup();
    status = lw_run(&options, lap, &length);
    CHECK(status == 0, "a run returned %d", status);
    torture.check();
    check_depots();
    for (int which = 0; which < COUNTS; which++) {
        lw_store_rlx(&run.totals[which], run.totals[which] + torture_sum(which));
        lw_store_rlx(&run.added[which], 0);
        for (int i = 0; i < torture.tasks + torture.guests; i++)
            lw_store_rlx(&run.actors[i].counts[which], 0);
    }
    if (run.lap % 5 == 4)
        lw_trim();
}

int main(int argc, char **argv)
{
    const char *seconds = argc > 1 ? argv[1] : getenv("LW_TORTURE_SECONDS");
    const char *seed = argc > 2 ? argv[2] : getenv("LW_TORTURE_SEED");
    const char *wanted = getenv("LW_TORTURE_OPERATIONS");
    uint64_t operations = wanted != NULL ? strtoull(wanted, NULL, 0) : 0;
    lw_nsec began = lw_now(), length = (lw_nsec)((seconds != NULL ? atof(seconds) : 60) * 1e9);
    lw_nsec end = lw_in(length);
    struct sigaction action = {.sa_handler = on_stall, .sa_flags = SA_RESTART};
    pthread_t threads[3];
    int helpers = 0;

    run.seed = seed != NULL ? strtoull(seed, NULL, 0) : (uint64_t)began;
    length /= LAPS_MIN;
    if (length > LW_SEC)
        length = LW_SEC;
#ifdef TSAN
    lw_sys.thread_join = join_undisturbed;
#endif
    (void)sigaction(SIGUSR2, &action, NULL);
    CHECK(pthread_create(&threads[helpers++], NULL, watcher, NULL) == 0, "no thread");
    CHECK(pthread_create(&threads[helpers++], NULL, staller, NULL) == 0, "no thread");
    if (torture.cancels)
        CHECK(pthread_create(&threads[helpers++], NULL, canceller, NULL) == 0, "no thread");
    for (; lw_now() < end || run.totals[OPERATIONS] < operations;
         lw_store_rlx(&run.lap, run.lap + 1))
        run_lap(length);
    lw_store_rel(&run.ended, true);
    while (helpers > 0)
        (void)lw_sys.thread_join(threads[--helpers], NULL);
    /* Whoever lost one did not get here. */
    (void)printf("torture %s: %llu operations in %.1f s, 0 lost wakeups; ", torture.name,
                 ull(run.totals[OPERATIONS]), (double)(lw_now() - began) / 1e9);
    torture.report();
    (void)printf("; %u laps, %llu stalls, %llu cancels, seed %llu\n", run.lap, ull(run.stalls),
                 ull(run.cancels), ull(run.seed));
    return 0;
}
