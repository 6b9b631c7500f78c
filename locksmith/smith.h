/* SPDX-License-Identifier: MIT */
/* What the parts of an lw_locksmith share: the locks it knows (recognized.c), its hooks with their
 * defaults (hooks.c), handlers by kind (handlers.c), the force (force.c) and the host (host.c). */
#ifndef LW_LOCKSMITH_SMITH_H
#define LW_LOCKSMITH_SMITH_H

#include <latchwork/locksmith.h>

#include "runtime/atomic.h"

/* It does something, or others are about to tell it something: no fini. */
LW_INLINE void lw_smith_keep(lw_locksmith *smith)
{
    lw_add_rlx(&smith->_busy._value, 1);
}

LW_INLINE void lw_smith_let_go(lw_locksmith *smith)
{
    lw_sub_rel(&smith->_busy._value, 1); /* [B1] of recognized.c */
}

/* ---- hooks.c: what is done where there is no hook of the program's */

bool lw_default_preliminary_check(lw_locksmith *smith, lw_lock *lock);
bool lw_default_can_force(lw_locksmith *smith, lw_lock *lock);
lw_task lw_default_find_owner(lw_locksmith *smith, lw_lock *lock);
void lw_default_patch_owner(lw_locksmith *smith, lw_lock *lock, lw_task owner);
int lw_default_audit(lw_locksmith *smith, lw_lock *lock);
int lw_default_throw_fallback(lw_locksmith *smith, lw_lock *lock);
int lw_default_eager_fallback(lw_locksmith *smith, lw_lock *lock);
int lw_default_already_forcing(lw_locksmith *smith, lw_lock *lock);
int lw_default_release_returned_false(lw_locksmith *smith, lw_lock *lock);
void lw_default_answer_received(lw_locksmith *smith, lw_lock *lock, lw_answer answer,
                                intptr_t value);
void lw_default_lock_busy(lw_locksmith *smith, lw_lock *lock, lw_locksmith *requester, int depth);
void lw_default_task_propagated_request(lw_locksmith *smith, lw_lock *lock);
int lw_default_task_raised_critical(lw_locksmith *smith, lw_lock *lock, int err);
void lw_default_task_raised_other(lw_locksmith *smith, lw_lock *lock, int err);
int lw_default_purge_waiters(lw_locksmith *smith, lw_lock *lock);

#define LW_HOOK(smith, name)                                                                       \
    ((smith)->hooks != NULL && (smith)->hooks->name != NULL ? (smith)->hooks->name                 \
                                                            : lw_default_##name)

/* A text about the lock; get_info has no default that could keep one. */
void lw_default_info(const lw_lock *lock, char *text, size_t size);

/* ---- recognized.c */

bool lw_recognized_has(const lw_locksmith *smith, const lw_lock *lock);

/* ---- handlers.c */

/* Run the handler for that lock; 0: there is none. */
int lw_handlers_run(lw_handlers *handlers, lw_locksmith *smith, lw_lock *lock);

/* ---- force.c */

/* A force, and what of it the host has to know. */
struct lw_forcing {
    lw_locksmith *smith;
    lw_lock *lock;
    const void *info;
    uint32_t flags;
    lw_nsec deadline;
    bool keep;    /* the lock is to be the caller's when its owner has let go of it */
    bool kept;    /* it is */
    bool expired; /* the owner was asked, and it came to nothing before the deadline */
};
int lw_force_run(struct lw_forcing *forcing, const void *site);

#endif
