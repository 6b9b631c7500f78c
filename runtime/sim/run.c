/* SPDX-License-Identifier: MIT */
/* Running a test in many schedules, until one fails; a whole program in one.
 *
 * A failure is reported from wherever it is noticed, on the failing thread's stack, and ends the
 * schedule: the engine goes on with what it was doing before, and the threads of the schedule are
 * never seen again.  All they had is put back when the next one begins.
 *
 * [R1] claim: acquire swap of active  <-  leave: release store; what is kept goes from thread to
 *      thread. */
#include <errno.h>
#include <latchwork/runtime.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/os/os.h"
#include "runtime/sim/locals.h"
#include "runtime/sim/sanitizer.h"
#include "runtime/sim/settings.h"
#include "runtime/sim/world.h"
#include "runtime/worker.h"

enum {
    SCHEDULES_DEFAULT = 1000,
    STEPS_DEFAULT = 1000000,
};

struct sim_settings *sim_settings;

/* What is kept from schedule to schedule. */
static struct run {
    lw_sim_options options;
    lw_fn *test;
    void *arg;
    uint32_t active;         /* one thread is in lw_sim_run() */
    bool whole_program;      /* in LW_SIM */
    pid_t process;           /* not that of a child that the test has forked */
    bool silent;             /* in the plain one before PCT's, and in children */
    struct sim_failure last; /* the schedule that runs, or has: how it ended */
    uint64_t expected;
    struct sim_choices list;
    struct sim_signals signals; /* as they were before */
    struct lw_thread *self;     /* whole_program: the same */
} * run;

/* ---- failing */

static void say_failure(void)
{
    if (!run->silent && !run->options.quiet)
        sim_say_failure(&run->last);
}

void sim_fail(int verdict, const char *format, ...)
{
    va_list args;

    lw_sim_on = lw_sim_weak = false; /* no points from here on */
    run->last.verdict = verdict;
    va_start(args, format);
    (void)vsnprintf(run->last.reason, sizeof run->last.reason, format, args);
    va_end(args);
    say_failure();
    if (!run->whole_program)
        sim_world_leave();
    (void)fprintf(stderr,
                  "latchwork: simulation: LW_SIM=%llu brings it back (%llu steps, hash %llx)\n",
                  (unsigned long long)run->last.number, (unsigned long long)sim_plan_steps(),
                  (unsigned long long)sim_plan_hash());
    (void)signal(SIGABRT, SIG_DFL);
    abort();
}

bool sim_is_test(void)
{
    return !run->whole_program && getpid() == run->process;
}

void sim_say_schedule(void)
{
    sim_say_running(&run->last);
}

void sim_crash(const char *text)
{
    sim_fail(LW_SIM_CRASHED, "%s", text);
}

void lw_sim_check_failed(const char *text, const char *file, int line)
{
    if (lw_sim_active())
        sim_fail(LW_SIM_FAILED_CHECK, "%s: %s:%d", text, file, line);
    (void)fprintf(stderr, "latchwork: check failed: %s: %s:%d\n", text, file, line);
    abort();
}

/* ---- one schedule */

/* The option's.  Without it they are the settings' own. */
static void set_faults(bool on)
{
    uint64_t one_in = run->options.faults;

    if (one_in == 0)
        return;
    sim_settings->fault_kinds = on ? (1u << SIM_FAULTS) - 1 : 0;
    sim_settings->fault_one_in = one_in < UINT32_MAX ? (unsigned)one_in : UINT32_MAX;
    sim_weather.reset = sim_weather.no_files = on ? sim_settings->fault_one_in : 0;
}

/* Faults are the test's alone: of the runtime around it none is asked how it gets on without. */
static int enter_test(void *arg)
{
    int status;

    sim_plan_in_test(true);
    set_faults(true);
    status = run->test(arg);
    set_faults(false);
    sim_plan_in_test(false);
    return status;
}

/* What any network does, in every other schedule. */
static void choose_weather(void)
{
    static const struct sim_weather rough = {.short_io = 6, .delay = 6, .intr = 50, .spurious = 50};

    if (!sim_settings->own_weather && sim_choose(2) == 1)
        sim_weather = rough;
}

static void run_test(void *arg)
{
    lw_options options = {.name = "sim", .workers = sim_settings->workers};
    unsigned weak_one_in = sim_settings->weak_one_in != 0 ? sim_settings->weak_one_in : 4;

    (void)arg;
    choose_weather();
    if (sim_choose(weak_one_in) == weak_one_in - 1)
        sim_weak_begin();
    lw_asym_symmetric = sim_choose(4) == 3; /* where membarrier(2) is missing */
    if (sim_settings->plain) {
        run->last.status = enter_test(run->arg);
    } else {
        if (options.workers == 0)
            options.workers = 1 + (1 + sim_choose(3)) % 3; /* plainly 2 */
        run->last.status = lw_run(&options, enter_test, run->arg);
    }
    if (run->last.status < 0) {
        run->last.verdict = LW_SIM_FAILED_STATUS;
        (void)snprintf(run->last.reason, sizeof run->last.reason, "status %d (%s)",
                       run->last.status, strerror(-run->last.status));
        lw_sim_on = false;
        say_failure();
    }
    lw_sim_weak = false;
}

static int run_schedule(enum sim_strategy strategy, const struct sim_choices *list)
{
    run->last.strategy = strategy;
    run->last.verdict = LW_SIM_PASSED;
    run->last.status = 0;
    sim_memory_begin();
    sim_system_fill(&lw_sys);
    sim_weather = sim_settings->weather;
    set_faults(false); /* the schedule before may have failed in the midst of its test */
    sim_plan_begin(strategy, run->last.number, run->options.depth, run->options.steps_max,
                   run->expected, list);
    sim_world_run(run_test, NULL);
    return run->last.verdict;
}

/* ---- many */

static enum sim_strategy strategy_of(const lw_sim_options *options)
{
    if (options->replay != NULL)
        return SIM_BY_LIST;
    return options->strategy == LW_SIM_PCT          ? SIM_BY_PCT
           : options->strategy == LW_SIM_EXHAUSTIVE ? SIM_BY_EXHAUSTION
                                                    : SIM_BY_RANDOM;
}

/* Steps of the plain schedule, for PCT. */
static void expect_steps(enum sim_strategy strategy)
{
    bool silent = run->silent;

    if (strategy != SIM_BY_PCT)
        return;
    run->silent = true;
    (void)run_schedule(SIM_PLAINLY, NULL);
    run->silent = silent;
    run->expected = sim_plan_steps();
}

/* Is there another one after this one? */
static bool is_next(enum sim_strategy strategy, uint64_t done, uint64_t last)
{
    bool more = strategy != SIM_BY_EXHAUSTION || sim_plan_next_branch();

    if (strategy == SIM_BY_EXHAUSTION && !run->options.quiet && (!more || done == last))
        sim_say_search(done, run->options.depth, !more);
    return more && done < last;
}

/* In a child: all as it is when that schedule is the first. */
static void rerun(enum sim_strategy strategy, uint64_t number, const struct sim_choices *list,
                  struct sim_outcome *outcome)
{
    run->silent = true;
    run->process = getpid();
    run->last.number = number;
    expect_steps(strategy);
    outcome->verdict = run_schedule(strategy, list);
    outcome->hash = sim_plan_hash();
    memcpy(outcome->reason, run->last.reason, sizeof outcome->reason);
}

static void run_all(lw_sim_result *result)
{
    enum sim_strategy strategy = strategy_of(&run->options);
    uint64_t last = run->options.schedules;

    if (last == 0)
        last = strategy == SIM_BY_EXHAUSTION ? UINT64_MAX : SCHEDULES_DEFAULT;
    if (strategy == SIM_BY_LIST)
        last = 1;
    expect_steps(strategy);
    sim_plan_forget_branches();
    do {
        run->last.number = strategy == SIM_BY_EXHAUSTION ? result->schedules + 1
                                                         : run->options.seed + result->schedules;
        (void)run_schedule(strategy, &run->list);
        result->schedules++;
        result->hash = sim_plan_hash();
    } while (run->last.verdict == LW_SIM_PASSED && is_next(strategy, result->schedules, last));
    if (run->last.verdict != LW_SIM_PASSED)
        sim_explain(&run->last, &run->options, result);
    result->seed = sim_has_seed(strategy) ? run->last.number : 0;
    result->status = run->last.status;
}

/* LW_SIM, if it is there.  False: it is no whole number. */
static bool read_seed(const char *text, uint64_t *seed)
{
    char *end = NULL;

    if (text == NULL || *text == '\0')
        return true;
    errno = 0;
    if (*text >= '0' && *text <= '9')
        *seed = strtoull(text, &end, 0);
    if (end != NULL && *end == '\0' && errno == 0)
        return true;
    (void)fprintf(stderr, "latchwork: simulation: LW_SIM=%s is not a whole number\n", text);
    return false;
}

static bool read_options(const lw_sim_options *options)
{
    const char *seed = secure_getenv("LW_SIM");

    memset(&run->options, 0, sizeof run->options);
    if (options != NULL)
        run->options = *options;
    if (run->options.strategy > LW_SIM_EXHAUSTIVE)
        return false;
    if (run->options.replay != NULL && !sim_choices_parse(&run->list, run->options.replay))
        return false;
    if (run->options.depth == 0)
        run->options.depth = run->options.strategy == LW_SIM_EXHAUSTIVE ? 1 : 3;
    if (run->options.steps_max == 0)
        run->options.steps_max = STEPS_DEFAULT;
    if (seed != NULL && *seed != '\0' && run->options.strategy != LW_SIM_EXHAUSTIVE) {
        if (!read_seed(seed, &run->options.seed))
            return false;
        run->options.schedules = 1;
    }
    if (run->options.seed == 0)
        run->options.seed = 1;
    return true;
}

static void leave(void)
{
    __atomic_store_n(&run->active, 0, __ATOMIC_RELEASE); /* [R1] */
}

static bool is_some_runtime(void)
{
    for (unsigned i = 0; i < LW_RUNTIMES_MAX; i++)
        if (lw_load_rlx(&lw_runtimes[i]) != NULL)
            return true;
    return false;
}

/* lw_sim_run() in a program that was to be simulated as a whole, and has used a runtime before: its
 * seed is then that of the run.  False: it is in the midst of it. */
static bool disown(void)
{
    if (!run->whole_program || !sim_is_here() || is_some_runtime() || !sim_world_disown())
        return false;
    run->whole_program = false;
    sim_signals_release(&run->signals);
    sim_memory_end();
    lw_thread_tls = run->self;
    return true;
}

/* One thread of the process at a time, and no runtime beside it.  Not by the library's atomics,
 * which are points of the schedule that another thread is in. */
static bool claim(void)
{
    if ((lw_sim_on && !disown()) ||
        __atomic_exchange_n(&run->active, 1, __ATOMIC_ACQUIRE) != 0) /* [R1] */
        return false;
    if (!is_some_runtime())
        return true;
    leave();
    return false;
}

static int run_claimed(const lw_sim_options *options, lw_fn *test, void *arg, lw_sim_result *result)
{
    struct lw_thread *self = lw_thread_tls;

    memset(result, 0, sizeof *result);
    if (test == NULL || !read_options(options))
        return -EINVAL;
    if (!sim_memory_enter())
        return -ENOMEM;
    run->test = test;
    run->arg = arg;
    run->process = getpid();
    sim_signals_catch(&run->signals);
    if (!sim_settings->no_shortening)
        sim_again_begin(rerun);
    run_all(result);
    sim_again_end();
    sim_signals_release(&run->signals);
    sim_memory_end();
    lw_thread_tls = self;
    set_faults(false);
    return run->last.verdict;
}

int lw_sim_run(const lw_sim_options *options, lw_fn *test, void *arg, lw_sim_result *result)
{
    lw_sim_result mine;
    int verdict;

    if (run == NULL)
        return -ENOMEM;
    if (!claim())
        return -EPERM;
    verdict = run_claimed(options, test, arg, result != NULL ? result : &mine);
    sim_choices_free(&run->list);
    leave();
    return verdict;
}

/* ---- a whole program */

/* Found by liblatchwork, which was loaded after us. */
LW_API extern const char lw_sim_is_here;
const char lw_sim_is_here = 1;

static void adopt(uint64_t seed)
{
    run->whole_program = true;
    run->last.strategy = SIM_BY_RANDOM;
    run->last.number = seed;
    if (!sim_memory_enter()) {
        (void)fprintf(stderr, "latchwork: simulation: no memory\n");
        abort();
    }
    sim_signals_catch(&run->signals);
    run->self = lw_thread_tls;
    sim_memory_begin();
    lw_thread_tls = NULL; /* what it had of the library's before is no more */
    sim_system_fill(&lw_sys);
    sim_plan_begin(SIM_BY_RANDOM, seed, 0, UINT64_MAX / 2, 0, NULL);
    sim_world_adopt();
}

/* By lw_run() and lw_start(): a program that is linked with this library and is to be simulated. */
void lw_sim_program_starts(uint64_t seed)
{
    const char *said = secure_getenv("LW_SIM");

    if (lw_sim_on || run == NULL)
        return;
    if (!read_seed(said, &seed))
        abort();
    if (seed != 0)
        adopt(seed);
}

/* What absent.c has put there is not for other programs that this one starts; one with the library
 * in it does the same again. */
static void take_preload_back(void)
{
    const char *preload = getenv("LD_PRELOAD"), *before;

    (void)unsetenv("LW_SIM_PROGRAM");
    if (preload == NULL)
        return;
    before = strchr(preload, ':');
    if (before != NULL)
        (void)setenv("LD_PRELOAD", before + 1, 1);
    else
        (void)unsetenv("LD_PRELOAD");
}

/* The last constructor of the library: see memory.c. */
__attribute__((constructor)) static void sim_init(void)
{
    const char *seed = secure_getenv("LW_SIM"), *program = secure_getenv("LW_SIM_PROGRAM");

    sim_real = lw_sys;
    run = calloc(1, sizeof *run);
    sim_settings = calloc(1, sizeof *sim_settings);
    sim_world = calloc(1, sizeof *sim_world);
    if (run == NULL || sim_settings == NULL || sim_world == NULL || !sim_plan_init() ||
        !sim_weak_init() || !sim_locals_init() || !sim_again_init() ||
        !sim_memory_init()) {
        run = NULL;
        return;
    }
    if (program != NULL && seed != NULL && *seed != '\0') {
        uint64_t number = 0;

        take_preload_back();
        if (!read_seed(seed, &number))
            abort();
        adopt(number);
    }
}
