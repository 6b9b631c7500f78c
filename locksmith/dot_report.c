/* SPDX-License-Identifier: MIT */
/* A report as a drawing: tasks are boxes, what they wait for ellipses, "waits for" goes from box to
 * ellipse and "held by" back.  The victim is filled.  Locks that nobody in it waits for are counted
 * in the box: the circle is what is to be seen.
 *
 * A label is made as people may see it and then quoted: DOT has backslashes, quotes and, in labels,
 * HTML's character references. */
#include <inttypes.h>

#include "locksmith/report.h"

static void add_quoted(struct lw_text *text, const struct lw_text *label)
{
    lw_text_print(text, "\"");
    for (size_t i = 0; i < label->size; i++)
        switch (label->bytes[i]) {
        case '"': lw_text_print(text, "\\\""); break;
        case '\\': lw_text_print(text, "\\\\"); break;
        case '&': lw_text_print(text, "&amp;"); break;
        case '\n': lw_text_print(text, "\\n"); break;
        default: lw_text_add(text, &label->bytes[i], 1);
        }
    lw_text_print(text, "\"");
    if (label->err != 0)
        text->err = label->err;
}

/* " [label=...more];", and an empty label. */
static void end_with(struct lw_text *text, struct lw_text *label, const char *more)
{
    lw_text_print(text, " [label=");
    add_quoted(text, label);
    lw_text_print(text, "%s];\n", more);
    lw_text_cut(label, 0);
}

static void add_graph(struct lw_text *text, struct lw_text *label, const lw_report *report)
{
    lw_text_print(label, "%s of %zu%s\nsignature %016" PRIx64,
                  lw_verdict_name((int)report->verdict), report->member_count,
                  report->unforceable ? ", UNFORCEABLE" : "", report->signature);
    lw_text_print(text, "digraph latchwork {\n  graph");
    end_with(text, label, ", labelloc=t, rankdir=LR");
    lw_text_print(text, "  node [fontname=\"Helvetica\", fontsize=11];\n"
                        "  edge [fontname=\"Helvetica\", fontsize=9];\n");
}

static bool is_waited_for(const lw_report *report, const void *object)
{
    for (size_t i = 0; i < report->member_count; i++)
        if (report->members[i].kind_name != NULL && report->members[i].object == object)
            return true;
    return false;
}

static void add_task(struct lw_text *text, struct lw_text *label, const lw_report *report,
                     size_t index, const struct lw_symbols *symbols)
{
    const lw_report_member *member = &report->members[index];
    size_t others = 0;

    for (size_t i = 0; i < member->hold_count; i++)
        others += !is_waited_for(report, member->holds[i].lock);
    lw_report_add_task(label, member->task, member->task_name);
    if (member->spawn_site != NULL) {
        lw_text_print(label, "\nspawned at ");
        lw_report_add_site(label, symbols, member->spawn_site, false);
    }
    if (others != 0)
        lw_text_print(label, "\nholds %zu more", others);
    if (member->kind_name != NULL && member->object == NULL && !lw_report_is_circle(report)) {
        lw_text_print(label, "\nwaits for ");
        lw_text_add_name(label, member->kind_name);
    }
    lw_text_print(label, index == report->victim ? "\nVICTIM" : "");
    if (member->score >= 0)
        lw_text_print(label, "\nscore %d", member->score);
    lw_text_print(text, "  task%zu", index);
    end_with(text, label, index == report->victim
                              ? ", shape=box, style=filled, fillcolor=\"#ffcccc\", penwidth=2"
                              : ", shape=box");
}

static void add_wait(struct lw_text *text, struct lw_text *label, const lw_report *report,
                     size_t index, const struct lw_symbols *symbols)
{
    const lw_report_member *member = &report->members[index];

    if (member->kind_name == NULL || (member->object == NULL && !lw_report_is_circle(report)))
        return;
    if (member->object != NULL) {
        lw_text_add_name(label, member->kind_name);
        lw_text_print(label, "\n");
        lw_report_add_object(label, member->object, member->object_name);
        lw_text_print(text, "  object_%" PRIxPTR, (uintptr_t)member->object);
        end_with(text, label, ", shape=ellipse");
        lw_text_print(text, "  task%zu -> object_%" PRIxPTR, index, (uintptr_t)member->object);
    } else {
        lw_text_print(text, "  task%zu -> task%zu", index, (index + 1) % report->member_count);
    }
    lw_text_print(label, "waits for");
    if (member->object == NULL) {
        lw_text_print(label, ": ");
        lw_text_add_name(label, member->kind_name);
    }
    lw_text_print(label, "\n");
    lw_report_add_site(label, symbols, member->wait_site, false);
    end_with(text, label, "");
}

static void add_holds(struct lw_text *text, struct lw_text *label, const lw_report *report,
                      size_t index, const struct lw_symbols *symbols)
{
    const lw_report_member *member = &report->members[index];

    for (size_t i = 0; i < member->hold_count; i++) {
        const lw_report_hold *hold = &member->holds[i];

        if (!is_waited_for(report, hold->lock))
            continue;
        lw_text_print(text, "  object_%" PRIxPTR " -> task%zu", (uintptr_t)hold->lock, index);
        lw_text_print(label, "held by\n");
        lw_report_add_site(label, symbols, hold->site, false);
        end_with(text, label, ", style=bold");
    }
}

int lw_report_as_dot(struct lw_text *text, const lw_report *report,
                     const struct lw_symbols *symbols)
{
    struct lw_text label = {0};

    add_graph(text, &label, report);
    for (size_t i = 0; i < report->member_count; i++)
        add_task(text, &label, report, i, symbols);
    for (size_t i = 0; i < report->member_count; i++)
        add_wait(text, &label, report, i, symbols);
    for (size_t i = 0; i < report->member_count; i++)
        add_holds(text, &label, report, i, symbols);
    lw_text_print(text, "}\n");
    lw_text_fini(&label);
    return 0;
}
