/* SPDX-License-Identifier: MIT */
/* A program's own threads in a schedule: how they end, what they have for themselves, what cannot
 * be had.  What they wait with: waits.c. */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <threads.h>
#include <unistd.h>

#include "runtime/os/sanitizer.h"
#include "tests/sim/explore.h"

TestSuite(threads, .init = watchdog);

/* ---- ends */

static char said[16]; /* what was called on the way out, in that order */
static pthread_key_t key;

static void say(void *letter)
{
    size_t size = strlen(said);

    LW_SIM_CHECK(size + 1 < sizeof said);
    said[size] = *(const char *)letter;
    lw_sim_point();
}

static __attribute__((noinline)) void leave(void *result)
{
    static char letter[] = "b";

    pthread_cleanup_push(say, letter);
    pthread_exit(result);
    pthread_cleanup_pop(0);
}

static void *leave_from_below(void *arg)
{
    static char letters[] = "ak-";

    LW_SIM_CHECK(pthread_setspecific(key, &letters[1]) == 0);
    pthread_cleanup_push(say, letters);
    pthread_cleanup_push(say, &letters[2]);
    pthread_cleanup_pop(0);
    leave(arg);
    pthread_cleanup_pop(0);
    LW_SIM_CHECK(false);
    return NULL;
}

static int see_one_leave(void *arg)
{
    pthread_t thread;
    void *result;

    memset(said, 0, sizeof said);
    LW_SIM_CHECK(pthread_key_create(&key, say) == 0);
    LW_SIM_CHECK(pthread_create(&thread, NULL, leave_from_below, said) == 0);
    LW_SIM_CHECK(pthread_join(thread, &result) == 0);
    LW_SIM_CHECK(result == said);
    LW_SIM_CHECK(strcmp(said, "bak") == 0);
    (void)pthread_key_delete(key);
    return 0;
}

Test(threads, pthread_exit_ends_the_thread_with_its_value_and_says_so_on_the_way)
{
    sim_plain(see_one_leave, NULL);
}

static void count(void *counter)
{
    ++*(int *)counter;
}

static void *leave_with_mine(void *arg)
{
    pthread_cleanup_push(count, arg);
    lw_sim_point(); /* the others are here, too */
    pthread_exit(arg);
    pthread_cleanup_pop(0);
    return NULL;
}

static int see_many_leave(void *arg)
{
    pthread_t threads[4];
    int counts[4] = {0};
    void *result;

    for (int i = 0; i < 4; i++)
        LW_SIM_CHECK(pthread_create(&threads[i], NULL, leave_with_mine, &counts[i]) == 0);
    for (int i = 0; i < 4; i++) {
        LW_SIM_CHECK(pthread_join(threads[i], &result) == 0);
        LW_SIM_CHECK(result == &counts[i] && counts[i] == 1);
    }
    return 0;
}

Test(threads, each_leaves_by_its_own_cleanups)
{
    sim_plain(see_many_leave, NULL);
}

static void *wait_to_end(void *arg)
{
    LW_SIM_CHECK(lw_event_wait(arg, LW_FOREVER) == 0);
    return arg;
}

static int join_in_time(void *arg)
{
    lw_event end = {0};
    struct timespec until;
    pthread_t thread;
    void *result;

    LW_SIM_CHECK(pthread_create(&thread, NULL, wait_to_end, &end) == 0);
    LW_SIM_CHECK(pthread_tryjoin_np(thread, NULL) == EBUSY);
    (void)timespec_get(&until, TIME_UTC);
    until.tv_sec += 3600;
    LW_SIM_CHECK(pthread_timedjoin_np(thread, &result, &until) == ETIMEDOUT);
    until.tv_sec += 3600;
    LW_SIM_CHECK(pthread_clockjoin_np(thread, &result, CLOCK_MONOTONIC, &until) == ETIMEDOUT);
    lw_event_set(&end);
    while (pthread_tryjoin_np(thread, &result) == EBUSY)
        (void)sched_yield();
    LW_SIM_CHECK(result == &end);
    return 0;
}

Test(threads, a_join_can_be_tried_and_waited_for_till_some_time)
{
    sim_plain(join_in_time, NULL);
}

static pthread_once_t once;
static int tries;

static void leave_the_first_time(void)
{
    lw_sim_point();
    if (++tries == 1)
        leave(NULL); /* as an exception would */
}

static void *do_once(void *arg)
{
    LW_SIM_CHECK(pthread_once(&once, leave_the_first_time) == 0);
    LW_SIM_CHECK(tries == 2);
    return arg;
}

static int leave_once(void *arg)
{
    pthread_t threads[3];
    void *result;
    int done = 0;

    once = PTHREAD_ONCE_INIT;
    tries = 0;
    said[0] = '\0';
    for (int i = 0; i < 3; i++)
        LW_SIM_CHECK(pthread_create(&threads[i], NULL, do_once, &tries) == 0);
    for (int i = 0; i < 3; i++) {
        LW_SIM_CHECK(pthread_join(threads[i], &result) == 0);
        done += result == &tries;
    }
    LW_SIM_CHECK(done == 2 && tries == 2);
    return arg == NULL ? 0 : -EINVAL;
}

Test(threads, what_is_to_be_done_once_is_tried_again_if_it_was_left)
{
    sim_plain(leave_once, NULL);
}

/* ---- by C11's names */

static mtx_t mutex;
static cnd_t condition;
static once_flag flag;
static tss_t tss;
static int inside, begun, destroyed;

static void begin_once(void)
{
    thrd_yield();
    begun++;
}

static void note_destroyed(void *value)
{
    LW_SIM_CHECK(*(int *)value == 7);
    destroyed++;
}

static int come_in(void *arg)
{
    int seven = 7, seen;

    call_once(&flag, begin_once);
    LW_SIM_CHECK(begun == 1);
    LW_SIM_CHECK(tss_get(tss) == NULL && tss_set(tss, &seven) == thrd_success);
    LW_SIM_CHECK(mtx_lock(&mutex) == thrd_success);
    seen = inside;
    thrd_yield();
    inside = seen + 1;
    LW_SIM_CHECK(cnd_signal(&condition) == thrd_success);
    LW_SIM_CHECK(mtx_unlock(&mutex) == thrd_success);
    LW_SIM_CHECK(tss_get(tss) == &seven);
    LW_SIM_CHECK(thrd_sleep(&(struct timespec){.tv_sec = 3600}, NULL) == 0);
    LW_SIM_CHECK(!thrd_equal(thrd_current(), *(thrd_t *)arg));
    thrd_exit(40 + seen);
}

static int come_by_c11(void *arg)
{
    thrd_t threads[2], me = thrd_current();
    struct timespec until;
    int results[2];

    begun = inside = destroyed = 0;
    flag = (once_flag)ONCE_FLAG_INIT;
    LW_SIM_CHECK(mtx_init(&mutex, mtx_timed) == thrd_success);
    LW_SIM_CHECK(cnd_init(&condition) == thrd_success);
    LW_SIM_CHECK(tss_create(&tss, note_destroyed) == thrd_success);
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(thrd_create(&threads[i], come_in, &me) == thrd_success);
    LW_SIM_CHECK(mtx_lock(&mutex) == thrd_success);
    while (inside < 2)
        LW_SIM_CHECK(cnd_wait(&condition, &mutex) == thrd_success);
    (void)timespec_get(&until, TIME_UTC);
    until.tv_sec += 60;
    LW_SIM_CHECK(cnd_timedwait(&condition, &mutex, &until) == thrd_timedout);
    LW_SIM_CHECK(mtx_trylock(&mutex) == thrd_busy);
    LW_SIM_CHECK(mtx_timedlock(&mutex, &until) == thrd_timedout);
    LW_SIM_CHECK(mtx_unlock(&mutex) == thrd_success);
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(thrd_join(threads[i], &results[i]) == thrd_success);
    LW_SIM_CHECK(results[0] + results[1] == 81);
    LW_SIM_CHECK(destroyed == 2);
    tss_delete(tss);
    return 0;
}

Test(threads, the_threads_of_c11_are_those)
{
    sim_plain(come_by_c11, NULL);
}

/* ---- what each has for itself */

#if !defined(LW_ASAN) && !defined(LW_TSAN)
static __thread int local = 5;
static __thread char zeros[100];

static void *keep_local(void *arg)
{
    LW_SIM_CHECK(local == 5 && zeros[99] == 0);
    local = (int)(uintptr_t)arg;
    zeros[99] = (char)local;
    for (int i = 0; i < 3; i++) {
        lw_sim_point();
        LW_SIM_CHECK(local == (int)(uintptr_t)arg && zeros[99] == (char)local);
    }
    return NULL;
}

static int keep_locals(void *arg)
{
    pthread_t threads[3];

    local = 77;
    zeros[99] = 77;
    for (uintptr_t i = 0; i < 3; i++)
        LW_SIM_CHECK(pthread_create(&threads[i], NULL, keep_local, (void *)i) == 0);
    for (uintptr_t i = 0; i < 3; i++)
        LW_SIM_CHECK(pthread_join(threads[i], NULL) == 0);
    LW_SIM_CHECK(local == 77 && zeros[99] == 77);
    return 0;
}

static int fail_in_a_thread(void *arg)
{
    pthread_t thread;

    LW_SIM_CHECK(pthread_create(&thread, NULL, keep_local, (void *)1) == 0);
    LW_SIM_CHECK(pthread_join(thread, NULL) == 0);
    LW_SIM_CHECK(pthread_create(&thread, NULL, wait_to_end, arg) == 0);
    LW_SIM_CHECK(pthread_join(thread, NULL) == 0);
    return 0;
}

Test(threads, each_has_its_own_thread_local_variables)
{
    sim_plain(keep_locals, NULL);
    local = 66;
    cr_assert_eq(sim_plain_once(fail_in_a_thread, &(lw_event){0}), LW_SIM_STUCK);
    cr_assert_eq(local, 66, "not those of a thread that was left where it stood");
    cr_assert_eq(sim_plain_once(keep_locals, NULL), LW_SIM_PASSED);
    cr_assert_eq(local, 77, "those of the thread that runs the simulation");
}
#endif

static int use_a_number_again(void *arg)
{
    pthread_key_t first, second;

    LW_SIM_CHECK(pthread_key_create(&first, NULL) == 0);
    LW_SIM_CHECK(pthread_setspecific(first, arg) == 0);
    LW_SIM_CHECK(pthread_key_delete(first) == 0);
    LW_SIM_CHECK(pthread_key_create(&second, NULL) == 0);
    LW_SIM_CHECK(second == first && pthread_getspecific(second) == NULL);
    return pthread_key_delete(second);
}

Test(threads, a_new_key_has_no_value_yet)
{
    int value = 0;

    sim_plain(use_a_number_again, &value);
}

/* ---- what cannot be had */

static void *end_at_once(void *arg)
{
    return arg;
}

static int call_in_vain(void *arg)
{
    pthread_t thread;
    uint32_t word = 0;

    LW_SIM_CHECK(pthread_create(&thread, NULL, end_at_once, NULL) == 0);
    switch (*(int *)arg) {
    case 0:
        (void)pthread_cancel(thread);
        break;
    case 1:
        LW_SIM_CHECK(pthread_kill(thread, 0) == 0);
        (void)pthread_kill(thread, SIGUSR1);
        break;
    case 2:
        (void)syscall(SYS_futex, &word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0);
        break;
    default:
        pthread_exit(NULL);
    }
    return 0;
}

/* What is said of it. */
static bool fails_saying(lw_fn *test, void *arg, const char *words)
{
    FILE *file = tmpfile();
    int before = dup(STDERR_FILENO);
    char text[4096];
    size_t size;
    int verdict;

    cr_assert(file != NULL && before >= 0 && dup2(fileno(file), STDERR_FILENO) >= 0);
    verdict = lw_sim_run(&(lw_sim_options){.schedules = 1}, test, arg, NULL);
    (void)dup2(before, STDERR_FILENO);
    (void)close(before);
    rewind(file);
    size = fread(text, 1, sizeof text - 1, file);
    text[size] = '\0';
    (void)fclose(file);
    return verdict == LW_SIM_CRASHED && strstr(text, words) != NULL;
}

Test(threads, what_is_not_simulated_says_so)
{
    static const char *const words[] = {
        "pthread_cancel() is not simulated", "pthread_kill() is not simulated",
        "futex(2) with that operation is not simulated", "of a task, is not simulated"};

    for (int i = 0; i < 4; i++)
        cr_assert(fails_saying(call_in_vain, &i, words[i]), "%s", words[i]);
}

static int wait_for_a_signal(void *arg)
{
    return pause();
}

Test(threads, no_signal_comes)
{
    cr_assert_eq(sim_plain_once(wait_for_a_signal, NULL), LW_SIM_STUCK);
}
