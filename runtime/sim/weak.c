/* SPDX-License-Identifier: MIT */
/* Weak memory: in some schedules a load finds a value that is not the newest any more.
 *
 * The memory itself always has the newest.  Beside it the last values of each word that was stored
 * atomically are kept as messages, and for each thread its view: which message of each word it has
 * seen.  (Kang, Hur, Lahav, Vafeiadis, Dreyer, "A Promising Semantics for Relaxed-Memory
 * Concurrency", POPL 2017, without promises.)
 *
 * - A load may find any message from the one on that its thread has seen; which is drawn.
 * - A message carries a view: of a release store all that its thread has seen; of a relaxed one
 *   what it had seen at its last fence; a read-modify-write adds what the message before carried.
 * - An acquire load adds the message's view to its thread's; a relaxed one when an acquire fence
 *   comes after it.
 * - A read-modify-write, and a compare-and-swap that fails, find the newest.
 *
 * So a load may pass an earlier load as well as an earlier store, and a store another: a missing
 * acquire, release or fence shows, if what depends on it is atomic.  (A plain load finds the
 * newest: who misses an order for plain data is TSan's to find.)
 *
 * Stronger than C11, so that no more than the last few messages of a few words need to be kept:
 *
 * - A seq_cst load finds no message older than the ones that were seen by those who have made a
 *   seq_cst store or read-modify-write.  (C11 does not say that of what they had seen of words that
 *   are not seq_cst; each machine does on which no store is seen by one thread before another.)
 * - At a seq_cst fence, and when a thread calls the system, waits or ends, all see what it has
 *   seen.
 * - lw_asym_heavy() makes all see all, which is what membarrier(2) does; so does time, when nobody
 *   could run, and now and then a switch.
 * - No store is seen before it was made: no load passes a later store.
 *
 * Views compare the moments of messages, so a word's place in them can be given to another: what
 * was seen of the former is older than all of the latter. */
#include <stdlib.h>
#include <string.h>

#include "runtime/sim/point.h"
#include "runtime/sim/world.h"

enum {
    WORDS_MAX = 64,
    MESSAGES_MAX = 4,
    NONE = WORDS_MAX,
    OLD_ONE_IN = 2, /* loads that could find an old value */
};

/* By word: no message older than of that moment. */
struct view {
    uint32_t seen[WORDS_MAX];
};

struct message {
    uint32_t when;
    uint64_t value; /* when there is a newer one */
    struct view view;
};

struct word {
    unsigned size, count;
    uint32_t used;
    struct message messages[MESSAGES_MAX]; /* oldest first */
};

bool lw_sim_weak;

/* Kept from schedule to schedule; begun anew by those that are weak. */
static struct weak {
    const void *at[WORDS_MAX];
    struct word words[WORDS_MAX];
    uint32_t now;      /* counts messages */
    unsigned ages;     /* one switch in so many makes all see all */
    struct view all;   /* what every thread has seen */
    struct view total; /* what those had who made something seq_cst */
    struct {
        struct view now;    /* has seen */
        struct view later;  /* will have, from the next acquire fence on */
        struct view fenced; /* had, at its last fence */
    } threads[SIM_THREADS_MAX];
} * weak;

bool sim_weak_init(void)
{
    weak = calloc(1, sizeof *weak);
    return weak != NULL;
}

void sim_weak_thread(unsigned index)
{
    if (lw_sim_weak)
        memset(&weak->threads[index], 0, sizeof weak->threads[index]);
}

void sim_weak_begin(void)
{
    lw_sim_weak = true;
    memset(weak->at, 0, sizeof weak->at);
    memset(&weak->all, 0, sizeof weak->all);
    memset(&weak->total, 0, sizeof weak->total);
    weak->now = 0;
    weak->ages = 4u << 2 * sim_choose(3);
    for (unsigned i = 0; i < sim_world->count; i++)
        sim_weak_thread(i);
}

/* ---- views */

static void add(struct view *to, const struct view *other)
{
    for (unsigned i = 0; i < WORDS_MAX; i++)
        to->seen[i] = to->seen[i] > other->seen[i] ? to->seen[i] : other->seen[i];
}

static struct view *mine(void)
{
    return &weak->threads[sim_world->current->index].now;
}

static bool acquires(int order)
{
    return order == __ATOMIC_ACQUIRE || order == __ATOMIC_ACQ_REL || order == __ATOMIC_SEQ_CST;
}

static bool releases(int order)
{
    return order == __ATOMIC_RELEASE || order == __ATOMIC_ACQ_REL || order == __ATOMIC_SEQ_CST;
}

/* The running thread has found that message. */
static void see(unsigned index, const struct message *message, int order)
{
    struct view *view = mine();

    if (view->seen[index] < message->when)
        view->seen[index] = message->when;
    add(acquires(order) ? view : &weak->threads[sim_world->current->index].later, &message->view);
}

static void show_all(unsigned index)
{
    const struct word *word = &weak->words[index];

    weak->all.seen[index] = word->messages[word->count - 1].when;
}

void sim_weak_flush(void)
{
    if (lw_sim_weak && sim_world->current != NULL)
        add(&weak->all, mine());
}

void sim_weak_flush_all(void)
{
    if (lw_sim_weak)
        for (unsigned i = 0; i < WORDS_MAX; i++)
            if (weak->at[i] != NULL)
                show_all(i);
}

void sim_weak_age(void)
{
    if (lw_sim_weak && sim_chance(weak->ages))
        sim_weak_flush_all();
}

/* ---- words */

static uint64_t value_of(const void *at, unsigned size)
{
    switch (size) {
    case 1:
        return __atomic_load_n((const uint8_t *)at, __ATOMIC_RELAXED);
    case 2:
        return __atomic_load_n((const uint16_t *)at, __ATOMIC_RELAXED);
    case 4:
        return __atomic_load_n((const uint32_t *)at, __ATOMIC_RELAXED);
    default:
        return __atomic_load_n((const uint64_t *)at, __ATOMIC_RELAXED);
    }
}

/* From here on it has one value, and who finds that has seen whatever came with it. */
static void forget(unsigned index)
{
    const struct word *word = &weak->words[index];

    for (unsigned i = 0; i < word->count; i++)
        add(&weak->all, &word->messages[i].view);
    weak->at[index] = NULL;
}

/* The word's place; NONE: it has none.  Who overlaps it, but is not the same, loses its own. */
static unsigned find(const void *at, unsigned size)
{
    for (unsigned i = 0; i < WORDS_MAX; i++) {
        if ((((uintptr_t)weak->at[i] ^ (uintptr_t)at) & ~(uintptr_t)7) != 0)
            continue;
        if (weak->at[i] == at && weak->words[i].size == size) {
            weak->words[i].used = weak->now;
            return i;
        }
        if ((uintptr_t)weak->at[i] < (uintptr_t)at + size &&
            (uintptr_t)at < (uintptr_t)weak->at[i] + weak->words[i].size)
            forget(i);
    }
    return NONE;
}

/* A place for it: a free one, or that of whoever was not used for longest. */
static unsigned find_or_make(const void *at, unsigned size)
{
    unsigned index = find(at, size);

    if (index != NONE)
        return index;
    index = 0;
    for (unsigned i = 0; i < WORDS_MAX && weak->at[index] != NULL; i++)
        if (weak->at[i] == NULL || weak->words[i].used < weak->words[index].used)
            index = i;
    if (weak->at[index] != NULL)
        forget(index);
    weak->at[index] = at;
    weak->words[index].size = size;
    weak->words[index].count = 1;
    weak->words[index].used = weak->now;
    weak->words[index].messages[0] = (struct message){.when = ++weak->now};
    return index;
}

/* The running thread is about to store there.  before: it has found the value that was there. */
static void append(unsigned index, int order, bool before)
{
    struct word *word = &weak->words[index];
    struct message *last = &word->messages[word->count - 1], *next;

    last->value = value_of(weak->at[index], word->size);
    if (word->count == MESSAGES_MAX) {
        memmove(word->messages, word->messages + 1, (MESSAGES_MAX - 1) * sizeof *word->messages);
        word->count--;
        last--;
    }
    next = &word->messages[word->count++];
    next->when = ++weak->now;
    next->view = releases(order) ? *mine() : weak->threads[sim_world->current->index].fenced;
    if (before)
        add(&next->view, &last->view);
    mine()->seen[index] = next->when;
    if (order == __ATOMIC_SEQ_CST)
        add(&weak->total, mine());
}

/* ---- operations */

uint64_t lw_sim_read(const void *at, unsigned size, int order)
{
    unsigned index = sim_world->current != NULL ? find(at, size) : NONE, newest, i;
    const struct word *word = &weak->words[index % WORDS_MAX];

    if (index == NONE)
        return value_of(at, size);
    newest = i = word->count - 1;
    while (i > 0 && word->messages[i].when > mine()->seen[index] &&
           word->messages[i].when > weak->all.seen[index] &&
           (order != __ATOMIC_SEQ_CST || word->messages[i].when > weak->total.seen[index]))
        i--;
    i = i < newest && sim_chance(OLD_ONE_IN) ? i + sim_choose(newest - i) : newest;
    see(index, &word->messages[i], order);
    return i == newest ? value_of(at, size) : word->messages[i].value;
}

void lw_sim_write(void *at, unsigned size, uint64_t value, int order)
{
    if (sim_world->current != NULL)
        append(find_or_make(at, size), order, false);
    switch (size) {
    case 1:
        __atomic_store_n((uint8_t *)at, (uint8_t)value, __ATOMIC_RELAXED);
        break;
    case 2:
        __atomic_store_n((uint16_t *)at, (uint16_t)value, __ATOMIC_RELAXED);
        break;
    case 4:
        __atomic_store_n((uint32_t *)at, (uint32_t)value, __ATOMIC_RELAXED);
        break;
    default:
        __atomic_store_n((uint64_t *)at, value, __ATOMIC_RELAXED);
        break;
    }
}

void lw_sim_releases(const void *at, unsigned size)
{
    if (sim_world->current != NULL)
        append(find_or_make(at, size), __ATOMIC_RELEASE, false);
}

void lw_sim_modifies(const void *at, unsigned size, int order)
{
    unsigned index;

    if (sim_world->current == NULL)
        return;
    index = find_or_make(at, size);
    see(index, &weak->words[index].messages[weak->words[index].count - 1], order);
    append(index, order, true);
}

void lw_sim_compares(const void *at, unsigned size, uint64_t expected, int order, int fail)
{
    unsigned index;

    if (((value_of(at, size) ^ expected) & UINT64_MAX >> (64 - 8 * size)) == 0) {
        lw_sim_modifies(at, size, order);
        return;
    }
    index = sim_world->current != NULL ? find(at, size) : NONE;
    if (index != NONE)
        see(index, &weak->words[index].messages[weak->words[index].count - 1], fail);
}

void lw_sim_fences(int order)
{
    unsigned me;

    if (sim_world->current == NULL)
        return;
    me = sim_world->current->index;
    if (order != __ATOMIC_RELEASE)
        add(mine(), &weak->threads[me].later);
    if (order != __ATOMIC_ACQUIRE)
        weak->threads[me].fenced = *mine();
    if (order == __ATOMIC_SEQ_CST) {
        add(mine(), &weak->total);
        add(&weak->all, mine());
    }
}
