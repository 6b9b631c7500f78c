/* SPDX-License-Identifier: MIT */
/* Guards in many schedules: each has its number, an object has one, which lives until its last put;
 * and LW_RELEASING: who lets go of a lock for a while has it again, once, in its turn, whatever
 * came meanwhile. */
#include "tests/sim/explore.h"

#include <latchwork/guard.h>
#include <latchwork/releasing.h>

TestSuite(guards, .init = watchdog);

enum { TASKS = 3 };

/* ---- the numbers of guards without a name */

enum { GUARDS = 4, TEXT = 40 };

static struct {
    lw_resource_guard guards[GUARDS];
    char texts[2][GUARDS][TEXT]; /* by who asks, and guard */
} named;

/* One from the first on, one from the last. */
static int ask_for_names(void *arg)
{
    for (int n = 0; n < GUARDS; n++) {
        int i = arg != NULL ? GUARDS - 1 - n : n;

        (void)lw_resource_guard_message(&named.guards[i], named.texts[arg != NULL][i], TEXT);
    }
    return 0;
}

static int name_guards(void *arg)
{
    lw_task tasks[2];

    (void)arg;
    memset(&named, 0, sizeof named);
    tasks[0] = start(ask_for_names, NULL);
    tasks[1] = start(ask_for_names, &named);
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    for (int i = 0; i < GUARDS; i++) {
        LW_SIM_CHECK(strcmp(named.texts[0][i], named.texts[1][i]) == 0);
        for (int n = 0; n < i; n++)
            LW_SIM_CHECK(strcmp(named.texts[0][i], named.texts[0][n]) != 0);
    }
    return 0;
}

Test(guards, a_guard_has_one_number_and_no_other_has_it)
{
    sim_all(name_guards, NULL);
}


/* ---- the guard of an object: one, from the first get to the last put */

static struct {
    int object;
    lw_resource_guard *guard; /* of those who have it for certain: `having` of them */
    int having, entering, inside, entries;
} unique;

/* They have got it, and have not begun to put it back. */
static lw_resource_guard *get_unique(void)
{
    lw_resource_guard *guard = NULL;

    LW_SIM_CHECK(lw_unique_guard_get(&guard, &unique.object, "using") == 0);
    LW_SIM_CHECK(unique.having == 0 || guard == unique.guard);
    unique.guard = guard;
    unique.having++;
    return guard;
}

static void put_unique(lw_resource_guard *guard)
{
    unique.having--;
    lw_unique_guard_put(guard);
}

static int use_object(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2; i++) {
        lw_resource_guard *guard = get_unique();
        int err;

        unique.entering++;
        err = lw_resource_guard_enter(guard);
        LW_SIM_CHECK(err == 0 || (err == -EBUSY && unique.entering > 1));
        if (err == 0) {
            LW_SIM_CHECK(unique.inside++ == 0 && lw_resource_guard_guarded(guard));
            unique.entries++;
            lw_yield();
            LW_SIM_CHECK(--unique.inside == 0);
            LW_SIM_CHECK(lw_resource_guard_exit(guard) == 0);
        }
        unique.entering--;
        put_unique(guard);
    }
    return 0;
}

/* All have put theirs: of the one that was there nothing is left. */
static void check_gone(void)
{
    lw_resource_guard *guard = NULL;

    LW_SIM_CHECK(unique.having == 0);
    LW_SIM_CHECK(lw_unique_guard_get(&guard, &unique.object, "anew") == 0);
    LW_SIM_CHECK(strcmp(guard->action, "anew") == 0 && !lw_resource_guard_guarded(guard));
    lw_unique_guard_put(guard);
}

static int share_an_object(void *arg)
{
    lw_task tasks[TASKS];
    int count = arg != NULL ? 2 : TASKS;

    memset(&unique, 0, sizeof unique);
    for (int i = 0; i < count; i++)
        tasks[i] = start(use_object, NULL);
    for (int i = 0; i < count; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(unique.entries >= 2);
    check_gone();
    return 0;
}

Test(guards, an_object_has_one_until_the_last_put)
{
    sim_all(share_an_object, NULL);
    sim_every(share_an_object, &unique, 1, 300);
}

/* ---- those that were cleared: they work on, and their ends are nothing to the new ones */

static int put_an_old_one(void *arg)
{
    LW_SIM_CHECK(lw_resource_guard_exit(arg) == 0);
    lw_unique_guard_put(arg);
    return 0;
}

static int clear_them(void *arg)
{
    lw_resource_guard *old = NULL;
    lw_task tasks[2];

    (void)arg;
    memset(&unique, 0, sizeof unique);
    LW_SIM_CHECK(lw_unique_guard_get(&old, &unique.object, "old") == 0);
    LW_SIM_CHECK(lw_resource_guard_enter(old) == 0);
    lw_unique_guard_clear();
    tasks[0] = start(use_object, NULL);
    tasks[1] = start(put_an_old_one, old);
    (void)use_object(NULL);
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    check_gone();
    return 0;
}

Test(guards, one_that_was_cleared_goes_alone)
{
    sim_all(clear_them, NULL);
    sim_every(clear_them, NULL, 1, 300);
}

/* ---- LW_RELEASING */

static const lw_mutex mutex = LW_MUTEX_INIT("mutex");
static const lw_rlock rlock = LW_RLOCK_INIT("rlock");
static const lw_priority_lock priority_lock = LW_PRIORITY_LOCK_INIT("priority lock");

static const lw_lock *const kinds[] = {&mutex.lock, &rlock.lock, &priority_lock.lock};
enum { KINDS = 3, BODY = 5 /* what a body stores */ };

static struct {
    lw_lock lock;
    int inside, entries, refused, released, order[4], count;
    bool handed; /* first come first served */
} it;

static void set_up(const void *kind)
{
    memset(&it, 0, sizeof it);
    it.lock = *(const lw_lock *)kind;
    it.handed = kind != &mutex.lock;
}

static void work_inside(void)
{
    LW_SIM_CHECK(it.inside++ == 0);
    lw_sim_point();
    LW_SIM_CHECK(--it.inside == 0);
    it.entries++;
}

static int let_go_and_on(void *arg)
{
    int err = lw_acquire(&it.lock, LW_FOREVER);

    if (err == -ECANCELED) {
        it.refused++;
        err = lw_acquire(&it.lock, LW_FOREVER);
    }
    LW_SIM_CHECK(err == 0);
    for (int i = 0; i < 2; i++) {
        work_inside();
        LW_RELEASING(&it.lock, err) {
            it.released++;
            if (sim_choose(2) == 1)
                lw_yield();
            err = BODY;
        }
        LW_SIM_CHECK(err == BODY && lw_owned(&it.lock));
    }
    work_inside();
    LW_SIM_CHECK(lw_release(&it.lock) == 0);
    err = lw_sleep(lw_in(LW_US));
    LW_SIM_CHECK(err == 0 || (err == -ECANCELED && arg != NULL));
    it.refused += err == -ECANCELED;
    return 0;
}

static int all_let_go(void *arg)
{
    lw_task tasks[TASKS];
    bool cancelled;

    set_up(arg);
    for (uintptr_t i = 0; i < TASKS; i++)
        tasks[i] = start(let_go_and_on, (void *)(i % 2));
    if (sim_choose(2) == 1)
        lw_yield();
    cancelled = lw_cancel(tasks[1]) == 0;
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(it.entries == 3 * TASKS && it.released == 2 * TASKS);
    LW_SIM_CHECK(it.refused <= cancelled);
    LW_SIM_CHECK(!lw_locked(&it.lock) && it.lock._queue == NULL);
    return 0;
}

Test(guards, who_lets_go_has_it_again)
{
    for (int i = 0; i < KINDS; i++)
        sim_some(all_let_go, (void *)kinds[i], 2);
}

/* ---- a cancel, a purge, and others in line, just when it is taken again */

enum { LET_GO = 1, COMES_AFTER };

static int let_go_once(void *arg)
{
    int err, cancelled;

    (void)arg;
    LW_SIM_CHECK(lw_acquire(&it.lock, LW_FOREVER) == 0);
    LW_RELEASING(&it.lock, err) {
        it.released++;
        UNTIL(it.entries == 1); /* the main one has it */
        err = BODY;
    }
    LW_SIM_CHECK(err == BODY && lw_owned(&it.lock));
    it.order[it.count++] = LET_GO;
    work_inside();
    LW_SIM_CHECK(lw_release(&it.lock) == 0);
    cancelled = lw_sleep(lw_in(LW_US));
    LW_SIM_CHECK((cancelled == -ECANCELED) == (it.refused == 1));
    return 0;
}

static int come_after(void *arg)
{
    int err = lw_acquire(&it.lock, LW_FOREVER);

    (void)arg;
    if (err == -EPIPE) /* by the purge */
        err = lw_acquire(&it.lock, LW_FOREVER);
    LW_SIM_CHECK(err == 0);
    it.order[it.count++] = COMES_AFTER;
    work_inside();
    return lw_release(&it.lock);
}

static int disturb(void *arg)
{
    uint32_t how = sim_choose(3);
    lw_task first, after;

    set_up(arg);
    first = start(let_go_once, NULL);
    UNTIL(it.released == 1);
    LW_SIM_CHECK(lw_acquire(&it.lock, LW_FOREVER) == 0);
    it.entries++;
    UNTIL(is_waiting(first));
    after = start(come_after, NULL);
    if (how == 1) {
        it.refused = 1;
        LW_SIM_CHECK(lw_cancel(first) == 0);
    } else if (how == 2) {
        LW_SIM_CHECK(lw_purge_waiters(&it.lock) >= 1);
    }
    LW_SIM_CHECK(lw_release(&it.lock) == 0);
    LW_SIM_CHECK(end_of(first) == 0 && end_of(after) == 0);
    LW_SIM_CHECK(it.entries == 3 && it.count == 2);
    LW_SIM_CHECK(!it.handed || how == 2 || it.order[0] == LET_GO);
    LW_SIM_CHECK(!lw_locked(&it.lock) && it.lock._queue == NULL);
    LW_SIM_CHECK(nobody_waited());
    return 0;
}

Test(guards, it_is_taken_again_whatever_comes)
{
    for (int i = 0; i < KINDS; i++) {
        sim_some(disturb, (void *)kinds[i], 2);
        sim_every(disturb, (void *)kinds[i], 1, 300);
    }
}

/* ---- who took it meanwhile ends with it */

static int take_and_end(void *arg)
{
    (void)arg;
    LW_SIM_CHECK(lw_acquire(&it.lock, LW_FOREVER) == 0);
    it.entries++;
    return 0;
}

static int lose_it(void *arg)
{
    int err, expected;
    lw_task thief;

    set_up(arg);
    it.lock.data = sim_choose(2) == 0 ? LW_DATA_ROBUST : LW_DATA_OPAQUE;
    expected = it.lock.data == LW_DATA_ROBUST ? -EOWNERDEAD : -ENOTRECOVERABLE;
    LW_SIM_CHECK(lw_acquire(&it.lock, LW_FOREVER) == 0);
    thief = start(take_and_end, NULL);
    LW_RELEASING(&it.lock, err) {
        UNTIL(it.entries == 1);
        err = BODY;
    }
    LW_SIM_CHECK(err == expected && !lw_owned(&it.lock));
    LW_SIM_CHECK(end_of(thief) == 0 && it.lock._queue == NULL);
    LW_SIM_CHECK(nobody_waited());
    return 0;
}

Test(guards, it_is_not_taken_from_one_who_ended_with_it)
{
    for (int i = 0; i < KINDS; i++)
        sim_some(lose_it, (void *)kinds[i], 2);
}
