/* SPDX-License-Identifier: MIT */
/* The text of verdicts on the standard error, if nobody else wants to be told.
 *
 * Who decides does not wait for what is outside: a standard error that takes nothing (a pipe whose
 * reader is stuck), or names that take long to read, would keep all other deadlocks from being
 * found, and the tasks of that worker from running.  So a report is copied into a queue, and a
 * thread prints it, which lives as long as there is something to print.  What the queue has no room
 * for is counted, and the thread says how many those were.  A process that ends waits for it a
 * while.
 *
 * In simulation threads would be further ones to schedule: there, and where no thread can be had,
 * who decides prints.
 *
 * All of it is under the guard; `printing` is a futex word as well, for who waits for the end. */
#include "locksmith/printer.h"

#include <errno.h>
#include <inttypes.h>
#include <latchwork/sim.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "locksmith/apart.h"
#include "locksmith/text.h"
#include "runtime/fork.h"

enum {
    GUARD = 1,
    QUEUE_MAX = 16,
};

static char thread_name[] = "lw-printer";

#define PATIENCE_AT_EXIT (1 * LW_SEC)

static struct {
    uint64_t guard;
    uint32_t printing; /* somebody takes from the queue */
    uint32_t count;
    uint64_t left_out;
    lw_report *queue[QUEUE_MAX]; /* the first one to come out first */
} printer;

/* ---- a copy, in one piece of memory */

static size_t string_size(const char *string)
{
    return string != NULL ? strlen(string) + 1 : 0;
}

static size_t size_of(const lw_report *report)
{
    size_t size = sizeof *report + report->member_count * sizeof report->members[0] +
                  report->step_count * sizeof report->steps[0];

    for (size_t i = 0; i < report->member_count; i++) {
        const lw_report_member *member = &report->members[i];

        size += member->hold_count * sizeof member->holds[0];
        size += member->stack_depth * sizeof member->stack[0];
        size += string_size(member->task_name) + string_size(member->object_name);
        for (size_t j = 0; j < member->hold_count; j++)
            size += string_size(member->holds[j].lock_name);
    }
    for (size_t i = 0; i < report->step_count; i++)
        size += string_size(report->steps[i].outcome);
    return size;
}

/* The next bytes of the copy. */
static void *put(char **end, const void *bytes, size_t size)
{
    void *to = *end;

    if (size != 0)
        memcpy(to, bytes, size);
    *end += size;
    return to;
}

static const char *put_string(char **end, const char *string)
{
    return string != NULL ? put(end, string, strlen(string) + 1) : NULL;
}

/* What is aligned first, then the strings.  NULL: no memory. */
static lw_report *copy_of(const lw_report *report)
{
    char *copy = lw_sys.calloc(1, size_of(report)), *end = copy;
    lw_report_member *members;
    lw_report_step *steps;
    lw_report *to;

    if (copy == NULL)
        return NULL;
    to = put(&end, report, sizeof *report);
    members = put(&end, report->members, report->member_count * sizeof *members);
    to->members = members;
    steps = put(&end, report->steps, report->step_count * sizeof *steps);
    to->steps = steps;
    for (size_t i = 0; i < report->member_count; i++) {
        members[i].holds = put(&end, members[i].holds,
                               members[i].hold_count * sizeof *members[i].holds);
        members[i].stack = put(&end, members[i].stack,
                               members[i].stack_depth * sizeof *members[i].stack);
    }
    for (size_t i = 0; i < report->member_count; i++) {
        lw_report_hold *holds = (lw_report_hold *)members[i].holds;

        members[i].task_name = put_string(&end, members[i].task_name);
        members[i].object_name = put_string(&end, members[i].object_name);
        for (size_t j = 0; j < members[i].hold_count; j++)
            holds[j].lock_name = put_string(&end, holds[j].lock_name);
    }
    for (size_t i = 0; i < report->step_count; i++)
        steps[i].outcome = put_string(&end, steps[i].outcome);
    return to;
}

/* ---- the thread */

/* Memory may be what there was too little of. */
static void say_left_out(uint64_t count)
{
    char line[96];
    struct lw_text text = {.bytes = line};

    text.size = (size_t)snprintf(
        line, sizeof line, "latchwork: %" PRIu64 " more reports, for which there was no room\n",
        count);
    (void)lw_text_write(&text, STDERR_FILENO);
}

/* False: there is nothing, and whoever prints has to end. */
static bool take(lw_report **report, uint64_t *left_out)
{
    bool more;

    (void)lw_guard_take(&printer.guard, GUARD);
    *report = printer.count != 0 ? printer.queue[0] : NULL;
    if (*report != NULL)
        memmove(&printer.queue[0], &printer.queue[1],
                --printer.count * sizeof printer.queue[0]);
    *left_out = *report == NULL ? printer.left_out : 0; /* said last: so many came after these */
    if (*report == NULL)
        printer.left_out = 0;
    more = *report != NULL || *left_out != 0;
    lw_store_rlx(&printer.printing, more);
    lw_guard_drop(&printer.guard, GUARD);
    return more;
}

/* One that does not block may be full for a moment. */
static void print(const lw_report *report)
{
    struct pollfd full = {.fd = STDERR_FILENO, .events = POLLOUT};
    int err = lw_report_write(report, LW_REPORT_TEXT, STDERR_FILENO);

    if (err == -EAGAIN && lw_sys.poll(&full, 1, LW_SEC) > 0)
        err = lw_report_write(report, LW_REPORT_TEXT, STDERR_FILENO);
    if (err >= 0)
        return;
    (void)lw_guard_take(&printer.guard, GUARD);
    printer.left_out++;
    lw_guard_drop(&printer.guard, GUARD);
}

/* With the name of the thread, if it is one of its own. */
static void *print_all(void *arg)
{
    lw_report *report;
    uint64_t left_out;

    if (arg != NULL)
        lw_sys.thread_name(arg);
    while (take(&report, &left_out)) {
        if (report != NULL)
            print(report);
        else
            say_left_out(left_out);
        lw_sys.free(report);
    }
    lw_sys.futex_wake(&printer.printing, INT32_MAX);
    return NULL;
}

/* ---- who gives it work */

/* True: there is something to print, and nobody else does it. */
static bool add(lw_report *report)
{
    bool starts;

    (void)lw_guard_take(&printer.guard, GUARD);
    if (report != NULL && printer.count < QUEUE_MAX) {
        printer.queue[printer.count++] = report;
        report = NULL;
    } else {
        printer.left_out++;
    }
    starts = lw_load_rlx(&printer.printing) == 0;
    lw_store_rlx(&printer.printing, 1);
    lw_guard_drop(&printer.guard, GUARD);
    lw_sys.free(report);
    return starts;
}

void lw_printer_print(const lw_report *report)
{
    pthread_t thread;

    if (lw_sim_active()) {
        (void)lw_report_write(report, LW_REPORT_TEXT, STDERR_FILENO);
        return;
    }
    if (!add(copy_of(report)))
        return;
    if (lw_start_apart(&thread, print_all, thread_name) == 0)
        (void)pthread_detach(thread);
    else
        (void)print_all(NULL);
}

bool lw_printer_await(lw_nsec deadline)
{
    while (lw_load_rlx(&printer.printing) != 0 && lw_sys.now() < deadline)
        lw_sys.futex_wait(&printer.printing, 1, deadline);
    return lw_load_rlx(&printer.printing) == 0;
}

void lw_printer_forked(void)
{
    memset(&printer, 0, sizeof printer); /* what is in the queue the parent prints */
}

__attribute__((destructor)) static void finish(void)
{
    if (!lw_forked())
        (void)lw_printer_await(lw_sys.now() + PATIENCE_AT_EXIT);
}
