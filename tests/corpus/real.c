/* SPDX-License-Identifier: MIT */
/* The corpus on real threads: each kernel by tasks, threads and both, on 1, 2 and 4 workers. */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/corpus/stage.h"

const char corpus_runs[] = "runs";

static const char *name; /* of the kernel */

lw_nsec corpus_patience(void)
{
    return lw_in(30 * LW_SEC);
}

void corpus_settle(void)
{
}

void corpus_fail(const char *truth, const char *file, int line, const char *format, ...)
{
    va_list args;

    flockfile(stderr);
    (void)fprintf(stderr, "%s: %s:%d: failed: %s: ", name, file, line, truth);
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
    (void)lw_dump(STDERR_FILENO);
    _exit(1);
}

static void on_alarm(int number)
{
    static const char text[] = "the kernel takes too long; its tasks:\n";

    (void)number;
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    (void)lw_dump(STDERR_FILENO);
    _exit(1);
}

struct job {
    const struct kernel *kernel;
    uint32_t threads;
};

static int run(void *arg)
{
    const struct job *job = arg;

    perform(job->kernel, job->threads);
    return 0;
}

void corpus_perform_all(const struct kernel *kernel)
{
    const char *often = getenv("LW_CORPUS_RUNS");
    int rounds = often != NULL ? atoi(often) : 1;
    struct job job = {.kernel = kernel};

    name = kernel->name;
    (void)signal(SIGALRM, on_alarm);
    (void)alarm(120);
    for (int round = 0; round < rounds; round++)
        for (unsigned workers = 1; workers <= 4; workers *= 2)
            for (unsigned way = 0; choose_threads(kernel, way, &job.threads); way++) {
                lw_options options = {.workers = workers};

                HOLDS(lw_run(&options, run, &job) == 0);
            }
}
