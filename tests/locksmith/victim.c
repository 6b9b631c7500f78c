/* SPDX-License-Identifier: MIT */
/* The laws of who gives way in a circle, and of what it does then: it may ask when to start over,
 * and in the end all have had their turn. */
#include "tests/locksmith/two.h"

TestSuite(victim, .init = hear);

/* ---- who gives way */

static int by_priority(void *arg)
{
    (void)arg;
    for (long i = rounds(50); i > 0; i--) {
        int less = (int)(i % 2), priorities[2] = {0, 0};
        lw_task tasks[2];

        priorities[less] = 5;
        start_two(tasks, priorities);
        join_two(tasks);
        cr_assert_eq(the_two.results[less], -EDEADLK);
        cr_assert_eq(the_two.results[1 - less], 0);
        AWAIT(told() == 1);
    }
    return 0;
}

Test(victim, the_less_important_gives_way)
{
    run_all(by_priority, NULL);
}

static size_t chosen;

static size_t choose_by_name(const lw_report *report, void *arg)
{
    for (size_t i = 0; i < report->member_count; i++)
        if (strcmp(report->members[i].task_name, arg) == 0)
            chosen = i;
    return chosen;
}

static int by_choice(void *arg)
{
    static char names[2][8] = {"first", "second"};
    lw_detector_options options;

    (void)arg;
    for (long i = rounds(50); i > 0; i--) {
        int wanted = (int)(i % 2);
        lw_task tasks[2];

        lw_detector_get(&options);
        options.choose_victim = choose_by_name;
        options.arg = names[wanted];
        cr_assert_eq(lw_detector_set(&options), 0);
        start_two(tasks, NULL);
        join_two(tasks);
        AWAIT(told() == 1);
        cr_assert_eq(the_two.results[wanted], -EDEADLK);
        cr_assert_eq(the_two.results[1 - wanted], 0);
        cr_assert_eq(heard.victim, chosen);
    }
    return 0;
}

Test(victim, or_whom_the_program_chooses)
{
    run_all(by_choice, NULL);
}

static int all_shielded(void *arg)
{
    lw_task tasks[2];

    (void)arg;
    the_two.shielded = true;
    start_two(tasks, NULL);
    AWAIT(told() == 1);
    cr_assert(heard.unforceable);
    cr_assert_lt(heard.member[0].score, 0);
    cr_assert_lt(heard.member[1].score, 0);
    /* Else it would stay so: what is in a shield ends by nothing but a grant. */
    cr_assert_eq(lw_purge_waiters(&the_two.mutexes[0].lock), 1);
    join_two(tasks);
    cr_assert_eq(the_two.results[0], 0);
    cr_assert_eq(the_two.results[1], -EPIPE);
    the_two.shielded = false;
    return 0;
}

Test(victim, who_is_shielded_gives_way_to_nobody)
{
    run_all(all_shielded, NULL);
}

/* ---- afterwards */

static int give_way_and_ask(void *arg)
{
    lw_nsec *within = arg;
    int err;

    cr_assert_eq(lw_mutex_acquire(&the_two.mutexes[0], LW_FOREVER), 0);
    (void)__atomic_add_fetch(&the_two.arrived, 1, __ATOMIC_RELEASE);
    AWAIT(__atomic_load_n(&the_two.arrived, __ATOMIC_ACQUIRE) == 2);
    cr_assert_eq(lw_mutex_acquire(&the_two.mutexes[1], LW_FOREVER), -EDEADLK);
    cr_assert_eq(lw_backoff(LW_FOREVER), -EDEADLK, "it still holds what others wait for");
    cr_assert_eq(lw_mutex_release(&the_two.mutexes[0]), 0);
    err = lw_backoff(*within == 0 ? LW_NOW : *within == LW_FOREVER ? LW_FOREVER : lw_in(*within));
    cr_assert_eq(err, *within == 1 ? -ETIMEDOUT : 0);
    cr_assert_eq(lw_backoff(LW_FOREVER), -EDEADLK, "once for each time");
    return 0;
}

static int back_off(void *arg)
{
    static lw_nsec within[] = {0, 1, 100 * LW_SEC, LW_FOREVER};

    (void)arg;
    for (size_t i = 0; i < sizeof within / sizeof within[0]; i++) {
        lw_task_options less = {.priority = 1};
        lw_task tasks[2];

        the_two = (struct two){0};
        cr_assert_eq(lw_spawn(&tasks[0], give_way_and_ask, &within[i], &less), 0);
        cr_assert_eq(lw_spawn(&tasks[1], take_other_as_task, (void *)1, NULL), 0);
        join_two(tasks);
        cr_assert_eq(the_two.results[1], 0);
    }
    return 0;
}

Test(victim, who_gave_way_may_ask_when_to_start_over)
{
    run_all(back_off, NULL);
}

/* S53, S59: each takes the fork on his left, then that on his right, and starts over if he has to
 * give way: all eat as often as they want. */
enum { PHILOSOPHERS = 5 };

static lw_mutex forks[PHILOSOPHERS];

static void dine(struct member *member)
{
    lw_mutex *left = &forks[member->index], *right = &forks[(member->index + 1) % PHILOSOPHERS];

    for (long meals = rounds(200); meals > 0;) {
        int err = lw_mutex_acquire(left, LW_FOREVER);

        cr_assert_eq(err, 0, "who holds nothing never has to give way");
        maybe_yield(member);
        err = lw_mutex_acquire(right, LW_FOREVER);
        if (err == 0) {
            meals--;
            cr_assert_eq(lw_mutex_release(right), 0);
        }
        cr_assert_eq(lw_mutex_release(left), 0);
        cr_assert(err == 0 || err == -EDEADLK);
        if (err == -EDEADLK)
            cr_assert_eq(lw_backoff(LW_FOREVER), 0);
        cr_assert_eq(lw_backoff(LW_FOREVER), -EDEADLK, "nobody is to be waited for");
    }
}

static int dine_all(void *arg)
{
    struct crowd crowd = {.tasks = 3, .threads = 2, .act = dine, .seed = 1};

    (void)arg;
    forget_heard();
    crowd_run(&crowd);
    return 0;
}

Test(victim, s53_s59_philosophers_all_eat)
{
    run_all(dine_all, NULL);
}
