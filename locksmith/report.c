/* SPDX-License-Identifier: MIT */
/* A report is looked through for its places, made in memory in the format that is wanted, and
 * written.  Nothing in it is followed but what belongs to it: objects and locks are keys, whose
 * memory may have ended, and tasks may have, too. */
#include "locksmith/report.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "runtime/os/os.h"
#include "runtime/record.h"

typedef int as_format(struct lw_text *text, const lw_report *report,
                      const struct lw_symbols *symbols);

static as_format *const formats[] = {
    [LW_REPORT_TEXT] = lw_report_as_text,
    [LW_REPORT_JSON] = lw_report_as_json,
    [LW_REPORT_DOT] = lw_report_as_dot,
    [LW_REPORT_SVG] = lw_report_as_svg,
};

static const char *const verdict_names[] = {
    [LW_VERDICT_NONE] = "NONE",
    [LW_VERDICT_DEADLOCK] = "DEADLOCK",
    [LW_VERDICT_TIMED_DEADLOCK] = "TIMED_DEADLOCK",
    [LW_VERDICT_ABANDONED] = "ABANDONED",
    [LW_VERDICT_ORPHAN_EVENT] = "ORPHAN_EVENT",
    [LW_VERDICT_LONG_HOLD] = "LONG_HOLD",
    [LW_VERDICT_LONG_WAIT] = "LONG_WAIT",
    [LW_VERDICT_STARVED] = "STARVED",
    [LW_VERDICT_LIVELOCK] = "LIVELOCK",
    [LW_VERDICT_INVERSION] = "INVERSION",
    [LW_VERDICT_WORKER_EXHAUSTION] = "WORKER_EXHAUSTION",
};
enum { VERDICTS = sizeof verdict_names / sizeof verdict_names[0] };

const char *lw_verdict_name(int verdict)
{
    return verdict >= 0 && verdict < VERDICTS ? verdict_names[verdict] : "UNKNOWN";
}

static bool is_whole(const lw_report *report)
{
    if (report == NULL || (report->members == NULL && report->member_count != 0) ||
        (report->steps == NULL && report->step_count != 0))
        return false;
    for (size_t i = 0; i < report->member_count; i++)
        if ((report->members[i].holds == NULL && report->members[i].hold_count != 0) ||
            (report->members[i].stack == NULL && report->members[i].stack_depth != 0))
            return false;
    return true;
}

int lw_report_write(const lw_report *report, lw_report_format format, int fd)
{
    struct lw_symbols symbols;
    struct lw_text text = {0};
    int err;

    if (!is_whole(report) || (unsigned)format > LW_REPORT_SVG)
        return -EINVAL;
    if (fd < 0)
        return -EBADF;
    err = lw_symbols_init(&symbols, report);
    if (err == 0)
        err = formats[format](&text, report, &symbols);
    if (err == 0)
        err = lw_text_write(&text, fd);
    lw_text_fini(&text);
    lw_symbols_fini(&symbols);
    return err;
}

/* ---- words that formats share */

const char *lw_report_base(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

static void add_quoted(struct lw_text *text, const char *name)
{
    lw_text_print(text, "'");
    lw_text_add_name(text, name);
    lw_text_print(text, "'");
}

void lw_report_add_task(struct lw_text *text, lw_task task, const char *name)
{
    lw_text_print(text, "task %u", (unsigned)(task.id & ((1u << LW_SLOT_BITS) - 1)));
    if (name != NULL) {
        lw_text_print(text, " ");
        add_quoted(text, name);
    }
}

void lw_report_add_object(struct lw_text *text, const void *object, const char *name)
{
    if (name != NULL) {
        add_quoted(text, name);
        lw_text_print(text, " (0x%" PRIxPTR ")", (uintptr_t)object);
    } else {
        lw_text_print(text, "0x%" PRIxPTR, (uintptr_t)object);
    }
}

void lw_report_add_site(struct lw_text *text, const struct lw_symbols *symbols, const void *site,
                        bool with_path)
{
    const struct lw_symbol *symbol = lw_symbols_at(symbols, site);

    if (symbol == NULL) {
        lw_text_print(text, "a place that is not known");
    } else if (symbol->line != 0) {
        lw_text_add_name(text, symbol->function[0] != '\0' ? symbol->function : "?");
        lw_text_print(text, " (");
        lw_text_add_name(text, with_path ? symbol->file : lw_report_base(symbol->file));
        lw_text_print(text, ":%d)", symbol->line);
    } else if (symbol->function[0] != '\0') {
        lw_text_add_name(text, symbol->function);
        lw_text_print(text, "+0x%" PRIxPTR " (", symbol->function_offset);
        lw_text_add_name(text, symbol->module);
        lw_text_print(text, ")");
    } else if (symbol->module[0] != '\0') {
        lw_text_add_name(text, symbol->module);
        lw_text_print(text, "+0x%" PRIxPTR, symbol->module_offset);
    } else {
        lw_text_print(text, "0x%" PRIxPTR, (uintptr_t)site);
    }
}

void lw_report_add_time(struct lw_text *text, lw_nsec from, lw_nsec to)
{
    uint64_t distance = to > from ? (uint64_t)to - (uint64_t)from : 0;

    lw_text_print(text, "%" PRIu64 ".%03u s", distance / LW_SEC,
                  (unsigned)(distance % LW_SEC / LW_MS));
}

/* ---- the signature */

/* FNV-1a. */
#define HASH_OF_NOTHING UINT64_C(0xcbf29ce484222325)

static uint64_t hash(uint64_t seed, const void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        seed = (seed ^ ((const unsigned char *)bytes)[i]) * UINT64_C(0x100000001b3);
    return seed;
}

/* Of one place; 0: not known.  One in no module has nothing that stays but its address. */
static uint64_t hash_site(const void *site)
{
    uint64_t seed = HASH_OF_NOTHING;
    uintptr_t offset = (uintptr_t)site;
    const char *module = "";

    if (site == NULL)
        return 0;
    (void)lw_module_of(site, &module, &offset);
    seed = hash(hash(seed, module, strlen(module) + 1), &offset, sizeof offset);
    return seed != 0 ? seed : 1;
}

bool lw_report_is_circle(const lw_report *report)
{
    return report->verdict == LW_VERDICT_DEADLOCK || report->verdict == LW_VERDICT_TIMED_DEADLOCK;
}

bool lw_report_holds(const lw_report_member *member, const void *object)
{
    for (size_t i = 0; i < member->hold_count; i++)
        if (object != NULL && member->holds[i].lock == object)
            return true;
    return false;
}

/* The smallest hashes of all, each once and in order.  So neither the order of the members matters,
 * nor how many there are, and nothing need be allocated; two reports that differ only in others
 * than so many are taken for the same. */
enum { SMALLEST = 32 };

struct smallest {
    uint64_t hashes[SMALLEST];
    size_t count;
};

static void note(struct smallest *smallest, uint64_t hashed)
{
    size_t at = smallest->count;

    while (at > 0 && smallest->hashes[at - 1] > hashed)
        at--;
    if (hashed == 0 || at == SMALLEST || (at > 0 && smallest->hashes[at - 1] == hashed))
        return;
    if (smallest->count < SMALLEST)
        smallest->count++;
    for (size_t i = smallest->count - 1; i > at; i--)
        smallest->hashes[i] = smallest->hashes[i - 1];
    smallest->hashes[at] = hashed;
}

/* Whether it closes the circle, and is not held by the way; as a rule the member before says so. */
static bool is_wanted(const lw_report *report, size_t member, const lw_lock *lock)
{
    size_t count = report->member_count;

    for (size_t i = 1; i < count; i++)
        if (report->members[(member + count - i) % count].object == lock)
            return true;
    return count == 1;
}

uint64_t lw_report_signature(const lw_report *report)
{
    struct smallest smallest = {.count = 0};
    uint64_t verdict = (uint64_t)report->verdict;

    for (size_t i = 0; i < report->member_count; i++) {
        const lw_report_member *member = &report->members[i];

        note(&smallest, hash_site(member->wait_site));
        for (size_t j = 0; j < member->hold_count; j++)
            if (is_wanted(report, i, member->holds[j].lock))
                note(&smallest, hash_site(member->holds[j].site));
    }
    return hash(hash(HASH_OF_NOTHING, &verdict, sizeof verdict), smallest.hashes,
                smallest.count * sizeof smallest.hashes[0]);
}
