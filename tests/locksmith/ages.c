/* SPDX-License-Identifier: MIT */
/* The laws of what is found by age: who holds a lock for long, and who is overtaken, and that
 * nobody else is accused of it.  The scenarios are named in the tests.  Nothing is measured: who
 * holds, or waits, does so until it has been told of. */
#include "tests/locksmith/heard.h"

#include <sched.h>
#include <unistd.h>

enum { WAITERS = 40, THREADS = 2 };

static void hear_soon(void)
{
    lw_detector_options options;

    hear();
    lw_detector_get(&options);
    options.long_hold = 20 * LW_MS;
    cr_assert_eq(lw_detector_set(&options), 0);
}

TestSuite(ages, .init = hear_soon);

/* ---- one who has it, and others who want it */

static struct {
    lw_mutex mutex;
    lw_rwlock rw;
    lw_bounded_semaphore permits;
    lw_lock *lock, *key, *wanted;
    int (*linger)(void);
    lw_task holding, waiting[WAITERS];
    int got, pipe[2];
    bool held;
} it;

static void set_up(void)
{
    memset(&it, 0, sizeof it);
    it.mutex = (lw_mutex)LW_MUTEX_INIT("mutex");
    it.rw = (lw_rwlock)LW_RWLOCK_INIT("rw", 0);
    it.permits = (lw_bounded_semaphore)LW_BOUNDED_SEMAPHORE_INIT("permits", 1);
    it.lock = it.key = it.wanted = &it.mutex.lock;
    cr_assert_eq(pipe(it.pipe), 0);
    forget_heard();
}

static int hold_it(void *arg)
{
    (void)arg;
    cr_assert_eq(lw_acquire(it.lock, LW_FOREVER), 0);
    it.holding = lw_self();
    __atomic_store_n(&it.held, true, __ATOMIC_RELEASE);
    cr_assert_eq(it.linger(), 0);
    return lw_release(it.lock);
}

static int want_it(void *arg)
{
    int err = lw_acquire(it.wanted, LW_FOREVER);

    (void)arg;
    if (err < 0)
        return err;
    (void)__atomic_add_fetch(&it.got, 1, __ATOMIC_RELAXED);
    return lw_release(it.wanted);
}

static void *on_thread(void *fn)
{
    cr_assert_eq((*(lw_fn *const *)fn)(NULL), 0);
    return NULL;
}

static lw_fn *const holding = hold_it, *const wanting = want_it;

/* One holds it, tasks and threads wait for it: told once, of the one that holds it. */
static void hold_for_long(bool by_thread, const char *kind)
{
    pthread_t holder, threads[THREADS];
    lw_task task;

    if (by_thread)
        cr_assert_eq(pthread_create(&holder, NULL, on_thread, (void *)(uintptr_t)&holding), 0);
    else
        cr_assert_eq(lw_spawn(&task, hold_it, NULL, NULL), 0);
    AWAIT(__atomic_load_n(&it.held, __ATOMIC_ACQUIRE));
    for (int i = 0; i < WAITERS; i++)
        cr_assert_eq(lw_spawn(&it.waiting[i], want_it, NULL, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, on_thread, (void *)(uintptr_t)&wanting), 0);
    for (int i = 0; i < WAITERS; i++)
        cr_assert_eq(join_status(it.waiting[i]), 0);
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    if (by_thread)
        cr_assert_eq(pthread_join(holder, NULL), 0);
    else
        cr_assert_eq(join_status(task), 0);
    cr_assert_eq(it.got, WAITERS + THREADS, "they all got it");
    cr_assert_eq(heard.of[LW_VERDICT_LONG_HOLD], 1);
    cr_assert_eq(heard.of[LW_VERDICT_DEADLOCK], 0);
    cr_assert_eq(heard.verdict, LW_VERDICT_LONG_HOLD);
    cr_assert_eq(heard.members, 8, "the owner, and some of those who wait");
    cr_assert_eq(heard.victim, heard.members, "nobody is to give way");
    cr_assert_eq(heard.member[0].task.id, it.holding.id);
    cr_assert_eq(heard.member[0].hold_count, 1);
    cr_assert_eq(heard.member[0].holds[0], it.key);
    cr_assert_geq(heard.at - heard.member[0].held_since[0], 20 * LW_MS);
    cr_assert((kind == NULL) == (heard.member[0].kind == NULL));
    if (kind != NULL)
        cr_assert_str_eq(heard.member[0].kind, kind);
    for (size_t i = 1; i < heard.members; i++) {
        cr_assert_eq(heard.member[i].object, it.key);
        cr_assert(i == 1 || heard.member[i].since >= heard.member[i - 1].since);
    }
}

/* ---- S36: it runs */

static int be_busy(void)
{
    while (told() == 0)
        (void)sched_yield();
    return 0;
}

static int run_for_long(void *arg)
{
    (void)arg;
    for (int by_thread = 0; by_thread <= 1; by_thread++) {
        set_up();
        it.linger = be_busy;
        hold_for_long(by_thread, NULL);
    }
    return 0;
}

Test(ages, s36_who_is_busy_under_a_lock_is_told_of_once)
{
    run_with(2, run_for_long, NULL);
    run_with(4, run_for_long, NULL);
}

/* ---- S37: it waits for what has nothing to do with locks */

static int read_for_long(void)
{
    char byte;

    return lw_read(it.pipe[0], &byte, 1, LW_FOREVER) == 1 ? 0 : -EIO;
}

static int sleep_for_long(void)
{
    while (told() == 0) {
        int err = lw_sleep(lw_in(40 * LW_MS));

        if (err < 0)
            return err;
    }
    return 0;
}

static int be_busy_elsewhere(void *arg)
{
    (void)arg;
    return be_busy();
}

static int call_for_long(void)
{
    int status = -1, err = lw_blocking(be_busy_elsewhere, NULL, &status, LW_FOREVER);

    return err < 0 ? err : status;
}

static int write_when_told(void *arg)
{
    (void)arg;
    AWAIT(told() != 0);
    return write(it.pipe[1], "!", 1) == 1 ? 0 : -EIO;
}

static int linger_in_calls(void *arg)
{
    static const struct {
        int (*linger)(void);
        const char *kind;
    } ways[] = {
        {read_for_long, "read"}, {sleep_for_long, "sleep"}, {call_for_long, "blocking call"}};

    (void)arg;
    for (int i = 0; i < 3; i++) {
        lw_task writer;

        set_up();
        it.linger = ways[i].linger;
        cr_assert_eq(lw_spawn(&writer, write_when_told, NULL, NULL), 0);
        hold_for_long(false, ways[i].kind);
        cr_assert_eq(join_status(writer), 0);
        (void)close(it.pipe[0]);
        (void)close(it.pipe[1]);
    }
    return 0;
}

Test(ages, s37_who_waits_for_something_else_under_a_lock_is_told_of_and_let_be)
{
    run_all(linger_in_calls, NULL);
}

/* ---- S51: others get it, again and again */

enum { READERS = 3 };

static int readers_in;
static bool over;

/* It leaves, unless it were the last one. */
static bool may_leave(void)
{
    int in = __atomic_load_n(&readers_in, __ATOMIC_RELAXED);

    while (in > 1 || __atomic_load_n(&over, __ATOMIC_RELAXED))
        if (__atomic_compare_exchange_n(&readers_in, &in, in - 1, false, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED))
            return true;
    return false;
}

static int read_in_turns(void *arg)
{
    (void)arg;
    while (!__atomic_load_n(&over, __ATOMIC_RELAXED)) {
        cr_assert_eq(lw_acquire(&it.rw.read, LW_FOREVER), 0);
        (void)__atomic_add_fetch(&readers_in, 1, __ATOMIC_RELAXED);
        lw_yield(); /* others come in meanwhile, or leave */
        AWAIT(may_leave());
        cr_assert_eq(lw_release(&it.rw.read), 0);
    }
    return 0;
}

static void look_on(void)
{
    (void)lw_detector_scan();
    lw_yield();
    (void)sched_yield();
}

/* What is being told of, such as a long hold whose owner was asked, has been when this returns. */
static void hear_the_rest(void)
{
    lw_detector_options options;

    lw_detector_get(&options);
    cr_assert_eq(lw_detector_set(&options), 0);
}

static int starve_a_writer(void *arg)
{
    lw_task readers[READERS], writer;

    (void)arg;
    set_up();
    readers_in = 0;
    over = false;
    it.rw = (lw_rwlock)LW_RWLOCK_INIT("rw", LW_RWLOCK_PREFER_READERS);
    it.wanted = &it.rw.write;
    for (int i = 0; i < READERS; i++)
        cr_assert_eq(lw_spawn(&readers[i], read_in_turns, NULL, NULL), 0);
    AWAIT(__atomic_load_n(&readers_in, __ATOMIC_RELAXED) != 0);
    cr_assert_eq(lw_spawn(&writer, want_it, NULL, NULL), 0);
    AWAIT(is_waiting(writer));
    while (__atomic_load_n(&heard.of[LW_VERDICT_STARVED], __ATOMIC_ACQUIRE) == 0)
        look_on();
    for (int i = 0; i < 20; i++)
        look_on();
    __atomic_store_n(&over, true, __ATOMIC_RELAXED);
    for (int i = 0; i < READERS; i++)
        cr_assert_eq(join_status(readers[i]), 0);
    cr_assert_eq(join_status(writer), 0);
    hear_the_rest();
    cr_assert_eq(heard.of[LW_VERDICT_STARVED], 1, "once");
    cr_assert_eq(heard.of[LW_VERDICT_DEADLOCK], 0);
    if (heard.verdict == LW_VERDICT_STARVED) {
        cr_assert_eq(heard.member[0].task.id, writer.id);
        cr_assert_eq(heard.member[0].object, &it.rw.write);
        cr_assert_geq(heard.at - heard.member[0].since, 40 * LW_MS);
    }
    return 0;
}

Test(ages, s51_a_writer_that_a_stream_of_readers_starves_is_told_of)
{
    run_all(starve_a_writer, NULL);
}

/* Who has queued behind many, and gets it in his turn, is not starved: however long it takes. */
static int use_for_a_while(void *arg)
{
    (void)arg;
    cr_assert_eq(lw_acquire(it.wanted, LW_FOREVER), 0);
    (void)__atomic_add_fetch(&it.got, 1, __ATOMIC_RELAXED);
    cr_assert_eq(lw_sleep(lw_in(3 * LW_MS)), 0);
    return lw_release(it.wanted);
}

static int queue_up(void *arg)
{
    enum { QUEUE = 150 };
    static lw_task tasks[QUEUE];

    (void)arg;
    for (int i = 0; i < 2; i++) {
        set_up();
        it.wanted = i == 0 ? &it.mutex.lock : &it.rw.write;
        for (int j = 0; j < QUEUE; j++)
            cr_assert_eq(lw_spawn(&tasks[j], use_for_a_while, NULL, NULL), 0);
        while (__atomic_load_n(&it.got, __ATOMIC_RELAXED) < QUEUE)
            look_on();
        for (int j = 0; j < QUEUE; j++)
            cr_assert_eq(join_status(tasks[j]), 0);
        cr_assert_eq(heard.of[LW_VERDICT_STARVED], 0);
    }
    return 0;
}

Test(ages, s51_who_waits_for_his_turn_is_not_starved)
{
    run_with(2, queue_up, NULL);
}

/* Readers of one turn leave one after another: nobody has got in since. */
static int read_until_told(void *arg)
{
    cr_assert_eq(lw_acquire(&it.rw.read, LW_FOREVER), 0);
    (void)__atomic_add_fetch(&readers_in, 1, __ATOMIC_RELAXED);
    AWAIT(__atomic_load_n(&it.got, __ATOMIC_RELAXED) >= (int)(intptr_t)arg);
    return lw_release(&it.rw.read);
}

static int leave_one_by_one(void *arg)
{
    enum { ONE_BY_ONE = 20 };
    lw_task readers[ONE_BY_ONE], writer;

    (void)arg;
    set_up();
    readers_in = 0;
    it.wanted = &it.rw.write;
    for (intptr_t i = 0; i < ONE_BY_ONE; i++)
        cr_assert_eq(lw_spawn(&readers[i], read_until_told, (void *)(i + 1), NULL), 0);
    AWAIT(__atomic_load_n(&readers_in, __ATOMIC_RELAXED) == ONE_BY_ONE);
    cr_assert_eq(lw_spawn(&writer, want_it, NULL, NULL), 0);
    AWAIT(is_waiting(writer));
    for (int i = 0; i < ONE_BY_ONE; i++) {
        lw_nsec now = lw_now();

        while (lw_now() < now + 15 * LW_MS)
            look_on();
        __atomic_store_n(&it.got, i + 1, __ATOMIC_RELAXED);
        cr_assert_eq(join_status(readers[i]), 0);
    }
    cr_assert_eq(join_status(writer), 0);
    cr_assert_eq(heard.of[LW_VERDICT_STARVED], 0);
    return 0;
}

Test(ages, s51_who_waits_for_many_readers_of_one_turn_is_not_starved)
{
    run_with(2, leave_one_by_one, NULL);
}

/* ---- who waits for another lock himself is not accused */

static int wait_for_second(void)
{
    int err = lw_acquire(&it.permits.lock, LW_FOREVER);

    return err < 0 ? err : lw_release(&it.permits.lock);
}

static int hold_in_a_chain(void *arg)
{
    lw_task holder, waiter;

    (void)arg;
    set_up();
    it.linger = wait_for_second;
    cr_assert_eq(lw_acquire(&it.permits.lock, LW_FOREVER), 0); /* ours, who run */
    cr_assert_eq(lw_spawn(&holder, hold_it, NULL, NULL), 0);
    AWAIT(is_waiting(holder));
    cr_assert_eq(lw_spawn(&waiter, want_it, NULL, NULL), 0);
    AWAIT(is_waiting(waiter));
    for (lw_nsec now = lw_now(); lw_now() < now + 100 * LW_MS;)
        look_on();
    cr_assert_eq(told(), 0);
    cr_assert_eq(lw_release(&it.permits.lock), 0);
    cr_assert_eq(join_status(holder), 0);
    cr_assert_eq(heard.of[LW_VERDICT_LONG_HOLD], 0);
    return join_status(waiter);
}

Test(ages, s36_who_waits_for_a_lock_himself_is_not_told_of)
{
    run_with(2, hold_in_a_chain, NULL);
}
