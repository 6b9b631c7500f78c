/* SPDX-License-Identifier: MIT */
/* Writes reports of rings to standard output, for tests/locksmith/formats, which looks at them.
 *
 *     reports FORMAT MEMBERS COUNT AT SINCE DEADLINE < names
 *
 * FORMAT is 0 to 2 as in lw_report_format.  Standard input has names, each with a zero byte behind
 * it: everything in a report has one of them, and there is a report for each; without any there is
 * one report in which nothing has a name. */
#include <latchwork.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MEMBERS_MAX = 64, HOLDS = 2, NAMES_BYTES = 1 << 20 };

static char names[NAMES_BYTES];
static lw_report_member members[MEMBERS_MAX];
static lw_report_hold holds[MEMBERS_MAX][HOLDS];
static const void *stack[MEMBERS_MAX];

/* Of member i: what the one before it waits for, and one that nobody wants. */
static void take(size_t i, size_t count, const char *name, lw_nsec since)
{
    holds[i][0] = (lw_report_hold){(const lw_lock *)(uintptr_t)(0x1000 + i), name,
                                   (const void *)(uintptr_t)0x10, since};
    holds[i][1] = (lw_report_hold){(const lw_lock *)(uintptr_t)(0x9000 + i), name, NULL, 0};
    members[i].holds = holds[i];
    members[i].hold_count = HOLDS;
    members[i].stack = stack;
    members[i].stack_depth = i;
    stack[i] = (const void *)(uintptr_t)0x10;
    members[i].object = (const void *)(uintptr_t)(0x1000 + (i + 1) % count);
}

static int write_one(char **args, const char *name)
{
    size_t count = strtoul(args[2], NULL, 10);
    lw_nsec since = strtoll(args[5], NULL, 10);
    lw_report_step steps[] = {{2, {2}, (const lw_lock *)(uintptr_t)0x1000, name},
                              {9, {0}, NULL, name}};
    lw_report report = {LW_VERDICT_DEADLOCK, false, UINT64_C(0xfedcba9876543210),
                        strtoull(args[3], NULL, 10), strtoll(args[4], NULL, 10), members, count,
                        count - 1, steps, 2};

    for (size_t i = 0; i < count; i++) {
        members[i] = (lw_report_member){.task = {i + 1}, .task_name = name,
                                        .kind_name = name != NULL ? name : "lock",
                                        .object_name = name, .since = since,
                                        .deadline = strtoll(args[6], NULL, 10),
                                        .score = (int)i - 1};
        take(i, count, name, since);
    }
    return lw_report_write(&report, (lw_report_format)atoi(args[1]), STDOUT_FILENO);
}

int main(int count, char **args)
{
    size_t size;
    int err = 0;

    if (count != 7)
        return 2;
    size = fread(names, 1, sizeof names, stdin);
    if (size == 0)
        err = write_one(args, NULL);
    for (const char *name = names; name < names + size && err == 0; name += strlen(name) + 1)
        err = write_one(args, name);
    if (err < 0)
        (void)fprintf(stderr, "reports: %s\n", strerror(-err));
    return err < 0;
}
