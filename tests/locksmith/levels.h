/* SPDX-License-Identifier: MIT */
/* What the suites of the detector's levels share: circles that neither a queue's order nor a wait
 * that fails is to break, and what was told of each. */
#ifndef LW_TESTS_LOCKSMITH_LEVELS_H
#define LW_TESTS_LOCKSMITH_LEVELS_H

#include "locksmith/detector.h"
#include "tests/locksmith/heard.h"

enum { CIRCLES = 6, STEPS = 8, LAST = 1 << 16 };

/* What was told of the circle in which that lock is wanted. */
static struct told_of {
    unsigned told; /* how often, and LAST * the level of the last step; written last */
    bool unforceable;
    lw_verdict verdict;
    size_t steps;
    unsigned levels[STEPS];
    const lw_lock *locks[STEPS];
    lw_task tasks[STEPS];
    const char *outcomes[STEPS];
} told_of[CIRCLES];

/* Two who take each other's lock, so that nobody can be made to give way. */
static struct circle {
    lw_mutex mutexes[2];
    int arrived, asked;
    bool ends; /* the first ends with its lock */
    lw_task selves[2];
} circles[CIRCLES];

static inline int circle_of(const lw_report *report)
{
    for (int i = 0; i < CIRCLES; i++)
        for (size_t j = 0; j < report->member_count; j++)
            if (report->members[j].object == &circles[i].mutexes[0])
                return i;
    return -1;
}

static inline void keep_steps(const lw_report *report, void *arg)
{
    int index = circle_of(report);
    struct told_of *to = &told_of[index < 0 ? 0 : index];
    unsigned last;

    if (index < 0 || report->verdict == LW_VERDICT_TIMED_DEADLOCK)
        return;
    to->unforceable = report->unforceable;
    to->verdict = report->verdict;
    to->steps = report->step_count;
    for (size_t i = 0; i < report->step_count && i < STEPS; i++) {
        to->levels[i] = report->steps[i].level;
        to->locks[i] = report->steps[i].lock;
        to->tasks[i] = report->steps[i].task;
        to->outcomes[i] = report->steps[i].outcome;
    }
    keep_report(report, arg);
    last = report->step_count == 0 ? 0 : report->steps[report->step_count - 1].level;
    /* In one word: who waits for either may forget it all at once. */
    __atomic_store_n(&to->told, (to->told + 1) % LAST + last * LAST, __ATOMIC_RELEASE);
}

static inline int told_times(int index)
{
    return (int)(__atomic_load_n(&told_of[index].told, __ATOMIC_ACQUIRE) % LAST);
}

static inline unsigned last_level(int index)
{
    return __atomic_load_n(&told_of[index].told, __ATOMIC_ACQUIRE) / LAST;
}

static inline void allow(uint32_t levels, lw_nsec grace)
{
    lw_detector_options options;

    memset(told_of, 0, sizeof told_of);
    memset(circles, 0, sizeof circles);
    forget_heard();
    lw_detector_get(&options);
    options.mode = LW_DETECTOR_FORCE;
    options.levels = levels;
    options.grace = grace;
    options.on_report = keep_steps;
    cr_assert_eq(lw_detector_set(&options), 0);
}

static inline void assert_step(int index, size_t step, unsigned level, const char *outcome)
{
    const struct told_of *of = &told_of[index];

    cr_assert_lt(step, of->steps, "circle %d", index);
    cr_assert_eq(of->levels[step], level, "circle %d", index);
    cr_assert_str_eq(of->outcomes[step], outcome, "circle %d", index);
}

static inline uint64_t forced(unsigned level)
{
    lw_detector_counts counts;

    lw_detector_read(&counts);
    return counts.forced[level];
}

/* In a circle: take the lock of that index, and wait for the other one to have its own. */
static inline void take_own(struct circle *circle, int index)
{
    cr_assert_eq(lw_mutex_acquire(&circle->mutexes[index], LW_FOREVER), 0);
    (void)__atomic_add_fetch(&circle->arrived, 1, __ATOMIC_RELEASE);
    AWAIT(__atomic_load_n(&circle->arrived, __ATOMIC_ACQUIRE) == 2);
}

#endif
