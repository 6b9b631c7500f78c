/* SPDX-License-Identifier: MIT */
/* lw_select() in many schedules: what happened has happened once, what did not has had no effect,
 * nobody is forgotten, and no arm is in a queue afterwards. */
#include "tests/sim/explore.h"

TestSuite(select, .init = watchdog);

enum { TASKS = 3, CHANNELS = 2 };

static struct {
    lw_channel channels[CHANNELS];
    long room;
    lw_event event;
    lw_mutex mutex;
    lw_semaphore semaphore;
    lw_rwlock rw;
    long sent, received;
    int happened, inside, cut_short, refused;
} it;

static void set_up(void)
{
    memset(&it, 0, sizeof it);
    it.channels[0] = (lw_channel)LW_RENDEZVOUS_INIT("meeting", long);
    lw_channel_init(&it.channels[1], "one", &it.room, sizeof it.room, 1);
    it.semaphore = (lw_semaphore)LW_SEMAPHORE_INIT("permits", 1);
    it.rw = (lw_rwlock)LW_RWLOCK_INIT("rw", LW_RWLOCK_PHASE_FAIR);
}

static void check_queues(void)
{
    for (int i = 0; i < CHANNELS; i++)
        LW_SIM_CHECK(it.channels[i].wait._queue == NULL && it.channels[i]._senders == NULL);
    LW_SIM_CHECK(it.event.wait._queue == NULL && it.mutex.lock._queue == NULL);
    LW_SIM_CHECK(it.semaphore.lock._queue == NULL);
    LW_SIM_CHECK(it.rw.write._queue == NULL && it.rw.read._queue == NULL);
}

/* ---- items: sent and received through selects, by anybody at any time */

static int exchange(void *arg)
{
    for (int i = 0; i < 2; i++) {
        long out = 1 + (long)sim_choose(100), in[2] = {0};
        lw_arm arms[3] = {lw_arm_send(&it.channels[sim_choose(CHANNELS)], &out),
                          lw_arm_receive(&it.channels[0], &in[0]),
                          lw_arm_receive(&it.channels[1], &in[1])};
        lw_nsec deadline = sim_choose(4) == 0 ? LW_NOW : lw_in((1 + sim_choose(8)) * 5 * LW_US);
        int index = lw_select(arms, 3, deadline);

        LW_SIM_CHECK((in[0] != 0) == (index == 1) && (in[1] != 0) == (index == 2));
        if (index < 0) {
            LW_SIM_CHECK(index == -ETIMEDOUT || (index == -ECANCELED && arg != NULL));
            it.refused += index == -ECANCELED;
            continue;
        }
        LW_SIM_CHECK(arms[index].result == 0);
        it.sent += index == 0 ? out : 0;
        it.received += in[0] + in[1];
    }
    return 0;
}

static int exchange_all(void *arg)
{
    lw_task tasks[TASKS];
    long rest = 0;

    (void)arg;
    set_up();
    for (uintptr_t i = 0; i < TASKS; i++)
        tasks[i] = start(exchange, (void *)(i % 2));
    (void)lw_cancel(tasks[1]);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    (void)!lw_channel_receive(&it.channels[1], &rest, LW_NOW);
    LW_SIM_CHECK(it.sent == it.received + rest);
    LW_SIM_CHECK(it.refused <= 1);
    check_queues();
    return 0;
}

Test(select, every_item_arrives_once)
{
    sim_all(exchange_all, NULL);
}

/* ---- two that select the same two rendezvous in opposite ways meet, at one of them */

static int meet_somewhere(void *arg)
{
    long out[2] = {1, 2}, in[2] = {0};
    bool sends = arg != NULL;
    lw_arm arms[2] = {sends ? lw_arm_send(&it.channels[0], &out[0])
                            : lw_arm_receive(&it.channels[1], &in[1]),
                      sends ? lw_arm_send(&it.channels[1], &out[1])
                            : lw_arm_receive(&it.channels[0], &in[0])};
    int index = lw_select(arms, 2, LW_FOREVER);

    LW_SIM_CHECK(index >= 0 && arms[index].result == 0);
    if (sends) {
        it.sent += out[index];
    } else {
        LW_SIM_CHECK((in[0] != 0) + (in[1] != 0) == 1);
        it.received += in[0] + in[1];
    }
    return 0;
}

static int meet(void *arg)
{
    lw_task tasks[2];

    (void)arg;
    set_up();
    it.channels[1] = (lw_channel)LW_RENDEZVOUS_INIT("another", long);
    for (uintptr_t i = 0; i < 2; i++)
        tasks[i] = start(meet_somewhere, (void *)i);
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(it.sent == it.received && it.sent != 0);
    LW_SIM_CHECK(nobody_waited());
    check_queues();
    return 0;
}

Test(select, two_selects_meet)
{
    sim_all(meet, NULL);
}

/* ---- several things happen at once: one of them has happened, the rest is as if nobody waited */

static int end_soon(void *arg)
{
    (void)arg;
    lw_sim_point();
    return 42;
}

static int send_one(void *arg)
{
    long item = 7;

    (void)arg;
    return lw_channel_send(&it.channels[1], &item, LW_FOREVER);
}

static int put_one(void *arg)
{
    (void)arg;
    lw_event_put(&it.event, &it);
    return 0;
}

static int select_one_of_all(void *arg)
{
    lw_task ending = *(lw_task *)arg;
    long in = 0;
    void *value = NULL;
    int status = 0;
    lw_arm arms[4] = {lw_arm_join(ending, &status), lw_arm_receive(&it.channels[1], &in),
                      lw_arm_event(&it.event, &value), lw_arm_acquire(&it.mutex.lock)};
    int index = lw_select(arms, 4, sim_choose(2) == 0 ? LW_FOREVER : lw_in(10 * LW_US));

    LW_SIM_CHECK((status == 42) == (index == 0));
    LW_SIM_CHECK((in == 7) == (index == 1));
    LW_SIM_CHECK((value != NULL) == (index == 2));
    LW_SIM_CHECK(lw_owned(&it.mutex.lock) == (index == 3));
    LW_SIM_CHECK(index < 0 ? is_cut_short(index) : arms[index].result == 0);
    if (index == 3)
        LW_SIM_CHECK(lw_mutex_release(&it.mutex) == 0);
    it.happened = index;
    return 0;
}

static int one_of_all(void *arg)
{
    lw_task ending, selecting, others[2];
    long in = 0;

    set_up();
    LW_SIM_CHECK(lw_mutex_acquire(&it.mutex, LW_NOW) == 0);
    ending = start(end_soon, NULL);
    selecting = start(select_one_of_all, &ending);
    others[0] = start(send_one, NULL);
    others[1] = start(put_one, NULL);
    if (arg != NULL)
        (void)lw_cancel(selecting);
    LW_SIM_CHECK(lw_mutex_release(&it.mutex) == 0);
    LW_SIM_CHECK(end_of(selecting) == 0);
    LW_SIM_CHECK(end_of(others[0]) == 0 && end_of(others[1]) == 0);
    if (it.happened == 0)
        LW_SIM_CHECK(lw_join(ending, NULL, LW_NOW) == -ESRCH);
    else
        LW_SIM_CHECK(end_of(ending) == 42);
    LW_SIM_CHECK(lw_channel_receive(&it.channels[1], &in, LW_NOW) ==
                 (it.happened == 1 ? -ETIMEDOUT : 0));
    LW_SIM_CHECK(lw_mutex_acquire(&it.mutex, LW_NOW) == 0);
    LW_SIM_CHECK(lw_mutex_release(&it.mutex) == 0);
    check_queues();
    return 0;
}

Test(select, of_all_that_happens_one_has)
{
    sim_all(one_of_all, NULL);
    sim_all(one_of_all, &it);
}

/* ---- locks: one is inside, whether it selects or acquires, and however waits end */

static lw_lock *lock_at(uint32_t number)
{
    lw_lock *locks[] = {&it.mutex.lock, &it.semaphore.lock, &it.rw.write};

    return locks[number];
}

static int inside(lw_lock *lock)
{
    LW_SIM_CHECK(it.inside++ == 0);
    lw_sim_point();
    LW_SIM_CHECK(--it.inside == 0);
    return lw_release(lock);
}

static int select_or_acquire(void *arg)
{
    lw_lock *lock = lock_at((uint32_t)(uintptr_t)arg / 2);

    for (int i = 0; i < 2; i++) {
        lw_arm arms[2] = {lw_arm_event(&it.event, NULL), lw_arm_acquire(lock)};
        lw_nsec deadline = draw_deadline();
        bool selects = sim_choose(2) == 0;
        int err = selects ? lw_select(arms, 2, deadline) : lw_acquire(lock, deadline);

        if (err < 0) {
            LW_SIM_CHECK(err == -ECANCELED ? ((uintptr_t)arg & 1) && deadline != LW_NOW
                                           : err == -ETIMEDOUT && deadline != LW_FOREVER);
            it.refused += err == -ECANCELED;
            continue;
        }
        LW_SIM_CHECK(err == selects && (!selects || arms[1].result == 0));
        LW_SIM_CHECK(inside(lock) == 0);
    }
    return 0;
}

static int contend(void *arg)
{
    uint32_t number = (uint32_t)(uintptr_t)arg;
    lw_task tasks[TASKS];

    set_up();
    for (uintptr_t i = 0; i < TASKS; i++)
        tasks[i] = start(select_or_acquire, (void *)(2 * number + i % 2));
    (void)lw_cancel(tasks[1]);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(it.refused <= 1);
    LW_SIM_CHECK(!lw_locked(lock_at(number)));
    check_queues();
    return 0;
}

/* Without deadlines nobody is forgotten. */
static int enter_by_select(void *arg)
{
    lw_lock *lock = lock_at((uint32_t)(uintptr_t)arg);

    for (int i = 0; i < 2; i++) {
        lw_arm arms[2] = {lw_arm_event(&it.event, NULL), lw_arm_acquire(lock)};

        LW_SIM_CHECK(sim_choose(2) == 0 ? lw_select(arms, 2, LW_FOREVER) == 1
                                        : lw_acquire(lock, LW_FOREVER) == 0);
        LW_SIM_CHECK(inside(lock) == 0);
    }
    return 0;
}

static int all_enter(void *arg)
{
    lw_task tasks[TASKS];

    set_up();
    for (int i = 0; i < TASKS; i++)
        tasks[i] = start(enter_by_select, arg);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(nobody_waited());
    check_queues();
    return 0;
}

Test(select, one_is_inside_and_nobody_is_forgotten)
{
    for (uintptr_t i = 0; i < 3; i++) {
        sim_some(contend, (void *)i, 2);
        sim_some(all_enter, (void *)i, 2);
    }
}

/* ---- an heir that is granted the lock, is cancelled, or has something else happen, all at once */

static int inherit_or_not(void *arg)
{
    lw_lock *lock = arg;
    lw_arm arms[2] = {lw_arm_event(&it.event, NULL), lw_arm_acquire(lock)};
    int index = lw_select(arms, 2, LW_FOREVER);

    it.happened = index;
    if (index == 1)
        return inside(lock);
    LW_SIM_CHECK(index == 0 || index == -ECANCELED);
    return 0;
}

static int acquire_after(void *arg)
{
    LW_SIM_CHECK(lw_acquire(arg, LW_FOREVER) == 0);
    return inside(arg);
}

static int inherit(void *arg)
{
    lw_lock *lock;
    lw_task heir, next;

    set_up();
    lock = lock_at((uint32_t)(uintptr_t)arg);
    LW_SIM_CHECK(lw_acquire(lock, LW_NOW) == 0);
    heir = start_waiting(inherit_or_not, lock);
    next = start_waiting(acquire_after, lock);
    switch (sim_choose(3)) {
    case 0:
        LW_SIM_CHECK(lw_release(lock) == 0);
        (void)lw_cancel(heir);
        break;
    case 1:
        lw_event_set(&it.event);
        LW_SIM_CHECK(lw_release(lock) == 0);
        break;
    default:
        LW_SIM_CHECK(lw_cancel(heir) == 0);
        LW_SIM_CHECK(lw_release(lock) == 0);
    }
    LW_SIM_CHECK(end_of(next) == 0);
    LW_SIM_CHECK(end_of(heir) == 0);
    LW_SIM_CHECK(nobody_waited() && !lw_locked(lock));
    check_queues();
    return 0;
}

Test(select, an_heir_that_has_left_holds_nobody_up)
{
    for (uintptr_t i = 0; i < 3; i++)
        sim_all(inherit, (void *)i);
}

/* ---- an event that is set once, whatever the select is just doing */

static int await_event(void *arg)
{
    long in;
    lw_arm arms[2] = {lw_arm_receive(&it.channels[0], &in), lw_arm_event(&it.event, NULL)};

    (void)arg;
    LW_SIM_CHECK(lw_select(arms, 2, LW_FOREVER) == 1);
    return 0;
}

static int set_it_once(void *arg)
{
    lw_task task;

    (void)arg;
    set_up();
    task = start(await_event, NULL);
    for (unsigned steps = 4 * sim_choose(16); steps > 0; steps--)
        lw_sim_point();
    lw_event_set(&it.event);
    LW_SIM_CHECK(end_of(task) == 0 && nobody_waited());
    check_queues();
    return 0;
}

Test(select, what_happens_once_is_not_missed)
{
    sim_all(set_it_once, NULL);
}

Test(select, small_instances_in_every_order)
{
    sim_every(meet, NULL, 1, 300);
    sim_every(inherit, (void *)0, 1, 300);
    sim_every(inherit, (void *)2, 1, 300);
}

/* ---- arms lie on the stack of who selects: nobody touches them afterwards */

static int leave_arms_behind(void *arg)
{
    struct {
        lw_arm arms[3];
    } all;
    long in[2] = {0};
    int index;

    (void)arg;
    all.arms[0] = lw_arm_receive(&it.channels[0], &in[0]);
    all.arms[1] = lw_arm_receive(&it.channels[1], &in[1]);
    all.arms[2] = lw_arm_event(&it.event, NULL);
    index = lw_select(all.arms, 3, LW_FOREVER);
    LW_SIM_CHECK(index >= 0 || index == -ECANCELED);
    BURN(&all);
    for (int i = 0; i < 20; i++)
        lw_sim_point();
    for (unsigned i = 0; i < sizeof all; i++)
        LW_SIM_CHECK(((unsigned char *)&all)[i] == 0xdb);
    return 0;
}

static int burn_arms(void *arg)
{
    lw_task task;
    long item = 3;

    (void)arg;
    set_up();
    task = start(leave_arms_behind, NULL);
    if (sim_choose(2) == 0)
        (void)lw_cancel(task);
    lw_event_set(&it.event);
    (void)!lw_channel_send(&it.channels[0], &item, LW_NOW);
    (void)!lw_channel_send(&it.channels[1], &item, LW_NOW);
    lw_channel_close(&it.channels[0]);
    LW_SIM_CHECK(end_of(task) == 0);
    check_queues();
    return 0;
}

Test(select, nobody_touches_arms_afterwards)
{
    sim_all(burn_arms, NULL);
}
