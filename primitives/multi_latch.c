/* SPDX-License-Identifier: MIT */
/* lw_multi_latch: counts by key, in the caller's array, which is ordered; a queue for each, and one
 * of those who wait for all.  One guard.
 *
 * Invariants.
 * - _open is how many counts are positive; a count that is not has nobody in its queue.
 * - Nobody waits for all when _open is 0.
 *
 * [M1] what was written before a count down -> after the wait: the section of each is [M2] -> that
 *      of the next; the last stores OPEN with release -> load with acquire, or the wait word.
 * [M2] section to section: GUARD dropped by a release store -> taken by CAS acquire. */
#include <latchwork/latch.h>

#include <errno.h>
#include <stdlib.h>

#include "primitives/lock.h"
#include "runtime/fork.h"

enum { GUARD = 1, BROKEN = 2 };

static void take_guard(lw_multi_latch *latch)
{
    (void)lw_guard_take(&latch->wait._word._value, GUARD); /* [M2] */
}

static void drop_guard(lw_multi_latch *latch)
{
    lw_store_rel(&latch->wait._word._value, latch->_open == 0 ? BROKEN : 0); /* [M1] [M2] */
}

static int compare(const void *a, const void *b)
{
    uint64_t of_a = ((const lw_latch_entry *)a)->key, of_b = ((const lw_latch_entry *)b)->key;

    return of_a < of_b ? -1 : of_a > of_b;
}

int lw_multi_latch_init(lw_multi_latch *latch, const char *name, lw_latch_entry *entries,
                        size_t count)
{
    size_t open = 0;

    if (count != 0)
        qsort(entries, count, sizeof *entries, compare);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && entries[i - 1].key == entries[i].key)
            return -EINVAL;
        entries[i]._queue = NULL;
        open += entries[i].count > 0;
    }
    *latch = (lw_multi_latch){.wait = LW_WAITABLE_INIT_(name),
                              ._entries = entries,
                              ._count = count,
                              ._open = open};
    if (open == 0)
        lw_store_rel(&latch->wait._word._value, BROKEN); /* [M1] */
    return 0;
}

/* An initialised one without keys is broken. */
static bool is_zeroed(const lw_multi_latch *latch)
{
    return latch->_count == 0 && !lw_multi_latch_broken(latch);
}

/* Keys never change. */
static lw_latch_entry *find(const lw_multi_latch *latch, uint64_t key)
{
    size_t from = 0, to = latch->_count;

    while (from < to) {
        size_t middle = from + (to - from) / 2;

        if (latch->_entries[middle].key < key)
            from = middle + 1;
        else
            to = middle;
    }
    return from < latch->_count && latch->_entries[from].key == key ? &latch->_entries[from] : NULL;
}

/* Under the guard. */
static void count_down(lw_multi_latch *latch, lw_latch_entry *entry, struct lw_wake_batch *woken)
{
    if (--entry->count > 0)
        return;
    lw_queue_claim_all(&entry->_queue, woken);
    if (--latch->_open == 0)
        lw_queue_claim_all(&latch->wait._queue, woken);
}

int lw_multi_latch_count_down(lw_multi_latch *latch, uint64_t key, uint32_t flags)
{
    struct lw_wake_batch woken = {0};
    bool complete, strict = (flags & LW_STRICT) != 0;
    lw_latch_entry *entry;

    if ((flags & ~LW_STRICT) != 0 || is_zeroed(latch))
        return -EINVAL;
    if (lw_forked())
        return -ECHILD;
    entry = find(latch, key);
    if (entry == NULL)
        return strict ? -ENOENT : 0;
    take_guard(latch);
    complete = entry->count <= 0;
    if (!complete)
        count_down(latch, entry, &woken);
    drop_guard(latch);
    lw_wake_collected(&woken, LW_GRANTED);
    return complete && strict ? -EOVERFLOW : 0;
}

void lw_multi_latch_count_down_all(lw_multi_latch *latch)
{
    struct lw_wake_batch woken = {0};

    if (lw_forked() || is_zeroed(latch))
        return;
    take_guard(latch);
    for (size_t i = 0; i < latch->_count; i++)
        if (latch->_entries[i].count > 0)
            count_down(latch, &latch->_entries[i], &woken);
    drop_guard(latch);
    lw_wake_collected(&woken, LW_GRANTED);
}

/* entry NULL: for all of them. */
static int wait_for(lw_multi_latch *latch, lw_latch_entry *entry, lw_nsec deadline,
                    const void *site)
{
    void **queue = entry != NULL ? &entry->_queue : &latch->wait._queue;
    struct lw_record *me;
    enum lw_outcome outcome;
    int err = lw_wait_enter(&me, deadline);

    if (err < 0)
        return err;
    take_guard(latch);
    /* Without the look the last count down, which came before the guard was ours, is missed. */
    err = lw_recheck(entry != NULL ? entry->count <= 0 : latch->_open == 0) ? 0
          : deadline == LW_NOW ? lw_timeout_error(LW_NOW)
                               : 1;
    if (err > 0) {
        lw_wait_begin(me, LW_WAIT_LATCH, latch, latch->wait.name, deadline, site);
        lw_queue_push(queue, &lw_record_cold(me)->node);
    }
    drop_guard(latch);
    if (err <= 0)
        return err;
    outcome = lw_wait_finish(me);
    if (outcome != LW_GRANTED) {
        take_guard(latch);
        lw_queue_remove(queue, &lw_record_cold(me)->node);
        drop_guard(latch);
    }
    return lw_wait_error(me, outcome);
}

int lw_multi_latch_wait(lw_multi_latch *latch, uint64_t key, uint32_t flags, lw_nsec deadline)
{
    lw_latch_entry *entry = find(latch, key);

    if ((flags & ~LW_STRICT) != 0 || is_zeroed(latch))
        return -EINVAL;
    if (entry == NULL)
        return (flags & LW_STRICT) != 0 ? -ENOENT : 0;
    return wait_for(latch, entry, deadline, __builtin_return_address(0));
}

int lw_multi_latch_wait_all(lw_multi_latch *latch, lw_nsec deadline)
{
    return is_zeroed(latch) ? -EINVAL
                            : wait_for(latch, NULL, deadline, __builtin_return_address(0));
}

bool lw_multi_latch_broken(const lw_multi_latch *latch)
{
    return (lw_load_acq(&latch->wait._word._value) & BROKEN) != 0; /* [M1] */
}
