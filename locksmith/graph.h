/* SPDX-License-Identifier: MIT */
/* Who waits for whom, of all whose waits are looked at at once.  See graph.c and circle.c. */
#ifndef LW_LOCKSMITH_GRAPH_H
#define LW_LOCKSMITH_GRAPH_H

#include "locksmith/detector.h"

#define LW_GRAPH_NONE UINT32_MAX /* in the place of an index */

struct lw_graph_node {
    uint64_t wait, owner;
    uint64_t arrival;      /* of one who waits for permits: its place in their queue */
    uint32_t slot;
    uint32_t key;          /* what it waits for; NONE: it goes on in any case */
    uint32_t next_waiter;  /* for the same */
    uint32_t first_hold;   /* those that others of the graph wait for */
    uint32_t mark;         /* of a search */
    uint16_t units;
    uint8_t kind;
    bool stuck;
};

struct lw_graph_hold {
    uint32_t key, holder;
    uint32_t next;      /* of the same holder */
    uint32_t next_same; /* of the same key */
    uint32_t units;
    uint8_t mode;
};

struct lw_graph_key {
    uint64_t object;
    uint64_t owner;    /* who has it; or how many permits there are */
    uint64_t units;    /* of all that are stuck */
    uint32_t waiters;  /* those for permits as they are queued; who went on may be missing */
    uint32_t holds;
    uint32_t stuck[4]; /* holds of those who are, by mode */
    uint32_t writers;  /* who are stuck, and wait for it to have it alone */
    bool is_units; /* one waits for permits */
    bool unbarred;     /* there are none any more, and who waits behind them was looked at again */
};

struct lw_graph {
    struct lw_graph_node *nodes;
    struct lw_graph_hold *holds;
    struct lw_graph_key *keys;
    uint32_t *table;         /* keys by their objects; when all are there, of a search */
    uint32_t *list;          /* of nodes */
    struct lw_suspect *set;  /* what lw_graph_find() has found */
    uint32_t room, node_count, hold_count, key_count;
    uint32_t searched;       /* sets that were found by all ways */
    uint32_t holds_wanted;   /* so many there would have been, had there been room */
    size_t bytes;            /* mapped; 0: the memory that is there from the beginning */
};

/* It waits to have a lock alone. */
LW_INLINE bool lw_graph_is_writer(unsigned kind)
{
    return kind == LW_WAIT_LOCK || kind == LW_WAIT_UPGRADE;
}

/* Those who are stuck have so many of the permits that it cannot have those it waits for.  But if
 * it wants more than there are, or nobody knows how many there are, some may be made. */
LW_INLINE bool lw_graph_is_short(const struct lw_graph *graph, const struct lw_graph_node *node)
{
    const struct lw_graph_key *key = &graph->keys[node->key];

    return node->units < UINT16_MAX && node->units <= key->owner &&
           key->units + node->units > key->owner;
}

/* The modes of holds that keep it waiting, a bit each; 0: it is not in the graph. */
LW_INLINE unsigned lw_graph_modes(unsigned kind)
{
    bool is_for_end = kind == LW_WAIT_JOIN || kind == LW_WAIT_GROUP || kind == LW_WAIT_CALL;

    return is_for_end ? 1u << LW_HOLD_WAKER : lw_modes_against(kind);
}

/* All by one who decides.
 *
 * Begin anew, with room for so many waits if there is memory, else for those for which there was
 * before: a wait for which there is no room goes on, for all that is known. */
void lw_graph_begin(struct lw_graph *graph, uint32_t waits);

/* A blocked one, whose word has been loaded.  False: there is no room. */
bool lw_graph_add(struct lw_graph *graph, uint32_t slot, uint64_t wait);

/* All are there: find who is stuck.  How many.  *more: there was no room for all that they hold,
 * so that some seem to go on who do not; there will be from the next beginning on. */
uint32_t lw_graph_solve(struct lw_graph *graph, bool *more);

/* The next set of those who are stuck, none of whom was in a set before: in a circle, as far as
 * they are one, and whoever else has to be in it; to be resolved.  0: there is none.  circle.c. */
uint32_t lw_graph_find(struct lw_graph *graph);

#endif
