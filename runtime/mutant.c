/* SPDX-License-Identifier: MIT */
/* Makes the chosen mutant: -Dmutant=N, or at load time LW_MUTANT=N where all are compiled in.
 *
 * A program in which the place does not occur ends at once with the status by which tests say that
 * they were skipped. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/arch/cpu.h"
#include "runtime/atomic.h"
#ifdef LW_SIMULATED
#include "runtime/sim/engine.h"
#endif

enum { SKIPPED = 77, INVALID = 99 };

/* Where each mutant is, from tools/check/mutants: an operation may go over several lines. */
static const struct {
    const char *file, *operation, *argument;
    int first, last, order;
    enum lw_weakness weakness;
} mutants[] = {{NULL, NULL, NULL, 0, 0, 0, LW_SOUND},
#include "mutants.inc"
};

/* The linker's. */
__attribute__((visibility("hidden"))) extern struct lw_place *const __start_lw_places[];
__attribute__((visibility("hidden"))) extern struct lw_place *const __stop_lw_places[];

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

static unsigned weaken(unsigned number)
{
    struct lw_place *const *at = __start_lw_places;
    unsigned found = 0;

    for (; at != __stop_lw_places; at++) {
        struct lw_place *place = *at;

        if (place->line < mutants[number].first || place->line > mutants[number].last ||
            place->order != mutants[number].order ||
            strcmp(place->operation, mutants[number].operation) != 0 ||
            strcmp(place->argument, mutants[number].argument) != 0 ||
            !ends_with(place->file, mutants[number].file))
            continue;
        place->weakness = mutants[number].weakness;
        found++;
    }
    return found;
}

__attribute__((constructor(101))) static void choose(void)
{
    const char *text = getenv("LW_MUTANT");
    unsigned long number = LW_MUTANT > 0 ? (unsigned long)LW_MUTANT
                           : text != NULL ? strtoul(text, NULL, 10) : 0;

    if (number == 0)
        return;
    if (number >= sizeof mutants / sizeof mutants[0]) {
        (void)fprintf(stderr, "mutant %lu: there is none\n", number);
        _exit(INVALID);
    }
    if (weaken((unsigned)number) == 0) {
        (void)fprintf(stderr, "mutant %lu: its place is not in this program\n", number);
        _exit(SKIPPED);
    }
}

#ifdef LW_SIMULATED
void lw_mutant_gap(void)
{
    if (lw_sim_on)
        sim_point();
}
#else
/* Now and then long enough that another thread gets through it. */
void lw_mutant_gap(void)
{
    static __thread unsigned calls;
    unsigned call = ++calls;

    if (call % 16 == 0)
        (void)sched_yield();
    else
        for (unsigned i = 0; i < 50 * (call % 4); i++)
            lw_pause();
}
#endif
