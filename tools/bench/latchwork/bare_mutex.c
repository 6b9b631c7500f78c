/* SPDX-License-Identifier: MIT */
/* The code of lw_mutex once more, but nothing is noted of who holds it: what a build without the
 * locksmith would be.  The one program here that sees the inside of the library. */
#include "primitives/lock.h"

#include "bare_mutex.h"

#define lw_hold_push(cold, lock, site) ((void)(cold), (void)(site), 0)
#define lw_hold_pop(cold, lock) ((void)(cold), true)
#define lw_mutex_acquire bare_mutex_acquire
#define lw_mutex_release bare_mutex_release
#define lw_mutex_acquire_at bare_mutex_acquire_at
#define lw_mutex_release_of bare_mutex_release_of
#define lw_mutex_locked bare_mutex_locked
#define lw_mutex_kind bare_mutex_kind

int bare_mutex_acquire_at(lw_lock *lock, lw_nsec deadline, const void *site);
int bare_mutex_release_of(lw_lock *lock, struct lw_record *me);
bool bare_mutex_locked(const lw_mutex *mutex);
extern const lw_lock_kind bare_mutex_kind;

#include "primitives/mutex.c"
