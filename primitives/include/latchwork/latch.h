/* SPDX-License-Identifier: MIT */
/* An lw_latch is a count that tasks wait for to become zero; it stays there.  All zero is an open
 * latch.  An lw_multi_latch has several counts, each by its key.
 *
 *     static lw_latch started = LW_LATCH_INIT("started", 4);
 *
 *     lw_latch_count_down(&started, 1);                         // in each of four tasks
 *     err = lw_latch_wait(&started, lw_in(5 * LW_SEC));         // in whoever needs them
 *
 * What was written before the count downs is seen after the wait that they ended.  All who wait are
 * woken, in order.  A task whose wait returned 0 may free the latch, once no other can reach it. */
#ifndef LATCHWORK_LATCH_H
#define LATCHWORK_LATCH_H

#include <latchwork/waitable.h>
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lw_latch { lw_waitable wait; } lw_latch;
#define LW_LATCH_INIT(name, count) \
    { { (name), { (uint64_t)(uint32_t)(count) << 8 }, NULL, { 0 }, 0 } }

/* Lower the count; at zero all who wait go on.  Returns 0; -EOVERFLOW: the count is less than that.
 * Anyone.  Never switches. */
LW_API int lw_latch_count_down(lw_latch *latch, uint32_t by);

/* Wait until the count is zero.  Returns 0.
 * Anyone.  May switch task.  Cancellation point. */
LW_API LW_MUST_CHECK int lw_latch_wait(lw_latch *latch, lw_nsec deadline);

/* The count.  Anyone; a snapshot. */
LW_API int64_t lw_latch_count(const lw_latch *latch);

/* A count of an lw_multi_latch: key and count are set before lw_multi_latch_init(). */
typedef struct lw_latch_entry {
    uint64_t key;
    int64_t count;
    void *_queue;
} lw_latch_entry;

typedef struct lw_multi_latch {
    lw_waitable wait;
    lw_latch_entry *_entries; /* by key */
    size_t _count, _open;
} lw_multi_latch;

/* Make a latch of these entries, which are its own from here on: it orders them by their keys.  One
 * whose count is not positive is complete.
 * Returns 0; -EINVAL: two entries have the same key.
 * Anyone.  Never switches. */
LW_API LW_MUST_CHECK int lw_multi_latch_init(lw_multi_latch *latch, const char *name,
                                             lw_latch_entry *entries, size_t count);

/* Lower the count of a key by one; at zero those who wait for it go on.  With an unknown key, or
 * one that is complete, nothing happens.
 * Returns 0; with LW_STRICT -ENOENT: an unknown key, -EOVERFLOW: one that is complete; -EINVAL:
 * other flags, or a zeroed latch.
 * Anyone.  Never switches. */
LW_API int lw_multi_latch_count_down(lw_multi_latch *latch, uint64_t key, uint32_t flags);

/* Lower the counts of all keys that are not complete, as one step; of a zeroed latch nothing.
 * Anyone.  Never switches. */
LW_API void lw_multi_latch_count_down_all(lw_multi_latch *latch);

/* Wait until a key is complete; an unknown one is.
 * Returns 0; with LW_STRICT -ENOENT: an unknown key; -EINVAL: other flags, or a zeroed latch.
 * Anyone.  May switch task.  Cancellation point. */
LW_API LW_MUST_CHECK int lw_multi_latch_wait(lw_multi_latch *latch, uint64_t key, uint32_t flags,
                                             lw_nsec deadline);

/* Wait until all keys are complete.  Returns 0; -EINVAL: a zeroed latch.
 * Anyone.  May switch task.  Cancellation point. */
LW_API LW_MUST_CHECK int lw_multi_latch_wait_all(lw_multi_latch *latch, lw_nsec deadline);

/* Whether all keys are complete.  What was written before the count downs is seen after a true.
 * Anyone; a snapshot. */
LW_API bool lw_multi_latch_broken(const lw_multi_latch *latch);

#ifdef __cplusplus
}
#endif
#endif
