/* SPDX-License-Identifier: MIT */
/* Two tasks take two locks, each in its own order.  The less important one gives way, lets go of
 * what it has, and starts over. */
#include <errno.h>
#include <latchwork.h>
#include <stdio.h>

static lw_mutex left = LW_MUTEX_INIT("left"), right = LW_MUTEX_INIT("right");
static lw_latch both = LW_LATCH_INIT("both have one", 2);

static int deadlocks; /* one is told of at a time */

/* Whoever gave way comes again a moment later, and may find the other one no further. */
static void tell(const lw_report *report, void *arg)
{
    (void)arg;
    if (deadlocks++ != 0)
        return;
    printf("a %s of %zu: '%s' gives way\n", lw_verdict_name(report->verdict), report->member_count,
           report->members[report->victim].task_name);
}

static int take(lw_mutex *first, lw_mutex *second)
{
    int err = 0;

    LW_WITH(&first->lock, LW_FOREVER, err) {
        (void)lw_latch_count_down(&both, 1); /* so that they meet, the first time */
        err = lw_latch_wait(&both, LW_FOREVER);
        if (err == 0)
            err = lw_acquire(&second->lock, LW_FOREVER);
        if (err == 0)
            (void)lw_release(&second->lock);
    }
    return err;
}

static int take_both(void *arg)
{
    lw_mutex *first = arg, *second = first == &left ? &right : &left;
    int err;

    do
        err = take(first, second);
    while (err == -EDEADLK && (err = lw_backoff(LW_FOREVER)) == 0);
    return err;
}

static int run(void *arg)
{
    lw_task_options important = { .name = "important" }, other = { .name = "other", .priority = 1 };
    lw_task tasks[2];
    int *status = arg, err;

    err = lw_spawn(&tasks[0], take_both, &left, &important);
    if (err == 0)
        err = lw_spawn(&tasks[1], take_both, &right, &other);
    for (int i = 0; i < 2 && err == 0; i++)
        err = lw_join(tasks[i], &status[i], LW_FOREVER);
    return err;
}

int main(void)
{
    lw_detector_options options;
    int status[2], err;

    lw_detector_get(&options);
    options.on_report = tell;
    err = lw_detector_set(&options);
    if (err == 0)
        err = lw_run(NULL, run, status);
    if (err == 0)
        err = lw_detector_set(NULL); /* and all has been told */
    if (err == 0)
        printf("both got through: %d %d\n", status[0], status[1]);
    return err < 0;
}

/* It prints
 *
 *     a DEADLOCK of 2: 'other' gives way
 *     both got through: 0 0
 */
