/* SPDX-License-Identifier: MIT */
/* A report for people who did not expect one:
 *
 *     latchwork: DEADLOCK of 2, signature 7ed1a1f03c2b9e55, not seen before
 *       task 12 'payer' has waited 0.900 s for mutex 'b' (0x55e0d352d080), held by task 13 'payee'
 *           at pay (bank.c:41), no deadline
 *         has held 'a' (0x55e0d352d040) for 0.995 s, taken at pay (bank.c:39)
 *         spawned at main (bank.c:60)
 *         score 7: the victim
 *       task 13 'payee' has waited ...
 *       level 2, task 12 'payer', lock 0x55e0d352d080: its wait failed
 */
#include <inttypes.h>

#include "locksmith/report.h"

static void add_count(struct lw_text *text, uint64_t count)
{
    if (count == 0)
        lw_text_print(text, "not seen before");
    else
        lw_text_print(text, "seen %" PRIu64 " time%s before", count, count == 1 ? "" : "s");
}

static void add_deadline(struct lw_text *text, lw_nsec deadline, lw_nsec at)
{
    if (deadline == LW_FOREVER) {
        lw_text_print(text, "no deadline");
        return;
    }
    lw_text_print(text, deadline >= at ? "deadline in " : "deadline ");
    lw_report_add_time(text, deadline >= at ? at : deadline, deadline >= at ? deadline : at);
    lw_text_print(text, deadline >= at ? "" : " ago");
}

/* Who of the members holds what this one waits for. */
static void add_holders(struct lw_text *text, const lw_report *report, const void *object)
{
    const char *between = ", held by ";

    for (size_t i = 0; i < report->member_count; i++)
        if (lw_report_holds(&report->members[i], object)) {
            lw_text_print(text, "%s", between);
            lw_report_add_task(text, report->members[i].task, report->members[i].task_name);
            between = " and ";
        }
}

static void add_wait(struct lw_text *text, const lw_report *report, size_t index,
                     const struct lw_symbols *symbols)
{
    const lw_report_member *member = &report->members[index];
    const lw_report_member *next = &report->members[(index + 1) % report->member_count];

    if (member->kind_name == NULL) {
        lw_text_print(text, " does not wait\n");
        return;
    }
    lw_text_print(text, member->since != 0 ? " has waited " : " waits");
    if (member->since != 0)
        lw_report_add_time(text, member->since, report->at);
    lw_text_print(text, " for ");
    lw_text_add_name(text, member->kind_name);
    if (member->object != NULL) {
        lw_text_print(text, " ");
        lw_report_add_object(text, member->object, member->object_name);
        add_holders(text, report, member->object);
    } else if (lw_report_is_circle(report)) {
        lw_text_print(text, " of ");
        lw_report_add_task(text, next->task, next->task_name);
    }
    lw_text_print(text, "\n      at ");
    lw_report_add_site(text, symbols, member->wait_site, true);
    lw_text_print(text, ", ");
    add_deadline(text, member->deadline, report->at);
    lw_text_print(text, "\n");
    for (size_t i = 1; i < member->stack_depth; i++) {
        lw_text_print(text, "        called at ");
        lw_report_add_site(text, symbols, member->stack[i], true);
        lw_text_print(text, "\n");
    }
}

static void add_hold(struct lw_text *text, const lw_report *report, const lw_report_hold *hold,
                     const struct lw_symbols *symbols)
{
    lw_text_print(text, hold->since != 0 ? "    has held " : "    holds ");
    lw_report_add_object(text, hold->lock, hold->lock_name);
    if (hold->since != 0) {
        lw_text_print(text, " for ");
        lw_report_add_time(text, hold->since, report->at);
    }
    lw_text_print(text, ", taken at ");
    lw_report_add_site(text, symbols, hold->site, true);
    lw_text_print(text, "\n");
}

static void add_member(struct lw_text *text, const lw_report *report, size_t index,
                       const struct lw_symbols *symbols)
{
    const lw_report_member *member = &report->members[index];

    lw_text_print(text, "  ");
    lw_report_add_task(text, member->task, member->task_name);
    add_wait(text, report, index, symbols);
    for (size_t i = 0; i < member->hold_count; i++)
        add_hold(text, report, &member->holds[i], symbols);
    if (member->spawn_site != NULL) {
        lw_text_print(text, "    spawned at ");
        lw_report_add_site(text, symbols, member->spawn_site, true);
        lw_text_print(text, "\n");
    }
    if (!lw_report_is_circle(report))
        return; /* nobody was to give way */
    if (member->score >= 0)
        lw_text_print(text, "    score %d%s\n", member->score,
                      index == report->victim ? ": the victim" : "");
    else
        lw_text_print(text, "    no candidate%s\n",
                      index == report->victim ? ", and the victim" : "");
}

static void add_step(struct lw_text *text, const lw_report *report, const lw_report_step *step)
{
    const char *name = NULL;

    lw_text_print(text, "  level %u", step->level);
    if (step->task.id != 0) {
        for (size_t i = 0; i < report->member_count && name == NULL; i++)
            if (report->members[i].task.id == step->task.id)
                name = report->members[i].task_name;
        lw_text_print(text, ", ");
        lw_report_add_task(text, step->task, name);
    }
    if (step->lock != NULL) {
        lw_text_print(text, ", lock ");
        lw_report_add_object(text, step->lock, NULL);
    }
    lw_text_print(text, ": ");
    lw_text_add_name(text, step->outcome != NULL ? step->outcome : "?");
    lw_text_print(text, "\n");
}

int lw_report_as_text(struct lw_text *text, const lw_report *report,
                      const struct lw_symbols *symbols)
{
    lw_text_print(text, "latchwork: %s of %zu, signature %016" PRIx64 ", ",
                  lw_verdict_name((int)report->verdict), report->member_count, report->signature);
    add_count(text, report->count);
    lw_text_print(text, "\n");
    for (size_t i = 0; i < report->member_count; i++)
        add_member(text, report, i, symbols);
    for (size_t i = 0; i < report->step_count; i++)
        add_step(text, report, &report->steps[i]);
    if (report->unforceable)
        lw_text_print(text, "  UNFORCEABLE: no level that is on can break it, so it stays\n");
    return 0;
}
