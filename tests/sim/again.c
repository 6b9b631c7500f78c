/* SPDX-License-Identifier: MIT */
/* What fails comes back by what is said of it, in a process that has seen no schedule yet; or it is
 * said that it does not. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "tests/sim/hear.h"

TestSuite(again, .init = watchdog);

static lw_sim_result found;

static int find(void *arg)
{
    const struct simulation *self = arg;

    return 100 + lw_sim_run(&self->options, self->test, NULL, &found);
}

/* Each in a process of its own: what fails there, if anything does.  The choices are `replay`. */
static bool fails_first(struct simulation *simulation, char *replay)
{
    int status = run_in_child(find, simulation, text, sizeof text);
    const char *list = strstr(text, " are needed: ");

    cr_assert(WIFEXITED(status));
    *replay = '\0';
    if (list == NULL)
        return strstr(text, "brings it back") != NULL;
    cr_assert_eq(sscanf(list, " are needed: %1000[^\n]", replay), 1);
    return true;
}

/* One task and the caller. */
static void do_twice(lw_fn *fn)
{
    lw_task other;

    LW_SIM_CHECK(lw_spawn(&other, fn, NULL, NULL) == 0);
    LW_SIM_CHECK(fn(NULL) == 0);
    LW_SIM_CHECK(lw_join(other, NULL, LW_FOREVER) == 0);
}

/* ---- what is left behind by a failure */

static lw_mutex mutex;
static int balance;

static int pay_in(void *arg)
{
    int seen = balance;

    (void)arg;
    lw_sim_point();
    balance = seen + 10;
    return 0;
}

static int audit_with_the_lock_held(void *arg)
{
    (void)arg;
    balance = 0;
    do_twice(pay_in);
    LW_SIM_CHECK(lw_mutex_acquire(&mutex, LW_FOREVER) == 0);
    LW_SIM_CHECK(balance == 20);
    return lw_mutex_release(&mutex);
}

Test(again, a_lock_that_was_held_where_it_failed_is_free_again)
{
    for (int strategy = LW_SIM_RANDOM; strategy <= LW_SIM_EXHAUSTIVE; strategy++) {
        struct simulation simulation = {
            .options = {.strategy = (lw_sim_strategy)strategy, .schedules = 10000},
            .test = audit_with_the_lock_held};
        lw_sim_result result = result_of(&simulation);

        cr_assert_str_neq(result.choices, "0:", "some are needed");
        simulation.options.strategy = LW_SIM_RANDOM;
        simulation.options.replay = result.choices;
        mutex = (lw_mutex){0};
        hear(&simulation, LW_SIM_FAILED_CHECK);
        is_said("failed a check: balance == 20: ");
        is_said_so("replay = \"%s\" brings it back", result.choices);
    }
}

/* ---- what is left behind by those that passed */

static int calls;

static int be_called_four_times(void *arg)
{
    (void)arg;
    do_twice(pay_in);
    LW_SIM_CHECK(++calls < 5);
    return 0;
}

Test(again, what_depends_on_the_schedules_before_is_said_to)
{
    struct simulation simulation = {.test = be_called_four_times};

    hear(&simulation, LW_SIM_FAILED_CHECK);
    is_said("by itself this schedule does not fail");
    is_said("; 5 schedules from seed 1 bring it back (hash ");
    is_not_said("LW_SIM=");
    simulation.options.strategy = LW_SIM_EXHAUSTIVE;
    hear(&simulation, LW_SIM_FAILED_CHECK);
    is_said("by itself this schedule does not fail");
    is_said("; the same options bring it back (hash ");
    is_not_said("replay");
}

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void initialize(void)
{
    for (int i = 0; i < 7; i++)
        lw_sim_point();
}

static int pay_in_lazily(void *arg)
{
    LW_SIM_CHECK(pthread_once(&once, initialize) == 0);
    return pay_in(arg);
}

static int pay_twice(void *arg)
{
    (void)arg;
    balance = 0;
    do_twice(pay_in_lazily);
    LW_SIM_CHECK(balance == 20);
    return 0;
}

/* With the seed that is said, and with no other. */
Test(again, a_seed_that_is_said_brings_it_back)
{
    unsigned comes_back = 0, does_not = 0;

    for (uint64_t first = 1; first <= (is_slow() ? 60 : 240); first += 3) {
        struct simulation simulation = {.options = {.seed = first, .schedules = 100},
                                        .test = pay_twice};
        unsigned long long seed, hash, again;
        char only[32], replay[1001];
        const char *way;

        (void)fails_first(&simulation, replay);
        way = strstr(text, "latchwork: simulation: LW_SIM=");
        if (way == NULL) {
            is_said("by itself this schedule does not fail");
            does_not++;
            continue;
        }
        cr_assert_eq(sscanf(way, "latchwork: simulation: LW_SIM=%llu brings it back (hash %llx)",
                            &seed, &hash),
                     2);
        (void)snprintf(only, sizeof only, "%llu", seed);
        simulation.only = only;
        hear(&simulation, LW_SIM_FAILED_CHECK);
        way = strstr(text, "(hash ");
        cr_assert_eq(sscanf(way, "(hash %llx)", &again), 1);
        cr_assert_eq(again, hash);
        comes_back++;
    }
    cr_assert_gt(comes_back, 0u);
    cr_assert_gt(does_not, 0u);
}

/* ---- two bugs */

static int x, y;

static int add_to_both(void *arg)
{
    int seen = x;

    (void)arg;
    lw_sim_point();
    x = seen + 1;
    seen = y;
    lw_sim_point();
    y = seen + 1;
    return 0;
}

static int lose_one_of_two(void *arg)
{
    (void)arg;
    x = y = 0;
    do_twice(add_to_both);
    LW_SIM_CHECK(x == 2);
    LW_SIM_CHECK(y == 2);
    return 0;
}

Test(again, the_choices_that_are_needed_are_those_of_the_same_bug)
{
    unsigned xs = 0, ys = 0;

    for (uint64_t first = 1; first <= (is_slow() ? 400 : 1000); first += 40) {
        struct simulation simulation = {.options = {.seed = first, .schedules = 100},
                                        .test = lose_one_of_two};
        char replay[1001];
        bool is_x;

        cr_assert(fails_first(&simulation, replay));
        is_x = strstr(text, "x == 2") != NULL;
        *(is_x ? &xs : &ys) += 1;
        simulation.options.replay = replay;
        hear(&simulation, LW_SIM_FAILED_CHECK);
        is_said(is_x ? "failed a check: x == 2: " : "failed a check: y == 2: ");
    }
    cr_assert_gt(xs, 0u);
    cr_assert_gt(ys, 0u);
}

/* ---- ends of the process */

static int leave_by_exit(void *arg)
{
    (void)arg;
    exit(3);
}

static int leave_at_once(void *arg)
{
    (void)arg;
    _exit(4);
}

static int leave_quickly(void *arg)
{
    (void)arg;
    quick_exit(5);
}

/* A child that the test has forked may leave. */
static int fork_and_leave(void *arg)
{
    int status = 1;
    pid_t child = fork();

    (void)arg;
    if (child == 0)
        _exit(0);
    LW_SIM_CHECK(wait(&status) == child && status == 0);
    LW_SIM_CHECK(wait(&status) == -1 && errno == ECHILD); /* nobody else's */
    return 0;
}

Test(again, a_test_that_ends_the_process_says_its_seed)
{
    static const struct {
        lw_fn *test;
        const char *text;
    } ways[] = {{leave_by_exit, "the schedule of seed 1 crashed: the test called exit(3)\n"},
                {leave_at_once, "the schedule of seed 1 crashed: the test called _exit(4)\n"},
                {leave_quickly, "the schedule of seed 1 crashed: the test called quick_exit(5)\n"}};
    struct simulation simulation = {.test = fork_and_leave};

    for (unsigned i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct simulation leaving = {.test = ways[i].test};

        hear(&leaving, LW_SIM_CRASHED);
        is_said(ways[i].text);
        is_said("LW_SIM=1 brings it back (hash ");
    }
    simulation.options.schedules = 3;
    hear(&simulation, LW_SIM_PASSED);
}

/* ---- a runtime before it */

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int run_and_find(void *arg)
{
    const struct simulation *self = arg;

    if (self->only != NULL)
        (void)setenv("LW_SIM", self->only, 1);
    for (int i = 0; i < 2; i++)
        if (lw_run(NULL, do_nothing, NULL) != 0)
            return 1;
    return 100 + lw_sim_run(&self->options, self->test, NULL, &found);
}

/* By LW_SIM that runtime is simulated as well. */
Test(again, a_program_may_have_used_a_runtime_before)
{
    struct simulation simulation = {.test = lose_one_of_two};
    lw_sim_result result = result_of(&simulation);
    char only[32];
    int status = run_in_child(run_and_find, &simulation, text, sizeof text);

    cr_assert_eq(WEXITSTATUS(status), 100 + LW_SIM_FAILED_CHECK, "%s", text);
    is_said_so("LW_SIM=%llu brings it back (hash %llx)", (unsigned long long)result.seed,
               (unsigned long long)result.hash);
    (void)snprintf(only, sizeof only, "%llu", (unsigned long long)result.seed);
    simulation.only = only;
    status = run_in_child(run_and_find, &simulation, text, sizeof text);
    cr_assert_eq(WEXITSTATUS(status), 100 + LW_SIM_FAILED_CHECK, "%s", text);
    is_said_so("LW_SIM=%s brings it back (hash %llx)", only, (unsigned long long)result.hash);
}
