/* SPDX-License-Identifier: MIT */
/* The registry of locks: what each task and thread that waits says of its wait and of what it
 * holds.  A lock is in it exactly while somebody waits for it or holds it; there is no other list
 * of locks, and no lock is ever touched.
 *
 * It is the records themselves (record.h): they lie at fixed places and are never unmapped, and so
 * do the chunks of more holds (hold.c).  So a reader needs no permission and keeps nobody: it
 * writes nothing, neither a word of a task nor a count of its own.
 *
 * What it reads is of one instant, or is thrown away: the wait word is read, then all the rest,
 * then the word again; as long as it is of the same wait, and says WAITING (or CLAIMED, which is
 * the same while a detector decides), the task has changed nothing since it blocked.
 *
 * [G1] what a task wrote before it blocked -> a reader:  wait = WAITING (release) -> load (acquire)
 * [W5] a reader that has read what a task wrote after its wait sees that it is over: wait_word.h.
 *      Without either of the two fences holds of one wait are taken for those of another.
 */
#ifndef LW_LOCKSMITH_REGISTRY_H
#define LW_LOCKSMITH_REGISTRY_H

#include "primitives/hold.h"
#include "runtime/wait.h"

enum { LW_REGISTRY_HOLDS = 16 }; /* the oldest; of more only the number is known */

/* One that waits, at one instant of its wait.  object and the holds' locks are keys: compared,
 * never followed; nor is object_name, but while the wait lasts. */
struct lw_waiter {
    lw_task task;
    uint64_t wait; /* the word: which wait it is */
    uint64_t object, owner, target;
    const char *object_name;
    const void *site;
    lw_nsec deadline;
    uint32_t since; /* coarse milliseconds */
    uint16_t units;
    uint8_t kind; /* enum lw_wait_kind */
    bool guest;
    uint32_t nheld;
    uint16_t holds_lost, shields;
    struct lw_hold held[LW_REGISTRY_HOLDS];
};

enum lw_registry_look {
    LW_REGISTRY_IDLE, /* nobody, or it does not wait */
    LW_REGISTRY_WAITS,
    LW_REGISTRY_CHANGED, /* while it was looked at: it has just been woken */
};

/* How many slots there may be something in; it only grows. */
LW_INLINE uint32_t lw_registry_slots(void)
{
    return lw_load_sc(&lw_slots_used); /* [R2]; [S7] of sweep.c */
}

/* Look at one slot.  Anyone.  Never waits, and takes as long as it takes to copy a record. */
enum lw_registry_look lw_registry_look(uint32_t slot, struct lw_waiter *waiter);

/* Look at all, and call visit for each that waits, until it returns false.  How many were
 * visited. */
uint32_t lw_registry_walk(bool (*visit)(const struct lw_waiter *waiter, void *arg), void *arg);

#endif
