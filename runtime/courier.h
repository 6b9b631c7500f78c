/* SPDX-License-Identifier: MIT */
/* The thread that brings signals to those who wait for them.  See signal.c. */
#ifndef LW_RUNTIME_COURIER_H
#define LW_RUNTIME_COURIER_H

#include <stdbool.h>

/* At the last runtime's end: let it go and wait until it has, unless somebody waits for a
 * signal. */
void lw_courier_retire(void);

/* There is one.  For the child of a fork: takes no guard. */
bool lw_courier_exists(void);

#endif
