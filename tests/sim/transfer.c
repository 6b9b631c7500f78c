/* SPDX-License-Identifier: MIT */
/* Holds that are handed to others, in many schedules: one is inside at a time, also when the other
 * ends just then, and nothing is owned by one who has ended.  Many at a time: transfer_many.c. */
#include "primitives/lock.h"
#include "tests/sim/explore.h"

TestSuite(transfer, .init = watchdog);

static const lw_mutex mutex = LW_MUTEX_INIT("mutex");
static const lw_rlock rlock = LW_RLOCK_INIT("rlock");
static const lw_priority_rlock ranked = LW_PRIORITY_RLOCK_INIT("priority rlock");
static const lw_bounded_semaphore bounded = LW_BOUNDED_SEMAPHORE_INIT("bounded", 1);

enum { KINDS = 4, NESTING_FIRST = 1, NESTING_LAST = 2, OWNED = 3 };
static const lw_lock *const kinds[KINDS] = {&mutex.lock, &rlock.lock, &ranked.lock, &bounded.lock};

static struct {
    lw_lock lock;
    const lw_lock *made;
    lw_task tasks[3];
    int inside, entries, handed, seen, cut_short;
    bool given, over, ended_with_it;
} it;

static void set_up(const void *made)
{
    memset(&it, 0, sizeof it);
    it.made = made;
    it.lock = *it.made;
    it.lock.data = LW_DATA_ROBUST;
}

static bool nests(void)
{
    return it.made == &rlock.lock || it.made == &ranked.lock;
}

/* ---- the other ends while it is handed something */

static int look_and_end(void *arg)
{
    (void)arg;
    for (unsigned i = sim_choose(3); i > 0; i--)
        lw_yield();
    if (it.made == &bounded.lock || !lw_owned(&it.lock))
        return 0; /* perhaps with it */
    it.seen++;
    LW_SIM_CHECK(it.inside++ == 0);
    lw_sim_point();
    it.inside--;
    if (nests())
        LW_SIM_CHECK(lw_release(&it.lock) == 0 && lw_owned(&it.lock));
    return lw_release(&it.lock);
}

static int come_by(void *arg)
{
    lw_nsec deadline = sim_choose(2) == 0 ? lw_in(5 * LW_US) : LW_FOREVER;
    int err = lw_acquire(&it.lock, deadline);

    (void)arg;
    if (err == 0) {
        LW_SIM_CHECK(it.inside++ == 0);
        lw_sim_point();
        it.inside--;
        return lw_release(&it.lock);
    }
    LW_SIM_CHECK(err == -EOWNERDEAD || err == -ECANCELED ||
                 (err == -ETIMEDOUT && deadline != LW_FOREVER));
    return 0;
}

static int hand_to_one_who_ends(void *arg)
{
    lw_task other, third;
    int err;

    set_up(arg);
    LW_SIM_CHECK(lw_acquire(&it.lock, LW_FOREVER) == 0);
    if (nests())
        LW_SIM_CHECK(lw_acquire(&it.lock, LW_FOREVER) == 0);
    other = start(look_and_end, NULL);
    third = start(come_by, NULL);
    lw_yield();
    LW_SIM_CHECK(it.inside++ == 0);
    lw_sim_point();
    it.inside--;
    err = lw_transfer(&it.lock, other);
    LW_SIM_CHECK(err == 0 || err == -ESRCH);
    if (err < 0) {
        LW_SIM_CHECK(it.seen == 0);
        LW_SIM_CHECK(!nests() || lw_release(&it.lock) == 0);
        LW_SIM_CHECK(lw_release(&it.lock) == 0);
    }
    LW_SIM_CHECK(lw_release(&it.lock) == -EPERM);
    if (sim_choose(2) == 0)
        (void)lw_cancel(third);
    LW_SIM_CHECK(end_of(other) == 0 && end_of(third) == 0);
    err = lw_acquire(&it.lock, LW_NOW);
    LW_SIM_CHECK(err == 0 || err == -EOWNERDEAD);
    LW_SIM_CHECK(err == 0 || it.seen == 0);
    LW_SIM_CHECK(it.lock._queue == NULL && (err == 0 || it.lock._number == 0));
    LW_SIM_CHECK(nobody_waited());
    return 0;
}

Test(transfer, nothing_is_owned_by_one_who_has_ended)
{
    for (int i = 0; i < KINDS; i++)
        sim_some(hand_to_one_who_ends, (void *)kinds[i], 2);
}

/* ---- the other asks for it, too, and has been sent to try again, or to look */

static int use_and_release(void)
{
    LW_SIM_CHECK(lw_owned(&it.lock) && it.inside++ == 0);
    lw_sim_point();
    it.inside--;
    it.entries++;
    return lw_release(&it.lock);
}

static int ask_for_it(void *arg)
{
    int err = lw_acquire(&it.lock, LW_FOREVER);

    (void)arg;
    LW_SIM_CHECK(err == -EOWNERDEAD || (err == 0 && use_and_release() == 0));
    UNTIL(it.over); /* it may be handed over after that */
    return lw_owned(&it.lock) ? use_and_release() : 0;
}

static int hand_to_one_who_asks(void *arg)
{
    lw_task other;
    int err;

    set_up(arg);
    LW_SIM_CHECK(lw_acquire(&it.lock, LW_FOREVER) == 0);
    other = start_waiting(ask_for_it, NULL);
    if (sim_choose(2) == 0) {
        lw_lock_mark(&it.lock, LW_LOCK_INCONSISTENT); /* as with the end of its owner */
        LW_SIM_CHECK(lw_owner_forget(lw_record_cold(lw_current()), &it.lock) == 0);
        LW_SIM_CHECK(lw_acquire_inconsistent(&it.lock, LW_FOREVER) == 1);
        LW_SIM_CHECK(lw_consistent(&it.lock) == 0);
    } else {
        LW_SIM_CHECK(lw_release(&it.lock) == 0);
        LW_SIM_CHECK(lw_acquire(&it.lock, LW_FOREVER) == 0);
    }
    err = lw_transfer(&it.lock, other);
    LW_SIM_CHECK(err == 0 || err == -EBUSY || err == -ESRCH);
    if (err < 0)
        LW_SIM_CHECK(lw_release(&it.lock) == 0);
    it.over = true;
    LW_SIM_CHECK(end_of(other) == 0);
    LW_SIM_CHECK(lw_acquire(&it.lock, LW_NOW) == 0 && lw_release(&it.lock) == 0);
    LW_SIM_CHECK(err < 0 || it.entries > 0);
    LW_SIM_CHECK(it.lock._queue == NULL && nobody_waited());
    return 0;
}

Test(transfer, who_asked_for_it_has_it)
{
    for (int i = 0; i < OWNED; i++)
        sim_some(hand_to_one_who_asks, (void *)kinds[i], 2);
}

/* ---- the other releases what it does not own yet */

static int release_until_it_is_mine(void *arg)
{
    (void)arg;
    while (lw_release(&it.lock) == -EPERM)
        lw_sim_point();
    if (!nests())
        return 0;
    LW_SIM_CHECK(lw_owned(&it.lock)); /* it was released once, of twice */
    return lw_release(&it.lock);
}

static int hand_to_one_who_releases(void *arg)
{
    lw_task other;

    set_up(arg);
    other = start(release_until_it_is_mine, NULL);
    for (unsigned i = sim_choose(64); i > 0; i--)
        lw_sim_point();
    LW_SIM_CHECK(lw_acquire(&it.lock, LW_FOREVER) == 0);
    if (nests())
        LW_SIM_CHECK(lw_acquire(&it.lock, LW_FOREVER) == 0);
    LW_SIM_CHECK(lw_transfer(&it.lock, other) == 0);
    LW_SIM_CHECK(end_of(other) == 0);
    LW_SIM_CHECK(it.lock._number == it.made->_number);
    LW_SIM_CHECK(it.lock._word._value == it.made->_word._value);
    return 0;
}

Test(transfer, it_comes_whole_to_one_who_releases_too_early)
{
    for (int i = 0; i < OWNED; i++)
        sim_all(hand_to_one_who_releases, (void *)kinds[i]);
}

/* ---- round and round, among others who come by */

static int take_part(void *arg)
{
    uintptr_t number = (uintptr_t)arg;

    UNTIL(it.given);
    for (;;) {
        while (!it.over && !lw_owned(&it.lock))
            lw_yield();
        if (it.over)
            return 0;
        LW_SIM_CHECK(it.inside++ == 0);
        lw_sim_point();
        LW_SIM_CHECK(--it.inside == 0);
        if (++it.handed >= 5) {
            it.over = true;
            LW_SIM_CHECK(!nests() || lw_release(&it.lock) == 0);
            return lw_release(&it.lock);
        }
        LW_SIM_CHECK(lw_transfer(&it.lock, it.tasks[(number + 1) % 3]) == 0);
    }
}

static int go_round(void *arg)
{
    lw_task third;

    set_up(arg);
    LW_SIM_CHECK(lw_acquire(&it.lock, LW_FOREVER) == 0);
    LW_SIM_CHECK(!nests() || lw_acquire(&it.lock, LW_FOREVER) == 0);
    for (uintptr_t i = 0; i < 3; i++)
        it.tasks[i] = start(take_part, (void *)i);
    third = start(come_by, NULL);
    LW_SIM_CHECK(lw_transfer(&it.lock, it.tasks[sim_choose(3)]) == 0);
    it.given = true;
    (void)lw_cancel(third);
    for (int i = 0; i < 3; i++)
        LW_SIM_CHECK(end_of(it.tasks[i]) == 0);
    LW_SIM_CHECK(end_of(third) == 0);
    LW_SIM_CHECK(it.lock._word._value == it.made->_word._value && it.lock._number == 0);
    LW_SIM_CHECK(it.lock._queue == NULL);
    return 0;
}

Test(transfer, it_goes_round_and_one_is_inside)
{
    for (int i = 0; i < OWNED; i++)
        sim_some(go_round, (void *)kinds[i], 4);
}

/* ---- to one that waits for something else, and has waited for it before */

static struct {
    lw_event event;
    lw_mutex mutex;
    bool had;
} waited;

static int wait_for_another(void *arg)
{
    (void)arg;
    LW_SIM_CHECK(lw_mutex_acquire(&waited.mutex, LW_FOREVER) == 0);
    LW_SIM_CHECK(lw_mutex_release(&waited.mutex) == 0);
    waited.had = true;
    LW_SIM_CHECK(lw_event_wait(&waited.event, LW_FOREVER) == 0);
    return lw_mutex_release(&waited.mutex);
}

static int hand_to_one_who_waits(void *arg)
{
    lw_task other;

    (void)arg;
    memset(&waited, 0, sizeof waited);
    LW_SIM_CHECK(lw_mutex_acquire(&waited.mutex, LW_NOW) == 0);
    other = start_waiting(wait_for_another, NULL);
    LW_SIM_CHECK(lw_mutex_release(&waited.mutex) == 0);
    while (!waited.had)
        lw_yield();
    for (unsigned steps = sim_choose(16); steps > 0; steps--)
        lw_sim_point();
    LW_SIM_CHECK(lw_mutex_acquire(&waited.mutex, LW_FOREVER) == 0);
    LW_SIM_CHECK(lw_transfer(&waited.mutex.lock, other) == 0);
    lw_event_set(&waited.event);
    return end_of(other);
}

Test(transfer, who_waits_for_something_else_may_have_it)
{
    sim_all(hand_to_one_who_waits, NULL);
}

/* ---- and its slot has another life just then */

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int live_there_again(void *arg)
{
    (void)arg;
    LW_SIM_CHECK(end_of(it.tasks[0]) == 0);
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(end_of(start(nothing, NULL)) == 0);
    return 0;
}

static int hand_after(unsigned steps, void *arg)
{
    lw_task again;
    int err;

    set_up(arg);
    LW_SIM_CHECK(lw_acquire(&it.lock, LW_FOREVER) == 0);
    it.tasks[0] = start(nothing, NULL);
    again = start(live_there_again, NULL);
    for (; steps > 0; steps--)
        lw_sim_point();
    err = lw_transfer(&it.lock, it.tasks[0]);
    LW_SIM_CHECK(err == 0 || err == -ESRCH);
    LW_SIM_CHECK(lw_release(&it.lock) == (err == 0 ? -EPERM : 0));
    LW_SIM_CHECK(end_of(again) == 0);
    LW_SIM_CHECK(lw_acquire(&it.lock, LW_NOW) == (err == 0 ? -EOWNERDEAD : 0));
    return 0;
}

static int hand_to_a_former_life(void *arg)
{
    return hand_after(4 * sim_choose(16), arg);
}

static int hand_at_once(void *arg)
{
    return hand_after(0, arg);
}

Test(transfer, nothing_goes_to_the_next_life_of_a_slot)
{
    for (int i = 0; i < KINDS; i += KINDS - 1) {
        sim_all(hand_to_a_former_life, (void *)kinds[i]);
        sim_every(hand_at_once, (void *)kinds[i], 1, 50);
    }
}

/* ---- a small instance: it ends at once, and is handed the lock */

static int end_at_once(void *arg)
{
    (void)arg;
    return 0;
}

static int hand_at_the_end(void *arg)
{
    lw_task other;
    int err, after;

    set_up(arg);
    LW_SIM_CHECK(lw_acquire(&it.lock, LW_FOREVER) == 0);
    other = start(end_at_once, NULL);
    lw_yield();
    err = lw_transfer(&it.lock, other);
    LW_SIM_CHECK(err == 0 || err == -ESRCH);
    LW_SIM_CHECK(lw_release(&it.lock) == (err == 0 ? -EPERM : 0));
    LW_SIM_CHECK(end_of(other) == 0);
    after = lw_acquire(&it.lock, LW_NOW);
    LW_SIM_CHECK(after == (err == 0 ? -EOWNERDEAD : 0));
    return 0;
}

Test(transfer, small_instances_in_every_order)
{
    for (int i = 0; i < KINDS; i++)
        sim_every(hand_at_the_end, (void *)kinds[i], 1, 50);
    sim_every(hand_to_one_who_ends, (void *)kinds[0], 1, 200);
}
