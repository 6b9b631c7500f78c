/* SPDX-License-Identifier: MIT */
/* The laws of plain threads that no runtime is there for, and so no thread that looks: what closes
 * a circle without beginning a wait is looked at by who does it, before it returns. */
#include <pthread.h>
#include <sys/mman.h>

#include "locksmith/detector.h"
#include "runtime/os/os.h"
#include "runtime/worker.h"
#include "tests/locksmith/heard.h"

TestSuite(alone, .init = hear);

/* Of two threads: one has `second` and wants `first`, the other one wants `second`. */
struct pair {
    lw_mutex first, second;
    pthread_t threads[2];
    lw_task selves[2];
    int results[2];
};

static void say_who(struct pair *pair, int index)
{
    cr_assert_eq(lw_thread_attach(), 0); /* else it is nobody before its first wait */
    __atomic_store_n(&pair->selves[index].id, lw_self().id, __ATOMIC_RELEASE);
}

static void *take_second_then_first(void *arg)
{
    struct pair *pair = arg;

    cr_assert_eq(lw_mutex_acquire(&pair->second, LW_FOREVER), 0);
    say_who(pair, 0);
    pair->results[0] = lw_mutex_acquire(&pair->first, LW_FOREVER);
    if (pair->results[0] == 0)
        cr_assert_eq(lw_mutex_release(&pair->first), 0);
    cr_assert_eq(lw_mutex_release(&pair->second), 0);
    return NULL;
}

/* It has `first` when that wait is over. */
static void *be_handed_first(void *arg)
{
    struct pair *pair = arg;

    say_who(pair, 1);
    pair->results[1] = lw_mutex_acquire(&pair->second, LW_FOREVER);
    if (pair->results[1] == 0)
        cr_assert_eq(lw_mutex_release(&pair->second), 0);
    cr_assert_eq(lw_mutex_release(&pair->first), 0);
    return NULL;
}

static void start(struct pair *pair, int index, void *(*act)(void *))
{
    lw_task *self = &pair->selves[index];

    cr_assert_eq(pthread_create(&pair->threads[index], NULL, act, pair), 0);
    AWAIT(__atomic_load_n(&self->id, __ATOMIC_ACQUIRE) != 0 && is_waiting(*self));
}

/* The caller has `first`, and nobody is in a circle yet. */
static void start_pair(struct pair *pair)
{
    *pair = (struct pair){.first = LW_MUTEX_INIT("first"), .second = LW_MUTEX_INIT("second")};
    cr_assert_eq(lw_mutex_acquire(&pair->first, LW_FOREVER), 0);
    start(pair, 0, take_second_then_first);
    start(pair, 1, be_handed_first);
}

static void close_circle(struct pair *pair)
{
    cr_assert_eq(lw_transfer(&pair->first.lock, pair->selves[1]), 0);
}

static void end_pair(struct pair *pair)
{
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_join(pair->threads[i], NULL), 0);
    cr_assert_eq((pair->results[0] == -EDEADLK) + (pair->results[1] == -EDEADLK), 1, "%d, %d",
                 pair->results[0], pair->results[1]);
    assert_is_circle();
}

/* ---- a transfer */

Test(alone, a_transfer_that_closes_a_circle_is_looked_at_by_who_hands_over)
{
    for (long i = rounds(20); i > 0; i--) {
        struct pair pair;

        forget_heard();
        start_pair(&pair);
        cr_assert_eq(told(), 0);
        close_circle(&pair);
        cr_assert_eq(told(), 1, "before it returns");
        cr_assert_eq(heard.verdict, LW_VERDICT_DEADLOCK);
        end_pair(&pair);
    }
}

/* It waits for nobody: who decides just then sees to it. */
Test(alone, a_transfer_while_another_decides_is_left_to_that_one)
{
    struct pair pair;

    forget_heard();
    start_pair(&pair);
    AWAIT(lw_deciding_begin());
    close_circle(&pair);
    cr_assert_eq(told(), 0);
    lw_deciding_end();
    cr_assert_eq(told(), 1);
    end_pair(&pair);
}

static bool go;

static void *take_first_then_second(void *arg)
{
    struct pair *pair = arg;

    cr_assert_eq(lw_mutex_acquire(&pair->first, LW_FOREVER), 0);
    say_who(pair, 1);
    AWAIT(__atomic_load_n(&go, __ATOMIC_ACQUIRE));
    pair->results[1] = lw_mutex_acquire(&pair->second, LW_FOREVER);
    if (pair->results[1] == 0)
        cr_assert_eq(lw_mutex_release(&pair->second), 0);
    cr_assert_eq(lw_mutex_release(&pair->first), 0);
    return NULL;
}

/* Who decides may be in a user's function, and that wait for whoever is granted a lock. */
Test(alone, who_closes_a_circle_while_another_decides_does_not_wait_for_that_one)
{
    struct pair pair = {.first = LW_MUTEX_INIT("first"), .second = LW_MUTEX_INIT("second")};

    forget_heard();
    cr_assert_eq(pthread_create(&pair.threads[1], NULL, take_first_then_second, &pair), 0);
    AWAIT(__atomic_load_n(&pair.selves[1].id, __ATOMIC_ACQUIRE) != 0);
    start(&pair, 0, take_second_then_first);
    AWAIT(lw_deciding_begin());
    __atomic_store_n(&go, true, __ATOMIC_RELEASE);
    AWAIT(is_waiting(pair.selves[1]));
    cr_assert_eq(lw_purge_waiters(&pair.first.lock), 1);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_join(pair.threads[i], NULL), 0);
    cr_assert_eq(pair.results[0], -EPIPE);
    cr_assert_eq(pair.results[1], 0);
    lw_deciding_end();
    cr_assert_eq(told(), 0, "it was over before anybody could look");
}

static struct pair other_pair;

static void hand_over_another(const lw_report *report, void *arg)
{
    (void)arg;
    if (told() == 0)
        close_circle(&other_pair);
    keep_report(report, NULL);
}

Test(alone, a_transfer_in_a_callback_is_looked_at_when_that_has_returned)
{
    lw_detector_options options;
    struct pair pair;

    forget_heard();
    lw_detector_get(&options);
    options.on_report = hand_over_another;
    cr_assert_eq(lw_detector_set(&options), 0);
    start_pair(&other_pair);
    start_pair(&pair);
    close_circle(&pair);
    cr_assert_eq(told(), 2);
    end_pair(&pair);
    end_pair(&other_pair);
}

/* ---- the options */

/* The detector is off, and the circle is there. */
static void start_circle(struct pair *pair)
{
    hear_with(LW_DETECTOR_OFF, 0);
    forget_heard();
    start_pair(pair);
    close_circle(pair);
    cr_assert_eq(told(), 0);
}

Test(alone, what_was_there_is_found_by_who_turns_it_on)
{
    for (long i = rounds(20); i > 0; i--) {
        struct pair pair;

        start_circle(&pair);
        hear_with(LW_DETECTOR_FORCE, 0);
        cr_assert_eq(told(), 1, "before it returns");
        end_pair(&pair);
    }
}

Test(alone, what_was_only_told_of_is_broken_by_who_says_so)
{
    struct pair pair;

    start_circle(&pair);
    hear_with(LW_DETECTOR_REPORT, 0);
    cr_assert_eq(told(), 1);
    cr_assert_eq(heard.victim, heard.members);
    hear_with(LW_DETECTOR_FORCE, 0);
    cr_assert_eq(told(), 2);
    end_pair(&pair);
}

/* ---- the end of a runtime */

static uint32_t duties;

static lw_nsec do_nothing(lw_nsec now, bool quiet)
{
    (void)quiet;
    (void)lw_add_sc(&duties, 1);
    return now + LW_MS;
}

/* As if its thread had been about to look when it was ended. */
static int close_it_unseen(void *arg)
{
    uint32_t before = lw_load_sc(&duties);

    lw_store_rlx(&lw_tick_duty, do_nothing);
    AWAIT(lw_load_sc(&duties) != before);
    start_pair(arg);
    close_circle(arg);
    cr_assert_eq(told(), 0);
    return 0;
}

Test(alone, what_a_runtime_has_not_looked_at_is_looked_at_as_it_ends)
{
    lw_options options = {.workers = 1};
    struct pair pair;

    forget_heard();
    cr_assert_eq(lw_run(&options, close_it_unseen, &pair), 0);
    cr_assert_eq(told(), 1);
    end_pair(&pair);
}

/* ---- who is sent away while it is decided */

static struct {
    size_t (*memory_read)(void *to, const void *from, size_t size);
    struct pair *pair;
    char *names; /* a page of its own */
    bool unmap;
} away;

enum { PAGE = 65536 }; /* or less */

/* All waits are claimed, and a name is about to be read.  Then one is sent away: both threads end,
 * and so do their locks' names. */
static size_t send_away(void *to, const void *from, size_t size)
{
    struct pair *pair = away.pair;

    if (pair == NULL || (uintptr_t)from - (uintptr_t)away.names >= PAGE)
        return away.memory_read(to, from, size);
    cr_assert(lw_wait_is_claimed(lw_record_cold(lw_record_of(pair->selves[1].id))->wait));
    away.pair = NULL;
    cr_assert_eq(lw_purge_waiters(&pair->second.lock), 1);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_join(pair->threads[i], NULL), 0);
    if (away.unmap)
        cr_assert_eq(munmap(away.names, PAGE), 0);
    else
        memset(away.names, 'x', PAGE);
    return away.memory_read(to, from, size);
}

static void send_one_away(bool unmap)
{
    lw_detector_counts before, after;
    struct pair pair;

    forget_heard();
    start_pair(&pair);
    away.unmap = unmap;
    away.names = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(away.names, MAP_FAILED);
    for (int i = 0; i < 2; i++) {
        struct lw_cold *cold = lw_record_cold(lw_record_of(pair.selves[i].id));

        (void)strcpy(away.names + PAGE - 8 - 8 * i, "gone");
        lw_store_rlx(&cold->object_name, away.names + PAGE - 8 - 8 * i);
    }
    lw_detector_read(&before);
    away.pair = &pair;
    close_circle(&pair);
    cr_assert_null(away.pair, "it was the kernel that read it");
    lw_detector_read(&after);
    cr_assert_eq(told(), 0, "there is no circle any more");
    cr_assert_eq(after.phantoms_refused - before.phantoms_refused, 1);
    cr_assert_eq(pair.results[0], 0, "nobody gave way");
    cr_assert_eq(pair.results[1], -EPIPE);
}

Test(alone, of_who_is_sent_away_while_it_is_decided_nothing_is_told)
{
    away.memory_read = lw_sys.memory_read;
    lw_sys.memory_read = send_away;
    for (int i = 0; i < 4; i++) {
        hear_with(i / 2 == 0 ? LW_DETECTOR_REPORT : LW_DETECTOR_FORCE, 0);
        send_one_away(i % 2 == 0);
    }
}
