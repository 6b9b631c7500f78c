/* SPDX-License-Identifier: MIT */
/* Shortening.  A failing schedule is a list of choices, most of which do not matter.  Ever smaller
 * parts of it are left out, and what still fails in the same way is kept (Zeller and Hildebrandt,
 * "Simplifying and Isolating Failure-Inducing Input", 2002). */
#include <stdlib.h>
#include <string.h>

#include "runtime/sim/world.h"

enum { TRIES_MAX = 500 }; /* schedules, each in a process of its own */

struct shortening {
    struct sim_choices *choices, rest;
    sim_fails *fails;
    const struct sim_failure *failed;
    unsigned tries;
};

/* Does it fail as before without the choices from .. to - 1?  These are then the rest. */
static bool fails_without(struct shortening *self, size_t from, size_t to)
{
    struct sim_choices *rest = &self->rest;

    self->tries++;
    rest->count = 0;
    for (size_t i = 0; i < self->choices->count; i++)
        if (i < from || i >= to)
            rest->list[rest->count++] = self->choices->list[i];
    return self->fails(rest, self->failed);
}

/* Whatever part of that size can be. */
static void leave_out(struct shortening *self, size_t part)
{
    struct sim_choices *choices = self->choices;

    for (size_t from = 0; from < choices->count && self->tries < TRIES_MAX;) {
        size_t to = from + part < choices->count ? from + part : choices->count;

        if (fails_without(self, from, to)) {
            memcpy(choices->list, self->rest.list, self->rest.count * sizeof *self->rest.list);
            choices->count = self->rest.count;
        } else {
            from = to;
        }
    }
}

void sim_shorten(struct sim_choices *choices, sim_fails *fails, const struct sim_failure *failed)
{
    struct shortening self = {.choices = choices,
                              .rest = {.list = calloc(choices->count + 1, sizeof *choices->list)},
                              .fails = fails,
                              .failed = failed};
    size_t before;

    if (self.rest.list == NULL)
        return;
    do {
        before = choices->count;
        for (size_t part = choices->count; part > 0; part /= 2)
            leave_out(&self, part);
    } while (choices->count < before && self.tries < TRIES_MAX);
    free(self.rest.list);
}
