/* SPDX-License-Identifier: MIT */
/* Several locks at a time: taken in the order of their addresses, whatever the order they were
 * given in, so that among those who take theirs so nobody waits for one who waits for him.
 *
 * The caller's array stays as it is, it may be long, and nothing is allocated: the next few in
 * order are looked up in one pass over it, as many as fit on the stack.  So `count` locks cost
 * count * count / AT_ONCE looks; up to AT_ONCE of them are sorted in a single pass. */
#include <errno.h>
#include <string.h>

#include "primitives/lock.h"
#include "runtime/fork.h"

enum { AT_ONCE = 64 };

/* What lw_backoff() waits at first, and how often that doubles. */
#define BACKOFF (50 * LW_US)
enum { DOUBLINGS = 7 };

enum direction { UP, DOWN };

/* The next ones in order. */
struct window {
    lw_lock *locks[AT_ONCE];
    size_t count;
};

/* What comes first has the smaller key. */
LW_INLINE uintptr_t key_of(const lw_lock *lock, enum direction direction)
{
    return direction == UP ? (uintptr_t)lock : ~(uintptr_t)lock;
}

/* Put it where it belongs, if it belongs there; false: it is there already. */
static bool insert(struct window *window, lw_lock *lock, enum direction direction)
{
    uintptr_t key = key_of(lock, direction);
    size_t place = window->count;

    while (place > 0 && key_of(window->locks[place - 1], direction) >= key)
        place--;
    if (place < window->count && window->locks[place] == lock)
        return false;
    if (place == AT_ONCE)
        return true;
    if (window->count < AT_ONCE)
        window->count++;
    memmove(&window->locks[place + 1], &window->locks[place],
            (window->count - 1 - place) * sizeof *window->locks);
    window->locks[place] = lock;
    return true;
}

/* The first ones after that key.  0; -EINVAL: NULL, or one of them twice. */
static int look_up(struct window *window, lw_lock *const *locks, size_t count, uintptr_t after,
                   enum direction direction)
{
    window->count = 0;
    for (size_t i = 0; i < count; i++) {
        if (locks[i] == NULL ||
            (key_of(locks[i], direction) > after && !insert(window, locks[i], direction)))
            return -EINVAL;
    }
    return 0;
}

/* One step of an order: false ends it. */
typedef bool step(lw_lock *lock, void *arg);

/* All after that key, in order, until a step says no. */
static int walk(lw_lock *const *locks, size_t count, uintptr_t after, enum direction direction,
                step *each, void *arg)
{
    struct window window;
    int err;

    do {
        err = look_up(&window, locks, count, after, direction);
        for (size_t i = 0; err == 0 && i < window.count; i++) {
            after = key_of(window.locks[i], direction);
            if (each != NULL && !each(window.locks[i], arg))
                return 0;
        }
    } while (err == 0 && window.count == AT_ONCE);
    return err;
}

struct taking {
    lw_nsec deadline;
    const void *site;
    lw_lock *failed;
    int err;
};

static bool take(lw_lock *lock, void *arg)
{
    struct taking *taking = arg;

    taking->err = lw_lock_acquire_at(lock, taking->deadline, taking->site);
    if (taking->err >= 0)
        return true;
    taking->failed = lock;
    return false;
}

static bool give(lw_lock *lock, void *arg)
{
    int *first = arg, result = lw_release(lock);

    if (*first == 0)
        *first = result;
    return true;
}

int lw_acquire_all(lw_lock *const *locks, size_t count, lw_nsec deadline)
{
    struct taking taking = {.deadline = deadline, .site = __builtin_return_address(0)};
    int ignored = 0, err = walk(locks, count, 0, UP, NULL, NULL);

    if (err < 0)
        return err;
    (void)walk(locks, count, 0, UP, take, &taking);
    if (taking.failed == NULL)
        return 0;
    (void)walk(locks, count, key_of(taking.failed, DOWN), DOWN, give, &ignored);
    return taking.err;
}

int lw_release_all(lw_lock *const *locks, size_t count)
{
    int first = 0, err = walk(locks, count, 0, DOWN, NULL, NULL);

    if (err < 0)
        return err;
    (void)walk(locks, count, 0, DOWN, give, &first);
    return first;
}

/* Those to whom the caller gave way wait for what it has released by now: they have it, or are
 * ready to take it.  So what they need is a moment; more of it each time that it was not enough. */
int lw_backoff(lw_nsec deadline)
{
    struct lw_record *me = lw_current();
    uint64_t object;
    unsigned forces;
    lw_nsec moment;
    int err;

    if (lw_forked())
        return -ECHILD;
    if (me == NULL || lw_load_rlx(&lw_record_cold(me)->nheld) != 0)
        return -EDEADLK;
    forces = lw_forces_of(me, &object);
    if ((forces & LW_FORCED_RECENTLY) == 0)
        return -EDEADLK;
    forces -= LW_FORCED_RECENTLY;
    lw_store_rlx(&lw_record_cold(me)->forces, (uint8_t)forces);
    if (deadline == LW_NOW)
        return 0;
    moment = lw_in(BACKOFF << (forces < DOUBLINGS ? forces : DOUBLINGS));
    err = lw_sleep(moment < deadline ? moment : deadline);
    return err == 0 && deadline <= moment ? lw_timeout_error(deadline) : err;
}
