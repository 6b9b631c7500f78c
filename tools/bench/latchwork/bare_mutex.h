/* SPDX-License-Identifier: MIT */
/* A mutex that the locksmith knows nothing of: acquire and release of an uncontended lw_mutex. */
#ifndef BENCH_LATCHWORK_BARE_MUTEX_H
#define BENCH_LATCHWORK_BARE_MUTEX_H

#include <latchwork.h>

int bare_mutex_acquire(lw_mutex *mutex, lw_nsec deadline);
int bare_mutex_release(lw_mutex *mutex);

#endif
