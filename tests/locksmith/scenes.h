/* SPDX-License-Identifier: MIT */
/* Players: each does what its script says, one line when all have done the one before. */
#ifndef LW_TESTS_LOCKSMITH_SCENES_H
#define LW_TESTS_LOCKSMITH_SCENES_H

#include "tests/locksmith/heard.h"

enum { PLAYERS_MAX = 64 };

struct scene {
    lw_mutex m[4];
    lw_rwlock rw, rw_in_order;
    lw_bounded_semaphore permits;
    lw_semaphore signal;
    lw_event over;
    lw_group group;
    int arrived, players, results[PLAYERS_MAX];
    lw_task selves[PLAYERS_MAX];
    void (*second)(struct scene *scene, int index); /* after all have got there */
    void (*first)(struct scene *scene, int index);
};

static inline void play(struct member *member)
{
    struct scene *scene = member->crowd->object;

    scene->first(scene, member->index);
    scene->selves[member->index] = lw_self();
    (void)__atomic_add_fetch(&scene->arrived, 1, __ATOMIC_RELEASE);
    AWAIT(__atomic_load_n(&scene->arrived, __ATOMIC_ACQUIRE) == scene->players);
    scene->second(scene, member->index);
    cr_assert_eq(lw_record_cold(lw_current())->nheld, 0);
}

static inline struct scene make_scene(int players, void (*first)(struct scene *scene, int index),
                               void (*second)(struct scene *scene, int index))
{
    return (struct scene){
        .m = {LW_MUTEX_INIT("m0"), LW_MUTEX_INIT("m1"), LW_MUTEX_INIT("m2"), LW_MUTEX_INIT("m3")},
        .rw = LW_RWLOCK_INIT("rw", 0),
        .rw_in_order = LW_RWLOCK_INIT("in order", LW_RWLOCK_PREFER_WRITERS),
        .permits = LW_BOUNDED_SEMAPHORE_INIT("permits", 3),
        .signal = LW_SEMAPHORE_INIT("signal", 0),
        .over = LW_EVENT_INIT("over"),
        .group = LW_GROUP_INIT(0),
        .players = players,
        .first = first,
        .second = second,
    };
}

/* How many were refused. */
static inline int perform(struct scene *scene, int threads)
{
    struct crowd crowd = {.tasks = scene->players - threads,
                          .threads = threads,
                          .act = play,
                          .object = scene,
                          .seed = 1};
    int refused = 0;

    forget_heard();
    crowd_run(&crowd);
    for (int i = 0; i < scene->players; i++)
        refused += scene->results[i] == -EDEADLK;
    return refused;
}

static inline void take(lw_lock *lock)
{
    cr_assert_eq(lw_acquire(lock, LW_FOREVER), 0);
}

static inline void drop(lw_lock *lock)
{
    cr_assert_eq(lw_release(lock), 0);
}

static inline void try(struct scene *scene, int index, lw_lock *lock)
{
    scene->results[index] = lw_acquire(lock, LW_FOREVER);
    if (scene->results[index] == 0)
        drop(lock);
    else
        cr_assert_eq(scene->results[index], -EDEADLK);
}

static inline void take_a_permit(struct scene *scene, int index)
{
    if (index < 3)
        take(&scene->permits.lock);
}

static inline void take_another(struct scene *scene, int index)
{
    try(scene, index, &scene->permits.lock);
    drop(&scene->permits.lock);
}

#endif
