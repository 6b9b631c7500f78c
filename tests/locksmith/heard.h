/* SPDX-License-Identifier: MIT */
/* What the suites of the detector share: what it has told last, kept for the test. */
#ifndef LW_TESTS_LOCKSMITH_HEARD_H
#define LW_TESTS_LOCKSMITH_HEARD_H

#include <stdio.h>

#include "tests/primitives/crowd.h"

enum { HEARD_MEMBERS = 32, HEARD_HOLDS = 4 };

/* Written by one who decides; read when all has come to rest. */
static struct {
    int told, of[16]; /* in all; by verdict */
    lw_verdict verdict;
    bool unforceable;
    uint64_t signature, count;
    size_t members, victim, steps;
    unsigned level; /* of the first step */
    char outcome[64], name[32]; /* of it; of the first lock that the first member holds */
    char task_name[32];         /* of the first member */
    lw_nsec at;
    struct {
        lw_task task;
        const char *kind; /* NULL: it does not wait */
        const void *object;
        lw_nsec since, deadline;
        size_t hold_count;
        const void *holds[HEARD_HOLDS];
        lw_nsec held_since[HEARD_HOLDS];
        int score;
    } member[HEARD_MEMBERS];
} heard;

/* Where the machine is slow, or under TSan, workers may sleep in the kernel for many reasons. */
static bool hears_exhaustion;

static void keep_report(const lw_report *report, void *arg)
{
    (void)arg;
    if (report->verdict == LW_VERDICT_WORKER_EXHAUSTION && !hears_exhaustion)
        return;
    heard.verdict = report->verdict;
    heard.unforceable = report->unforceable;
    heard.signature = report->signature;
    heard.count = report->count;
    heard.members = report->member_count;
    heard.victim = report->victim;
    heard.steps = report->step_count;
    heard.level = report->step_count != 0 ? report->steps[0].level : 0;
    heard.at = report->at;
    (void)snprintf(heard.outcome, sizeof heard.outcome, "%s",
                   report->step_count != 0 ? report->steps[0].outcome : "");
    if (report->member_count != 0 && report->members[0].task_name != NULL)
        (void)snprintf(heard.task_name, sizeof heard.task_name, "%s",
                       report->members[0].task_name);
    if (report->member_count != 0 && report->members[0].hold_count != 0 &&
        report->members[0].holds[0].lock_name != NULL)
        (void)snprintf(heard.name, sizeof heard.name, "%s",
                       report->members[0].holds[0].lock_name);
    for (size_t i = 0; i < report->member_count && i < HEARD_MEMBERS; i++) {
        const lw_report_member *member = &report->members[i];

        heard.member[i].kind = member->kind_name;
        heard.member[i].since = member->since;
        heard.member[i].task = member->task;
        heard.member[i].object = member->object;
        heard.member[i].deadline = member->deadline;
        heard.member[i].score = member->score;
        heard.member[i].hold_count = member->hold_count;
        for (size_t j = 0; j < member->hold_count && j < HEARD_HOLDS; j++)
            heard.member[i].holds[j] = member->holds[j].lock;
        for (size_t j = 0; j < member->hold_count && j < HEARD_HOLDS; j++)
            heard.member[i].held_since[j] = member->holds[j].since;
    }
    (void)__atomic_add_fetch(&heard.of[report->verdict], 1, __ATOMIC_RELEASE);
    (void)__atomic_add_fetch(&heard.told, 1, __ATOMIC_RELEASE);
}

static inline int told(void)
{
    return __atomic_load_n(&heard.told, __ATOMIC_ACQUIRE);
}

static inline void forget_heard(void)
{
    memset(&heard, 0, sizeof heard);
}

/* The options before any was set. */
static lw_detector_options at_first;

/* In .init of a suite. */
static inline void hear(void)
{
    lw_detector_options options;

    watchdog();
    lw_detector_get(&options);
    at_first = options;
    /* On a slow machine any hold lasts: who tests what is told by age sets these. */
    options.long_hold = options.long_wait = 3600 * LW_SEC;
    options.on_report = keep_report;
    cr_assert_eq(lw_detector_set(&options), 0);
}

static inline void hear_with(lw_detector_mode mode, uint32_t levels)
{
    lw_detector_options options;

    lw_detector_get(&options);
    options.mode = mode;
    options.levels = levels;
    options.on_report = keep_report;
    cr_assert_eq(lw_detector_set(&options), 0);
}

/* Each waits for what the next one holds, or for its end. */
static inline void assert_is_circle(void)
{
    for (size_t i = 0; i < heard.members; i++) {
        size_t next = (i + 1) % heard.members;
        bool holds = heard.member[i].object == NULL;

        for (size_t j = 0; j < heard.member[next].hold_count && j < HEARD_HOLDS; j++)
            holds |= heard.member[next].holds[j] == heard.member[i].object;
        cr_assert(holds, "member %zu of %zu holds nothing that the one before waits for", next,
                  heard.members);
    }
}

#endif
