/* SPDX-License-Identifier: MIT */
/* The laws of the registry of locks: who waits, for what, and what it holds. */
#include "locksmith/registry.h"
#include "tests/primitives/crowd.h"

TestSuite(registry, .init = watchdog);

static struct lw_waiter look_at(lw_task task)
{
    struct lw_record *record = lw_record_of(task.id);
    struct lw_waiter waiter = {0};

    cr_assert_not_null(record);
    cr_assert_eq(lw_registry_look(lw_record_slot(record), &waiter), LW_REGISTRY_WAITS);
    cr_assert_eq(waiter.task.id, task.id);
    return waiter;
}

static enum lw_registry_look look_of(lw_task task)
{
    struct lw_waiter waiter;

    return lw_registry_look(lw_record_slot(lw_record_of(task.id)), &waiter);
}

enum { HELD = 24 };

struct scene {
    lw_mutex wanted, held[HELD];
    lw_rwlock rw;
    lw_bounded_semaphore semaphore;
    lw_event event;
    int count;
    lw_nsec deadline;
};

static int hold_and_want(void *arg)
{
    struct scene *scene = arg;
    int err;

    for (int i = 0; i < scene->count; i++)
        cr_assert_eq(lw_mutex_acquire(&scene->held[i], LW_NOW), 0);
    err = lw_mutex_acquire(&scene->wanted, scene->deadline);
    if (err == 0)
        cr_assert_eq(lw_mutex_release(&scene->wanted), 0);
    for (int i = 0; i < scene->count; i++)
        cr_assert_eq(lw_mutex_release(&scene->held[i]), 0);
    return err;
}

static int want_a_lock(void *arg)
{
    struct scene scene = {.wanted = LW_MUTEX_INIT("wanted"), .deadline = lw_in(100 * LW_SEC)};

    (void)arg;
    for (scene.count = 0; scene.count <= HELD; scene.count += 6) {
        struct lw_waiter waiter;
        lw_task task;

        cr_assert_eq(lw_mutex_acquire(&scene.wanted, LW_NOW), 0);
        task = start_waiter(hold_and_want, &scene);
        waiter = look_at(task);
        cr_assert_eq(waiter.kind, LW_WAIT_LOCK);
        cr_assert_eq(waiter.object, (uintptr_t)&scene.wanted.lock);
        cr_assert_str_eq(waiter.object_name, "wanted");
        cr_assert_eq(waiter.owner, lw_self().id, "the head says whose it is");
        cr_assert_eq(waiter.deadline, scene.deadline);
        cr_assert_not_null(waiter.site);
        cr_assert_not(waiter.guest);
        cr_assert_eq(waiter.nheld, (uint32_t)scene.count);
        for (int i = 0; i < LW_REGISTRY_HOLDS; i++)
            cr_assert_eq(lw_hold_lock(&waiter.held[i]),
                         i < scene.count ? &scene.held[i].lock : NULL, "in the order taken");
        cr_assert_eq(lw_mutex_release(&scene.wanted), 0);
        cr_assert_eq(join_status(task), 0);
        cr_assert_neq(look_of(task), LW_REGISTRY_WAITS);
    }
    return 0;
}

Test(registry, who_waits_says_for_what_and_what_it_holds)
{
    run_all(want_a_lock, NULL);
}

/* ---- modes */

static int hold_in_modes(void *arg)
{
    struct scene *scene = arg;

    cr_assert_eq(lw_acquire(&scene->rw.read, LW_NOW), 0);
    cr_assert_eq(lw_bounded_semaphore_acquire(&scene->semaphore, 5, LW_NOW), 0);
    cr_assert_eq(lw_event_wait(&scene->event, LW_FOREVER), 0);
    cr_assert_eq(lw_bounded_semaphore_release(&scene->semaphore, 5), 0);
    return lw_release(&scene->rw.read);
}

static int show_modes(void *arg)
{
    struct scene scene = {.rw = LW_RWLOCK_INIT("rw", 0),
                          .semaphore = LW_BOUNDED_SEMAPHORE_INIT("permits", 9),
                          .event = LW_EVENT_INIT("event")};
    lw_task task = start_waiter(hold_in_modes, &scene);
    struct lw_waiter waiter = look_at(task);

    (void)arg;
    cr_assert_eq(waiter.kind, LW_WAIT_EVENT);
    cr_assert_eq(waiter.object, (uintptr_t)&scene.event);
    cr_assert_eq(waiter.nheld, 2);
    cr_assert_eq(lw_hold_lock(&waiter.held[0]), &scene.rw.write);
    cr_assert_eq(lw_hold_mode(&waiter.held[0]), LW_HOLD_SHARED);
    cr_assert_eq(lw_hold_lock(&waiter.held[1]), &scene.semaphore.lock);
    cr_assert_eq(lw_hold_mode(&waiter.held[1]), LW_HOLD_UNITS);
    cr_assert_eq(lw_hold_units(&waiter.held[1]), 5);
    lw_event_set(&scene.event);
    return join_status(task);
}

Test(registry, holds_say_in_what_way)
{
    run_all(show_modes, NULL);
}

/* ---- all of them */

struct tally {
    const lw_event *event;
    uint32_t waiting, guests, visited, at_most;
};

static bool add_up(const struct lw_waiter *waiter, void *arg)
{
    struct tally *tally = arg;

    tally->visited++;
    if (waiter->object == (uintptr_t)tally->event) {
        tally->waiting++;
        tally->guests += waiter->guest;
    }
    return tally->visited < tally->at_most;
}

static int wait_for_event(void *arg)
{
    return lw_event_wait(arg, LW_FOREVER);
}

static void *wait_in_thread(void *arg)
{
    return (void *)(intptr_t)wait_for_event(arg);
}

static int walk_over_all(void *arg)
{
    lw_event event = LW_EVENT_INIT("awaited");
    struct tally tally = {.event = &event, .at_most = UINT32_MAX};
    struct tally first = {.event = &event, .at_most = 1};
    pthread_t thread;
    lw_task tasks[5];

    (void)arg;
    for (int i = 0; i < 5; i++)
        tasks[i] = start_waiter(wait_for_event, &event);
    cr_assert_eq(pthread_create(&thread, NULL, wait_in_thread, &event), 0);
    do {
        tally.waiting = tally.guests = tally.visited = 0;
        cr_assert_eq(lw_registry_walk(add_up, &tally), tally.visited);
        lw_yield();
    } while (tally.guests == 0); /* the thread comes in its own time */
    cr_assert_eq(tally.waiting, 6);
    cr_assert_eq(tally.guests, 1);
    cr_assert_eq(lw_registry_walk(add_up, &first), 1, "it stops when it is told to");
    lw_event_set(&event);
    for (int i = 0; i < 5; i++)
        cr_assert_eq(join_status(tasks[i]), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    tally.waiting = 0;
    (void)lw_registry_walk(add_up, &tally);
    cr_assert_eq(tally.waiting, 0);
    return 0;
}

Test(registry, a_walk_meets_all_who_wait)
{
    run_all(walk_over_all, NULL);
}
