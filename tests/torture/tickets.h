/* SPDX-License-Identifier: MIT */
/* Objects that serve once: each slot has one that is open, if any, and who comes gets a ticket of
 * it.  With its last ticket it leaves the slot, for another; the last of its users frees it. */
#ifndef LW_TESTS_TORTURE_TICKETS_H
#define LW_TESTS_TORTURE_TICKETS_H

#include "tests/torture/torture.h"

/* Begins such an object. */
struct ticketed {
    int issued;     /* under the slot's mutex */
    uint32_t users; /* tickets whose holders call end_use() */
};

struct slot {
    lw_mutex mutex;
    struct ticketed *open;
} __attribute__((aligned(128)));

/* make() gives one that is zeroed but for what it needs itself.  NULL: the caller was cancelled. */
static inline void *take_ticket(struct slot *slot, int tickets, void *(*make)(uint64_t *random),
                                uint64_t *random, int *ticket)
{
    struct ticketed *object = NULL;
    int err;

    LW_WITH(&slot->mutex.lock, LW_FOREVER, err) {
        object = slot->open != NULL ? slot->open : make(random);
        *ticket = object->issued++;
        slot->open = object->issued < tickets ? object : NULL;
    }
    CHECK(err == 0 || err == -ECANCELED, "a slot's mutex: %d", err);
    return object;
}

/* The one that is open, if any: the tickets from `issued` on are the caller's. */
static inline void *close_slot(struct slot *slot)
{
    struct ticketed *object = NULL;
    int err;

    LW_WITH(&slot->mutex.lock, LW_FOREVER, err) {
        object = slot->open;
        slot->open = NULL;
    }
    CHECK(err == 0, "a slot's mutex: %d", err);
    return object;
}

/* True: the caller was the last one. */
static inline bool end_use(struct ticketed *object)
{
    return lw_add_acq_rel(&object->users, (uint32_t)-1) == 1;
}

/* For a wait without an end: half of them cannot be cancelled, and nothing makes up for a wakeup
 * that they lose. */
static inline bool shield_or_not(uint64_t *random)
{
    return draw(random) % 2 == 0 && lw_shield_enter() == 0;
}

static inline void unshield(bool shielded)
{
    if (shielded)
        (void)lw_shield_exit();
}

#endif
