/* SPDX-License-Identifier: MIT */
/* A wait on a word of the user's, and what others see in its place. */
#ifndef LW_RUNTIME_FUTEX_H
#define LW_RUNTIME_FUTEX_H

#include <latchwork/futex.h>

#include "runtime/wait.h"

struct lw_futex_wait {
    enum lw_wait_kind kind;
    const void *object;
    const char *name;
    uint64_t owner; /* id of who owns the object; 0: nobody is known */
    const void *site;
};

/* lw_futex_wait(), which counts as that.  Woken by lw_futex_wake() of the word.  [S] */
int lw_futex_wait_as(const struct lw_futex_wait *wait, const void *word, uint32_t expected,
                     lw_nsec deadline);

#endif
