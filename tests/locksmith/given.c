/* SPDX-License-Identifier: MIT */
/* The laws of deadlocks through a lock that lw_transfer() has handed to a task: it is the new
 * owner's from then on, whatever that one does, and whether or not it waits. */
#include "locksmith/detector.h"
#include "runtime/os/os.h"
#include "runtime/worker.h"
#include "tests/locksmith/heard.h"

TestSuite(given, .init = hear);

static struct {
    lw_mutex first, second;
    lw_event go, done;
    lw_task target;
    int results[2];
} all;

static void make_all(void)
{
    memset(&all, 0, sizeof all);
    all.first = (lw_mutex)LW_MUTEX_INIT("first");
    all.second = (lw_mutex)LW_MUTEX_INIT("second");
    forget_heard();
}

/* One of the two gave way, and the other had what it wanted. */
static void assert_one_gave_way(const void *object)
{
    cr_assert_eq((all.results[0] == -EDEADLK) + (all.results[1] == -EDEADLK), 1, "%d, %d",
                 all.results[0], all.results[1]);
    AWAIT(told() == 1);
    cr_assert_eq(heard.verdict, LW_VERDICT_DEADLOCK);
    cr_assert_eq(heard.members, 2u);
    for (size_t i = 0; i < 2; i++) {
        bool holds = false;

        for (size_t j = 0; j < heard.member[i].hold_count; j++)
            holds |= heard.member[i].holds[j] == object;
        cr_assert(holds || heard.member[i].object == object, "it is in the report");
    }
}

static uint32_t duties;

static lw_nsec do_nothing(lw_nsec now, bool quiet)
{
    (void)quiet;
    (void)lw_add_sc(&duties, 1);
    return now + LW_MS;
}

/* From now on the detector's thread does not look, nor is it about to. */
static void keep_thread_away(void)
{
    uint32_t before = lw_load_sc(&duties);

    lw_store_rlx(&lw_tick_duty, do_nothing);
    AWAIT(lw_load_sc(&duties) != before);
}

/* In place of the detector's thread, as if it were that much later. */
static void look(lw_nsec later)
{
    lw_nsec now = lw_sys.now() + later;

    AWAIT(lw_sweep(now, true) != now + 1 * LW_MS); /* else one who decides is in the way */
}

/* ---- to one who waits */

static int take_second_then_first(void *arg)
{
    (void)arg;
    cr_assert_eq(lw_mutex_acquire(&all.second, LW_FOREVER), 0);
    all.results[0] = lw_mutex_acquire(&all.first, LW_FOREVER);
    if (all.results[0] == 0)
        cr_assert_eq(lw_mutex_release(&all.first), 0);
    return lw_mutex_release(&all.second);
}

static int want_second_and_be_handed_first(void *arg)
{
    (void)arg;
    all.results[1] = lw_mutex_acquire(&all.second, LW_FOREVER);
    cr_assert(lw_owned(&all.first.lock));
    if (all.results[1] == 0)
        cr_assert_eq(lw_mutex_release(&all.second), 0);
    return lw_mutex_release(&all.first);
}

/* The transfer itself closes the circle: no wait is begun after it. */
static int hand_to_one_who_waits(void *arg)
{
    lw_task holder, heir;

    (void)arg;
    keep_thread_away();
    for (long i = rounds(20); i > 0; i--) {
        make_all();
        cr_assert_eq(lw_mutex_acquire(&all.first, LW_FOREVER), 0);
        holder = start_waiter(take_second_then_first, NULL);
        heir = start_waiter(want_second_and_be_handed_first, NULL);
        look(1 * LW_SEC); /* these waits are judged, and without it never again */
        cr_assert_eq(told(), 0);
        cr_assert_eq(lw_transfer(&all.first.lock, heir), 0);
        look(2 * LW_SEC);
        cr_assert_eq(join_status(holder), 0);
        cr_assert_eq(join_status(heir), 0);
        assert_one_gave_way(&all.first);
    }
    return 0;
}

Test(given, a_transfer_to_one_who_waits_may_close_a_circle)
{
    run_all(hand_to_one_who_waits, NULL);
}

/* ---- to one who runs */

static int want_first(void *arg)
{
    (void)arg;
    all.results[0] = lw_mutex_acquire(&all.first, LW_FOREVER);
    return all.results[0] == 0 ? lw_mutex_release(&all.first) : 0;
}

static int be_handed_first_and_join(void *arg)
{
    (void)arg;
    cr_assert_eq(lw_event_wait(&all.go, LW_FOREVER), 0);
    all.results[1] = lw_join(all.target, NULL, LW_FOREVER);
    lw_event_set(&all.done);
    cr_assert_eq(lw_mutex_release(&all.first), 0);
    return all.results[1] == -EDEADLK ? lw_join(all.target, NULL, LW_FOREVER) : 0;
}

static int hand_to_one_who_joins(void *arg)
{
    lw_task heir;

    (void)arg;
    keep_thread_away(); /* nobody looks but who waits */
    for (long i = rounds(20); i > 0; i--) {
        make_all();
        cr_assert_eq(lw_mutex_acquire(&all.first, LW_FOREVER), 0);
        all.target = start_waiter(want_first, NULL);
        heir = start_waiter(be_handed_first_and_join, NULL);
        cr_assert_eq(lw_transfer(&all.first.lock, heir), 0);
        lw_event_set(&all.go);
        /* Who joins it would make it look for a circle. */
        cr_assert_eq(lw_event_wait(&all.done, LW_FOREVER), 0);
        cr_assert_eq(join_status(heir), 0);
        assert_one_gave_way(&all.first);
    }
    return 0;
}

Test(given, who_was_handed_a_lock_and_joins_one_who_wants_it)
{
    run_all(hand_to_one_who_joins, NULL);
}

/* ---- no circle */

static int just_wait(void *arg)
{
    (void)arg;
    cr_assert_eq(lw_event_wait(&all.go, LW_FOREVER), 0);
    return lw_mutex_release(&all.first);
}

static int hand_to_one_who_will_go_on(void *arg)
{
    lw_task heir, want;

    (void)arg;
    keep_thread_away();
    for (long i = rounds(20); i > 0; i--) {
        make_all();
        cr_assert_eq(lw_mutex_acquire(&all.first, LW_FOREVER), 0);
        want = start_waiter(want_first, NULL);
        heir = start_waiter(just_wait, NULL);
        cr_assert_eq(lw_transfer(&all.first.lock, heir), 0);
        look(1 * LW_SEC);
        lw_event_set(&all.go);
        cr_assert_eq(join_status(heir), 0);
        cr_assert_eq(join_status(want), 0);
        cr_assert_eq(all.results[0], 0);
        cr_assert_eq(told(), 0);
    }
    return 0;
}

Test(given, who_hands_on_what_others_wait_for_accuses_nobody)
{
    run_all(hand_to_one_who_will_go_on, NULL);
}

/* ---- one by one */

enum { HANDED = 5 };

static lw_mutex handed[HANDED];

static int release_all(void *arg)
{
    (void)arg;
    cr_assert_eq(lw_event_wait(&all.go, LW_FOREVER), 0);
    for (int i = 0; i < HANDED; i++)
        cr_assert_eq(lw_mutex_release(&handed[i]), 0);
    return 0;
}

/* Who looks at them one after the other meets none twice, though others are handed meanwhile. */
static int look_while_handing(void *arg)
{
    lw_task heir;
    struct lw_hold_look look = {.cold = NULL};
    struct lw_hold hold;

    (void)arg;
    make_all();
    for (int i = 0; i < HANDED; i++) {
        handed[i] = (lw_mutex)LW_MUTEX_INIT("handed");
        cr_assert_eq(lw_mutex_acquire(&handed[i], LW_FOREVER), 0);
    }
    heir = start_waiter(release_all, NULL);
    look.cold = lw_record_cold(lw_record_of(heir.id));
    cr_assert_not(lw_hold_look(&look, &hold));
    for (int i = 0; i < HANDED; i++) {
        cr_assert_eq(lw_transfer(&handed[i].lock, heir), 0);
        cr_assert(lw_hold_look(&look, &hold));
        cr_assert_eq(lw_hold_lock(&hold), &handed[i].lock, "%d", i);
    }
    cr_assert_not(lw_hold_look(&look, &hold));
    lw_event_set(&all.go);
    return join_status(heir);
}

Test(given, what_is_handed_over_comes_behind_what_was_before)
{
    run_all(look_while_handing, NULL);
}
