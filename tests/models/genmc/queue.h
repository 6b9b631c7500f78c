/* SPDX-License-Identifier: MIT */
/* Oracle of the queue drivers: each task that was pushed is taken exactly once, with what its
 * pusher wrote into it.  The last record is one that may be there many times. */
#ifndef LW_TESTS_MODELS_QUEUE_H
#define LW_TESTS_MODELS_QUEUE_H

static int pushed;
static uint32_t takers[RECORDS];

static inline struct lw_record *make(void)
{
    struct lw_record *record = &hot_[pushed++];

    record->arg = record; /* plain: whoever takes it must see it */
    return record;
}

static inline void take(struct lw_record *record)
{
    if (record == NULL || record == &hot_[RECORDS - 1])
        return;
    assert(record->arg == record);
    assert(__atomic_fetch_add(&takers[record - hot_], 1, __ATOMIC_RELAXED) == 0);
}

static inline void check_all_taken(void)
{
    for (int i = 0; i < pushed; i++)
        assert(takers[i] == 1);
}

#endif
