/* SPDX-License-Identifier: MIT */
/* Runs the tests of the other suites in simulated schedules.
 *
 * The suites are compiled unchanged a second time, against the simulation library and the stand-in
 * for Criterion that the cross build uses too; this is its other runner.  Each test is a child, and
 * in it one lw_sim_run(): virtual thread 0 is a plain thread that calls the suite's init, the body
 * of the test and the suite's fini.  Half of the schedules are random, half are PCT's.  The static
 * data of the suite are fresh in each schedule, as in a process of its own.
 *
 * A test that has to die of a signal has to crash in every schedule.
 *
 * LW_SIM_SCHEDULES: schedules of each test; LW_SIM_FIRST: the first seed; LW_SIM_LOG: the file to
 * which each test and strategy adds a line (tests/sim/soak).  A failure says its seed:
 * LW_SIM=<seed> LW_SIM_STRATEGY=<name> ./sim-suite-<noun> --filter <suite>/<test> brings it back.
 * LW_SIM_SECONDS: how long a test may take at most. */
#include <criterion/criterion.h>
#include <fnmatch.h>
#include <latchwork/sim.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/sim/settings.h"
#include "tests/sim/cell.h"
#include "tests/sim/left_out.h"

enum { FAILED = 70, SKIPPED = 77, SCHEDULES_DEFAULT = 24, SECONDS_DEFAULT = 300 };
enum { SPURIOUS_ONE_IN = 64 };
#define STEPS_MAX UINT64_C(20000000)

static struct cr_test_ *first, **last = &first;

/* What a child says of itself beside its exit code. */
static struct account {
    uint64_t schedules;
    uint64_t seed; /* the last one */
} * account;

void cr_register_(struct cr_test_ *test)
{
    *last = test;
    last = &test->next;
}

void cr_claim_(bool required, bool truth, const char *claim, const char *file, int line,
               const char *format, ...)
{
    char text[128];
    va_list args;

    (void)required; /* a schedule ends with the first claim that is wrong */
    if (truth)
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (lw_sim_active())
        sim_fail(LW_SIM_FAILED_CHECK, "%s:%d: %s%s%s", file, line, claim, *text != '\0' ? ": " : "",
                 text);
    (void)fprintf(stderr, "%s:%d: failed: %s: %s\n", file, line, claim, text);
    _exit(FAILED);
}

void cr_log_(const char *format, ...)
{
    (void)format; /* once a schedule would be too often */
}

void cr_skip_(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
    _exit(SKIPPED);
}

/* What a test does not say, its suite may say. */
static struct cr_options_ options_of(const struct cr_test_ *test)
{
    struct cr_options_ options = test->options;

    for (const struct cr_test_ *suite = first; suite != NULL; suite = suite->next) {
        if (suite->body != NULL || strcmp(suite->suite, test->suite) != 0)
            continue;
        options.init = options.init != NULL ? options.init : suite->options.init;
        options.fini = options.fini != NULL ? options.fini : suite->options.fini;
        options.signal = options.signal != 0 ? options.signal : suite->options.signal;
        options.disabled = options.disabled || suite->options.disabled;
    }
    return options;
}

/* ---- in the child */

struct job {
    const struct cr_test_ *test;
    struct cr_options_ options;
};

static int run_once(void *arg)
{
    const struct job *job = arg;

    if (job->options.init != NULL)
        job->options.init();
    job->test->body();
    if (job->options.fini != NULL)
        job->options.fini();
    return 0;
}

static bool run_schedules(struct job *job, lw_sim_options options)
{
    lw_sim_result result;
    uint64_t schedules = options.schedules;
    int verdict;

    if (schedules == 0)
        return true;
    if (job->options.signal == 0) {
        verdict = lw_sim_run(&options, run_once, job, &result);
        account->schedules += result.schedules;
        account->seed = result.seed;
        return verdict == LW_SIM_PASSED;
    }
    options.schedules = 1;
    options.quiet = true;
    sim_settings->no_shortening = true;
    for (uint64_t i = 0; i < schedules; i++, options.seed++) {
        verdict = lw_sim_run(&options, run_once, job, &result);
        account->schedules++;
        account->seed = result.seed;
        if (verdict != LW_SIM_CRASHED) {
            (void)fprintf(stderr, "seed %llu: it should have crashed, but the verdict is %d\n",
                          (unsigned long long)result.seed, verdict);
            return false;
        }
    }
    return true;
}

static bool run_cell(struct job *job, lw_sim_options options, const char *name)
{
    uint64_t before = account->schedules;
    double from = cell_seconds();
    bool passed = run_schedules(job, options);

    cell_log(name, account->schedules - before, cell_seconds() - from, !passed, account->seed);
    return passed;
}

static bool is_wanted(const char *strategy)
{
    const char *only = getenv("LW_SIM_STRATEGY");

    return only == NULL || strcmp(only, strategy) == 0;
}

/* Its suite says what is ready and what is not. */
static bool is_exact(const struct cr_test_ *test)
{
    for (unsigned i = 0; i < sizeof exact / sizeof *exact; i++)
        if (strcmp(exact[i], test->suite) == 0)
            return true;
    return false;
}

static bool is_large(const struct cr_test_ *test)
{
    char name[256];

    (void)snprintf(name, sizeof name, "%s/%s", test->suite, test->name);
    for (unsigned i = 0; i < sizeof large / sizeof *large; i++)
        if (fnmatch(large[i], name, 0) == 0)
            return true;
    return false;
}

static _Noreturn void run_child(const struct cr_test_ *test, const struct cr_options_ *of_test)
{
    uint64_t schedules = cell_setting("LW_SIM_SCHEDULES", SCHEDULES_DEFAULT);
    struct job *job = malloc(sizeof *job);
    lw_sim_options options = {.seed = cell_setting("LW_SIM_FIRST", 1), .steps_max = STEPS_MAX};
    bool passed = job != NULL;

    if (is_large(test))
        schedules = (schedules + LARGE_ONE_IN - 1) / LARGE_ONE_IN;
    (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    (void)alarm((unsigned)cell_setting("LW_SIM_SECONDS", SECONDS_DEFAULT));
    sim_settings->plain = true;
    sim_settings->program_data = true;
    sim_settings->own_weather = true;
    sim_settings->weather.spurious = is_exact(test) ? 0 : SPURIOUS_ONE_IN;
    sim_settings->no_shortening = getenv("LW_SIM_SHORTEN") == NULL;
    if (job != NULL)
        *job = (struct job){test, *of_test};
    if (passed && is_wanted("random")) {
        options.strategy = LW_SIM_RANDOM;
        options.schedules = is_wanted("pct") ? (schedules + 1) / 2 : schedules;
        passed = run_cell(job, options, "random");
    }
    if (passed && is_wanted("pct")) {
        options.strategy = LW_SIM_PCT;
        options.schedules = is_wanted("random") ? schedules / 2 : schedules;
        passed = run_cell(job, options, "pct");
        if (!passed)
            (void)fprintf(stderr, "with LW_SIM_STRATEGY=pct\n");
    }
    _exit(passed ? 0 : FAILED);
}

/* ---- in the parent */

static const char *reason_to_leave_out(const struct cr_test_ *test,
                                       const struct cr_options_ *options)
{
    char name[256];

    (void)snprintf(name, sizeof name, "%s/%s", test->suite, test->name);
    if (options->disabled)
        return "disabled";
    if (options->exit_code != 0)
        return "it ends the process";
    for (const struct left_out *one = left_out; one->tests != NULL; one++)
        if (fnmatch(one->tests, name, 0) == 0)
            return one->reason;
    return NULL;
}

/* Returns whether the test did not fail. */
static bool run(const struct cr_test_ *test)
{
    struct cr_options_ options = options_of(test);
    const char *reason = reason_to_leave_out(test, &options);
    uint64_t before = account->schedules;
    double from;
    int status = 0;
    bool passed, skipped;
    pid_t child;

    if (reason != NULL && getenv("LW_SIM_ALL") == NULL) {
        printf("ok - %s::%s # SKIP %s\n", test->suite, test->name, reason);
        return true;
    }
    from = cell_seconds();
    (void)fflush(NULL);
    child = fork();
    if (child < 0) {
        perror("fork");
        exit(1);
    }
    if (child == 0)
        run_child(test, &options);
    if (waitpid(child, &status, 0) != child)
        abort();
    skipped = WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED;
    passed = skipped || (WIFEXITED(status) && WEXITSTATUS(status) == 0);
    printf("%s - %s::%s%s\n", passed ? "ok" : "not ok", test->suite, test->name,
           skipped ? " # SKIP" : "");
    printf("# %s::%s: %llu schedules, %.3f s\n", test->suite, test->name,
           (unsigned long long)(account->schedules - before), cell_seconds() - from);
    if (WIFSIGNALED(status))
        (void)fprintf(stderr, "%s::%s: died of signal %d (%s)\n", test->suite, test->name,
                      WTERMSIG(status), strsignal(WTERMSIG(status)));
    if (!passed)
        (void)fprintf(stderr, "%s:%d: %s::%s failed\n", test->file, test->options.line, test->suite,
                      test->name);
    return passed;
}

static bool fits(const struct cr_test_ *test, const char *filter)
{
    char name[256];

    if (test->body == NULL)
        return false;
    (void)snprintf(name, sizeof name, "%s/%s", test->suite, test->name);
    return filter == NULL || fnmatch(filter, name, 0) == 0;
}

int main(int argc, char **argv)
{
    const char *filter = NULL;
    bool list = false;
    size_t count = 0, failed = 0;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--filter") == 0 && i + 1 < argc)
            filter = argv[++i];
        else if (strncmp(argv[i], "--filter=", 9) == 0)
            filter = argv[i] + 9;
        else if (strcmp(argv[i], "--list") == 0)
            list = true;
    }
    account =
        mmap(NULL, sizeof *account, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (account == MAP_FAILED)
        return 1;
    for (struct cr_test_ *test = first; test != NULL; test = test->next)
        count += fits(test, filter);
    if (count == 0) {
        (void)fprintf(stderr, "there is no such test\n");
        return 1;
    }
    if (!list)
        printf("TAP version 13\n1..%zu\n", count);
    for (struct cr_test_ *test = first; test != NULL; test = test->next) {
        if (!fits(test, filter))
            continue;
        if (list)
            printf("%s/%s\n", test->suite, test->name);
        else
            failed += !run(test);
    }
    if (!list)
        printf("# schedules: %llu\n", (unsigned long long)account->schedules);
    return failed == 0 ? 0 : 1;
}
