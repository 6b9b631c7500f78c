/* SPDX-License-Identifier: MIT */
/* Who looks, without waiting, finds no half of the truth: what he is told he also sees, and what
 * he finds of a slot's next life tells him that the last one is over.
 *
 * As in order.c, with less between the two that anything else could order: whoever looks here
 * neither waits nor yields. */
#include "tests/sim/explore.h"

#include <pthread.h>

TestSuite(looking, .init = watchdog);

enum { LOOKS = 8, EACH = 6 };

static struct {
    uint32_t words[EACH + 1], told;
    lw_mutex mutex;
    lw_channel channel;
    lw_event event, never;
    lw_event events[EACH];
    lw_group group, next;
    lw_task old;
    lw_semaphore finished;
    int room[1];
    int cancelled;
    bool looking, reaped, done;
} it;

static void set_up(void)
{
    memset(&it, 0, sizeof it);
    it.finished = (lw_semaphore)LW_SEMAPHORE_INIT("finished", 0);
    it.group = it.next = (lw_group)LW_GROUP_INIT(0);
}

static void put(int word)
{
    lw_store_rlx(&it.words[word], 1);
}

static void see(int word)
{
    LW_SIM_CHECK(lw_load_rlx(&it.words[word]) == 1);
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

/* ---- a bit, a pointer, a count */

static int look_at_all(void *arg)
{
    (void)arg;
    it.looking = true;
    for (int i = 0; i < LOOKS; i++) {
        if (lw_channel_closed(&it.channel))
            see(0);
        if (lw_event_wait(&it.event, LW_NOW) == 0)
            see(1);
        if (lw_event_is_set(&it.event))
            see(1);
        lw_sim_point();
    }
    return 0;
}

static int close_and_set(void *arg)
{
    lw_task task;

    (void)arg;
    set_up();
    lw_channel_init(&it.channel, "channel", it.room, sizeof *it.room, 1);
    task = start_looking(look_at_all, NULL);
    put(0);
    lw_channel_close(&it.channel);
    put(1);
    lw_event_set(&it.event);
    return end_of(task);
}

Test(looking, finds_what_was_done_before_it_was_closed_or_set)
{
    sim_all(close_and_set, NULL);
}

static int notice_a_cancel(void *arg)
{
    (void)arg;
    it.looking = true;
    for (int i = 0; i < 4 * LOOKS; i++) {
        if (lw_checkpoint() == -ECANCELED) {
            see(0);
            break;
        }
        lw_sim_point();
    }
    return 0;
}

static int cancel_who_looks(void *arg)
{
    (void)arg;
    set_up();
    for (int i = 0; i < 3; i++)
        LW_SIM_CHECK(lw_group_spawn(&it.group, notice_a_cancel, NULL, NULL) == 0);
    for (unsigned steps = 8 * sim_choose(8); steps > 0; steps--)
        lw_sim_point();
    put(0);
    lw_group_cancel(&it.group);
    return lw_group_end(&it.group, 0);
}

Test(looking, finds_what_was_done_before_a_cancel)
{
    sim_all(cancel_who_looks, NULL);
}

/* ---- a wait that is to be ended */

static int wait_for_ever(void *arg)
{
    (void)arg;
    it.looking = true;
    for (unsigned steps = 4 * sim_choose(4); steps > 0; steps--)
        lw_sim_point();
    if (lw_checkpoint() == 0) /* hereby it is a member that is told */
        LW_SIM_CHECK(lw_event_wait(&it.never, LW_FOREVER) == -ECANCELED);
    return 0;
}

static int cancel_who_waits(void *arg)
{
    lw_task task;

    (void)arg;
    set_up();
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(lw_group_spawn(&it.group, wait_for_ever, NULL, NULL) == 0);
    task = start_looking(wait_for_ever, NULL);
    for (unsigned steps = 8 * sim_choose(8); steps > 0; steps--)
        lw_sim_point();
    (void)lw_cancel(task);
    lw_group_cancel(&it.group);
    LW_SIM_CHECK(lw_group_end(&it.group, 0) == 0);
    return end_of(task);
}

Test(looking, finds_the_wait_that_a_cancel_is_to_end)
{
    sim_all(cancel_who_waits, NULL);
}

/* ---- a wait that is taken back: for a task that ends while it is being joined */

static int end_soon(void *arg)
{
    for (uintptr_t steps = (uintptr_t)arg; steps > 0; steps--)
        lw_sim_point();
    return 0;
}

static int join_who_ends(void *arg)
{
    it.looking = true;
    for (int i = 0; i < EACH; i++) {
        lw_task task = start(end_soon, (void *)(uintptr_t)(4 * sim_choose(8)));
        int err;

        for (unsigned steps = 4 * sim_choose(16); steps > 0; steps--)
            lw_sim_point();
        while ((err = lw_join(task, NULL, LW_FOREVER)) == -ECANCELED)
            it.cancelled++;
        LW_SIM_CHECK(err == 0);
    }
    it.done = true;
    return arg == NULL;
}

static int cancel_who_joins(void *arg)
{
    lw_task task;

    (void)arg;
    set_up();
    task = start_looking(join_who_ends, &it);
    while (!it.done) {
        for (unsigned steps = sim_choose(8); steps > 0; steps--)
            lw_sim_point();
        (void)lw_cancel(task);
        lw_yield();
    }
    return end_of(task);
}

Test(looking, finds_who_is_being_joined_ended)
{
    sim_all(cancel_who_joins, NULL);
}

/* ---- a group */

static int fail(void *arg)
{
    int word = (int)(uintptr_t)arg;

    it.looking = true;
    lw_sim_point();
    put(word);
    return -word;
}

static int look_at_failures(void *arg)
{
    int failure = 0, last;

    (void)arg;
    set_up();
    for (uintptr_t i = 1; i <= 2; i++)
        LW_SIM_CHECK(lw_group_spawn(&it.group, fail, (void *)i, NULL) == 0);
    for (int i = 0; i < 2 * LOOKS; i++) {
        int found = lw_group_failure(&it.group);

        LW_SIM_CHECK(failure == 0 || found == failure); /* the first one stays */
        failure = found;
        if (failure < 0)
            see(-failure);
        if (lw_group_running(&it.group) == 0) {
            see(1);
            see(2);
        }
        if (sim_choose(4) == 0)
            lw_yield();
        else
            lw_sim_point();
    }
    last = lw_group_end(&it.group, 0);
    LW_SIM_CHECK(failure == 0 ? last < 0 : last == failure);
    return 0;
}

Test(looking, finds_the_first_failure_and_what_was_done_before)
{
    sim_all(look_at_failures, NULL);
}

static int child(void *arg)
{
    put((int)(uintptr_t)arg);
    return 0;
}

static int wait_at_once(void *arg)
{
    (void)arg;
    set_up();
    for (int i = 0; i < EACH; i++) {
        LW_SIM_CHECK(lw_group_spawn(&it.group, child, (void *)(uintptr_t)i, NULL) == 0);
        for (unsigned steps = 8 * sim_choose(8); steps > 0; steps--)
            lw_sim_point();
        LW_SIM_CHECK(lw_group_wait(&it.group, LW_FOREVER) == 0);
        see(i);
    }
    return lw_group_end(&it.group, 0);
}

Test(looking, finds_nobody_running_and_what_was_done_by_who_ran)
{
    sim_all(wait_at_once, NULL);
}

/* ---- a mutex: who lets go of it is done with by whoever tried */

static int try_it(void *arg)
{
    (void)arg;
    put(0);
    if (lw_mutex_acquire(&it.mutex, LW_NOW) == 0)
        LW_SIM_CHECK(lw_mutex_release(&it.mutex) == 0);
    it.done = true;
    return 0;
}

static int let_go(void *arg)
{
    lw_task task;
    bool tried;

    (void)arg;
    set_up();
    task = start(try_it, NULL);
    LW_SIM_CHECK(lw_mutex_acquire(&it.mutex, LW_FOREVER) == 0);
    for (int i = 0; i < 4 * LOOKS && !it.done; i++)
        if (sim_choose(8) == 0)
            lw_yield();
        else
            lw_sim_point();
    if (it.done && sim_choose(2) == 1)
        lw_yield();
    tried = it.done;
    LW_SIM_CHECK(lw_mutex_release(&it.mutex) == 0);
    if (tried)
        see(0);
    return end_of(task);
}

Test(looking, finds_who_tried_before_it_let_go_done)
{
    sim_all(let_go, NULL);
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
    LW_SIM_CHECK(lw_mutex_acquire(&it.mutex, LW_FOREVER) == 0);
    for (int i = 0; i < LOOKS; i++)
        lw_sim_point();
    LW_SIM_CHECK(lw_mutex_release(&it.mutex) == 0);
    return 0;
}

static int try_for_long(void *arg)
{
    (void)arg;
    it.looking = true;
    for (int i = 0; i < 16 * LOOKS && !it.done; i++) {
        int err = lw_mutex_acquire(&it.mutex, LW_NOW);

        LW_SIM_CHECK(err == 0 || err == -ETIMEDOUT);
        if (err == 0)
            LW_SIM_CHECK(lw_mutex_release(&it.mutex) == 0);
        lw_sim_point();
    }
    return 0;
}

static int own_it_newborn(void *arg)
{
    lw_task task, owners[EACH];

    (void)arg;
    set_up();
    task = start_looking(try_for_long, NULL);
    for (int i = 0; i < EACH; i++) {
        owners[i] = start(enter_and_leave, NULL);
        lw_yield(); /* not a wait, which would let all see all */
    }
    it.done = true;
    for (int i = 0; i < EACH; i++)
        LW_SIM_CHECK(end_of(owners[i]) == 0);
    return end_of(task);
}

Test(looking, finds_the_owner_alive)
{
    sim_all(own_it_newborn, NULL);
}

/* ---- what a plain thread is told */

static void *be_told(void *arg)
{
    for (int i = 0; i < EACH; i++) {
        LW_SIM_CHECK(lw_event_wait(&it.events[i], LW_FOREVER) == 0);
        see(i);
    }
    LW_SIM_CHECK(lw_semaphore_release(&it.finished, 1) == 0);
    return arg;
}

static int tell(void *arg)
{
    pthread_t thread;

    (void)arg;
    set_up();
    LW_SIM_CHECK(pthread_create(&thread, NULL, be_told, NULL) == 0);
    for (int i = 0; i < EACH; i++) {
        for (unsigned steps = 8 * sim_choose(4); steps > 0; steps--)
            lw_sim_point();
        put(i);
        lw_event_set(&it.events[i]);
    }
    LW_SIM_CHECK(lw_semaphore_acquire(&it.finished, 1, LW_FOREVER) == 0);
    LW_SIM_CHECK(pthread_join(thread, NULL) == 0);
    return 0;
}

Test(looking, finds_what_was_done_before_a_thread_was_woken)
{
    sim_all(tell, NULL);
}

/* ---- lives of a slot */

static int nothing(void *arg)
{
    (void)arg;
    lw_sim_point();
    return 0;
}

static int look_at_the_old_one(void *arg)
{
    (void)arg;
    it.looking = true;
    for (int i = 0; i < 16 * LOOKS && !it.done; i++) {
        int err;

        if (!it.reaped) {
            lw_sim_point();
            continue;
        }
        err = sim_choose(2) == 1 ? lw_detach(it.old) : lw_join(it.old, NULL, LW_NOW);
        LW_SIM_CHECK(err == -ESRCH);
    }
    return 0;
}

static void live_again(void)
{
    static const lw_task_options named = {.name = "next"};
    lw_task looks, next = {0};

    it.looking = it.reaped = it.done = false;
    it.old = start(nothing, NULL);
    UNTIL(lw_cancel(it.old) == -ESRCH);
    looks = start_looking(look_at_the_old_one, NULL);
    LW_SIM_CHECK(lw_join(it.old, NULL, LW_NOW) == 0);
    it.reaped = true;
    switch (sim_choose(4)) {
    case 0:
        LW_SIM_CHECK(lw_spawn(&next, nothing, NULL, NULL) == 0);
        break;
    case 1:
        LW_SIM_CHECK(lw_spawn(&next, nothing, NULL, &named) == 0);
        break;
    case 2:
        LW_SIM_CHECK(lw_group_spawn(&it.next, nothing, NULL, NULL) == 0);
        break;
    default:
        LW_SIM_CHECK(lw_group_spawn(&it.next, nothing, NULL, &named) == 0);
        break;
    }
    for (int i = 0; i < LOOKS; i++)
        lw_sim_point();
    it.done = true;
    LW_SIM_CHECK(next.id == 0 || end_of(next) == 0);
    LW_SIM_CHECK(lw_group_end(&it.next, 0) == 0);
    LW_SIM_CHECK(end_of(looks) == 0);
}

static int live_again_and_again(void *arg)
{
    (void)arg;
    set_up();
    for (int i = 0; i < 4; i++)
        live_again();
    return 0;
}

Test(looking, finds_that_a_life_is_over)
{
    sim_all(live_again_and_again, NULL);
}
