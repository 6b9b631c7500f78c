/* SPDX-License-Identifier: MIT */
/* A stack overflow is reported by name, and the program dies of it; every other fault is what it
 * would have been without us.  Each case is a child process, whose stderr is looked at. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/atomic.h"
#include "runtime/os/os.h"
#include "runtime/stack.h"
#include "tests/support.h"

static bool is_tsan(void)
{
#if defined(__SANITIZE_THREAD__)
    return true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
    return true;
#endif
#endif
    return false;
}

static void setup(void)
{
    if (is_tsan())
        cr_skip_test("TSan lets no child of a program with threads start threads");
    watchdog();
}

TestSuite(overflow, .init = setup);

static char heard[8192];

struct scenario {
    void (*run)(void);
};

static int run_scenario(void *arg)
{
    const struct scenario *scenario = arg;

    (void)signal(SIGSEGV, SIG_DFL); /* Criterion's and the sanitizers' */
    (void)signal(SIGBUS, SIG_DFL);
    scenario->run();
    return 0;
}

static int in_child(void (*run)(void))
{
    struct scenario scenario = {run};

    return run_in_child(run_scenario, &scenario, heard, sizeof heard);
}

static bool died_of(int status, int number)
{
    return WIFSIGNALED(status) && WTERMSIG(status) == number;
}

/* ---- what tasks do */

static volatile bool enough;

__attribute__((noinline)) static int recurse(volatile char *before)
{
    volatile char frame[700];

    frame[0] = before != NULL ? before[0] : 0;
    frame[sizeof frame - 1] = enough ? 1 : (char)recurse(frame);
    return frame[0] + frame[sizeof frame - 1];
}

static int overflow(void *arg)
{
    (void)arg;
    return recurse(NULL);
}

static int spawn_and_join(lw_fn *fn, const lw_task_options *options)
{
    lw_task task;
    int status, err = lw_spawn(&task, fn, NULL, options);

    if (err == 0)
        err = lw_join(task, &status, LW_FOREVER);
    return err;
}

static int spawn_overflow(void *arg)
{
    lw_task_options options = {.name = "conn", .stack_bytes = *(size_t *)arg};

    return spawn_and_join(overflow, &options);
}

static void overflow_with(size_t bytes, unsigned workers)
{
    lw_options options = {.workers = workers};

    (void)lw_run(&options, spawn_overflow, &bytes);
}

static void overflow_default(void)
{
    overflow_with(0, 1);
}

static void overflow_16k(void)
{
    overflow_with(16 * 1024, 2);
}

static void overflow_1m(void)
{
    overflow_with(1024 * 1024, 2);
}

static void assert_reported(int status, size_t bytes)
{
    char size[64];

    (void)snprintf(size, sizeof size, "overflowed its %zu KiB stack",
                   lw_stack_bytes((unsigned)lw_stack_class(bytes)) / 1024);
    cr_assert(died_of(status, SIGSEGV), "status %x, said: %s", (unsigned)status, heard);
    cr_assert_not_null(strstr(heard, "latchwork: task "), "said: %s", heard);
    cr_assert_not_null(strstr(heard, " 'conn' "), "said: %s", heard);
    cr_assert_not_null(strstr(heard, size), "said: %s", heard);
    cr_assert_not_null(strstr(heard, ", spawned at "), "said: %s", heard);
    cr_assert_not_null(strstr(heard, "that is in "), "said: %s", heard);
}

Test(overflow, names_the_task_and_its_stack)
{
    assert_reported(in_child(overflow_default), 0);
}

Test(overflow, of_small_and_large_stacks_is_named)
{
    assert_reported(in_child(overflow_16k), 16 * 1024);
    assert_reported(in_child(overflow_1m), 1024 * 1024);
}

/* A frame of far more than a guard of one page, but probed.  Each is known to the next, or an
 * optimiser makes one frame of them all. */
__attribute__((noinline)) static int large_frame(int depth, volatile char *before)
{
    volatile char frame[40000];

    frame[0] = before != NULL ? before[0] : (char)depth;
    frame[sizeof frame - 1] = depth == 0 ? 0 : (char)large_frame(depth - 1, frame);
    return frame[0] + frame[sizeof frame - 1];
}

static int large_frames(void *arg)
{
    (void)arg;
    return large_frame(40, NULL);
}

static int spawn_large_frames(void *arg)
{
    lw_task_options options = {.name = "conn"};

    (void)arg;
    return spawn_and_join(large_frames, &options);
}

static void run_large_frames(void)
{
    (void)lw_run(NULL, spawn_large_frames, NULL);
}

Test(overflow, by_large_frames_hits_the_guard)
{
    assert_reported(in_child(run_large_frames), 0);
}

static int *volatile nowhere;

__attribute__((no_sanitize("undefined"))) static int null_dereference(void *arg)
{
    (void)arg;
    return *nowhere;
}

static void fault_in_task(void)
{
    (void)lw_run(NULL, null_dereference, NULL);
}

Test(overflow, is_not_claimed_for_a_null_dereference)
{
    int status = in_child(fault_in_task);

    cr_assert(died_of(status, SIGSEGV));
    cr_assert_null(strstr(heard, "overflowed"), "said: %s", heard);
}

/* A wild pointer into the guard of another task's stack. */
static char *other_guard;

static int note_guard(void *arg)
{
    struct lw_stack_place place;

    (void)arg;
    if (lw_stack_find(__builtin_frame_address(0), &place))
        other_guard = place.bottom - 100;
    return lw_sleep(LW_FOREVER);
}

static int stray(void *arg)
{
    (void)arg;
    if (lw_spawn(NULL, note_guard, NULL, NULL) != 0)
        return -1;
    while (other_guard == NULL)
        lw_yield();
    *(volatile char *)other_guard = 1;
    return 0;
}

static void run_stray(void)
{
    lw_options options = {.workers = 1};

    (void)lw_run(&options, stray, NULL);
}

Test(overflow, is_not_claimed_for_a_wild_pointer_into_the_guard_of_another)
{
    int status = in_child(run_stray);

    cr_assert(died_of(status, SIGSEGV));
    cr_assert_null(strstr(heard, "overflowed"), "said: %s", heard);
}

static int raise_in_task(void *arg)
{
    (void)arg;
    return raise(SIGSEGV);
}

static void raise_sent(void)
{
    (void)lw_run(NULL, raise_in_task, NULL);
}

Test(overflow, leaves_a_signal_that_was_sent_its_default_action)
{
    cr_assert(died_of(in_child(raise_sent), SIGSEGV));
}

/* ---- the handlers of users */

static sigjmp_buf way_out;
static volatile sig_atomic_t handled;
static void *volatile fault_at;

static void user_handler(int number, siginfo_t *info, void *context)
{
    (void)context;
    handled = number;
    fault_at = info->si_addr;
    siglongjmp(way_out, 1);
}

static int fault_and_recover(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        handled = 0;
        if (sigsetjmp(way_out, 1) == 0)
            *(volatile int *)(uintptr_t)0x1230 = 1;
        if (handled != SIGSEGV || fault_at != (void *)0x1230)
            return -1;
    }
    return 0;
}

static void recover_with(int flags)
{
    struct sigaction action = {.sa_sigaction = user_handler, .sa_flags = SA_SIGINFO | flags};

    (void)sigaction(SIGSEGV, &action, NULL);
    _exit(lw_run(NULL, fault_and_recover, NULL) == 0 ? 7 : 8);
}

static void recover(void)
{
    recover_with(0);
}

static void recover_nodefer(void)
{
    recover_with(SA_NODEFER | SA_ONSTACK);
}

Test(overflow, handler_hands_faults_to_the_users_handler)
{
    int status = in_child(recover);

    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7, "status %x: %s", (unsigned)status,
              heard);
    status = in_child(recover_nodefer);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7, "status %x: %s", (unsigned)status,
              heard);
}

static void say_and_exit(int number)
{
    (void)!write(STDERR_FILENO, "USER\n", 5);
    _exit(number == SIGSEGV ? 9 : 10);
}

static void overflow_with_user_handler(void)
{
    struct sigaction action = {.sa_handler = say_and_exit, .sa_flags = SA_ONSTACK};

    (void)sigaction(SIGSEGV, &action, NULL);
    overflow_default();
}

Test(overflow, is_reported_first_and_then_handled_by_the_user)
{
    int status = in_child(overflow_with_user_handler);

    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 9, "status %x: %s", (unsigned)status,
              heard);
    cr_assert_not_null(strstr(heard, " 'conn' overflowed"), "said: %s", heard);
    cr_assert_not_null(strstr(strstr(heard, "overflowed"), "USER"), "said: %s", heard);
}

static void ignore_sent(void)
{
    (void)signal(SIGSEGV, SIG_IGN);
    _exit(lw_run(NULL, raise_in_task, NULL) == 0 ? 7 : 8);
}

Test(overflow, handler_ignores_what_was_ignored)
{
    int status = in_child(ignore_sent);

    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7, "status %x: %s", (unsigned)status,
              heard);
}

static volatile sig_atomic_t masked;

static void look_at_mask(int number)
{
    sigset_t mask;

    (void)pthread_sigmask(SIG_BLOCK, NULL, &mask);
    masked = sigismember(&mask, SIGUSR1) == 1 && sigismember(&mask, number) == 1;
    siglongjmp(way_out, 1);
}

static int fault_once(void *arg)
{
    (void)arg;
    if (sigsetjmp(way_out, 1) == 0)
        *(volatile int *)(uintptr_t)0x1230 = 1;
    return 0;
}

static void fault_with_mask(void)
{
    struct sigaction action = {.sa_handler = look_at_mask};

    (void)sigaddset(&action.sa_mask, SIGUSR1);
    (void)sigaction(SIGSEGV, &action, NULL);
    _exit(lw_run(NULL, fault_once, NULL) == 0 && masked ? 7 : 8);
}

Test(overflow, handler_gives_the_users_handler_its_mask)
{
    int status = in_child(fault_with_mask);

    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7, "status %x: %s", (unsigned)status,
              heard);
}

/* No worker's signal stack is left behind. */
static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* What the library has mapped. */
static int64_t mapped;

static void *counting_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    void *memory = mmap(at, size, protection, flags, fd, offset);

    if (memory != MAP_FAILED)
        (void)lw_add_acq_rel(&mapped, (int64_t)size);
    return memory;
}

static int counting_munmap(void *at, size_t size)
{
    (void)lw_sub_acq_rel(&mapped, (int64_t)size);
    return munmap(at, size);
}

Test(overflow, signal_stacks_go_with_their_threads)
{
    int64_t after_one;

    lw_sys.mmap = counting_mmap;
    lw_sys.munmap = counting_munmap;
    run_with(2, nothing, NULL);
    after_one = lw_load_acq(&mapped);
    for (int round = 0; round < 10; round++)
        run_with(2, nothing, NULL);
    cr_assert_eq(lw_load_acq(&mapped), after_one);
}
