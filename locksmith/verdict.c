/* SPDX-License-Identifier: MIT */
/* The evidence of a verdict: copied while its waits are claimed, told when all is over.  There is
 * one desk, of whoever decides; nothing is allocated. */
#include "locksmith/detector.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "locksmith/printer.h"
#include "locksmith/report.h"
#include "locksmith/stack.h"
#include "runtime/os/os.h"

enum {
    NAME_BYTES = 32,
    PAGE = 4096, /* or a multiple of it */
    NOTE_BYTES = 96,
    STEPS_MAX = 16,
    SIGNATURES = 128, /* that are remembered; then the oldest is forgotten */
};

#define SITE_MASK ((UINT64_C(1) << 48) - 1)

static struct desk {
    lw_report report;
    lw_report_member members[LW_TOLD_MAX];
    lw_report_hold holds[LW_TOLD_MAX][LW_REGISTRY_HOLDS];
    const void *stacks[LW_TOLD_MAX][LW_STACK_MAX];
    char names[LW_TOLD_MAX][NAME_BYTES], objects[LW_TOLD_MAX][NAME_BYTES];
    lw_report_step steps[STEPS_MAX];
    char note[NOTE_BYTES];
    bool hushed;
} desk;

/* What was put aside; its pointers lead to the desk, where they are right again. */
static struct desk kept[LW_ASKS];

static struct {
    uint64_t signature, count;
} seen[SIGNATURES];
static unsigned oldest;

static bool is_new(uint64_t signature)
{
    for (unsigned i = 0; i < SIGNATURES; i++)
        if (seen[i].count != 0 && seen[i].signature == signature)
            return false;
    return true;
}

/* ---- what is written down */

/* Not across the end of a page at once: the next one may not be there. */
static bool read_name(char *to, const char *name)
{
    size_t done = 0;

    while (done < NAME_BYTES - 1 && (done == 0 || memchr(to, '\0', done) == NULL)) {
        size_t part = PAGE - (uintptr_t)(name + done) % PAGE, wanted = NAME_BYTES - 1 - done;

        part = part < wanted ? part : wanted;
        if (lw_sys.memory_read(to + done, name + done, part) != part)
            return false;
        done += part;
    }
    return true;
}

/* Of an object that is waited for, or of a task; NULL: it has none, or it is not there any more.
 *
 * Both are there while the wait lasts.  But a claim does not keep it from being granted, nor from
 * being ended by a purge, and then its task may return, end, and free lock and name while we read.
 * So it is the kernel that reads, and says if nothing is there, as of stacks (stack.c); sanitizers
 * see none of it, and have nothing to say.  What is there by then may be anybody's: so whoever
 * copies looks afterwards whether the wait is still in hand.  It was there all the time if it is,
 * and so was the name; if not, what was copied is told to nobody. */
static const char *copy_name(char *to, const char *name)
{
    if (name == NULL)
        return NULL;
    memset(to, 0, NAME_BYTES);
    return read_name(to, name) ? to : NULL;
}

/* The coarse clock, which wraps, in nanoseconds. */
static lw_nsec moment_of(uint32_t coarse_ms, lw_nsec now)
{
    return now - (lw_nsec)((uint32_t)(now / LW_MS) - coarse_ms) * LW_MS;
}

static void write_holds(size_t index, const struct lw_waiter *waiter)
{
    lw_report_member *member = &desk.members[index];
    uint32_t count = waiter->nheld < LW_REGISTRY_HOLDS ? waiter->nheld : LW_REGISTRY_HOLDS;

    for (uint32_t i = 0; i < count; i++)
        desk.holds[index][i] = (lw_report_hold){
            .lock = lw_hold_lock(&waiter->held[i]),
            .site = (const void *)(uintptr_t)(waiter->held[i].site & LW_HOLD_SITE_MASK)};
    member->holds = desk.holds[index];
    member->hold_count = count;
}

/* Who it is. */
static void write_self(size_t index, const struct lw_record *record)
{
    const struct lw_cold *cold = lw_record_cold(record);
    bool said = (lw_load_rlx(&record->place) & LW_PLACE_OPTIONS) != 0;

    desk.members[index] = (lw_report_member){
        .task = {lw_record_id(record)},
        .task_name = said ? copy_name(desk.names[index], lw_load_rlx(&cold->name)) : NULL,
        .spawn_site = (const void *)(uintptr_t)(lw_load_rlx(&record->site) & SITE_MASK),
        .deadline = LW_FOREVER,
    };
}

static void write_member(size_t index, const struct lw_suspect *suspect, lw_nsec now)
{
    lw_report_member *member = &desk.members[index];
    struct lw_waiter waiter = {0};

    (void)lw_registry_look(lw_record_slot(suspect->record), &waiter);
    write_self(index, suspect->record);
    member->kind_name = lw_wait_kind_names[waiter.kind];
    if (waiter.kind != LW_WAIT_JOIN)
        member->object = (const void *)(uintptr_t)waiter.object;
    member->object_name = copy_name(desk.objects[index], waiter.object_name);
    member->wait_site = waiter.site;
    member->since = moment_of(waiter.since, now);
    member->deadline = waiter.deadline;
    write_holds(index, &waiter);
}

static void write_stack(size_t index, const struct lw_suspect *suspect)
{
    lw_report_member *member = &desk.members[index];

    member->stack = desk.stacks[index];
    member->stack_depth = lw_stack_of(suspect->record, member->wait_site, desk.stacks[index]);
}

/* A lock that a member holds is known by name if another waits for it. */
static void name_holds(size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < desk.members[i].hold_count; j++)
            for (size_t k = 0; k < count; k++)
                if ((const void *)desk.holds[i][j].lock == desk.members[k].object)
                    desk.holds[i][j].lock_name = desk.members[k].object_name;
}

lw_report *lw_verdict_begin(lw_verdict verdict, lw_nsec now)
{
    /* Not all of it is cleared, which would take as long as the rest: what counts is written. */
    desk.hushed = false;
    desk.report = (lw_report){
        .verdict = verdict, .at = now, .members = desk.members, .steps = desk.steps};
    return &desk.report;
}

lw_report *lw_verdict_write(const struct lw_suspect *set, uint32_t count, uint32_t last,
                            lw_nsec now)
{
    uint32_t told = count < LW_TOLD_MAX ? count : LW_TOLD_MAX;

    (void)lw_verdict_begin(LW_VERDICT_DEADLOCK, now);
    desk.report.member_count = desk.report.victim = told;
    for (uint32_t i = 0; i < told; i++) {
        write_member(i, &set[i], now);
        desk.members[i].score = lw_score(&set[i], i == last);
        if (desk.members[i].score >= 0 &&
            (desk.report.victim == told ||
             desk.members[i].score > desk.members[desk.report.victim].score))
            desk.report.victim = i;
    }
    name_holds(told);
    desk.report.signature = lw_report_signature(&desk.report);
    if (is_new(desk.report.signature))
        for (uint32_t i = 0; i < told; i++)
            write_stack(i, &set[i]);
    return &desk.report;
}

/* ---- one by one */

/* Those that are there now are all. */
static void close_ranks(size_t count)
{
    desk.members[count - 1].score = -1; /* nobody is to give way */
    desk.report.member_count = desk.report.victim = count;
    name_holds(count);
}

bool lw_verdict_add(const struct lw_suspect *suspect, lw_nsec now)
{
    size_t index = desk.report.member_count;
    uint64_t word;
    bool waits;

    if (index == LW_TOLD_MAX || !lw_wait_claim(lw_record_cold(suspect->record), suspect->wait))
        return false;
    write_member(index, suspect, now);
    write_stack(index, suspect);
    /* What was written down is so if the wait was not ended meanwhile. */
    waits = lw_wait_is_in_hand(lw_record_cold(suspect->record), suspect->wait, &word);
    lw_wait_let_go(suspect->record, suspect->wait);
    if (waits)
        close_ranks(index + 1);
    return waits;
}

void lw_verdict_add_runner(const struct lw_record *record)
{
    size_t index = desk.report.member_count;

    if (index == LW_TOLD_MAX)
        return;
    write_self(index, record);
    if (lw_record_id(record) != desk.members[index].task.id) /* it has ended */
        desk.members[index].task_name = NULL;
    close_ranks(index + 1);
}

void lw_verdict_add_ended(lw_task task, const char *name, const void *spawn_site)
{
    size_t index = desk.report.member_count;

    desk.members[index] = (lw_report_member){
        .task = task, .task_name = name, .spawn_site = spawn_site, .deadline = LW_FOREVER};
    close_ranks(index + 1);
}

void lw_verdict_add_hold(const struct lw_hold *hold, const char *name, lw_nsec since)
{
    size_t index = desk.report.member_count - 1, at = 0;
    lw_report_member *member = &desk.members[index];

    while (at < member->hold_count && (member->holds[at].lock != lw_hold_lock(hold)))
        at++;
    if (at == LW_REGISTRY_HOLDS)
        return;
    if (at == member->hold_count)
        desk.holds[index][member->hold_count++] = (lw_report_hold){0};
    member->holds = desk.holds[index];
    desk.holds[index][at].lock = lw_hold_lock(hold);
    desk.holds[index][at].site = (const void *)(uintptr_t)(hold->site & LW_HOLD_SITE_MASK);
    desk.holds[index][at].since = since;
    if (name != NULL)
        desk.holds[index][at].lock_name = name;
}

void lw_verdict_note(const char *what, uint64_t more)
{
    if (more != 0)
        (void)snprintf(desk.note, sizeof desk.note, "%s, and %" PRIu64 " more wait", what, more);
    else
        (void)snprintf(desk.note, sizeof desk.note, "%s", what);
    lw_verdict_step(0, SIZE_MAX, NULL, desk.note);
}

void lw_verdict_step(unsigned level, size_t member, const lw_lock *lock, const char *outcome)
{
    lw_debug_check(desk.report.step_count < STEPS_MAX);
    desk.steps[desk.report.step_count++] = (lw_report_step){
        .level = level,
        .task = member < desk.report.member_count ? desk.members[member].task : (lw_task){0},
        .lock = lock,
        .outcome = outcome};
}

void lw_verdict_hush(void)
{
    desk.hushed = true;
}

void lw_verdict_keep(unsigned number)
{
    kept[number] = desk;
}

lw_report *lw_verdict_take_back(unsigned number)
{
    desk = kept[number];
    return &desk.report;
}

/* ---- who is told */

/* How often it was seen before. */
static uint64_t count_signature(uint64_t signature)
{
    for (unsigned i = 0; i < SIGNATURES; i++)
        if (seen[i].count != 0 && seen[i].signature == signature)
            return seen[i].count++;
    seen[oldest].signature = signature;
    seen[oldest].count = 1;
    oldest = (oldest + 1) % SIGNATURES;
    return 0;
}

static void tell(const lw_report *report, const lw_detector_options *options)
{
    if (options->on_report != NULL) {
        lw_detector_calls(true);
        options->on_report(report, options->arg);
        lw_detector_calls(false);
    } else if (report->count == 0 && !desk.hushed) {
        lw_printer_print(report);
    }
}

/* Level 9.  What else was to be printed comes first. */
static void end_process(const lw_report *report)
{
    (void)lw_printer_await(lw_sys.now() + LW_SEC);
    lw_printer_print(report);
    (void)lw_printer_await(lw_sys.now() + LW_SEC); /* it may take nothing */
    abort();
}

void lw_verdict_tell(const lw_detector_options *options)
{
    lw_report *report = &desk.report;
    bool ends = report->step_count != 0 && desk.steps[report->step_count - 1].level == 9;

    lw_detector_count(&lw_detector_counted.verdicts[report->verdict]);
    if (report->signature == 0 || report->verdict != LW_VERDICT_DEADLOCK)
        report->signature = lw_report_signature(report);
    report->count = count_signature(report->signature);
    for (size_t i = 0; i < report->member_count && report->count != 0; i++)
        desk.members[i].stack_depth = 0;
    if ((options->levels & LW_LEVEL(0)) != 0 && !(ends && options->on_report == NULL))
        tell(report, options);
    if (ends)
        end_process(report);
}
