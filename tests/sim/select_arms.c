/* SPDX-License-Identifier: MIT */
/* Arms of lw_select() that are only worth a try when they were woken, descriptors and awaitables,
 * in many schedules: what came is found, once it is there for ever; what did not happen has had no
 * effect; and one that was woken for nothing holds nobody up. */
#include "tests/sim/explore.h"

#include <latchwork/io.h>
#include <poll.h>
#include <unistd.h>

TestSuite(select_arms, .init = watchdog);

enum { TASKS = 2, VALUE = 17, PIPES = 2 };

/* Comes to something when `left` is 0. */
struct counter {
    lw_awaitable awaitable;
    lw_event changed;
    int left;
};

static struct {
    struct counter counter;
    int pipes[PIPES][2];
    lw_event event;
    lw_mutex mutex;
    int happened, inside, entries, written;
} it;

static int poll_counter(lw_awaitable *awaitable, void *value)
{
    struct counter *counter = (struct counter *)(void *)awaitable;

    lw_event_clear(&counter->changed);
    lw_sim_point();
    if (counter->left > 0)
        return -EAGAIN;
    *(int *)value = VALUE;
    lw_event_set(&counter->changed); /* others may have looked before it came, and wait just now */
    return 0;
}

static lw_event *changed_counter(lw_awaitable *awaitable)
{
    return &((struct counter *)(void *)awaitable)->changed;
}

static const lw_awaitable_kind counter_kind = {"counter", poll_counter, changed_counter};

static void set_up(void)
{
    memset(&it, 0, sizeof it);
    it.counter.awaitable.kind = &counter_kind;
    it.happened = -1;
}

static void check_queues(void)
{
    LW_SIM_CHECK(it.counter.changed.wait._queue == NULL && it.event.wait._queue == NULL);
    LW_SIM_CHECK(it.mutex.lock._queue == NULL);
}

/* ---- an awaitable: whoever waits for it hears of it, whatever others poll, and only then */

static int change(void *arg)
{
    (void)arg;
    it.counter.left--;
    lw_event_set(&it.counter.changed);
    return 0;
}

static int await_it(void *arg)
{
    lw_arm arms[2];
    int value = 0;

    arms[0] = lw_arm_event(&it.event, NULL);
    arms[1] = lw_arm_await(&it.counter.awaitable, &value);
    if (arg != NULL)
        LW_SIM_CHECK(lw_select(arms, 2, LW_FOREVER) == 1 && arms[1].result == 0);
    else
        LW_SIM_CHECK(lw_await(&it.counter.awaitable, &value, LW_FOREVER) == 0);
    LW_SIM_CHECK(value == VALUE && it.counter.left == 0);
    BURN(&arms);
    return 0;
}

static int change_twice(void *arg)
{
    lw_task waiters[TASKS], changer;

    (void)arg;
    set_up();
    it.counter.left = 2;
    for (uintptr_t i = 0; i < TASKS; i++)
        waiters[i] = start(await_it, (void *)i);
    changer = start(change, NULL);
    if (sim_choose(2) == 1)
        UNTIL(is_waiting(waiters[0]));
    (void)change(NULL);
    for (int i = 0; i < TASKS; i++)
        LW_SIM_CHECK(end_of(waiters[i]) == 0);
    LW_SIM_CHECK(end_of(changer) == 0 && nobody_waited());
    check_queues();
    return 0;
}

Test(select_arms, what_is_awaited_is_not_missed)
{
    sim_all(change_twice, NULL);
    sim_every(change_twice, NULL, 1, 300);
}

/* ---- one that is woken for nothing, or leaves, is handed a lock, or has an event, all at once */

static int await_or_acquire(void *arg)
{
    int value = 0, index;
    void *found = NULL;
    lw_arm arms[3] = {lw_arm_acquire(&it.mutex.lock),
                      lw_arm_await(&it.counter.awaitable, &value),
                      lw_arm_event(&it.event, &found)};

    it.happened = index = lw_select(arms, arg != NULL ? 2 : 3, LW_FOREVER);
    LW_SIM_CHECK(lw_owned(&it.mutex.lock) == (index == 0));
    LW_SIM_CHECK((value == VALUE) == (index == 1) && (found == &it) == (index == 2));
    LW_SIM_CHECK(index >= 0 ? arms[index].result == 0 : index == -ECANCELED);
    BURN(&arms);
    if (index == 0) {
        LW_SIM_CHECK(it.inside++ == 0);
        lw_sim_point();
        LW_SIM_CHECK(--it.inside == 0);
        return lw_mutex_release(&it.mutex);
    }
    return 0;
}

static int acquire_after(void *arg)
{
    (void)arg;
    LW_SIM_CHECK(lw_mutex_acquire(&it.mutex, LW_FOREVER) == 0);
    LW_SIM_CHECK(it.inside++ == 0);
    lw_sim_point();
    LW_SIM_CHECK(--it.inside == 0);
    it.entries++;
    return lw_mutex_release(&it.mutex);
}

static int wake_for_nothing(void *arg)
{
    lw_task first, next, changer;

    set_up();
    it.counter.left = 2;
    LW_SIM_CHECK(lw_mutex_acquire(&it.mutex, LW_NOW) == 0);
    first = start_waiting(await_or_acquire, arg);
    next = start_waiting(acquire_after, NULL);
    changer = start(change, NULL);
    switch (sim_choose(arg != NULL ? 2 : 4)) {
    case 1:
        (void)change(NULL); /* now there is something */
        break;
    case 2:
        lw_event_put(&it.event, &it);
        break;
    case 3:
        (void)lw_cancel(first);
        break;
    default:
        break;
    }
    LW_SIM_CHECK(lw_mutex_release(&it.mutex) == 0);
    LW_SIM_CHECK(end_of(first) == 0 && end_of(next) == 0 && end_of(changer) == 0);
    LW_SIM_CHECK(it.entries == 1 && !lw_locked(&it.mutex.lock) && nobody_waited());
    check_queues();
    return 0;
}

Test(select_arms, who_is_woken_for_nothing_holds_nobody_up)
{
    sim_all(wake_for_nothing, NULL);
    sim_every(wake_for_nothing, &it, 1, 300);
}

/* ---- descriptors: a byte wakes all who poll, however they do and whoever else is woken, just when
 * it likes; and nobody has taken it */

static void open_pipes(void)
{
    for (int i = 0; i < PIPES; i++)
        LW_SIM_CHECK(pipe(it.pipes[i]) == 0);
}

static void close_pipes(void)
{
    for (int i = 0; i < PIPES; i++)
        LW_SIM_CHECK(lw_close(it.pipes[i][0]) == 0 && lw_close(it.pipes[i][1]) == 0);
}

static void write_to(int number)
{
    it.written |= 1 << number;
    LW_SIM_CHECK(lw_write_all(it.pipes[number][1], "x", 1, LW_FOREVER) == 0);
}

static bool has_byte(int number)
{
    char byte;
    ssize_t got = lw_read(it.pipes[number][0], &byte, 1, LW_NOW);

    LW_SIM_CHECK(got == 1 || got == -ETIMEDOUT);
    return got == 1;
}

static int poll_or_select(void *arg)
{
    lw_arm arms[2] = {lw_arm_poll(it.pipes[0][0], POLLIN), lw_arm_event(&it.event, NULL)};
    int index;

    if (arg != NULL)
        return lw_poll(it.pipes[0][0], POLLIN, LW_FOREVER) == POLLIN ? 0 : -1;
    index = lw_select(arms, 2, LW_FOREVER);
    LW_SIM_CHECK(index == 0 ? arms[0].result == POLLIN && it.written == 1
                            : index == 1 && lw_event_is_set(&it.event));
    BURN(&arms);
    return 0;
}

static void let_some_steps_pass(void)
{
    for (unsigned steps = 8 * sim_choose(16); steps > 0; steps--)
        lw_sim_point();
}

static int wake_all_who_poll(void *arg)
{
    lw_task tasks[3];

    set_up();
    open_pipes();
    for (int i = 0; i < 3; i++)
        tasks[i] = start(poll_or_select, i > 0 && sim_choose(2) == 1 ? &it : NULL);
    if (sim_choose(2) == 1)
        UNTIL(is_waiting(tasks[0]) && is_waiting(tasks[1]));
    let_some_steps_pass();
    write_to(0);
    if (arg != NULL) { /* who leaves by it may be the one whom the byte has woken */
        let_some_steps_pass();
        lw_event_set(&it.event);
    }
    for (int i = 0; i < 3; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(has_byte(0) && !has_byte(0));
    check_queues();
    close_pipes();
    return 0;
}

Test(select_arms, a_byte_wakes_all_who_poll)
{
    sim_all(wake_all_who_poll, NULL);
    sim_all(wake_all_who_poll, &it);
}

/* ---- woken by a byte that another has read, a select waits on, for the next one */

static int read_one(void *arg)
{
    char byte;

    (void)arg;
    return lw_read(it.pipes[0][0], &byte, 1, LW_FOREVER) == 1 ? 0 : -1;
}

static int read_before(void *arg)
{
    lw_task selects, reads;

    (void)arg;
    set_up();
    open_pipes();
    selects = start_waiting(poll_or_select, NULL);
    reads = start_waiting(read_one, NULL);
    write_to(0);
    LW_SIM_CHECK(end_of(reads) == 0);
    let_some_steps_pass();
    write_to(0);
    LW_SIM_CHECK(end_of(selects) == 0);
    LW_SIM_CHECK(has_byte(0) && !has_byte(0));
    check_queues();
    close_pipes();
    return 0;
}

Test(select_arms, a_byte_that_another_has_read_is_not_the_last)
{
    sim_all(read_before, NULL);
}

/* ---- bytes, an event and a cancel at once */

static int select_some(void *arg)
{
    void *found = NULL;
    int index;
    lw_arm arms[3] = {lw_arm_poll(it.pipes[0][0], POLLIN), lw_arm_poll(it.pipes[1][0], POLLIN),
                      lw_arm_event(&it.event, &found)};

    (void)arg;
    it.happened = index = lw_select(arms, 3, LW_FOREVER);
    LW_SIM_CHECK((index == 2) == (found == &it));
    if (index == 0 || index == 1)
        LW_SIM_CHECK(arms[index].result == POLLIN && (it.written & 1 << index) != 0);
    else
        LW_SIM_CHECK(index == 2 || index == -ECANCELED);
    BURN(&arms);
    for (int i = 0; i < 20; i++)
        lw_sim_point();
    for (unsigned i = 0; i < sizeof arms; i++)
        LW_SIM_CHECK(((unsigned char *)&arms)[i] == 0xdb);
    return 0;
}

static int put_event(void *arg)
{
    (void)arg;
    lw_event_put(&it.event, &it);
    return 0;
}

static int all_at_once(void *arg)
{
    uint32_t how = sim_choose(8);
    lw_task selects, puts = {0};

    (void)arg;
    set_up();
    open_pipes();
    selects = sim_choose(2) == 0 ? start(select_some, NULL) : start_waiting(select_some, NULL);
    if (how & 1)
        puts = start(put_event, NULL);
    if (how & 2)
        write_to(0);
    if (how & 4)
        (void)lw_cancel(selects);
    if (how == 0)
        write_to(1); /* nothing else happens */
    LW_SIM_CHECK(end_of(selects) == 0);
    if (how & 1)
        LW_SIM_CHECK(end_of(puts) == 0 && lw_event_is_set(&it.event));
    LW_SIM_CHECK(how != 0 || it.happened == 1);
    LW_SIM_CHECK(has_byte(0) == ((it.written & 1) != 0) && has_byte(1) == (it.written > 1));
    check_queues();
    close_pipes();
    return 0;
}

Test(select_arms, of_descriptors_and_others_one_has_happened)
{
    sim_all(all_at_once, NULL);
}
