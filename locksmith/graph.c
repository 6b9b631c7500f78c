/* SPDX-License-Identifier: MIT */
/* Who can still go on, of many who wait.
 *
 * A task that waits in a way that is not known here, that runs, or that was not added, can.  Of
 * those that were added one can go on if those who can will let it:
 *
 *     to have a lock alone   nobody who is stuck has it, alone or with others
 *     to read                nobody who is stuck has it alone; nor do those who are stuck read it,
 *                            and wait for it alone: that is only the order of a queue (soft)
 *     n permits              of all there are, less those that the stuck have, n are left; nor is
 *                            one stuck who waits for some before it: the latter only by the order
 *                            of the queue (soft)
 *     a once, a join         who runs it, who is to end, is not stuck
 *     a group                none of its children is
 *     a blocking call        who does the work is not
 *
 * All are stuck at first; who can go on is taken out, and then those are looked at again who wait
 * for what it has: until nobody is left that can (the least fixpoint of "may still go on"; locks.md
 * of the design has the proof, deadlocks.md 2.5).  Each hold is looked at once, so the time is
 * linear; but that those who wait for the same permits are sorted first.
 *
 * What is left is closed, but it is more than who is to blame: see circle.c.
 *
 * Holds by which a task is waited for itself: of its end (the key is its record), of its group's
 * end (the group), of the job that it does for another (the job).
 *
 * An exclusive hold of a lock whose first waiter names another owner is of a lock that was freed
 * while it was held: it counts for nothing. */
#include "locksmith/graph.h"

#include <string.h>
#include <sys/mman.h>

#include "runtime/os/os.h"
#include "runtime/peer.h"

#define NONE LW_GRAPH_NONE

enum {
#ifdef LW_TINY
    ROOM_FIRST = 16,
#else
    ROOM_FIRST = 256,
#endif
    HOLDS_PER_NODE = 3,
    SLOTS_PER_NODE = 2, /* of the table: half empty at least */
    BYTES_PER_NODE = sizeof(struct lw_graph_node) + sizeof(struct lw_graph_key) +
                     HOLDS_PER_NODE * sizeof(struct lw_graph_hold) +
                     (SLOTS_PER_NODE + 2) * sizeof(uint32_t) + sizeof(struct lw_suspect),
};

/* ---- memory */

static _Alignas(16) char memory_first[ROOM_FIRST * BYTES_PER_NODE];

static void *cut(char **memory, size_t bytes)
{
    void *piece = *memory;

    *memory += bytes;
    return piece;
}

/* The larger alignments first. */
static void lay_out(struct lw_graph *graph, char *memory, uint32_t room)
{
    graph->room = room;
    graph->set = cut(&memory, room * sizeof *graph->set);
    graph->keys = cut(&memory, room * sizeof *graph->keys);
    graph->nodes = cut(&memory, room * sizeof *graph->nodes);
    graph->holds = cut(&memory, (size_t)room * HOLDS_PER_NODE * sizeof *graph->holds);
    graph->table = cut(&memory, (size_t)room * SLOTS_PER_NODE * sizeof *graph->table);
    graph->list = cut(&memory, (size_t)room * 2 * sizeof *graph->list);
}

static void grow(struct lw_graph *graph, uint32_t waits)
{
    uint32_t room = graph->room;
    size_t bytes;
    void *memory;

    while (room < waits)
        room *= 2;
    bytes = (size_t)room * BYTES_PER_NODE;
    memory = lw_sys.mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return;
    if (graph->bytes != 0)
        (void)lw_sys.munmap(graph->set, graph->bytes);
    graph->bytes = bytes;
    lay_out(graph, memory, room);
}

void lw_graph_begin(struct lw_graph *graph, uint32_t waits)
{
    if (graph->room == 0)
        lay_out(graph, memory_first, ROOM_FIRST);
    if (waits < graph->holds_wanted / HOLDS_PER_NODE + 1)
        waits = graph->holds_wanted / HOLDS_PER_NODE + 1;
    if (graph->room < waits)
        grow(graph, waits);
    graph->node_count = graph->hold_count = graph->key_count = graph->holds_wanted = 0;
    graph->searched = 0;
    memset(graph->table, 0xff, (size_t)graph->room * SLOTS_PER_NODE * sizeof *graph->table);
}

/* ---- keys */

/* Where the object is in the table, or would be. */
static uint32_t *find(const struct lw_graph *graph, uint64_t object)
{
    uint32_t mask = graph->room * SLOTS_PER_NODE - 1;
    uint32_t at = (uint32_t)((object * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & mask;

    while (graph->table[at] != NONE && graph->keys[graph->table[at]].object != object)
        at = (at + 1) & mask;
    return &graph->table[at];
}

static uint32_t key_of(struct lw_graph *graph, uint64_t object)
{
    uint32_t *at = find(graph, object);

    if (*at == NONE) {
        *at = graph->key_count++;
        graph->keys[*at] =
            (struct lw_graph_key){.object = object, .waiters = NONE, .holds = NONE};
    }
    return *at;
}

/* ---- nodes */

static bool says_owner(unsigned kind)
{
    return kind == LW_WAIT_LOCK || kind == LW_WAIT_SHARED || kind == LW_WAIT_UPGRADE ||
           kind == LW_WAIT_UNITS || kind == LW_WAIT_ONCE;
}

/* It has taken the place of the joiner: before, it may be refused still. */
static bool is_joiner(const struct lw_record *record, uint64_t wait)
{
    const struct lw_record *target = lw_record_of(lw_load_rlx(&lw_record_cold(record)->target));
    uint64_t peer = target != NULL ? lw_load_acq(&target->peer) : 0;

    return lw_peer_is(peer, LW_PEER_JOINER) && lw_peer_record(peer) == record &&
           lw_peer_means(peer, wait);
}

static uint64_t arrival_of(const struct lw_cold *cold, unsigned kind)
{
    return kind == LW_WAIT_UNITS ? lw_load_rlx(&cold->arrival) : 0;
}

bool lw_graph_add(struct lw_graph *graph, uint32_t slot, uint64_t wait)
{
    const struct lw_record *record = &lw_records[slot];
    const struct lw_cold *cold = lw_record_cold(record);
    unsigned kind = lw_load_rlx(&cold->kind);
    struct lw_graph_node *node = &graph->nodes[graph->node_count];
    struct lw_graph_key *key;

    if (graph->node_count == graph->room)
        return false;
    if (lw_graph_modes(kind) == 0 ||
        (kind == LW_WAIT_JOIN && !is_joiner(record, wait)))
        return true;
    *node = (struct lw_graph_node){.wait = wait,
                                   .owner = says_owner(kind) ? lw_load_rlx(&cold->owner) : 0,
                                   .arrival = arrival_of(cold, kind),
                                   .slot = slot,
                                   .key = key_of(graph, lw_load_rlx(&cold->object)),
                                   .first_hold = NONE,
                                   .mark = NONE,
                                   .units = lw_load_rlx(&cold->units),
                                   .kind = (uint8_t)kind,
                                   .stuck = true};
    key = &graph->keys[node->key];
    key->writers += lw_graph_is_writer(kind);
    key->is_units |= kind == LW_WAIT_UNITS;
    node->next_waiter = key->waiters;
    key->waiters = graph->node_count++;
    if (kind == LW_WAIT_UNITS ? node->owner > key->owner : node->owner != 0)
        key->owner = node->owner;
    return true;
}

/* ---- holds */

static void add_hold(struct lw_graph *graph, uint32_t holder, uint64_t object,
                     enum lw_hold_mode mode, uint32_t units)
{
    struct lw_graph_node *node = &graph->nodes[holder];
    uint32_t at = *find(graph, object), index = graph->hold_count;
    struct lw_graph_key *key = &graph->keys[at];

    if (at == NONE)
        return;
    graph->holds_wanted++;
    if (index == graph->room * HOLDS_PER_NODE)
        return;
    if (mode == LW_HOLD_EXCLUSIVE && key->owner != 0 &&
        key->owner != lw_load_rlx(&lw_record_cold(&lw_records[node->slot])->id))
        return;
    graph->holds[index] = (struct lw_graph_hold){.key = at,
                                                 .holder = holder,
                                                 .next = node->first_hold,
                                                 .next_same = key->holds,
                                                 .units = units,
                                                 .mode = (uint8_t)mode};
    node->first_hold = key->holds = index;
    key->stuck[mode]++;
    key->units += units;
    graph->hold_count++;
}

static void add_holds(struct lw_graph *graph, uint32_t holder)
{
    const struct lw_record *record = &lw_records[graph->nodes[holder].slot];
    struct lw_hold_look look = {.cold = lw_record_cold(record)};
    struct lw_hold hold;

    while (lw_hold_look(&look, &hold))
        if (lw_hold_mode(&hold) <= LW_HOLD_WAKER)
            add_hold(graph, holder, (uintptr_t)lw_hold_lock(&hold), lw_hold_mode(&hold),
                     lw_hold_mode(&hold) == LW_HOLD_UNITS ? lw_hold_units(&hold) : 0);
    if ((lw_load_rlx(&record->place) & LW_PLACE_CHILD) != 0)
        add_hold(graph, holder, (uintptr_t)lw_load_rlx(&record->group), LW_HOLD_WAKER, 0);
    else if (!lw_record_is_guest(record))
        add_hold(graph, holder, (uintptr_t)record, LW_HOLD_WAKER, 0);
    else if (lw_load_rlx(&record->arg) != NULL) /* a helper: helpers.c */
        add_hold(graph, holder, (uintptr_t)lw_load_rlx(&record->arg), LW_HOLD_WAKER, 0);
}

/* ---- the order of queues
 *
 * What is read of a wait that has ended meanwhile may be anything: it must not put others in a
 * wrong order, so places are compared as numbers that do not wrap. */

static bool is_before(const struct lw_graph *graph, uint32_t one, uint32_t other)
{
    return graph->nodes[one].arrival < graph->nodes[other].arrival;
}

static uint32_t merge(struct lw_graph *graph, uint32_t one, uint32_t other)
{
    uint32_t first = NONE, *end = &first;

    while (one != NONE && other != NONE) {
        uint32_t *least = is_before(graph, other, one) ? &other : &one;

        *end = *least;
        end = &graph->nodes[*least].next_waiter;
        *least = *end;
    }
    *end = one != NONE ? one : other;
    return first;
}

/* By merging: lists of 1, 2, 4 and so on, of which there is at most one each. */
static void sort_waiters(struct lw_graph *graph, struct lw_graph_key *key)
{
    uint32_t sorted[32], sizes = 0, rest = key->waiters;

    while (rest != NONE) {
        uint32_t list = rest, size = 0;

        rest = graph->nodes[list].next_waiter;
        graph->nodes[list].next_waiter = NONE;
        for (; size < sizes && sorted[size] != NONE; size++) {
            list = merge(graph, sorted[size], list);
            sorted[size] = NONE;
        }
        if (size == sizes)
            sizes++;
        sorted[size] = list;
    }
    for (uint32_t size = 0; size < sizes; size++)
        rest = merge(graph, sorted[size], rest);
    key->waiters = rest;
}

/* ---- who can go on */

/* Somebody who is stuck keeps it waiting.  behind: one waits for permits before it. */
static bool is_kept(const struct lw_graph *graph, const struct lw_graph_node *node, bool behind)
{
    const struct lw_graph_key *key = &graph->keys[node->key];
    unsigned modes = lw_graph_modes(node->kind);
    uint32_t against = 0;

    if (node->kind == LW_WAIT_UNITS)
        return behind || lw_graph_is_short(graph, node);
    for (unsigned mode = 0; mode < 4; mode++)
        if ((modes & 1u << mode) != 0)
            against += key->stuck[mode];
    if (node->kind == LW_WAIT_SHARED && key->stuck[LW_HOLD_SHARED] != 0)
        against += key->writers; /* it is read, so nobody has it alone */
    return against > (node->kind == LW_WAIT_UPGRADE); /* it reads itself */
}

/* It goes on, and gives back what it has.  Who waits for that, or behind it, is to be looked at
 * again: at the end of the list. */
static void let_go_on(struct lw_graph *graph, uint32_t index, uint32_t *listed)
{
    struct lw_graph_node *node = &graph->nodes[index];

    node->stuck = false;
    graph->keys[node->key].writers -= lw_graph_is_writer(node->kind);
    for (uint32_t at = node->first_hold; at != NONE; at = graph->holds[at].next) {
        struct lw_graph_key *key = &graph->keys[graph->holds[at].key];

        key->stuck[graph->holds[at].mode]--;
        key->units -= graph->holds[at].units;
    }
    graph->list[(*listed)++] = index;
}

/* Those at the beginning who have gone on are not looked at again: of a queue for permits that is
 * all who have. */
static void look_again(struct lw_graph *graph, uint32_t index, uint32_t *listed)
{
    struct lw_graph_key *key = &graph->keys[index];
    bool behind = false;

    for (uint32_t waiter = key->waiters; waiter != NONE;
         waiter = graph->nodes[waiter].next_waiter) {
        struct lw_graph_node *node = &graph->nodes[waiter];

        if (node->stuck && !is_kept(graph, node, behind))
            let_go_on(graph, waiter, listed);
        if (!node->stuck && key->waiters == waiter)
            key->waiters = node->next_waiter;
        behind |= node->stuck && node->kind == LW_WAIT_UNITS;
    }
}

/* The hold was let go: can it be that somebody need not wait any more?  Else many readers, of whom
 * none matters but the last two (one may upgrade), would each have all who wait looked at. */
static bool may_unbar(const struct lw_graph *graph, const struct lw_graph_hold *hold)
{
    return hold->mode != LW_HOLD_SHARED || graph->keys[hold->key].stuck[LW_HOLD_SHARED] <= 1;
}

uint32_t lw_graph_solve(struct lw_graph *graph, bool *more)
{
    uint32_t listed = 0;

    for (uint32_t i = 0; i < graph->node_count; i++)
        add_holds(graph, i);
    *more = graph->holds_wanted > graph->room * HOLDS_PER_NODE;
    for (uint32_t key = 0; key < graph->key_count; key++) {
        if (graph->keys[key].is_units)
            sort_waiters(graph, &graph->keys[key]);
        look_again(graph, key, &listed);
    }
    for (uint32_t done = 0; done < listed; done++) {
        const struct lw_graph_node *node = &graph->nodes[graph->list[done]];

        for (uint32_t at = node->first_hold; at != NONE; at = graph->holds[at].next)
            if (may_unbar(graph, &graph->holds[at]))
                look_again(graph, graph->holds[at].key, &listed);
        if (lw_graph_is_writer(node->kind) && graph->keys[node->key].writers == 0 &&
            !graph->keys[node->key].unbarred) {
            graph->keys[node->key].unbarred = true;
            look_again(graph, node->key, &listed);
        }
    }
    return graph->node_count - listed;
}
