/* SPDX-License-Identifier: MIT */
/* Runs the tests that <criterion/criterion.h> of this folder registered, each in a child of its
 * own, and reports in TAP.  Options of Criterion that meson or a person gives are understood:
 * --filter <suite/name pattern> and --list; --tap=-, --quiet, --verbose and -j<n> change nothing.
 *
 * A test passes when its process ends as its options say: by exit code 0 and no failed claim, or by
 * the given signal or exit code.  A filter that fits nothing is an error, not a success. */
#include <criterion/criterion.h>

#include <fnmatch.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { FAILED = 70, SKIPPED = 77, TIMEOUT_DEFAULT = 60 };

static struct cr_test_ *first, **last = &first;
static atomic_int claims_failed;

void cr_register_(struct cr_test_ *test)
{
    *last = test;
    last = &test->next;
}

void cr_claim_(bool required, bool truth, const char *claim, const char *file, int line,
               const char *format, ...)
{
    char text[1024];
    va_list args;

    if (truth)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    /* One write, since other threads may fail at the same time. */
    fprintf(stderr, "%s:%d: failed: %s%s%s\n", file, line, claim, *text != '\0' ? ": " : "", text);
    atomic_fetch_add(&claims_failed, 1);
    if (required)
        _exit(FAILED);
}

void cr_log_(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

void cr_skip_(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    _exit(SKIPPED);
}

/* What a test does not say, its suite may say. */
static struct cr_options_ options_of(const struct cr_test_ *test)
{
    struct cr_options_ options = test->options;

    for (const struct cr_test_ *s = first; s != NULL; s = s->next) {
        if (s->body != NULL || strcmp(s->suite, test->suite) != 0)
            continue;
        options.init = options.init != NULL ? options.init : s->options.init;
        options.fini = options.fini != NULL ? options.fini : s->options.fini;
        options.timeout = options.timeout > 0 ? options.timeout : s->options.timeout;
        options.signal = options.signal != 0 ? options.signal : s->options.signal;
        options.disabled = options.disabled || s->options.disabled;
    }
    return options;
}

static double slowness(void)
{
    const char *text = getenv("LATCHWORK_TEST_SLOWNESS");
    double factor = text != NULL ? atof(text) : 1.0;

    return factor >= 1.0 ? factor : 1.0;
}

static void run_child(const struct cr_test_ *test, const struct cr_options_ *options)
{
    setpgid(0, 0); /* so that a time limit takes what the test itself has forked along */
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* and nothing outlives an interrupted run */
    if (options->signal != 0)
        setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
    if (options->init != NULL)
        options->init();
    test->body();
    if (options->fini != NULL)
        options->fini();
    exit(atomic_load(&claims_failed) == 0 ? 0 : FAILED);
}

/* Wait for the child; false when it took too long and was killed.  SIGCHLD is blocked here. */
static bool wait_child(pid_t child, double seconds, int *status)
{
    struct timespec now, end;
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += (time_t)ceil(seconds);
    while (waitpid(child, status, WNOHANG) == 0) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec >= end.tv_sec) {
            kill(-child, SIGKILL);
            kill(child, SIGKILL);
            waitpid(child, status, 0);
            return false;
        }
        sigtimedwait(&set, NULL, &(struct timespec){ .tv_nsec = 200000000 });
    }
    return true;
}

/* Print why the test did not end as it should; returns whether it did. */
static bool judge(const struct cr_options_ *options, int status)
{
    if (options->signal != 0) {
        if (WIFSIGNALED(status) && WTERMSIG(status) == options->signal)
            return true;
        fprintf(stderr, "the test should have died of signal %d\n", options->signal);
        return false;
    }
    if (WIFSIGNALED(status)) {
        fprintf(stderr, "died of signal %d (%s)\n", WTERMSIG(status), strsignal(WTERMSIG(status)));
        return false;
    }
    if (WEXITSTATUS(status) == options->exit_code)
        return true;
    if (WEXITSTATUS(status) != FAILED)
        fprintf(stderr, "ended with exit code %d\n", WEXITSTATUS(status));
    return false;
}

/* Returns whether the test did not fail. */
static bool run(const struct cr_test_ *test, double factor)
{
    struct cr_options_ options = options_of(test);
    double seconds = (options.timeout > 0 ? options.timeout : TIMEOUT_DEFAULT) * factor;
    int status = 0;

    if (options.disabled) {
        printf("ok - %s::%s # SKIP disabled\n", test->suite, test->name);
        return true;
    }
    fflush(NULL);
    pid_t child = fork();
    if (child < 0) {
        perror("fork");
        exit(1);
    }
    if (child == 0) {
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGCHLD);
        sigprocmask(SIG_UNBLOCK, &set, NULL);
        run_child(test, &options);
    }

    bool in_time = wait_child(child, seconds, &status);
    if (in_time && WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED) {
        printf("ok - %s::%s # SKIP\n", test->suite, test->name);
        return true;
    }
    if (!in_time)
        fprintf(stderr, "took more than %.0f seconds\n", seconds);
    bool passed = in_time && judge(&options, status);
    printf("%s - %s::%s\n", passed ? "ok" : "not ok", test->suite, test->name);
    if (!passed)
        fprintf(stderr, "%s:%d: %s::%s failed\n", test->file, test->options.line, test->suite,
                test->name);
    return passed;
}

static bool fits(const struct cr_test_ *test, const char *filter)
{
    char name[256];

    if (test->body == NULL)
        return false;
    snprintf(name, sizeof name, "%s/%s", test->suite, test->name);
    return filter == NULL || fnmatch(filter, name, 0) == 0;
}

int main(int argc, char **argv)
{
    const char *filter = NULL;
    bool list = false;
    size_t count = 0, failed = 0;
    sigset_t set;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--filter") == 0 && i + 1 < argc)
            filter = argv[++i];
        else if (strncmp(argv[i], "--filter=", 9) == 0)
            filter = argv[i] + 9;
        else if (strcmp(argv[i], "--list") == 0)
            list = true;
    }
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);

    for (struct cr_test_ *test = first; test != NULL; test = test->next)
        count += fits(test, filter);
    if (count == 0) {
        fprintf(stderr, "there is no such test\n");
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
            failed += !run(test, slowness());
    }
    return failed == 0 ? 0 : 1;
}
