/* SPDX-License-Identifier: MIT */
/* What the suites of lw_transfer() share: a task that is handed something. */
#ifndef LW_TESTS_PRIMITIVES_HEIRS_H
#define LW_TESTS_PRIMITIVES_HEIRS_H

#include "tests/primitives/kinds.h"

/* One who is handed something, and told so. */
struct heir {
    lw_lock *lock;
    lw_event told;
    int (*act)(struct heir *heir);
};

static inline int be_told(void *arg)
{
    struct heir *heir = arg;
    int err = lw_event_wait(&heir->told, LW_FOREVER);

    return err < 0 ? err : heir->act(heir);
}

static inline bool has_owner(const lw_lock *lock)
{
    return lock->kind != &lw_bounded_semaphore_kind;
}

static inline int release_now(void *lock)
{
    return lw_release(lock);
}

#endif
