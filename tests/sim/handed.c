/* SPDX-License-Identifier: MIT */
/* Locks that are handed on, in many schedules: exclusion, each wait ends in one way, nobody is
 * forgotten or overtaken, and the memory may go with the last user.  Each law for each kind. */
#include "primitives/lock.h"
#include "tests/sim/explore.h"

TestSuite(handed, .init = watchdog);

enum { TASKS = 3 };

static const lw_rlock rlock = LW_RLOCK_INIT("rlock");
static const lw_priority_lock priority_lock = LW_PRIORITY_LOCK_INIT("priority lock");
static const lw_priority_rlock priority_rlock = LW_PRIORITY_RLOCK_INIT("priority rlock");

static const lw_lock *const kinds[] = {&rlock.lock, &priority_lock.lock, &priority_rlock.lock};

static struct {
    lw_lock lock, other;
    const lw_lock *kind;
    int inside, entries, cut_short, refused, users, served[4], queued;
    uint64_t places[16];
    bool burned;
} it;

static void set_up(const void *kind)
{
    memset(&it, 0, sizeof it);
    it.kind = kind;
    it.lock = *it.kind;
}

static void all_kinds(lw_fn *law)
{
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++)
        sim_some(law, (void *)kinds[i], 2);
}

static void every_kind(lw_fn *law, unsigned preemptions, uint64_t at_least)
{
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++)
        sim_every(law, (void *)kinds[i], preemptions, at_least);
}

static bool nests(void)
{
    return it.kind != &priority_lock.lock;
}

static void work_inside(void)
{
    LW_SIM_CHECK(it.inside++ == 0);
    lw_sim_point();
    LW_SIM_CHECK(--it.inside == 0);
    it.entries++;
}

static void check_free(void)
{
    LW_SIM_CHECK(!lw_locked(&it.lock) && it.lock._queue == NULL && it.lock._number == 0);
    LW_SIM_CHECK(lw_acquire(&it.lock, LW_NOW) == 0);
    LW_SIM_CHECK(lw_release(&it.lock) == 0);
}

/* ---- exclusion, and each acquire ends in one way */

static int enter_by_drawn_deadlines(void *arg)
{
    for (int i = 0; i < 2; i++) {
        lw_nsec deadline = draw_deadline();
        int err = lw_acquire(&it.lock, deadline);

        if (err == 0) {
            if (nests())
                LW_SIM_CHECK(lw_acquire(&it.lock, LW_NOW) == 0);
            work_inside();
            LW_SIM_CHECK(lw_owned(&it.lock));
            if (nests())
                LW_SIM_CHECK(lw_release(&it.lock) == 0 && lw_owned(&it.lock));
            LW_SIM_CHECK(lw_release(&it.lock) == 0);
        } else {
            LW_SIM_CHECK(err == -ECANCELED ? arg != NULL && deadline != LW_NOW
                                           : err == -ETIMEDOUT && deadline != LW_FOREVER);
            LW_SIM_CHECK(!lw_owned(&it.lock));
            it.cut_short++;
            it.refused += err == -ECANCELED;
        }
    }
    return 0;
}

static int exclude(void *arg)
{
    lw_task tasks[TASKS];

    set_up(arg);
    for (uintptr_t i = 0; i < TASKS; i++) {
        lw_task_options options = {.priority = (int)sim_choose(3)};

        LW_SIM_CHECK(lw_spawn(&tasks[i], enter_by_drawn_deadlines, (void *)(i % 2), &options) == 0);
    }
    LW_SIM_CHECK(lw_cancel(tasks[1]) == 0 || it.entries + it.cut_short >= 2);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(it.entries + it.cut_short == 2 * TASKS);
    LW_SIM_CHECK(it.refused <= 1);
    check_free();
    return 0;
}

Test(handed, one_is_inside_however_waits_end)
{
    all_kinds(exclude);
}

/* ---- nobody is forgotten */

static int enter_twice(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2; i++) {
        LW_SIM_CHECK(lw_acquire(&it.lock, LW_FOREVER) == 0);
        work_inside();
        LW_SIM_CHECK(lw_release(&it.lock) == 0);
    }
    return 0;
}

static int all_enter(void *arg)
{
    lw_task tasks[TASKS];

    set_up(arg);
    for (int i = 0; i < TASKS; i++)
        tasks[i] = start(enter_twice, NULL);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(it.entries == 2 * TASKS);
    LW_SIM_CHECK(nobody_waited());
    check_free();
    return 0;
}

Test(handed, nobody_waits_for_a_lock_that_is_free)
{
    all_kinds(all_enter);
}

/* ---- nobody is overtaken: who comes by while it is handed on is served after those who wait */

static int enter_in_turn(void *arg)
{
    LW_SIM_CHECK(lw_acquire(&it.lock, LW_FOREVER) == 0);
    it.served[(uintptr_t)arg] = it.entries;
    work_inside();
    return lw_release(&it.lock);
}

static int come_by(void *arg)
{
    int err = lw_acquire(&it.lock, sim_choose(2) == 0 ? LW_NOW : LW_FOREVER);

    (void)arg;
    if (err == -ETIMEDOUT)
        return 0;
    LW_SIM_CHECK(err == 0 && it.entries == 3);
    return lw_release(&it.lock);
}

static lw_task start_in_line(uintptr_t number, int priority)
{
    lw_task_options options = {.priority = priority};
    lw_task task;

    LW_SIM_CHECK(lw_spawn(&task, enter_in_turn, (void *)number, &options) == 0);
    UNTIL(is_waiting(task));
    return task;
}

static int keep_the_line(void *arg)
{
    bool by_priority = arg != &rlock.lock;
    lw_task tasks[3], other;

    set_up(arg);
    LW_SIM_CHECK(lw_acquire(&it.lock, LW_FOREVER) == 0);
    tasks[0] = start_in_line(0, 0);
    tasks[1] = start_in_line(1, 0);
    tasks[2] = start_in_line(2, -1);
    LW_SIM_CHECK(lw_release(&it.lock) == 0);
    LW_SIM_CHECK(lw_spawn(&other, come_by, NULL, &(lw_task_options){.priority = 1}) == 0);
    for (int i = 0; i < 3; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(end_of(other) == 0);
    for (int i = 0; i < 3; i++)
        LW_SIM_CHECK(it.served[i] == (by_priority ? (i + 1) % 3 : i));
    check_free();
    return 0;
}

Test(handed, nobody_is_overtaken)
{
    all_kinds(keep_the_line);
}

/* Places in line are counted for all locks together: who queues at one must not set the count back
 * while others queue at another. */

static int queue_again(void *arg)
{
    struct lw_cold *cold = lw_record_cold(lw_current());

    for (int i = 0; i < 4; i++) {
        lw_store_rlx(&cold->arrival, UINT64_MAX);
        LW_SIM_CHECK(lw_acquire(arg, LW_FOREVER) == 0);
        if (lw_load_rlx(&cold->arrival) != UINT64_MAX)
            it.places[it.queued++] = lw_load_rlx(&cold->arrival);
        lw_yield();
        LW_SIM_CHECK(lw_release(arg) == 0);
    }
    return 0;
}

static int queue_at_two(void *arg)
{
    lw_task tasks[4];

    set_up(arg);
    it.other = it.lock;
    for (int i = 0; i < 4; i++)
        tasks[i] = start(queue_again, i % 2 == 0 ? &it.lock : &it.other);
    for (int i = 0; i < 4; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    for (int i = 0; i < it.queued; i++)
        for (int n = 0; n < i; n++)
            LW_SIM_CHECK(it.places[i] != it.places[n]);
    check_free();
    return 0;
}

Test(handed, nobody_has_the_place_of_another)
{
    sim_all(queue_at_two, (void *)kinds[1]);
}

/* ---- S30: a cancel, a timeout and a grant at once: no lock is lost, and the next one has it */

static int enter_or_give_up(void *arg)
{
    int err = lw_acquire(&it.lock, arg != NULL ? lw_in(5 * LW_US) : LW_FOREVER);

    if (err == 0) {
        work_inside();
        return lw_release(&it.lock);
    }
    LW_SIM_CHECK(is_cut_short(err));
    it.cut_short++;
    return 0;
}

static int cancel_the_heir(void *arg)
{
    lw_task heir, next;

    set_up(arg);
    LW_SIM_CHECK(lw_acquire(&it.lock, LW_FOREVER) == 0);
    heir = start_waiting(enter_or_give_up, NULL);
    next = start(enter_or_give_up, NULL);
    if (sim_choose(2) == 0) {
        LW_SIM_CHECK(lw_release(&it.lock) == 0);
        (void)lw_cancel(heir);
    } else {
        LW_SIM_CHECK(lw_cancel(heir) == 0);
        LW_SIM_CHECK(lw_release(&it.lock) == 0);
    }
    LW_SIM_CHECK(end_of(next) == 0);
    LW_SIM_CHECK(end_of(heir) == 0);
    LW_SIM_CHECK(it.entries + it.cut_short == 2 && it.entries >= 1);
    check_free();
    LW_SIM_CHECK(nobody_waited());
    return 0;
}

static int all_at_once(void *arg)
{
    lw_task first, second;

    set_up(arg);
    LW_SIM_CHECK(lw_acquire(&it.lock, LW_FOREVER) == 0);
    first = start(enter_or_give_up, &it); /* its deadline is soon */
    second = start(enter_or_give_up, NULL);
    (void)lw_cancel(first);
    LW_SIM_CHECK(lw_release(&it.lock) == 0);
    LW_SIM_CHECK(end_of(first) == 0);
    LW_SIM_CHECK(end_of(second) == 0);
    LW_SIM_CHECK(it.entries + it.cut_short == 2 && it.entries >= 1);
    check_free();
    return 0;
}

Test(handed, a_cancelled_heir_takes_nobody_with_it)
{
    all_kinds(cancel_the_heir);
    all_kinds(all_at_once);
}

Test(handed, small_instances_in_every_order)
{
    every_kind(cancel_the_heir, 1, 300);
    every_kind(all_at_once, 1, 300);
    sim_every(all_at_once, (void *)kinds[1], 2, 10000);
}

/* ---- memory */

static int leave_and_burn(void *arg)
{
    int err = lw_acquire(&it.lock, LW_FOREVER);
    bool last;

    if (err == -ECANCELED) { /* its use counts all the same */
        LW_SIM_CHECK(arg != NULL);
        err = lw_acquire(&it.lock, LW_FOREVER);
    }
    LW_SIM_CHECK(err == 0 && !it.burned);
    last = --it.users == 0;
    lw_sim_point();
    LW_SIM_CHECK(lw_release(&it.lock) == 0);
    if (last) {
        it.burned = true;
        BURN(&it.lock);
    }
    return 0;
}

static int burn_after_use(void *arg)
{
    lw_task tasks[TASKS];

    set_up(arg);
    it.users = TASKS;
    for (uintptr_t i = 0; i < TASKS; i++)
        tasks[i] = start(leave_and_burn, (void *)(i % 2));
    (void)lw_cancel(tasks[1]);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    for (unsigned i = 0; i < sizeof it.lock; i++)
        LW_SIM_CHECK(((unsigned char *)&it.lock)[i] == 0xdb);
    LW_SIM_CHECK(nobody_waited());
    return 0;
}

Test(handed, the_last_user_may_free_it)
{
    all_kinds(burn_after_use);
}

/* ---- owners that end */

static int end_inside(void *arg)
{
    int err = lw_acquire(&it.lock, LW_FOREVER);

    (void)arg;
    if (err == 0 && nests())
        err = lw_acquire(&it.lock, LW_FOREVER);
    return err;
}

static int lose_the_owner(void *arg)
{
    lw_task tasks[TASKS];
    int expected, entered = 0;

    set_up(arg);
    it.lock.data = sim_choose(2) == 0 ? LW_DATA_ROBUST : LW_DATA_OPAQUE;
    expected = it.lock.data == LW_DATA_ROBUST ? -EOWNERDEAD : -ENOTRECOVERABLE;
    for (int i = 0; i < TASKS; i++)
        tasks[i] = start(end_inside, NULL);
    for (int i = 0; i < TASKS; i++) {
        int status = end_of(tasks[i]);

        LW_SIM_CHECK(status == 0 || status == expected);
        entered += status == 0;
    }
    LW_SIM_CHECK(entered == 1);
    LW_SIM_CHECK(lw_acquire(&it.lock, LW_FOREVER) == expected);
    LW_SIM_CHECK(it.lock._queue == NULL && nobody_waited());
    return 0;
}

Test(handed, all_hear_that_the_owner_has_ended)
{
    all_kinds(lose_the_owner);
}
