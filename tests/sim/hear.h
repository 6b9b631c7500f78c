/* SPDX-License-Identifier: MIT */
/* A simulation in a child process, and what it says. */
#ifndef LW_TESTS_SIM_HEAR_H
#define LW_TESTS_SIM_HEAR_H

#include <latchwork.h>
#include <latchwork/sim.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/support.h"

enum { TEXT_BYTES = 1 << 14 };

struct simulation {
    lw_sim_options options;
    lw_fn *test;
    const char *only; /* LW_SIM in its environment; NULL: none */
};

static char text[TEXT_BYTES];

static inline int simulate(void *arg)
{
    const struct simulation *self = arg;

    if (self->only != NULL)
        (void)setenv("LW_SIM", self->only, 1);
    return 100 + lw_sim_run(&self->options, self->test, NULL, NULL);
}

static inline void hear(const struct simulation *simulation, lw_sim_verdict verdict)
{
    int status = run_in_child(simulate, (void *)(uintptr_t)simulation, text, sizeof text);

    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 100 + (int)verdict, "status %x:\n%s",
              (unsigned)status, text);
}

/* The same without a word, for what it comes to. */
static inline lw_sim_result result_of(const struct simulation *simulation)
{
    lw_sim_options options = simulation->options;
    lw_sim_result result;

    options.quiet = true;
    cr_assert_geq(lw_sim_run(&options, simulation->test, NULL, &result), 0);
    return result;
}

static inline void is_said(const char *what)
{
    cr_assert_not_null(strstr(text, what), "\"%s\" is not in:\n%s", what, text);
}

static inline void is_not_said(const char *what)
{
    cr_assert_null(strstr(text, what), "\"%s\" is in:\n%s", what, text);
}

__attribute__((format(printf, 1, 2))) static inline void is_said_so(const char *format, ...)
{
    char line[1024];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    is_said(line);
}

#endif
