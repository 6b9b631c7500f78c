/* SPDX-License-Identifier: MIT */
/* A report for programs, by Jansson: of the writers that Debian has it is the one that is kept up,
 * keeps no state of ours, and tells when memory fails, wherever it does.  (cJSON has doubles for
 * numbers, json-c may lose a part without a word when memory fails, nobody keeps YAJL any more.)
 * The keys are in detector.h.
 *
 * Jansson allocates with malloc(3), without our table of the system (os.h): what it allocates with
 * is of the whole process, and may be the program's own choice.  It refuses what is no UTF-8, so
 * names are made such before. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "locksmith/report.h"

static json_t *name_of(const char *name)
{
    struct lw_text clean = {0};
    json_t *json;

    if (name == NULL || *name == '\0')
        return name == NULL ? json_null() : json_string("");
    lw_text_add_utf8(&clean, name);
    json = clean.err == 0 ? json_stringn(clean.bytes, clean.size) : NULL;
    lw_text_fini(&clean);
    return json;
}

/* The same, but a field without one is null. */
static json_t *known(const char *name)
{
    return name_of(*name != '\0' ? name : NULL);
}

static json_t *number_of(uint64_t number)
{
    return json_integer(number < INT64_MAX ? (json_int_t)number : INT64_MAX);
}

static json_t *hexadecimal(uint64_t number, int digits)
{
    char text[24];

    (void)snprintf(text, sizeof text, "0x%0*" PRIx64, digits, number);
    return json_string(text);
}

static json_t *key_of(const void *object)
{
    return object != NULL ? hexadecimal((uintptr_t)object, 1) : json_null();
}

static json_t *task_of(lw_task task)
{
    return task.id != 0 ? hexadecimal(task.id, 1) : json_null();
}

/* 0 and LW_FOREVER: none. */
static json_t *moment(lw_nsec at, lw_nsec none)
{
    return at != none ? json_integer(at) : json_null();
}

static json_t *site_of(const struct lw_symbols *symbols, const void *site)
{
    const struct lw_symbol *symbol = lw_symbols_at(symbols, site);
    bool in_module = symbol != NULL && symbol->module[0] != '\0';

    if (symbol == NULL)
        return json_null();
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "address", key_of(site),
                     "function", known(symbol->function), "file", known(symbol->file),
                     "line", symbol->line != 0 ? json_integer(symbol->line) : json_null(),
                     "module", known(symbol->module),
                     "offset", in_module ? hexadecimal(symbol->module_offset, 1) : json_null());
}

/* Takes over the value; a NULL among them makes all NULL. */
static json_t *appended(json_t *array, json_t *value)
{
    if (array != NULL && json_array_append_new(array, value) == 0)
        return array;
    if (array == NULL)
        json_decref(value);
    json_decref(array);
    return NULL;
}

static json_t *holds_of(const lw_report_member *member, const struct lw_symbols *symbols)
{
    json_t *all = json_array();

    for (size_t i = 0; i < member->hold_count && all != NULL; i++) {
        const lw_report_hold *hold = &member->holds[i];

        all = appended(all, json_pack("{s:o, s:o, s:o, s:o}", "lock", key_of(hold->lock),
                                      "name", name_of(hold->lock_name),
                                      "site", site_of(symbols, hold->site),
                                      "since_ns", moment(hold->since, 0)));
    }
    return all;
}

static json_t *holders_of(const lw_report *report, size_t index)
{
    const lw_report_member *member = &report->members[index];
    json_t *all = json_array();

    if (member->kind_name == NULL || (member->object == NULL && !lw_report_is_circle(report)))
        return all;
    if (member->object == NULL)
        return appended(all, number_of((index + 1) % report->member_count));
    for (size_t i = 0; i < report->member_count && all != NULL; i++)
        if (lw_report_holds(&report->members[i], member->object))
            all = appended(all, number_of(i));
    return all;
}

static json_t *wait_of(const lw_report_member *member, const struct lw_symbols *symbols)
{
    if (member->kind_name == NULL)
        return json_null();
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "kind", name_of(member->kind_name),
                     "object", key_of(member->object), "name", name_of(member->object_name),
                     "site", site_of(symbols, member->wait_site),
                     "since_ns", moment(member->since, 0),
                     "deadline_ns", moment(member->deadline, LW_FOREVER));
}

static json_t *stack_of(const lw_report_member *member, const struct lw_symbols *symbols)
{
    json_t *all = json_array();

    for (size_t i = 0; i < member->stack_depth && all != NULL; i++)
        all = appended(all, site_of(symbols, member->stack[i]));
    return all;
}

static json_t *members_of(const lw_report *report, const struct lw_symbols *symbols)
{
    json_t *all = json_array();

    for (size_t i = 0; i < report->member_count && all != NULL; i++) {
        const lw_report_member *member = &report->members[i];

        all = appended(all, json_pack("{s:o, s:o, s:o, s:o, s:o, s:i, s:o, s:o}",
                                      "task", task_of(member->task),
                                      "task_name", name_of(member->task_name),
                                      "waits_for", wait_of(member, symbols),
                                      "stack", stack_of(member, symbols),
                                      "spawn_site", site_of(symbols, member->spawn_site),
                                      "score", member->score,
                                      "holds", holds_of(member, symbols),
                                      "held_by", holders_of(report, i)));
    }
    return all;
}

static json_t *steps_of(const lw_report *report)
{
    json_t *all = json_array();

    for (size_t i = 0; i < report->step_count && all != NULL; i++) {
        const lw_report_step *step = &report->steps[i];

        all = appended(all, json_pack("{s:o, s:o, s:o, s:o}", "level", number_of(step->level),
                                      "task", task_of(step->task), "lock", key_of(step->lock),
                                      "outcome", name_of(step->outcome)));
    }
    return all;
}

static int add(const char *bytes, size_t size, void *text)
{
    lw_text_add(text, bytes, size);
    return 0;
}

int lw_report_as_json(struct lw_text *text, const lw_report *report,
                      const struct lw_symbols *symbols)
{
    bool has_victim = report->victim < report->member_count;
    json_t *json = json_pack(
        "{s:s, s:b, s:o, s:o, s:I, s:o, s:o, s:o}",
        "verdict", lw_verdict_name((int)report->verdict), "unforceable", (int)report->unforceable,
        "signature", hexadecimal(report->signature, 16), "seen_before", number_of(report->count),
        "at_ns", (json_int_t)report->at,
        "victim", has_victim ? number_of(report->victim) : json_null(),
        "members", members_of(report, symbols), "steps", steps_of(report));
    int err = json != NULL ? json_dump_callback(json, add, text, JSON_COMPACT) : -1;

    json_decref(json);
    lw_text_print(text, "\n");
    return err == 0 ? 0 : -ENOMEM;
}
