/* SPDX-License-Identifier: MIT */
/* Bugs that were planted in the library are found, and after how many schedules.
 *
 * One place of the library at a time is made weaker (runtime/mutant.h): a re-check sees nothing, a
 * compare-and-swap is a load and later a store, a decision is not made.  Each bug has a test that
 * is about it; it must pass while nothing is planted. */
#include "tests/sim/explore.h"
#include "tests/sim/places.h"

#include <stdio.h>
#include <unistd.h>

TestSuite(planted, .init = watchdog);

enum { COPIES_MAX = 64 };

/* The place, once for each file that includes it. */
static struct lw_place *planted[COPIES_MAX];
static unsigned copies; /* 0: nothing is planted */
static enum lw_weakness weakness;

/* First in each test: the library's data were put back. */
static void plant(void)
{
    for (unsigned i = 0; i < copies; i++)
        planted[i]->weakness = weakness;
}

static struct {
    uint32_t word;
    lw_event event;
    lw_semaphore semaphore;
    lw_mutex mutex;
    lw_task target, old;
    int inside, granted, cut_short, ran, hogged;
    bool got;
} it;

static void set_up(uint32_t permits)
{
    plant();
    memset(&it, 0, sizeof it);
    it.semaphore = (lw_semaphore)LW_SEMAPHORE_INIT("permits", permits);
}

/* ---- a lost wakeup */

static int wait_on_word(void *arg)
{
    int err = lw_futex_wait(&it.word, 0, LW_FOREVER);

    (void)arg;
    return err == -EAGAIN ? 0 : err;
}

static int wake_futex(void *arg)
{
    lw_task other;

    (void)arg;
    set_up(0);
    other = start(wait_on_word, NULL);
    it.word = 1;
    (void)lw_futex_wake(&it.word, LW_ALL);
    return end_of(other);
}

static int wait_for_event(void *arg)
{
    (void)arg;
    return lw_event_wait(&it.event, LW_FOREVER);
}

static int wake_event(void *arg)
{
    lw_task others[2];

    (void)arg;
    set_up(0);
    for (int i = 0; i < 2; i++)
        others[i] = start(wait_for_event, NULL);
    lw_event_set(&it.event);
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(end_of(others[i]) == 0);
    return 0;
}

/* ---- a double grant */

static void work_inside(int most)
{
    LW_SIM_CHECK(it.inside++ < most);
    lw_sim_point();
    it.inside--;
}

static int take_permits(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2; i++) {
        LW_SIM_CHECK(lw_semaphore_acquire(&it.semaphore, 1, LW_FOREVER) == 0);
        work_inside(2);
        LW_SIM_CHECK(lw_semaphore_release(&it.semaphore, 1) == 0);
    }
    return 0;
}

static int take_mutex(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2; i++) {
        LW_SIM_CHECK(lw_mutex_acquire(&it.mutex, LW_FOREVER) == 0);
        work_inside(1);
        LW_SIM_CHECK(lw_mutex_release(&it.mutex) == 0);
    }
    return 0;
}

static int three(lw_fn *fn)
{
    lw_task tasks[3];

    for (int i = 0; i < 3; i++)
        tasks[i] = start(fn, NULL);
    for (int i = 0; i < 3; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    return 0;
}

static int grant_permits(void *arg)
{
    (void)arg;
    set_up(2);
    (void)three(take_permits);
    LW_SIM_CHECK(lw_semaphore_available(&it.semaphore) == 2);
    return 0;
}

static int grant_mutex(void *arg)
{
    (void)arg;
    set_up(0);
    return three(take_mutex);
}

/* ---- a cancel that loses the baton */

static int want_two(void *arg)
{
    int err = lw_semaphore_acquire(&it.semaphore, 2, LW_FOREVER);

    (void)arg;
    LW_SIM_CHECK(err == -ECANCELED);
    return 0;
}

static int want_one(void *arg)
{
    (void)arg;
    return lw_semaphore_acquire(&it.semaphore, 1, LW_FOREVER);
}

static int cancel_the_head(void *arg)
{
    lw_task head, next;

    (void)arg;
    set_up(1);
    head = start(want_two, NULL);
    next = start(want_one, NULL);
    LW_SIM_CHECK(lw_cancel(head) == 0);
    LW_SIM_CHECK(end_of(next) == 0);
    return end_of(head);
}

/* ---- a handle whose task has ended, and whose record is another's by now */

static int end_at_once(void *arg)
{
    (void)arg;
    it.ran++;
    return 0;
}

/* It is detached here, or joined by another; nobody else had it detached. */
static int look_at_the_old_one(void *arg)
{
    int err;

    (void)arg;
    while (!it.got) {
        err = lw_detach(it.old);
        LW_SIM_CHECK(err == 0 || err == -EBUSY || err == -ESRCH ||
                     (err == -EINVAL && it.granted > 0)); /* it is about to be gone */
        it.granted += err == 0;
        lw_yield();
    }
    return 0;
}

static int use_an_old_handle(void *arg)
{
    lw_task looks;
    int err;

    (void)arg;
    set_up(0);
    it.old = start(end_at_once, NULL);
    UNTIL(lw_cancel(it.old) == -ESRCH);
    looks = start(look_at_the_old_one, NULL);
    err = lw_join(it.old, NULL, LW_FOREVER);
    LW_SIM_CHECK(err == 0 || err == -EBUSY || err == -ESRCH || err == -EINVAL);
    for (int i = 0; i < 3; i++) /* the slot's next lives */
        LW_SIM_CHECK(lw_spawn(NULL, end_at_once, NULL, NULL) == 0);
    UNTIL(it.ran == 4);
    it.got = true;
    return end_of(looks);
}

/* ---- a waiter that is used after its wait has ended */

static int wait_until_cancelled(void *arg)
{
    int err = lw_event_wait(&it.event, LW_FOREVER);
    lw_nsec until;

    (void)arg;
    LW_SIM_CHECK(err == 0 || err == -ECANCELED);
    it.granted += err == 0;
    it.cut_short += err == -ECANCELED;
    until = lw_in(1 * LW_MS);
    err = lw_sleep(until); /* the next wait is its own */
    LW_SIM_CHECK(err == 0 ? lw_now() >= until : err == -ECANCELED);
    it.cut_short += err == -ECANCELED;
    it.ran++;
    return 0;
}

static int cancel_the_target(void *arg)
{
    int err = lw_cancel(it.target);

    (void)arg;
    return err == -ESRCH ? 0 : err;
}

static int end_a_wait_twice(void *arg)
{
    lw_task canceller;

    (void)arg;
    set_up(0);
    it.target = start_waiting(wait_until_cancelled, NULL);
    canceller = start(cancel_the_target, NULL);
    lw_sim_point();
    lw_event_set(&it.event);
    LW_SIM_CHECK(end_of(it.target) == 0);
    LW_SIM_CHECK(end_of(canceller) == 0);
    LW_SIM_CHECK(it.ran == 1 && it.cut_short <= 1);
    return 0;
}

/* ---- one who comes by each time before the waiter that was woken */

static int enter_once(void *arg)
{
    LW_SIM_CHECK(lw_mutex_acquire(&it.mutex, LW_FOREVER) == 0);
    it.got = true;
    (void)arg;
    return lw_mutex_release(&it.mutex);
}

static int hog(void *arg)
{
    lw_task waiter;

    (void)arg;
    set_up(0);
    LW_SIM_CHECK(lw_mutex_acquire(&it.mutex, LW_FOREVER) == 0);
    waiter = start_waiting(enter_once, NULL);
    while (!it.got) {
        LW_SIM_CHECK(it.hogged++ < 6);
        LW_SIM_CHECK(lw_sleep(lw_in(2 * LW_MS)) == 0);
        LW_SIM_CHECK(lw_mutex_release(&it.mutex) == 0);
        LW_SIM_CHECK(lw_mutex_acquire(&it.mutex, LW_FOREVER) == 0);
    }
    LW_SIM_CHECK(lw_mutex_release(&it.mutex) == 0);
    return end_of(waiter);
}

/* ---- a task that is taken twice */

static int run_many(void *arg)
{
    lw_task tasks[4];

    (void)arg;
    set_up(0);
    for (int i = 0; i < 4; i++)
        tasks[i] = start(end_at_once, NULL);
    for (int i = 0; i < 4; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(it.ran == 4);
    return 0;
}

/* ---- the table */

enum {
    RANDOM = 1 << LW_SIM_RANDOM,
    PCT = 1 << LW_SIM_PCT,
    EVERY = 1 << LW_SIM_EXHAUSTIVE,
    ALL = RANDOM | PCT | EVERY,
};

static const struct bug {
    const char *name;
    const char *file, *operation, *argument; /* how they begin or end */
    unsigned number;                         /* among those, by line */
    enum lw_weakness weakness;
    lw_fn *test;
    unsigned by; /* strategies that find it, bits 1 << lw_sim_strategy; the others may */
} bugs[] = {
    {"futex: wake lost", "runtime/futex.c", "recheck", "lw_load_acq", 0, LW_GONE, wake_futex, ALL},
    {"event: set lost", "primitives/event.c", "recheck", "(word & SET)", 0, LW_GONE, wake_event,
     ALL},
    {"mutex: release lost", "primitives/mutex.c", "recheck", "owner == 0", 0, LW_GONE,
     grant_mutex, ALL},
    {"semaphore: double grant", "primitives/semaphore.c", "cas", "&lock->_word", 0, LW_TORN,
     grant_permits, RANDOM},
    {"mutex: double grant", "primitives/mutex.c", "cas", "&lock->_word", 1, LW_TORN, grant_mutex,
     RANDOM},
    {"semaphore: cancel loses the baton", "primitives/permits.h", "needed", "lock->_queue", 0,
     LW_GONE, cancel_the_head, ALL},
    {"join: old handle", "runtime/join.c", "recheck", "LW_CTL_GENERATION", 0, LW_GONE,
     use_an_old_handle, RANDOM | PCT},
    {"wait: ended twice", "runtime/wait_word.h", "cas", "&cold->wait", 4, LW_TORN, end_a_wait_twice,
     ALL},
    {"mutex: starving", "primitives/mutex.c", "needed", "lw_sys.now()", 0, LW_GONE, hog, ALL},
    {"deque: taken twice", "runtime/deque.h", "recheck", "top == bottom", 0, LW_GONE, run_many,
     RANDOM},
};
enum { BUGS = sizeof bugs / sizeof *bugs };

static bool is_place(const struct lw_place *place, const struct bug *bug)
{
    size_t file = strlen(bug->file), length = strlen(place->file);

    return length >= file && strcmp(place->file + length - file, bug->file) == 0 &&
           strcmp(place->operation, bug->operation) == 0 &&
           strncmp(place->argument, bug->argument, strlen(bug->argument)) == 0;
}

/* Of those that fit the one with that many of lower lines. */
static void choose_place(const struct bug *bug)
{
    size_t count;
    struct lw_place *const *all = places_all(&count);
    int line = 0, next = 0;

    for (unsigned number = 0; number <= bug->number; number++) {
        next = 0;
        for (size_t i = 0; i < count; i++)
            if (is_place(all[i], bug) && all[i]->line > line &&
                (next == 0 || all[i]->line < next))
                next = all[i]->line;
        cr_assert_neq(next, 0, "%s: there is no such place", bug->name);
        line = next;
    }
    copies = 0;
    for (size_t i = 0; i < count && copies < COPIES_MAX; i++)
        if (is_place(all[i], bug) && all[i]->line == line)
            planted[copies++] = all[i];
    weakness = bug->weakness;
}

enum { STARTS = 5, APART = 1000000, SOUND = 500, AT_MOST = 40000, OTHERS = 5000 };

static bool must_find(const struct bug *bug, int strategy)
{
    return (bug->by & 1u << strategy) != 0;
}

/* From several seeds: the mean number of schedules until it was found; 0: once it was not. */
static unsigned long seek(const struct bug *bug, int strategy)
{
    lw_sim_options options = {.strategy = (lw_sim_strategy)strategy,
                              .quiet = true,
                              .schedules = must_find(bug, strategy) ? AT_MOST : OTHERS,
                              .steps_max = 200000};
    int starts = is_slow() || strategy == LW_SIM_EXHAUSTIVE ? 1 : STARTS;
    unsigned long sum = 0;

    if (strategy == LW_SIM_EXHAUSTIVE) { /* one after the other in their order, from one seed */
        options.depth = 1;
        sim_settings->workers = 2;
    }
    for (int i = 0; i < starts; i++) {
        lw_sim_result result;
        int verdict;

        (void)alarm(is_slow() ? 300 : 60);
        options.seed = 1 + (uint64_t)i * APART;
        verdict = lw_sim_run(&options, bug->test, NULL, &result);
        cr_assert(verdict != LW_SIM_PASSED || !must_find(bug, strategy),
                  "%s, strategy %d, from seed %llu on", bug->name, strategy,
                  (unsigned long long)options.seed);
        sum += result.schedules;
        if (verdict == LW_SIM_PASSED) {
            sum = 0;
            break;
        }
    }
    sim_settings->workers = 0;
    return (sum + (unsigned long)starts - 1) / (unsigned long)starts;
}

Test(planted, tests_pass_while_nothing_is_planted)
{
    copies = 0;
    for (unsigned i = 0; i < BUGS; i++)
        for (int strategy = LW_SIM_RANDOM; strategy <= LW_SIM_PCT; strategy++) {
            lw_sim_options options = {.strategy = (lw_sim_strategy)strategy,
                                      .schedules = (uint64_t)rounds(SOUND)};

            cr_assert_eq(lw_sim_run(&options, bugs[i].test, NULL, NULL), LW_SIM_PASSED, "%s",
                         bugs[i].name);
        }
}

Test(planted, each_bug_is_found)
{
    sim_settings->no_shortening = true;
    (void)fprintf(stderr, "# %-34s %8s %8s %8s   (0: not in %d)\n", "schedules until it is found",
                  "random", "pct", "every", OTHERS);
    for (unsigned i = 0; i < BUGS; i++) {
        unsigned long found[3] = {0};

        choose_place(&bugs[i]);
        for (int strategy = LW_SIM_RANDOM; strategy <= LW_SIM_EXHAUSTIVE; strategy++)
            if (must_find(&bugs[i], strategy) || !is_slow())
                found[strategy] = seek(&bugs[i], strategy);
        (void)fprintf(stderr, "# %-34s %8lu %8lu %8lu\n", bugs[i].name, found[0], found[1],
                      found[2]);
    }
}
