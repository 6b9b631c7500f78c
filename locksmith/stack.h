/* SPDX-License-Identifier: MIT */
/* The calls that led to a wait.  See stack.c. */
#ifndef LW_LOCKSMITH_STACK_H
#define LW_LOCKSMITH_STACK_H

#include "runtime/record.h"

enum { LW_STACK_MAX = 16 };

/* The places of the calls, from `site`, where the task waits, outwards; of a claimed wait, by one
 * who decides.  How many; 0: they are not to be had. */
size_t lw_stack_of(const struct lw_record *record, const void *site,
                   const void *stack[LW_STACK_MAX]);

#endif
