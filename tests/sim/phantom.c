/* SPDX-License-Identifier: MIT */
/* Circles that never were (S35).  Three tasks take two locks, always in the same order, so there
 * can be no deadlock.  A detector that goes by who owns what, and looks at that once, or twice, or
 * even claims the waits, but does not look at the holds between, finds one all the same; the
 * detector's own way finds none. */
#include "locksmith/detector.h"
#include "primitives/lock.h"
#include "tests/sim/explore.h"

TestSuite(phantom, .init = watchdog);

enum { TASKS = 3 };

enum way { LOOK_ONCE, LOOK_TWICE, CLAIM, CHECK_AND_CLAIM, WAYS };

static struct {
    lw_rlock a, b;
    lw_task tasks[TASKS];
    int done;
} it;

/* Over all schedules. */
static unsigned long found;

/* ---- who never deadlock: b before a, and never a before b */

static void use(lw_rlock *lock)
{
    LW_SIM_CHECK(lw_acquire(&lock->lock, LW_FOREVER) == 0);
    for (unsigned i = sim_choose(4); i > 0; i--)
        lw_yield();
    LW_SIM_CHECK(lw_release(&lock->lock) == 0);
}

static int use_both(void *arg)
{
    for (int i = 0; i < 8; i++) {
        if ((uintptr_t)arg == 0) {
            LW_SIM_CHECK(lw_acquire(&it.b.lock, LW_FOREVER) == 0);
            use(&it.a);
            LW_SIM_CHECK(lw_release(&it.b.lock) == 0);
        } else {
            use(&it.a);
            use(&it.b);
        }
    }
    it.done++;
    return 0;
}

/* ---- who looks for what cannot be */

struct hop {
    struct lw_record *record;
    uint64_t wait, object, owner;
};

/* As the first in the queue says, which is the waiter or one before it. */
static uint64_t owner_by(const struct lw_cold *waiter)
{
    const struct lw_node *before = lw_load_rlx(&waiter->node.prev);
    uint64_t owner = lw_load_sc(&waiter->owner);

    if (owner == 0 && before != NULL)
        owner = lw_load_sc(&lw_node_cold((struct lw_node *)(uintptr_t)before)->owner);
    return owner;
}

static bool hop(struct hop *hop, uint64_t id)
{
    const struct lw_cold *cold;

    hop->record = lw_record_of(id);
    cold = lw_record_cold(hop->record);
    hop->wait = lw_load_sc(&cold->wait);
    hop->object = lw_load_rlx(&cold->object);
    hop->owner = owner_by(cold);
    for (unsigned i = sim_choose(4); i > 0; i--)
        lw_yield();
    return (hop->wait & LW_PHASE_MASK) == LW_PHASE_WAITING && hop->owner != 0 &&
           lw_load_rlx(&cold->kind) == LW_WAIT_LOCK;
}

static bool is_same(const struct hop *hop)
{
    return lw_load_acq(&lw_record_cold(hop->record)->wait) == hop->wait;
}

static bool has(const struct hop *holder, const struct hop *waiter)
{
    return lw_holds_against(lw_record_cold(holder->record), waiter->object, ~0u) != 0;
}

static bool can_be_claimed(const struct hop *first, const struct hop *second)
{
    bool both = false;

    if (!lw_wait_claim(lw_record_cold(first->record), first->wait))
        return false;
    if (lw_wait_claim(lw_record_cold(second->record), second->wait)) {
        both = true;
        lw_wait_let_go(second->record, second->wait);
    }
    lw_wait_let_go(first->record, first->wait);
    return both;
}

static bool is_found(lw_task from, enum way way)
{
    struct hop first, second;

    if (!hop(&first, from.id) || first.owner == from.id || !hop(&second, first.owner) ||
        second.owner != from.id || first.object == second.object)
        return false;
    switch (way) {
    case LOOK_TWICE:
        return is_same(&first) && is_same(&second);
    case CLAIM:
        return can_be_claimed(&first, &second);
    case CHECK_AND_CLAIM:
        return has(&second, &first) && has(&first, &second) && can_be_claimed(&first, &second);
    default:
        return true;
    }
}

static int look_for_circles(void *arg)
{
    enum way way = (enum way)(uintptr_t)arg;

    while (it.done < TASKS) {
        for (int i = 0; i < TASKS; i++)
            found += is_found(it.tasks[i], way);
        lw_yield();
    }
    return 0;
}

static int look(void *arg)
{
    lw_task detector;

    memset(&it, 0, sizeof it);
    it.a = (lw_rlock)LW_RLOCK_INIT("a");
    it.b = (lw_rlock)LW_RLOCK_INIT("b");
    for (uintptr_t i = 0; i < TASKS; i++)
        it.tasks[i] = start(use_both, (void *)i);
    detector = start(look_for_circles, arg);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(it.tasks[i]) == 0);
    LW_SIM_CHECK(end_of(detector) == 0);
    return 0;
}

static unsigned long found_by(enum way way)
{
    found = 0;
    sim_all(look, (void *)(uintptr_t)way);
    return found;
}

/* Where everything is slow there are too few schedules for it. */
static void assert_found_by(enum way way)
{
    cr_assert(found_by(way) > 0 || is_slow());
}

Test(phantom, s35_is_found_by_who_looks_once)
{
    assert_found_by(LOOK_ONCE);
}

Test(phantom, s35_is_found_by_who_looks_twice)
{
    assert_found_by(LOOK_TWICE);
}

Test(phantom, s35_is_found_by_who_claims_and_has_not_checked)
{
    assert_found_by(CLAIM);
}

Test(phantom, s35_is_not_found_by_the_detectors_way)
{
    cr_assert_eq(found_by(CHECK_AND_CLAIM), 0);
}

/* ---- the detector itself, at the moment at which there seems to be a circle */

static struct {
    bool has_a, wants_a;
    int verdicts;
} moment;

static void count_verdict(const lw_report *report, void *arg)
{
    (void)arg;
    (void)report;
    moment.verdicts++;
}

/* It has a, gives it to the next one, and then waits for b. */
static int hand_a_on(void *arg)
{
    (void)arg;
    LW_SIM_CHECK(lw_acquire(&it.a.lock, LW_FOREVER) == 0);
    moment.has_a = true;
    UNTIL(moment.wants_a);
    LW_SIM_CHECK(lw_release(&it.a.lock) == 0);
    use(&it.b);
    return 0;
}

/* It gets a, and keeps it until then. */
static int have_a_next(void *arg)
{
    (void)arg;
    LW_SIM_CHECK(lw_acquire(&it.a.lock, LW_FOREVER) == 0);
    UNTIL(is_waiting(it.tasks[0]));
    return lw_release(&it.a.lock);
}

/* It has b, and waits for a, of which it sees that the first one has it still. */
static int want_a_last(void *arg)
{
    (void)arg;
    LW_SIM_CHECK(lw_acquire(&it.b.lock, LW_FOREVER) == 0);
    moment.wants_a = true;
    use(&it.a);
    return lw_release(&it.b.lock);
}

static int seem_to_close_a_circle(void *arg)
{
    lw_detector_options options;

    (void)arg;
    memset(&it, 0, sizeof it);
    memset(&moment, 0, sizeof moment);
    it.a = (lw_rlock)LW_RLOCK_INIT("a");
    it.b = (lw_rlock)LW_RLOCK_INIT("b");
    lw_detector_get(&options);
    options.on_report = count_verdict;
    LW_SIM_CHECK(lw_detector_set(&options) == 0);
    it.tasks[0] = start(hand_a_on, NULL);
    UNTIL(moment.has_a);
    it.tasks[1] = start_waiting(have_a_next, NULL);
    it.tasks[2] = start(want_a_last, NULL);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(it.tasks[i]) == 0);
    LW_SIM_CHECK(moment.verdicts == 0);
    return 0;
}

Test(phantom, s35_is_not_found_by_a_walk)
{
    sim_all(seem_to_close_a_circle, NULL);
}
