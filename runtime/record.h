/* SPDX-License-Identifier: MIT */
/* The record of a task or of a guest (a plain thread that uses the library).
 *
 * Records are type-stable: two arrays, hot (64 bytes each) and cold (256 bytes each), lie at fixed
 * places in one reserved range of addresses, slot by slot, and are never unmapped.  So anybody may
 * look at any slot at any time, and a pointer to a record never dangles: what has to be checked is
 * whether it still is the same life of the slot (the generation), or the same wait (the sequence).
 * A spawn touches only the hot line; a task that never ran never touched its cold lines.
 *
 *     id   = generation:32 << 24 | slot:24        0: nobody
 *     ctl  = generation:32 | cancel requests:8 | fresh ones:8 | flags:16
 *     wait = sequence:56 | state:8                sequence: one more with each wait, over all lives
 *
 * A slot whose generation would wrap is retired.
 *
 * Who writes what.  sp: lw_switch (release) and who dequeued the task.  ctl: by compare-and-swap
 * that compares the generation, but for the spawner, who owns the slot.  wait: see wait.h.  next:
 * who holds the task in a queue.  All else: the spawner before the task is queued, then the task;
 * what others read of it (line 1 to 3) is accessed with relaxed atomics and is meaningful only
 * while the wait word says that the task is in that wait. */
#ifndef LW_RUNTIME_RECORD_H
#define LW_RUNTIME_RECORD_H

#include <stddef.h>

#include <latchwork/group.h>
#include <latchwork/task.h>

#include "runtime/atomic.h"
#include "runtime/check.h"

#define LW_SLOT_BITS 24
#ifdef LW_SIMULATED
#define LW_SLOTS_MAX (UINT32_C(1) << 17) /* all that is noted of them is put back each time */
#else
#define LW_SLOTS_MAX (UINT32_C(1) << LW_SLOT_BITS)
#endif

/* Flags of ctl. */
enum {
    LW_LIVE = 1,       /* from the spawn (a guest: its first use) until the record is given back */
    LW_FORCE = 2,      /* it is asked to let go, and to hear it at a wait: ends one, once */
    LW_STOP_ASKED = 4, /* the stop of its runtime has cancelled it */
    LW_GIVEN = 8,      /* others have handed it holds, and it looks for more: for good */
    LW_ASKED = 16,     /* somebody has asked it to let go, and it looks: for good */
    LW_ANSWERED = 32,  /* whom it has asked has said something: ends a wait as FORCE does */
    LW_FIRST = 64,     /* in queues for locks it goes in front, by its own wish */
    LW_FORCIBLE = 128, /* LW_TASK_FORCIBLE */
    LW_CTL_FRESH_SHIFT = 16,    /* cancels not yet delivered, saturating */
    LW_CTL_REQUESTS_SHIFT = 24, /* cancels in all, less the withdrawn, saturating */
    LW_CTL_COUNT_MAX = 255,
};

#define LW_CTL_FRESH_MASK (UINT64_C(255) << LW_CTL_FRESH_SHIFT)
#define LW_CTL_REQUESTS_MASK (UINT64_C(255) << LW_CTL_REQUESTS_SHIFT)
#define LW_CTL_FORCE_MASK ((uint64_t)LW_FORCE | LW_ANSWERED)
#define LW_CTL_GENERATION(ctl) ((uint32_t)((ctl) >> 32))

/* The word `place`: where the task lives; constant from its first run to its end, but for ENROLLED
 * and ENDED. */
enum {
    LW_PLACE_CLASS_SHIFT = 48,   /* 5 bits: class of its stack */
    LW_PLACE_RUNTIME_SHIFT = 53, /* 6 bits: number of its runtime */
    LW_PLACE_FLAG_SHIFT = 59,
};
#define LW_PLACE_STACK UINT64_C(0x0000ffffffffffff)      /* top of its stack; 0: it never ran */
#define LW_PLACE_GUEST (UINT64_C(1) << 59)               /* a plain thread */
#define LW_PLACE_CHILD (UINT64_C(1) << 60)               /* of a group */
#define LW_PLACE_ENROLLED (UINT64_C(1) << 61)            /* is in the group's list of members */
#define LW_PLACE_OPTIONS (UINT64_C(1) << 62) /* name, data, priority in cold are of this life */
#define LW_PLACE_ENDED (UINT64_C(1) << 63)   /* it is handed nothing any more */

struct lw_record {
    void *sp; /* saved stack pointer; 0: on a CPU, or never ran.  Offset 0 is known to debuggers */
    uint64_t ctl;
    struct lw_record *next; /* in a queue, or in a batch of woken ones */
    union {
        lw_fn *fn;
        intptr_t status;    /* once peer says DONE */
    };
    void *arg;              /* of a guest that is a helper: the job that it does */
    uint64_t place;
    uint64_t site;          /* spawn call site:48 | the group's epoch at spawn:16 */
    union {
        struct lw_group *group;  /* of a child */
        uint64_t peer;           /* of all others: who joins, LW_PEER_x in the low two bits */
    };
};

/* The word `peer`: NONE, with the generation in the upper half, so that a stale joiner's CAS fails
 * | DONE: fn has ended and status is there, set by the task's last access to its record; with a
 * joiner's slot and sequence: that one's to take | DETACHED: the record goes with the task |
 * JOINER: slot:24 | sequence of its wait:38. */
enum {
    LW_PEER_NONE = 0,
    LW_PEER_DONE = 1,
    LW_PEER_DETACHED = 2,
    LW_PEER_JOINER = 3,
    LW_PEER_TAG = 3
};

struct lw_node {            /* in the circular queue of what is waited for; NULL links: in none */
    struct lw_node *next, *prev;
};

struct lw_hold {            /* locks.md: lock address | mode:3; site:48 | class:3 | units:13 */
    uint64_t lock;
    uint64_t site;
};

enum { LW_HOLDS_INLINE = 3 };

/* What a wait is for. */
enum lw_wait_kind {
    LW_WAIT_NONE,
    LW_WAIT_SLEEP,
    LW_WAIT_READ,
    LW_WAIT_WRITE,
    LW_WAIT_JOIN,
    LW_WAIT_GROUP,
    LW_WAIT_FUTEX,
    LW_WAIT_CALL,
    LW_WAIT_SIGNAL,
    LW_WAIT_LOCK,
    LW_WAIT_UNITS,
    LW_WAIT_EVENT,
    LW_WAIT_CONDITION,
    LW_WAIT_SEND,
    LW_WAIT_RECEIVE,
    LW_WAIT_LATCH,
    LW_WAIT_BARRIER,
    LW_WAIT_ONCE,
    LW_WAIT_SHARED,
    LW_WAIT_UPGRADE,
    LW_WAIT_SELECT,
    LW_WAIT_TOKENS,
    LW_WAIT_KINDS,
};

/* `mode` of a wait for a group: MAY_FAIL: what ends it early is told to the caller; OWN: all that
 * it waits for began after the caller had (group.c). */
enum lw_group_wait { LW_GROUP_ENDS_OWN, LW_GROUP_WAIT_MAY_FAIL, LW_GROUP_ENDS_OTHER };

struct lw_cold {
    /* line 1: the wait, as others see it */
    uint64_t wait;
    uint64_t object;        /* key of what is waited for: compared, never followed */
    uint64_t owner;         /* of the head waiter only: who owns the object; of all who wait for
                             * owned permits: how many there are */
    struct lw_node node;
    int64_t deadline;
    uint32_t since;         /* coarse milliseconds; of the wait, and when it last gave way */
    uint8_t kind, mode;     /* enum lw_wait_kind */
    uint16_t units;
    const void *site;
    /* line 2: more of the wait */
    void *data;             /* where a waker delivers, or what it takes */
    const char *object_name;
    void *first;            /* LW_FIRST: what is done once it has queued (primitives/lock.h) */
    union {
        uint64_t target;    /* id of the task waited for */
        uint64_t arrival;   /* in a queue by priority: its place among equal ones; for owned
                             * permits: its place in the queue */
        uint64_t key;       /* of a keyed condition */
    };
    uint64_t denied;
    void *child;            /* heap link of priority queues */
    void *holds_more;
    uint32_t ticket;
    uint32_t nheld;         /* here, since each wait that begins looks at it */
    /* line 3: what is held; written by the owner only, but `overtaken` */
    uint64_t id;
    union {
        uint32_t forced_at;
        uint32_t overtaken; /* LW_OVERTAKE: of the waiter that it passes, the end of `arrival` */
    };
    uint16_t holds_lost;
    uint16_t shields;
    struct lw_hold held[LW_HOLDS_INLINE];
    /* line 4: timer, group, options */
    struct lw_cold *timer_next, **timer_prev;
    int64_t timer_when;     /* LW_TIMER_NONE: not linked */
    uint32_t timer_home;    /* 1 + worker whose guard protects the four; 0: none yet */
    int16_t priority;
    uint8_t forces;
    uint8_t cancels;        /* requests that the cancel delivered last stood for */
    struct lw_cold *group_next, **group_prev;
    const char *name;
    void *user_data;
};

_Static_assert(sizeof(struct lw_record) == 64, "one cache line");
_Static_assert(sizeof(struct lw_cold) == 256, "four cache lines");
_Static_assert(offsetof(struct lw_record, sp) == 0, "known to debuggers and to lw_switch");

/* The clock in milliseconds, some 10 ms behind: written by the tick thread and by workers that
 * look at the clock anyway, so that a wait need not. */
extern uint32_t lw_coarse_ms;

/* Both arrays, once reserved (record.c).  A cold record is four times as large as a hot one, so
 * the one is found from the other with one load: cold = 4 * hot + lw_cold_offset. */
extern struct lw_record *lw_records;
extern struct lw_cold *lw_colds;
extern uintptr_t lw_cold_offset;
_Static_assert(sizeof(struct lw_cold) == 4 * sizeof(struct lw_record), "lw_cold_offset");

LW_INLINE uint32_t lw_record_slot(const struct lw_record *record)
{
    return (uint32_t)(record - lw_records);
}

LW_INLINE struct lw_cold *lw_record_cold(const struct lw_record *record)
{
    return (struct lw_cold *)((uintptr_t)record * 4 + lw_cold_offset);
}

LW_INLINE struct lw_record *lw_cold_record(const struct lw_cold *cold)
{
    return (struct lw_record *)(((uintptr_t)cold - lw_cold_offset) / 4);
}

LW_INLINE uint64_t lw_record_id(const struct lw_record *record)
{
    uint64_t ctl = lw_load_rlx(&record->ctl);
    return (ctl >> 32) << LW_SLOT_BITS | lw_record_slot(record);
}

/* Slots ever committed are 0 .. this - 1. */
extern uint32_t lw_slots_used;

/* For each page of cold records, LW_COLD_PAGE slots: 1: one of them has run, or is a guest's.  The
 * other pages are not touched by who looks at all waits, nor need be; so of each record it reads
 * one line, and of those that never ran none.  Never 0 again but by a trim. */
enum { LW_COLD_PAGE = 16 };
extern uint8_t lw_cold_used[LW_SLOTS_MAX / LW_COLD_PAGE];

/* The record that an id names, in whatever life it is now; NULL if there never was such a slot. */
LW_INLINE struct lw_record *lw_record_of(uint64_t id)
{
    uint32_t slot = (uint32_t)(id & ((UINT32_C(1) << LW_SLOT_BITS) - 1));

    return lw_likely(slot < lw_load_acq(&lw_slots_used)) ? &lw_records[slot] : NULL; /* [R2] */
}

LW_INLINE uint32_t lw_id_generation(uint64_t id)
{
    return (uint32_t)(id >> LW_SLOT_BITS);
}

/* The first that a task does when it runs at last, and a guest: its cold record says whose it is.
 * It is seen by who looks at all waits, for it comes before the wait: [S1] and [S7] of
 * locksmith/sweep.c. */
LW_INLINE void lw_record_begin(struct lw_record *record)
{
    uint8_t *used = &lw_cold_used[lw_record_slot(record) / LW_COLD_PAGE];

    lw_store_rlx(&lw_record_cold(record)->id, lw_record_id(record));
    if (lw_unlikely(lw_load_sc(used) == 0)) /* or workers take that line from each other */
        lw_store_sc(used, 1);
}

LW_INLINE bool lw_record_is_guest(const struct lw_record *record)
{
    return (lw_load_rlx(&record->place) & LW_PLACE_GUEST) != 0;
}

LW_INLINE unsigned lw_record_runtime(const struct lw_record *record)
{
    return (unsigned)(lw_load_rlx(&record->place) >> LW_PLACE_RUNTIME_SHIFT) & 63u;
}

/* Who has dequeued a started task takes its stack: NULL: it has not left it yet. */
LW_INLINE void *lw_record_take_sp(struct lw_record *record)
{
    void *sp = lw_load_acq(&record->sp); /* [S1] */

    if (lw_likely(sp != NULL))
        lw_store_rlx(&record->sp, NULL);
    return sp;
}

/* Its fn has ended, and nobody has taken the status yet.  Relaxed: nothing is read because of it;
 * what the task did is seen by who joins it. */
LW_INLINE bool lw_record_is_done(const struct lw_record *record)
{
    return (lw_load_rlx(&record->place) & LW_PLACE_CHILD) == 0 &&
           (lw_load_rlx(&record->peer) & LW_PEER_TAG) == LW_PEER_DONE;
}

/* Free records of one worker (or, under a lock, of all guests). */
struct lw_record_cache {
    struct lw_record *head;
    uint32_t count;
};

/* A free record, ctl = its new generation and no flags; NULL: no memory, or all slots taken. */
struct lw_record *lw_record_take_slow(struct lw_record_cache *cache);
void lw_record_spill(struct lw_record_cache *cache);

enum { LW_RECORD_BATCH = 64, LW_RECORD_CACHE_MAX = 256 };

LW_INLINE struct lw_record *lw_record_take(struct lw_record_cache *cache)
{
    struct lw_record *record = cache->head;

    if (lw_unlikely(record == NULL))
        return lw_record_take_slow(cache);
    cache->head = lw_load_rlx(&record->next);
    cache->count--;
    return record;
}

/* Retire the slot for ever: its generation is used up. */
void lw_record_retire(struct lw_record *record);

/* The word ctl of the slot's next life, before it is spawned. */
LW_INLINE uint64_t lw_ctl_next_life(uint64_t ctl)
{
    return (uint64_t)(LW_CTL_GENERATION(ctl) + 1) << 32;
}

/* Put back a record whose ctl says already that this life is over. */
LW_INLINE void lw_record_put(struct lw_record_cache *cache, struct lw_record *record)
{
    if (lw_unlikely(LW_CTL_GENERATION(lw_load_rlx(&record->ctl)) == UINT32_MAX)) {
        lw_record_retire(record);
        return;
    }
    lw_store_rlx(&record->next, cache->head);
    cache->head = record;
    if (lw_unlikely(++cache->count > LW_RECORD_CACHE_MAX))
        lw_record_spill(cache);
}

/* Reserve the arrays; -ENOMEM.  Idempotent, any thread. */
int lw_records_init(void);

/* Ends this life of the slot: from here on its ids are stale.  The caller owns the record. */
LW_INLINE void lw_record_give(struct lw_record_cache *cache, struct lw_record *record)
{
    lw_store_rel(&record->ctl,
                 lw_ctl_next_life(lw_load_rlx(&record->ctl))); /* [R1] -> CAS on ctl compares it */
    lw_record_put(cache, record);
}

/* Give all of a cache to the depot; give memory of wholly free chunks back to the system. */
void lw_record_drain(struct lw_record_cache *cache);
size_t lw_record_trim(void);

/* Records that lie free in the depot: what a trim may be worth. */
size_t lw_records_idle(void);

/* Slots carved, less those of chunks that were given back or retired, and how many of them lie in
 * the depot: for tests.  False: a trim has some of them just now. */
bool lw_record_counts(size_t *carved, size_t *idle);

LW_INLINE uint32_t lw_records_used(void)
{
    return lw_load_acq(&lw_slots_used); /* [R2] */
}

#endif
