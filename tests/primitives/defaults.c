/* SPDX-License-Identifier: MIT */
/* The laws of lw_defaults, and which numbers they are.  Rows R117, R143, R262, R339. */
#include "tests/primitives/crowd.h"

#include <math.h>
#include <sys/wait.h>

#include "primitives/defaults.h"

TestSuite(defaults, .init = watchdog);

static lw_defaults get(void)
{
    lw_defaults defaults;

    memset(&defaults, 0xdb, sizeof defaults);
    lw_get_defaults(&defaults);
    return defaults;
}

static void set_failures_max(uint32_t failures_max)
{
    lw_defaults defaults = get();

    defaults.breaker.failures_max = failures_max;
    cr_assert_eq(lw_set_defaults(&defaults), 0);
}

static void assert_are_the_librarys(const lw_defaults *defaults)
{
    cr_assert_eq(defaults->breaker.failures_max, 3, "R117");
    cr_assert_eq(defaults->breaker.trials_max, 5, "R117");
    cr_assert_eq(defaults->breaker.reset_after, 30 * LW_SEC, "R117");
    cr_assert_null(defaults->breaker.fallback);
    cr_assert(defaults->breaker.expected == NULL && defaults->breaker.now == NULL);
    cr_assert_eq(defaults->throttle.rate_min, 0.01, "R143");
    cr_assert_eq(defaults->throttle.rate_max, 100.0, "R143");
    cr_assert_eq(defaults->throttle.window, 100, "R143");
    cr_assert_eq(defaults->throttle.ratio_high, 0.75, "R143");
    cr_assert_eq(defaults->throttle.ratio_low, 0.25, "R143");
    cr_assert_eq(defaults->throttle.factor_up, 1.25, "R143");
    cr_assert_eq(defaults->throttle.factor_down, 0.75, "R143");
    cr_assert_eq(defaults->throttle.jitter, 0.2, "R143");
    cr_assert(defaults->throttle.now == NULL && defaults->throttle.random == NULL);
    cr_assert_eq(defaults->rate_limit_tokens, 1.0);
    cr_assert_eq(defaults->bounded_semaphore_bound, 1, "R262");
    cr_assert_eq(defaults->priority_semaphore_permits, 1, "R339");
    cr_assert_eq(defaults->priority, 0, "R339");
    cr_assert_eq(defaults->host.force, LW_SEC);
    cr_assert_eq(defaults->host.acquire, 100 * LW_MS);
    cr_assert_eq(defaults->host.run, LW_FOREVER);
}

static int look(void *arg)
{
    lw_defaults defaults = get();

    (void)arg;
    assert_are_the_librarys(&defaults);
    cr_assert_eq(lw_default_rate_limit_tokens(), 1.0);
    return 0;
}

Test(defaults, these_are_the_librarys)
{
    (void)look(NULL);
    run_all(look, NULL);
}

/* ---- what is made of them */

static bool expect_all(int status)
{
    return status < 0;
}

static lw_nsec no_time(void)
{
    return 5;
}

static double no_jitter(double jitter)
{
    return 0 * jitter;
}

Test(defaults, what_is_left_out_is_read_when_it_is_made)
{
    static const int fallback = 8;
    lw_breaker_options some = {.trials_max = 9};
    lw_breaker old, one, other;
    lw_defaults defaults = get();

    cr_assert_eq(lw_breaker_init(&old, "old", NULL), 0);
    cr_assert_eq(old.options.failures_max, 3, "R117");
    cr_assert_eq(old.options.trials_max, 5, "R117");
    cr_assert_eq(old.options.reset_after, 30 * LW_SEC, "R117");
    defaults.breaker = (lw_breaker_options){
        .failures_max = 1, .trials_max = 2, .reset_after = 3, .expected = expect_all,
        .fallback = &fallback, .now = no_time};
    cr_assert_eq(lw_set_defaults(&defaults), 0);
    cr_assert_eq(lw_breaker_init(&one, "one", NULL), 0);
    cr_assert_eq(lw_breaker_init(&other, "other", &some), 0);
    cr_assert(one.options.failures_max == 1 && one.options.trials_max == 2);
    cr_assert(other.options.failures_max == 1 && other.options.trials_max == 9);
    cr_assert(one.options.reset_after == 3 && one.options.expected == expect_all);
    cr_assert(*one.options.fallback == 8 && one.options.now == no_time);
    cr_assert_eq(old.options.failures_max, 3, "R117: at construction");
}

Test(defaults, a_throttle_takes_what_it_is_not_told)
{
    lw_throttle_options some = {.window = 7, .jitter = -1};
    lw_throttle old, one, other;
    lw_defaults defaults = get();

    cr_assert_eq(lw_throttle_init(&old, "old", 1, NULL), 0);
    cr_assert_eq(old.options.rate_min, 0.01, "R143");
    cr_assert_eq(old.options.rate_max, 100.0, "R143");
    cr_assert_eq(old.options.window, 100, "R143");
    cr_assert_eq(old.options.ratio_high, 0.75, "R143");
    cr_assert_eq(old.options.ratio_low, 0.25, "R143");
    cr_assert_eq(old.options.factor_up, 1.25, "R143");
    cr_assert_eq(old.options.factor_down, 0.75, "R143");
    cr_assert_eq(lw_throttle_jitter(&old), 0.2, "R143");
    defaults.throttle = (lw_throttle_options){
        .rate_min = 1, .rate_max = 2, .window = 3, .ratio_high = 0.9, .ratio_low = -1,
        .factor_up = 4, .factor_down = 0.5, .jitter = 0, .now = no_time, .random = no_jitter};
    cr_assert_eq(lw_set_defaults(&defaults), 0);
    cr_assert_eq(lw_throttle_init(&one, "one", 3, NULL), -EINVAL, "above rate_max");
    cr_assert_eq(lw_throttle_init(&one, "one", 2, NULL), 0);
    cr_assert_eq(lw_throttle_init(&other, "other", 2, &some), 0);
    cr_assert(one.options.window == 3 && other.options.window == 7);
    cr_assert(one.options.rate_min == 1 && one.options.rate_max == 2);
    cr_assert(one.options.ratio_high == 0.9 && one.options.ratio_low == -1);
    cr_assert(one.options.factor_up == 4 && one.options.factor_down == 0.5);
    cr_assert(one.options.now == no_time && one.options.random == no_jitter);
    cr_assert(lw_throttle_jitter(&one) == 0 && lw_throttle_jitter(&other) == 0);
    cr_assert_eq(old.options.window, 100, "R143: at construction");
}

Test(defaults, semaphores_made_of_them_have_one_permit)
{
    lw_defaults defaults = get();
    lw_bounded_semaphore bounded =
        LW_BOUNDED_SEMAPHORE_INIT("bounded", defaults.bounded_semaphore_bound);
    lw_priority_semaphore ranked =
        LW_PRIORITY_SEMAPHORE_INIT("ranked", defaults.priority_semaphore_permits);

    cr_assert_eq(lw_bounded_semaphore_bound(&bounded), 1, "R262");
    cr_assert_eq(lw_bounded_semaphore_acquire(&bounded, 1, LW_NOW), 0, "R262");
    cr_assert_eq(lw_bounded_semaphore_acquire(&bounded, 1, LW_NOW), -ETIMEDOUT, "R262");
    cr_assert_eq(lw_bounded_semaphore_release(&bounded, 1), 0);
    cr_assert_eq(lw_bounded_semaphore_release(&bounded, 1), -EPERM);
    cr_assert_eq(lw_bounded_semaphore_set_bound(&bounded, -1), -EINVAL, "R262");
    defaults.bounded_semaphore_bound = -1;
    cr_assert_eq(lw_set_defaults(&defaults), -EINVAL, "R262");
    cr_assert_eq(lw_priority_semaphore_acquire(&ranked, defaults.priority, LW_NOW), 0, "R339");
    cr_assert_eq(lw_priority_semaphore_acquire(&ranked, defaults.priority, LW_NOW), -ETIMEDOUT,
                 "R339");
    cr_assert_eq(lw_priority_semaphore_release(&ranked, LW_STRICT), 0);
    cr_assert_eq(lw_priority_semaphore_release(&ranked, LW_STRICT), -EOVERFLOW, "R339");
}

/* ---- what none can be made of */

/* defaults.FIELD = VALUE is refused, and nothing is changed. */
#define REFUSED(field, value)                                                                      \
    do {                                                                                           \
        lw_defaults now_ = get(), wrong_ = now_, after_;                                           \
                                                                                                   \
        wrong_.rate_limit_tokens = 2;                                                              \
        wrong_.field = (value);                                                                    \
        cr_assert_eq(lw_set_defaults(&wrong_), -EINVAL, #field " = " #value);                      \
        after_ = get();                                                                            \
        cr_assert_eq(memcmp(&now_, &after_, sizeof now_), 0);                                      \
        cr_assert_eq(lw_default_rate_limit_tokens(), 1.0);                                         \
    } while (0)

static int refuse(void *arg)
{
    (void)arg;
    cr_assert_eq(lw_set_defaults(NULL), -EINVAL);
    REFUSED(breaker.failures_max, 0);
    REFUSED(breaker.trials_max, 0);
    REFUSED(breaker.reset_after, 0);
    REFUSED(breaker.reset_after, -1);
    REFUSED(throttle.rate_min, 0);
    REFUSED(throttle.rate_min, -1);
    REFUSED(throttle.rate_min, NAN);
    REFUSED(throttle.rate_min, 101);
    REFUSED(throttle.rate_max, NAN);
    REFUSED(throttle.rate_max, HUGE_VAL);
    REFUSED(throttle.window, 0);
    REFUSED(throttle.ratio_high, NAN);
    REFUSED(throttle.ratio_low, NAN);
    REFUSED(throttle.ratio_low, 0.8);
    REFUSED(throttle.factor_up, 0.9);
    REFUSED(throttle.factor_up, NAN);
    REFUSED(throttle.factor_down, 0);
    REFUSED(throttle.factor_down, 1.1);
    REFUSED(throttle.factor_down, NAN);
    REFUSED(throttle.jitter, NAN);
    REFUSED(rate_limit_tokens, 0);
    REFUSED(rate_limit_tokens, -1);
    REFUSED(rate_limit_tokens, NAN);
    REFUSED(rate_limit_tokens, HUGE_VAL);
    REFUSED(bounded_semaphore_bound, -1);
    REFUSED(bounded_semaphore_bound, INT64_C(1) << 32);
    REFUSED(priority_semaphore_permits, -1);
    REFUSED(priority_semaphore_permits, INT64_C(1) << 32);
    REFUSED(host.force, -1);
    REFUSED(host.acquire, -1);
    REFUSED(host.run, -1);
    return 0;
}

Test(defaults, numbers_that_nothing_is_made_of_are_refused)
{
    (void)refuse(NULL);
    run_with(2, refuse, NULL);
}

/* ---- whose they are */

static lw_runtime *start_one(void)
{
    lw_options options = {.workers = 1};
    lw_runtime *runtime;

    cr_assert_eq(lw_start(&runtime, &options), 0);
    return runtime;
}

static int run_in(lw_runtime *runtime, lw_fn *fn, void *arg)
{
    lw_task_options options = {.runtime = runtime};
    lw_task task;

    cr_assert_eq(lw_spawn(&task, fn, arg, &options), 0);
    return join_status(task);
}

static int get_failures_max(void *arg)
{
    (void)arg;
    return (int)get().breaker.failures_max;
}

static int set_to(void *arg)
{
    set_failures_max((uint32_t)(uintptr_t)arg);
    return 0;
}

Test(defaults, a_runtime_has_the_processs_until_it_has_its_own)
{
    lw_runtime *one = start_one(), *other = start_one();

    cr_assert_eq(run_in(one, get_failures_max, NULL), 3);
    set_failures_max(10);
    cr_assert_eq(run_in(one, get_failures_max, NULL), 10);
    cr_assert_eq(run_in(one, set_to, (void *)11), 0);
    cr_assert_eq(run_in(one, get_failures_max, NULL), 11);
    cr_assert_eq(run_in(other, get_failures_max, NULL), 10);
    cr_assert_eq(get_failures_max(NULL), 10);
    set_failures_max(12);
    cr_assert_eq(run_in(one, get_failures_max, NULL), 11);
    cr_assert_eq(run_in(other, get_failures_max, NULL), 12);
    cr_assert_eq(run_in(one, set_to, (void *)13), 0);
    cr_assert_eq(run_in(one, get_failures_max, NULL), 13);
    cr_assert_eq(lw_stop(one, LW_FOREVER), 0);
    one = start_one(); /* in its place */
    cr_assert_eq(run_in(one, get_failures_max, NULL), 12);
    cr_assert_eq(lw_stop(one, LW_FOREVER), 0);
    cr_assert_eq(lw_stop(other, LW_FOREVER), 0);
}

static int set_tokens(void *arg)
{
    lw_defaults defaults = get();

    (void)arg;
    defaults.rate_limit_tokens = 2.5;
    cr_assert_eq(lw_set_defaults(&defaults), 0);
    cr_assert_eq(lw_default_rate_limit_tokens(), 2.5);
    defaults.rate_limit_tokens = 0.5;
    cr_assert_eq(lw_set_defaults(&defaults), 0);
    cr_assert_eq(lw_default_rate_limit_tokens(), 0.5);
    return 0;
}

Test(defaults, a_rate_limits_tokens_are_the_callers)
{
    run_with(2, set_tokens, NULL);
    cr_assert_eq(lw_default_rate_limit_tokens(), 1.0);
    (void)set_tokens(NULL);
    cr_assert_eq(lw_default_rate_limit_tokens(), 0.5);
}

/* ---- without memory, and many at once */

static int set_without_memory(void *arg)
{
    lw_defaults defaults = get();

    (void)arg;
    defaults.breaker.failures_max = 4;
    sys_fail(SYS_CALLOC, 1, false);
    cr_assert_eq(lw_set_defaults(&defaults), -ENOMEM);
    cr_assert(sys_failed());
    cr_assert_eq(get_failures_max(NULL), 3);
    cr_assert_eq(lw_set_defaults(&defaults), 0);
    cr_assert_eq(get_failures_max(NULL), 4);
    defaults.breaker.failures_max = 5;
    sys_fail(SYS_CALLOC, 1, true);
    cr_assert_eq(lw_set_defaults(&defaults), 0, "only the first takes memory");
    sys_fail(SYS_CALLOC, 0, false);
    return get_failures_max(NULL) - 5;
}

Test(defaults, without_memory_a_runtime_keeps_what_it_has)
{
    struct resources before;

    sys_watch();
    run_with(1, look, NULL); /* what is kept for good */
    before = count_resources();
    run_with(1, set_without_memory, NULL);
    cr_assert_eq(count_resources().blocks, before.blocks);
    cr_assert_eq(get_failures_max(NULL), 3);
}

static int set_at_once(void *arg)
{
    lw_task tasks[3];
    int number;

    (void)arg;
    for (uintptr_t i = 0; i < 3; i++)
        cr_assert_eq(lw_spawn(&tasks[i], set_to, (void *)(i + 10), NULL), 0);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(join_status(tasks[i]), 0);
    number = get_failures_max(NULL);
    cr_assert(number >= 10 && number < 13);
    return 0;
}

Test(defaults, of_several_first_sets_one_makes_the_block)
{
    struct resources before;

    sys_watch();
    run_with(2, look, NULL);
    before = count_resources();
    for (long i = rounds(100); i > 0; i--)
        run_with(2, set_at_once, NULL);
    cr_assert_eq(count_resources().blocks, before.blocks);
}

static void set_and_get(struct member *member)
{
    for (int i = 0; i < 100; i++) {
        uint32_t number = 1 + (uint32_t)(random_draw(&member->random) % 1000);
        lw_defaults defaults = get();

        cr_assert_eq(defaults.breaker.failures_max == 3, defaults.breaker.trials_max == 5);
        cr_assert(defaults.breaker.failures_max == 3 ||
                  defaults.breaker.failures_max == defaults.breaker.trials_max);
        cr_assert_eq(defaults.breaker.failures_max == 3 ? 1 : defaults.breaker.failures_max,
                     (uint32_t)defaults.rate_limit_tokens);
        cr_assert_geq(lw_default_rate_limit_tokens(), 1);
        if (number == 3 || number == 5)
            continue;
        defaults.breaker.failures_max = defaults.breaker.trials_max = number;
        defaults.rate_limit_tokens = number;
        cr_assert_eq(lw_set_defaults(&defaults), 0);
        maybe_yield(member);
    }
}

static int crowds(void *arg)
{
    struct crowd crowd = {.tasks = 8, .threads = 2, .act = set_and_get, .seed = (uintptr_t)arg};

    crowd_run(&crowd);
    return 0;
}

Test(defaults, they_change_as_a_whole)
{
    for (uintptr_t seed = 1; seed <= (uintptr_t)rounds(40); seed++)
        run_with(4, crowds, (void *)seed);
}

static int in_a_child(void *arg)
{
    lw_defaults defaults;

    lw_get_defaults(&defaults);
    if (defaults.breaker.failures_max != 3)
        return 1;
    (void)arg;
    return lw_set_defaults(&defaults) == -ECHILD ? 0 : 2;
}

static int fork_a_child(void *arg)
{
    char heard[16];
    int how;

    set_failures_max(10);
    how = run_in_child(in_a_child, arg, heard, sizeof heard);
    cr_assert(WIFEXITED(how));
    cr_assert_eq(WEXITSTATUS(how), 0);
    return 0;
}

Test(defaults, after_fork_they_are_the_librarys)
{
    run_with(2, fork_a_child, NULL);
}
