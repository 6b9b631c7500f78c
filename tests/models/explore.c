/* SPDX-License-Identifier: MIT */
/* Depth-first search over the choices, without state: each run repeats the choices of the one
 * before up to the last that had an alternative, and takes that.  The coroutines run on the
 * library's own switch. */
#include "tests/models/explore.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/arch/cpu.h"
#include "runtime/check.h"
#include "runtime/os/os.h"

enum { STACK_BYTES = 32768, CHOICES_MAX = 4096 };

struct choice {
    unsigned char taken, count;
};

static struct {
    const struct scenario *scenario;
    int threads, current;
    void *sp[EXPLORE_THREADS_MAX], *home;
    bool started[EXPLORE_THREADS_MAX], ended[EXPLORE_THREADS_MAX];
    struct choice choices[CHOICES_MAX];
    unsigned depth, known, switches;
} run = {.current = -1};

static char stacks[EXPLORE_THREADS_MAX][STACK_BYTES] __attribute__((aligned(64)));

/* What the headers need of the library around them. */
struct lw_sys lw_sys = {.calloc = calloc, .free = free};
bool lw_asym_symmetric;

void lw_panic(const char *text, const char *file, int line)
{
    (void)fprintf(stderr, "%s: %s:%d\n", text, file, line);
    abort();
}

__attribute__((noreturn, used, visibility("hidden"))) void lw_task_main(void);

void lw_task_main(void)
{
    int me = run.current;
    void *nowhere;

    run.scenario->threads[me]();
    run.ended[me] = true;
    lw_switch(&nowhere, run.home);
    abort();
}

void explore_point(void)
{
    if (run.current >= 0)
        lw_switch(&run.sp[run.current], run.home);
}

/* Which of `count` ways: the one of the run before, or, beyond it, the first. */
static unsigned choose(unsigned count)
{
    struct choice *choice = &run.choices[run.depth];

    lw_check(run.depth < CHOICES_MAX);
    if (run.depth == run.known) {
        *choice = (struct choice){0, (unsigned char)count};
        run.known++;
    }
    lw_check(choice->count == count); /* else the scenario depends on more than the choices */
    run.depth++;
    return choice->taken;
}

/* The thread to go on: that of the last step is way 0, if it can. */
static int next_thread(int last)
{
    int able[EXPLORE_THREADS_MAX];
    unsigned count = 0, taken;
    bool last_able = last >= 0 && !run.ended[last];

    if (last_able)
        able[count++] = last;
    if (!last_able || run.scenario->switches == 0 || run.switches < run.scenario->switches)
        for (int i = 0; i < run.threads; i++)
            if (i != last && !run.ended[i])
                able[count++] = i;
    if (count == 0)
        return -1;
    taken = choose(count);
    run.switches += last_able && taken != 0;
    return able[taken];
}

static void step(int thread)
{
    run.current = thread;
    if (run.started[thread]) {
        lw_switch(&run.home, run.sp[thread]);
    } else {
        run.started[thread] = true;
        lw_switch_new(&run.home, stacks[thread] + STACK_BYTES);
    }
    run.current = -1;
}

/* Drop the choices at the end that have no alternative left; false: there is none at all. */
static bool next_run(void)
{
    while (run.known > 0) {
        struct choice *last = &run.choices[run.known - 1];

        if (++last->taken < last->count)
            return true;
        run.known--;
    }
    return false;
}

bool explore(const struct scenario *scenario)
{
    unsigned long runs = 0;

    run.scenario = scenario;
    run.known = 0;
    for (run.threads = 0; scenario->threads[run.threads] != NULL; run.threads++)
        continue;
    do {
        int thread = -1;

        memset(run.started, 0, sizeof run.started);
        memset(run.ended, 0, sizeof run.ended);
        run.depth = run.switches = 0;
        scenario->begin();
        while ((thread = next_thread(thread)) >= 0)
            step(thread);
        runs++;
        if (!scenario->is_well()) {
            printf("%s: run %lu ended badly\n", scenario->name, runs);
            return false;
        }
    } while (next_run());
    printf("%s: all %lu runs ended well\n", scenario->name, runs);
    return true;
}
