/* SPDX-License-Identifier: MIT */
/* The task that removes what has expired and is not looked at.
 *
 * Ten times a second it walks on over the buckets, shard by shard, a few hundred at a time under
 * the lock; while at least one in ten of the keys with a time to live turns out to have expired it
 * goes on for longer.  When no key has a time to live, it looks at the counts once a second. */
#include "latchkv/server.h"

enum {
    BUCKETS = 256,     /* in one go */
    WORTH_ONE_IN = 10, /* of the timed keys seen */
};

static const lw_nsec PERIOD = 100 * LW_MS, IDLE_PERIOD = LW_SEC;
static const lw_nsec WORK = 2 * LW_MS, HARD_WORK = 25 * LW_MS; /* in one period */

/* One go over a shard.  Negative: told to stop; else whether it has keys with a time to live. */
static int sweep_shard(struct kv_store *store, unsigned shard, struct kv_swept *swept)
{
    kv_shards set = UINT64_C(1) << shard;
    struct kv_clock clock = {0};
    int any = 0, err = kv_store_lock(store, set);

    if (err < 0)
        return err;
    for (unsigned database = 0; database < store->databases; database++) {
        struct kv_space *space = &store->shards[shard].spaces[database];

        if (space->expiring == 0)
            continue;
        struct kv_swept more = kv_space_sweep(space, BUCKETS, &clock);
        swept->expiring += more.expiring;
        swept->expired += more.expired;
        any = 1;
    }
    kv_store_unlock(store, set);
    return any;
}

/* Walk on from *shard.  Negative: told to stop; 0: nothing has a time to live; 1: something. */
static int sweep(struct kv_store *store, unsigned *shard)
{
    lw_nsec begin = lw_now();
    bool any = false, worth = true;

    for (unsigned idle = 0; worth && idle < KV_SHARDS;) {
        struct kv_swept swept = {0};
        int timed = sweep_shard(store, *shard, &swept);

        if (timed < 0)
            return timed;
        any |= timed > 0;
        bool many = swept.expired > 0 && swept.expired * WORTH_ONE_IN >= swept.expiring;
        if (!many) { /* this shard is clean enough */
            *shard = (*shard + 1) % KV_SHARDS;
            idle++;
        }
        worth = lw_now() - begin < (many ? HARD_WORK : WORK);
        lw_yield();
    }
    return any;
}

int kv_expiry_run(void *arg)
{
    struct kv_server *server = arg;
    unsigned shard = 0;

    for (;;) {
        int any = sweep(&server->store, &shard);

        if (any < 0 || lw_sleep(lw_in(any ? PERIOD : IDLE_PERIOD)) < 0)
            return 0;
    }
}
