/* SPDX-License-Identifier: MIT */
/* An lw_rwlock is held by one writer or by any number of readers.  It is two locks of the protocol
 * over one state: `write` and `read`.
 *
 *     static lw_rwlock table = LW_RWLOCK_INIT("table", LW_RWLOCK_PHASE_FAIR);
 *     int err;
 *
 *     LW_WITH(&table.read, LW_FOREVER, err) {
 *         found = look_up(key);
 *     }
 *
 * As of a mutex, those who wait are woken to try again, and one who just comes by may be faster; so
 * the lock is never idle while its heir is on its way.  When one that waits has lost for a
 * millisecond, or waits with lw_select(), the lock is handed on in turn until that one has it, and
 * nobody who comes by goes before those whose turn it is.  That begins when it has run and lost, so
 * a task also waits for a worker, twice: where readers compute, and all workers are theirs, that is
 * the longer part of it.  Who goes first is the lock's mode:
 *
 *     LW_RWLOCK_PHASE_FAIR        readers and writers take turns (Brandenburg and Anderson,
 *                                 "Spin-based reader-writer synchronization for multiprocessor
 *                                 real-time systems", 2010): a writer that is done lets in all the
 *                                 readers that wait, and the last of those the next writer.  So
 *                                 after that millisecond a reader waits for one writer at most, and
 *                                 a writer for those inside and one set of readers.  Before it
 *                                 readers join others though writers wait
 *     LW_RWLOCK_PREFER_READERS    readers get in whenever no writer is inside; a stream of readers
 *                                 that overlap keeps writers out
 *     LW_RWLOCK_PREFER_WRITERS    readers get in when no writer waits; a stream of writers keeps
 *                                 readers out.  It is handed on in turn always, and a turn costs a
 *                                 switch of tasks: contended it is several times slower
 *
 * Writers that wait are woken in the order in which they came, in every mode, one at a time;
 * readers all at once.
 *
 * One who reads may read again at once, whoever waits: each is released on its own.  To write as
 * well it upgrades; the other lock of one's own rwlock gives -EDEADLK.
 *
 * A writer that ends inside leaves the lock as lock.h says; a reader that ends inside has changed
 * nothing, and is just out. */
#ifndef LATCHWORK_RWLOCK_H
#define LATCHWORK_RWLOCK_H

#include <latchwork/lock.h>

#ifdef __cplusplus
extern "C" {
#endif

/* 88 bytes.  Memory for both locks ends together. */
typedef struct lw_rwlock {
    lw_lock write;
    lw_lock read;
    uint32_t flags; /* the mode */
    uint32_t _turns;
} lw_rwlock;

#define LW_RWLOCK_PHASE_FAIR 0u
#define LW_RWLOCK_PREFER_READERS 1u
#define LW_RWLOCK_PREFER_WRITERS 2u

LW_API extern const lw_lock_kind lw_rwlock_write_kind;
LW_API extern const lw_lock_kind lw_rwlock_read_kind;

#define LW_RWLOCK_INIT(name, flags) \
    { LW_LOCK_INIT_(&lw_rwlock_write_kind, name, 0, LW_LOCK_HANDED_ | LW_LOCK_FACES_), \
      LW_LOCK_INIT_(&lw_rwlock_read_kind, name, 0, LW_LOCK_COUNT_ | LW_LOCK_FACES_), (flags), 0 }

/* lw_acquire(), lw_release() and the others of lock.h with &rwlock.write or &rwlock.read.  Of them
 * lw_owner() says who writes, and nobody for `read`; lw_owned(&rwlock.read) whether the caller
 * reads.  An acquire of either may give -ENOMEM: there is no memory to note whose it is (not in a
 * shield, and not for the first three locks that a task holds). */

/* The caller, who reads, is to write, without a gap: nothing changes between.  It waits for the
 * other readers to leave, and goes before every writer that waits; its hold of `read` has then
 * become one of `write`.
 * Returns 0; negative: it still reads.  -EPERM: the caller does not read; -EDEADLK: another reader
 * upgrades already, and each would wait for the other, or the caller reads more than once;
 * -EINVAL: a zeroed lock.
 * Anyone.  May switch task.  Cancellation point. */
LW_API LW_MUST_CHECK int lw_rwlock_upgrade(lw_rwlock *lock, lw_nsec deadline);

/* The caller, who writes, reads from now on, without a gap.  Readers that wait get in beside it, in
 * the mode PREFER_WRITERS if no writer waits.
 * Returns 0; -EPERM: the caller does not write; -EOWNERDEAD: it is still marked inconsistent;
 * -ENOMEM: it was handed over, and cannot be noted; -EINVAL as above.
 * Anyone.  Never switches. */
LW_API int lw_rwlock_downgrade(lw_rwlock *lock);

#ifdef __cplusplus
}
#endif
#endif
