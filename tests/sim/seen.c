/* SPDX-License-Identifier: MIT */
/* What was done before is seen after, as in order.c and looking.c: at latches, barriers and a once,
 * in guards, between those who had one of the other locks, and by whom one was handed to.
 *
 * Most of them neither wait nor yield in between, which could order it as well. */
#include "tests/sim/explore.h"

TestSuite(seen, .init = watchdog);

enum { LOOKS = 8, EACH = 3, LAPS = 3 };
enum { COUNTED, OPENED, KEYED, MET, RUN, WORDS = 8 };

static struct {
    uint32_t words[WORDS];
    lw_latch counted, opened;
    lw_multi_latch keyed;
    lw_latch_entry entry;
    lw_barrier barrier, meeting;
    lw_once once;
    lw_resource_guard guard;
    lw_rate_limit limit;
    lw_lock lock, *used;
    bool looking, done;
} it;

static void set_up(void)
{
    memset(&it, 0, sizeof it);
}

static void put(int word)
{
    lw_store_rlx(&it.words[word], 1);
}

static void see(int word)
{
    LW_SIM_CHECK(lw_load_rlx(&it.words[word]) == 1);
}

static void count(int word)
{
    lw_store_rlx(&it.words[word], lw_load_rlx(&it.words[word]) + 1);
}

static void pass_steps(unsigned steps)
{
    for (; steps > 0; steps--)
        lw_sim_point();
}

/* A task that looks is there: on another worker, if it is not the caller's turn. */
static lw_task start_looking(lw_fn *fn, void *arg)
{
    lw_task task = start(fn, arg);

    for (int i = 0; i < 8 * LOOKS && !it.looking; i++)
        if (sim_choose(16) == 0)
            lw_yield();
        else
            lw_sim_point();
    return task;
}

/* ---- who looks whether it is open, broken, done */

static int run_it(void *arg)
{
    put(RUN);
    return arg == NULL;
}

static int look_at_all(void *arg)
{
    (void)arg;
    it.looking = true;
    for (int i = 0; i < LOOKS; i++) {
        if (lw_latch_count(&it.counted) == 0)
            see(COUNTED);
        if (lw_latch_wait(&it.opened, LW_NOW) == 0)
            see(OPENED);
        if (lw_multi_latch_broken(&it.keyed))
            see(KEYED);
        if (lw_barrier_broken(&it.barrier))
            see(MET);
        if (lw_once_run(&it.once, run_it, &it, LW_NOW) == 0)
            see(RUN);
        lw_sim_point();
    }
    return 0;
}

static int open_all(void *arg)
{
    lw_task task;
    int err;

    (void)arg;
    set_up();
    it.counted = (lw_latch)LW_LATCH_INIT("counted", 1);
    it.opened = (lw_latch)LW_LATCH_INIT("opened", 1);
    it.entry = (lw_latch_entry){1, 1, NULL};
    LW_SIM_CHECK(lw_multi_latch_init(&it.keyed, "keyed", &it.entry, 1) == 0);
    it.barrier = (lw_barrier)LW_BARRIER_INIT("barrier", 2);
    task = start_looking(look_at_all, NULL);
    err = lw_once_run(&it.once, run_it, &it, LW_NOW);
    LW_SIM_CHECK(err == 0 || err == -ETIMEDOUT);
    put(COUNTED);
    LW_SIM_CHECK(lw_latch_count_down(&it.counted, 1) == 0);
    put(OPENED);
    LW_SIM_CHECK(lw_latch_count_down(&it.opened, 1) == 0);
    put(KEYED);
    LW_SIM_CHECK(lw_multi_latch_count_down(&it.keyed, 1, LW_STRICT) == 0);
    put(MET);
    lw_barrier_abort(&it.barrier);
    return end_of(task);
}

Test(seen, by_who_finds_it_open_or_broken_or_done)
{
    sim_all(open_all, NULL);
}

/* ---- of all who count, meet, notify */

static int count_down(void *arg)
{
    put((int)(uintptr_t)arg);
    return lw_latch_count_down(&it.opened, 1);
}

static int count_down_key(void *arg)
{
    put((int)(uintptr_t)arg);
    return lw_multi_latch_count_down(&it.keyed, 1, LW_STRICT);
}

static int await_counts(void *arg)
{
    bool keyed = arg != NULL;
    lw_task tasks[EACH];

    set_up();
    it.opened = (lw_latch)LW_LATCH_INIT("latch", EACH);
    it.entry = (lw_latch_entry){1, EACH, NULL};
    LW_SIM_CHECK(lw_multi_latch_init(&it.keyed, "keyed", &it.entry, 1) == 0);
    for (uintptr_t i = 0; i < EACH; i++)
        tasks[i] = start(keyed ? count_down_key : count_down, (void *)i);
    while ((keyed ? lw_multi_latch_wait(&it.keyed, 1, 0, draw_deadline())
                  : lw_latch_wait(&it.opened, draw_deadline())) < 0)
        if (sim_choose(2) == 1)
            lw_yield();
    for (int i = 0; i < EACH; i++)
        see(i);
    for (int i = 0; i < EACH; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    return 0;
}

Test(seen, of_all_who_count_down)
{
    sim_all(await_counts, NULL);
    sim_all(await_counts, &it);
}

static int meet(void *arg)
{
    pass_steps(sim_choose(8));
    put((int)(uintptr_t)arg);
    LW_SIM_CHECK(lw_barrier_wait(&it.meeting, NULL, LW_FOREVER) == 0);
    for (int i = 0; i < EACH; i++)
        see(i);
    return 0;
}

static int all_meet(void *arg)
{
    lw_task tasks[EACH];

    (void)arg;
    set_up();
    it.meeting = (lw_barrier)LW_BARRIER_INIT("meeting", EACH);
    for (uintptr_t i = 0; i < EACH; i++)
        tasks[i] = start(meet, (void *)i);
    for (int i = 0; i < EACH; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    return 0;
}

Test(seen, of_all_who_meet)
{
    sim_all(all_meet, NULL);
}

/* ---- of who was inside before: a count that is neither wrong nor lost */

static int enter_guard(void *arg)
{
    int entered = 0;

    (void)arg;
    for (int i = 0; i < 4 * LAPS; i++) {
        if (lw_resource_guard_enter(&it.guard) == 0) {
            count(0);
            lw_sim_point();
            LW_SIM_CHECK(lw_resource_guard_exit(&it.guard) == 0);
            entered++;
        }
        lw_sim_point();
    }
    return entered;
}

static int count_in_guard(void *arg)
{
    lw_task tasks[EACH];
    int entered = 0;

    (void)arg;
    set_up();
    it.guard = (lw_resource_guard)LW_RESOURCE_GUARD_INIT(NULL, NULL);
    for (int i = 0; i < EACH; i++)
        tasks[i] = start(enter_guard, NULL);
    for (int i = 0; i < EACH; i++)
        entered += end_of(tasks[i]);
    LW_SIM_CHECK(lw_load_rlx(&it.words[0]) == (uint32_t)entered);
    return 0;
}

Test(seen, of_who_was_in_a_guard)
{
    sim_all(count_in_guard, NULL);
}

static const lw_rlock rlock = LW_RLOCK_INIT("rlock");
static const lw_priority_lock priority_lock = LW_PRIORITY_LOCK_INIT("priority lock");
static const lw_priority_rlock priority_rlock = LW_PRIORITY_RLOCK_INIT("priority rlock");
static const lw_semaphore semaphore = LW_SEMAPHORE_INIT("semaphore", 1);
static const lw_bounded_semaphore bounded = LW_BOUNDED_SEMAPHORE_INIT("bounded", 1);
static const lw_priority_semaphore ranked = LW_PRIORITY_SEMAPHORE_INIT("ranked", 1);

static const lw_lock *const kinds[] = {&rlock.lock,     &priority_lock.lock, &priority_rlock.lock,
                                       &semaphore.lock, &bounded.lock,       &ranked.lock,
                                       NULL /* a rate limit */};
enum { KINDS = sizeof kinds / sizeof *kinds, HANDED = 3 };

static int count_inside(void *arg)
{
    (void)arg;
    for (int i = 0; i < LAPS; i++) {
        while (lw_acquire(it.used, draw_deadline()) < 0)
            continue;
        count(0);
        pass_steps(sim_choose(2));
        LW_SIM_CHECK(lw_release(it.used) == 0);
        if (sim_choose(2) == 1)
            lw_yield();
    }
    return 0;
}

static int count_in_turns(void *arg)
{
    const lw_lock *kind = arg;
    lw_task tasks[EACH];

    set_up();
    it.used = kind != NULL ? &it.lock : &it.limit.lock;
    if (kind != NULL)
        it.lock = *kind;
    else
        LW_SIM_CHECK(lw_rate_limit_init(&it.limit, "limit", 0, 1, 0) == 0);
    for (int i = 0; i < EACH; i++)
        tasks[i] = start(count_inside, NULL);
    for (int i = 0; i < EACH; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(lw_load_rlx(&it.words[0]) == LAPS * EACH);
    return 0;
}

Test(seen, of_who_had_it_before)
{
    for (int i = 0; i < KINDS; i++)
        sim_some(count_in_turns, (void *)kinds[i], 2);
}

/* Who lets go of it is done with by whoever tried: he may free it. */

static int try_it(void *arg)
{
    (void)arg;
    put(0);
    if (lw_acquire(&it.lock, LW_NOW) == 0)
        LW_SIM_CHECK(lw_release(&it.lock) == 0);
    it.done = true;
    return 0;
}

static int let_go(void *arg)
{
    lw_task task;
    bool tried;

    set_up();
    it.lock = *(const lw_lock *)arg;
    task = start(try_it, NULL);
    LW_SIM_CHECK(lw_acquire(&it.lock, LW_FOREVER) == 0);
    for (int i = 0; i < 4 * LOOKS && !it.done; i++)
        if (sim_choose(8) == 0)
            lw_yield();
        else
            lw_sim_point();
    if (it.done && sim_choose(4) != 0) /* the release is not a quick one */
        lw_yield();
    tried = it.done;
    LW_SIM_CHECK(lw_release(&it.lock) == 0);
    if (tried)
        see(0);
    return end_of(task);
}

static int let_go_again(void *arg)
{
    for (int i = 0; i < 4; i++)
        LW_SIM_CHECK(let_go(arg) == 0);
    return 0;
}

Test(seen, of_who_tried_before_it_let_go)
{
    for (int i = 0; i < HANDED; i++)
        sim_all(let_go_again, (void *)kinds[i]);
}

/* An owner who was spawned a moment ago is no orphan. */

static int enter_and_leave(void *arg)
{
    lw_mutex own = LW_MUTEX_INIT("own");

    (void)arg;
    if (sim_choose(2) == 1) { /* the next acquire is a quick one */
        LW_SIM_CHECK(lw_mutex_acquire(&own, LW_FOREVER) == 0);
        LW_SIM_CHECK(lw_mutex_release(&own) == 0);
    }
    LW_SIM_CHECK(lw_acquire(&it.lock, LW_FOREVER) == 0);
    pass_steps(LOOKS);
    LW_SIM_CHECK(lw_release(&it.lock) == 0);
    return 0;
}

static int try_for_long(void *arg)
{
    (void)arg;
    it.looking = true;
    for (int i = 0; i < 16 * LOOKS && !it.done; i++) {
        int err = lw_acquire(&it.lock, LW_NOW);

        LW_SIM_CHECK(err == 0 || err == -ETIMEDOUT);
        if (err == 0)
            LW_SIM_CHECK(lw_release(&it.lock) == 0);
        lw_sim_point();
    }
    return 0;
}

static int own_it_newborn(void *arg)
{
    lw_task task, owners[2 * EACH];

    set_up();
    it.lock = *(const lw_lock *)arg;
    task = start_looking(try_for_long, NULL);
    for (int i = 0; i < 2 * EACH; i++) {
        owners[i] = start(enter_and_leave, NULL);
        lw_yield(); /* not a wait, which would let all see all */
    }
    it.done = true;
    for (int i = 0; i < 2 * EACH; i++)
        LW_SIM_CHECK(end_of(owners[i]) == 0);
    return end_of(task);
}

Test(seen, of_an_owner_that_it_is_alive)
{
    for (int i = 0; i < HANDED; i++)
        sim_some(own_it_newborn, (void *)kinds[i], 2);
}

/* Who was handed it finds so by himself. */
static int look_and_let_go(void *arg)
{
    bool nests = arg != &priority_lock.lock;

    it.looking = true;
    for (;;) {
        if (!nests || sim_choose(2) == 0 ? lw_owned(&it.lock)
                                         : lw_acquire(&it.lock, LW_NOW) == 0 &&
                                               lw_release(&it.lock) == 0 && lw_owned(&it.lock))
            break;
        if (sim_choose(2) == 0)
            lw_yield();
        else
            lw_sim_point();
    }
    see(0);
    LW_SIM_CHECK(!nests || lw_release(&it.lock) == 0);
    LW_SIM_CHECK(lw_owned(&it.lock));
    return lw_release(&it.lock);
}

/* Handed over while the other one looks whether it was. */
static int hand_over(void *arg)
{
    bool nests = arg != &priority_lock.lock;
    lw_task task;

    set_up();
    it.lock = *(const lw_lock *)arg;
    LW_SIM_CHECK(lw_acquire(&it.lock, LW_FOREVER) == 0);
    task = start_looking(look_and_let_go, arg);
    LW_SIM_CHECK(!nests || lw_acquire(&it.lock, LW_FOREVER) == 0);
    put(0);
    LW_SIM_CHECK(lw_transfer(&it.lock, task) == 0);
    LW_SIM_CHECK(end_of(task) == 0);
    LW_SIM_CHECK(!lw_locked(&it.lock) && it.lock._number == 0);
    return 0;
}

Test(seen, by_whom_it_was_handed_to)
{
    for (int i = 0; i < HANDED; i++)
        sim_some(hand_over, (void *)kinds[i], 2);
}
