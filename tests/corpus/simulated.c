/* SPDX-License-Identifier: MIT */
/* The corpus in simulated schedules, half of them random, half PCT's.
 *
 * LW_SIM_SCHEDULES: how many of each kernel and strategy; LW_SIM_FIRST: the first seed. */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/sim/settings.h"
#include "runtime/sim/world.h"
#include "tests/corpus/stage.h"
#include "tests/sim/cell.h"

enum { SCHEDULES = 60 };
#define STEPS_MAX UINT64_C(20000000)

const char corpus_runs[] = "schedules";

/* Simulated time may go on while others could run; of those who wait for ever it tells. */
lw_nsec corpus_patience(void)
{
    return LW_FOREVER;
}

void corpus_settle(void)
{
    sim_weak_flush_all();
}

void corpus_fail(const char *truth, const char *file, int line, const char *format, ...)
{
    char text[128];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (lw_sim_active())
        sim_fail(LW_SIM_FAILED_CHECK, "%s:%d: %s%s%s", file, line, truth,
                 *text != '\0' ? ": " : "", text);
    (void)fprintf(stderr, "%s:%d: failed: %s: %s\n", file, line, truth, text);
    _exit(1);
}

static int run(void *arg)
{
    const struct kernel *kernel = arg;
    uint32_t threads = 0;
    unsigned ways = 0;

    while (choose_threads(kernel, ways, &threads))
        ways++;
    (void)choose_threads(kernel, sim_choose(ways), &threads);
    perform(kernel, threads);
    return 0;
}

void corpus_perform_all(const struct kernel *kernel)
{
    uint64_t schedules = cell_setting("LW_SIM_SCHEDULES", SCHEDULES);

    sim_settings->no_shortening = true;
    for (int strategy = LW_SIM_RANDOM; strategy <= LW_SIM_PCT; strategy++) {
        lw_sim_options options = {.strategy = (lw_sim_strategy)strategy,
                                  .seed = cell_setting("LW_SIM_FIRST", 1),
                                  .schedules = schedules,
                                  .steps_max = STEPS_MAX};
        lw_sim_result result;
        double from = cell_seconds();
        int verdict = lw_sim_run(&options, run, (void *)(uintptr_t)kernel, &result);

        cell_log(strategy == LW_SIM_RANDOM ? "random" : "pct", result.schedules,
                 cell_seconds() - from, verdict != 0, result.seed);
        if (verdict != LW_SIM_PASSED) {
            (void)fprintf(stderr, "%s: %s, seed %llu: verdict %d\n", kernel->name,
                          strategy == LW_SIM_RANDOM ? "random" : "pct",
                          (unsigned long long)result.seed, verdict);
            _exit(1);
        }
    }
}
