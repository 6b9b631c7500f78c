/* SPDX-License-Identifier: MIT */
/* What a failure comes to: whether its schedule fails by itself, and the fewest of its choices that
 * bring it back.  Each is tried before it is said (again.c). */
#include <string.h>

#include "runtime/sim/world.h"

/* The reason of a crash may name an address. */
static bool is_as_before(const struct sim_failure *failed, const struct sim_outcome *outcome)
{
    const char *reason = failed->reason, *address = strstr(reason, " at address ");

    return outcome->verdict == failed->verdict &&
           (failed->verdict == LW_SIM_CRASHED && address != NULL
                ? strncmp(outcome->reason, reason, (size_t)(address - reason)) == 0
                : strcmp(outcome->reason, reason) == 0);
}

static bool fails_by(const struct sim_choices *choices, const struct sim_failure *failed)
{
    struct sim_outcome outcome;

    return sim_again(SIM_BY_LIST, 0, choices, &outcome) && is_as_before(failed, &outcome);
}

static bool fails_by_seed(const struct sim_failure *failed, uint64_t hash)
{
    struct sim_outcome outcome;

    return sim_again(failed->strategy, failed->number, NULL, &outcome) &&
           is_as_before(failed, &outcome) && outcome.hash == hash;
}

/* What does not end runs for long each time: it is not run again.  Whether a schedule fails alone
 * is not known either where no child answers: then it is taken for granted. */
void sim_explain(const struct sim_failure *failed, const lw_sim_options *options,
                 lw_sim_result *result)
{
    struct sim_way_back way = {.hash = result->hash,
                               .first = options->seed,
                               .schedules = result->schedules};
    struct sim_choices choices;
    bool seeded = sim_has_seed(failed->strategy);
    bool again = failed->verdict != LW_SIM_ENDLESS && sim_again_can();

    way.alone = !again || !seeded || fails_by_seed(failed, way.hash) || !sim_again_can();
    if (seeded && !options->quiet)
        sim_say_seed(failed, &way);
    if (sim_plan_recorded(&choices)) {
        way.many = choices.count;
        way.list = &choices;
    }
    if (again && way.alone && way.list != NULL) {
        way.shortened = fails_by(&choices, failed);
        way.alone = way.shortened || seeded || !sim_again_can();
        if (way.shortened)
            sim_shorten(&choices, fails_by, failed);
    }
    if (way.list != NULL)
        (void)sim_choices_print(&choices, result->choices, sizeof result->choices);
    if (!options->quiet)
        sim_say_choices(failed, &way);
    sim_choices_free(&choices);
}
