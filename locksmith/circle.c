/* SPDX-License-Identifier: MIT */
/* Who is to blame, of those who are stuck: those who wait for them are stuck, too.
 *
 * A walk from one who is stuck to one who keeps it waiting, and on, comes back to where it was:
 * that circle is what is resolved.  Of permits as many of those who have some are part of it as
 * it takes to keep one waiting, rather those without a deadline; or none, if it is only the order
 * of their queue.
 *
 * Where several keep one waiting such a walk takes one of these ways.  So when it finds no more,
 * those who are in no circle yet are searched by all ways, depth first: a circle has to be broken
 * also if one of it waits besides for those of another circle, of which perhaps nobody can be made
 * to give way.  Who is left behind without a circle is in none, also when others are taken out: so
 * that is linear, but for the way to a circle, which is gone again for the next.
 *
 * Not found are circles through one who is in another already, of which nobody can give way. */
#include "locksmith/graph.h"

#define NONE LW_GRAPH_NONE

/* Of what it waits for that one has so much. */
static uint64_t units_of(const struct lw_graph *graph, uint32_t index, uint32_t holder)
{
    uint64_t units = 0;

    for (uint32_t at = graph->nodes[holder].first_hold; at != NONE; at = graph->holds[at].next)
        if (graph->holds[at].key == graph->nodes[index].key)
            units += graph->holds[at].units;
    return units;
}

/* It has so many of the permits itself that it can never have those it waits for. */
static bool is_short_by_itself(const struct lw_graph *graph, uint32_t index)
{
    const struct lw_graph_node *node = &graph->nodes[index];

    return units_of(graph, index, index) + node->units > graph->keys[node->key].owner;
}

/* Those who have some of the permits keep it waiting. */
static bool waits_for_units(const struct lw_graph *graph, uint32_t index)
{
    return lw_graph_is_short(graph, &graph->nodes[index]) && !is_short_by_itself(graph, index);
}

/* The next one after `hold` (NONE: the first) by which a stuck one keeps the node waiting. */
static uint32_t next_against(const struct lw_graph *graph, uint32_t index, uint32_t hold)
{
    const struct lw_graph_node *node = &graph->nodes[index];
    uint32_t at = hold == NONE ? graph->keys[node->key].holds : graph->holds[hold].next_same;

    if (node->kind == LW_WAIT_UNITS && hold == NONE && !waits_for_units(graph, index))
        return NONE;
    while (at != NONE && (graph->holds[at].holder == index ||
                          !graph->nodes[graph->holds[at].holder].stuck ||
                          !(lw_graph_modes(node->kind) & 1u << graph->holds[at].mode)))
        at = graph->holds[at].next_same;
    return at;
}

/* It waits to read what others read, behind a writer; or for permits that are there, behind one
 * that wants more. */
static bool is_soft(const struct lw_graph *graph, uint32_t index)
{
    unsigned kind = graph->nodes[index].kind;

    return (kind == LW_WAIT_SHARED || kind == LW_WAIT_UNITS) &&
           next_against(graph, index, NONE) == NONE &&
           !(kind == LW_WAIT_UNITS && lw_graph_is_short(graph, &graph->nodes[index]));
}

/* Behind whom a soft one waits: the first that is stuck, of those who wait for permits. */
static bool is_in_front(const struct lw_graph *graph, uint32_t index, uint32_t soft)
{
    unsigned kind = graph->nodes[index].kind;

    return graph->nodes[index].stuck && (graph->nodes[soft].kind == LW_WAIT_UNITS
                                             ? kind == LW_WAIT_UNITS
                                             : lw_graph_is_writer(kind));
}

/* Who keeps it waiting, as the first of several.  Of permits it may be nobody but itself. */
static uint32_t keeper_of(const struct lw_graph *graph, uint32_t index)
{
    uint32_t hold = next_against(graph, index, NONE), front = NONE;

    if (hold != NONE)
        return graph->holds[hold].holder;
    if (is_soft(graph, index))
        front = graph->keys[graph->nodes[index].key].waiters;
    while (front != NONE && !is_in_front(graph, front, index))
        front = graph->nodes[front].next_waiter;
    return front != NONE ? front : index;
}

/* In no set, and not to begin one: odd, and none of a set. */
#define LEFT_OUT (NONE - 2)

static void put_in(struct lw_graph *graph, uint32_t index, uint32_t mark, uint32_t *count)
{
    graph->nodes[index].mark = mark;
    graph->list[graph->room + (*count)++] = index;
}

static bool has_deadline(const struct lw_graph *graph, uint32_t index)
{
    return lw_load_rlx(&lw_record_cold(&lw_records[graph->nodes[index].slot])->deadline) !=
           LW_FOREVER;
}

/* It is in this set, or in another, or was left out. */
static bool is_in_set(uint32_t mark)
{
    return mark % 2 != 0 && mark != NONE;
}

/* Of those who have some of the permits: so many that with those they have there are not enough
 * left for it.  The others begin no set of their own, each of which would be much the same as this
 * one: what there is without this one is found when it is gone. */
static void put_in_holders(struct lw_graph *graph, uint32_t index, uint32_t mark, uint32_t *count)
{
    uint64_t total = graph->keys[graph->nodes[index].key].owner;
    uint64_t units = graph->nodes[index].units;
    uint32_t first = next_against(graph, index, NONE);

    if (first == NONE)
        return; /* it stands in its own way */
    units += units_of(graph, index, index);
    for (uint32_t hold = first; hold != NONE; hold = next_against(graph, index, hold))
        if (graph->nodes[graph->holds[hold].holder].mark == mark)
            units += graph->holds[hold].units;
    for (int late = 0; late <= 1; late++)
        for (uint32_t hold = first; hold != NONE && units <= total;
             hold = next_against(graph, index, hold)) {
            uint32_t holder = graph->holds[hold].holder;

            if (graph->nodes[holder].mark == mark || (!late && has_deadline(graph, holder)))
                continue;
            put_in(graph, holder, mark, count);
            units += units_of(graph, index, holder);
        }
    for (uint32_t hold = first; hold != NONE; hold = next_against(graph, index, hold)) {
        uint32_t *left_out = &graph->nodes[graph->holds[hold].holder].mark;

        if (!is_in_set(*left_out))
            *left_out = LEFT_OUT;
    }
}

/* Those who have to be in the set for that one to be stuck, and are not yet. */
static void put_in_keepers(struct lw_graph *graph, uint32_t index, uint32_t mark, uint32_t *count)
{
    uint32_t hold = next_against(graph, index, NONE);

    if (graph->nodes[index].kind == LW_WAIT_UNITS && !is_soft(graph, index)) {
        put_in_holders(graph, index, mark, count);
        return;
    }
    for (; hold != NONE; hold = next_against(graph, index, hold))
        if (graph->nodes[graph->holds[hold].holder].mark == mark)
            return;
    if (graph->nodes[keeper_of(graph, index)].mark != mark)
        put_in(graph, keeper_of(graph, index), mark, count);
}

/* One by whom a walk from there comes a second time. */
static uint32_t find_circle(struct lw_graph *graph, uint32_t from, uint32_t mark)
{
    uint32_t index = from;

    while (graph->nodes[index].mark == NONE) {
        graph->nodes[index].mark = mark;
        index = keeper_of(graph, index);
    }
    return graph->nodes[index].mark == mark ? index : NONE;
}

/* Its keepers are counted as far as it matters. */
static struct lw_suspect suspect_of(const struct lw_graph *graph, uint32_t index)
{
    struct lw_suspect suspect = {&lw_records[graph->nodes[index].slot], graph->nodes[index].wait,
                                 0, is_soft(graph, index)};

    for (uint32_t hold = next_against(graph, index, NONE); hold != NONE && suspect.keepers < 4;
         hold = next_against(graph, index, hold))
        suspect.keepers++;
    return suspect;
}

/* With those who have to be in it. */
static uint32_t complete(struct lw_graph *graph, uint32_t mark, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        put_in_keepers(graph, graph->list[graph->room + i], mark, &count);
    for (uint32_t i = 0; i < count; i++)
        graph->set[i] = suspect_of(graph, graph->list[graph->room + i]);
    return count;
}

/* By all ways.  Marks of those who are in a set are odd. */
enum { UNSEEN = 0 };
#define ON_PATH(graph) (2 * (graph)->node_count)
#define SEEN(graph) (2 * (graph)->node_count + 2) /* no circle goes through it */
#define NO_HOLD_YET (NONE - 1)
#define NO_HOLD_MORE (NONE - 2)

static bool is_unseen(const struct lw_graph *graph, uint32_t index)
{
    uint32_t mark = graph->nodes[index].mark;

    return graph->nodes[index].stuck && mark % 2 == 0 && mark < ON_PATH(graph);
}

/* The one after *hold of those who keep it waiting; NONE: there is none. */
static uint32_t next_keeper(const struct lw_graph *graph, uint32_t index, uint32_t *hold)
{
    bool is_first = *hold == NO_HOLD_YET;
    uint32_t keeper;

    if (*hold == NO_HOLD_MORE)
        return NONE;
    *hold = next_against(graph, index, is_first ? NONE : *hold);
    if (*hold != NONE)
        return graph->holds[*hold].holder;
    *hold = NO_HOLD_MORE;
    keeper = is_first ? keeper_of(graph, index) : index; /* behind a writer */
    return keeper != index ? keeper : NONE;
}

/* Where on the path that is left in `list` the circle begins; *length: of the path, 0: none. */
static uint32_t search(struct lw_graph *graph, uint32_t from, uint32_t *length)
{
    uint32_t *path = graph->list, *holds = graph->table, depth = 0, next = from;

    for (;;) {
        if (next != NONE && is_unseen(graph, next)) {
            graph->nodes[next].mark = ON_PATH(graph);
            path[depth] = next;
            holds[depth++] = NO_HOLD_YET;
        } else if (next != NONE && graph->nodes[next].mark == ON_PATH(graph)) {
            *length = depth;
            while (path[depth - 1] != next)
                depth--;
            return depth - 1;
        } else if (next == NONE) {
            graph->nodes[path[--depth]].mark = SEEN(graph);
        }
        if (depth == 0) {
            *length = 0;
            return 0;
        }
        next = next_keeper(graph, path[depth - 1], &holds[depth - 1]);
    }
}

/* As the function below, after it has found all that a walk by one way finds. */
static uint32_t find_by_all_ways(struct lw_graph *graph)
{
    for (uint32_t from = 0; from < graph->node_count; from++) {
        uint32_t begin, length, mark, count = 0;

        if (!is_unseen(graph, from))
            continue;
        begin = search(graph, from, &length);
        if (length == 0)
            continue;
        mark = SEEN(graph) + 1 + 2 * graph->searched++;
        for (uint32_t i = 0; i < begin; i++)
            graph->nodes[graph->list[i]].mark = UNSEEN;
        for (uint32_t i = begin; i < length; i++)
            put_in(graph, graph->list[i], mark, &count);
        return complete(graph, mark, count);
    }
    return 0;
}

uint32_t lw_graph_find(struct lw_graph *graph)
{
    for (uint32_t from = 0; from < graph->node_count; from++) {
        uint32_t walked = 2 * from, mark = walked + 1, count = 0, first, index;

        if (!graph->nodes[from].stuck || graph->nodes[from].mark != NONE)
            continue;
        first = index = find_circle(graph, from, walked);
        if (first == NONE)
            continue; /* it only waits for those of another set */
        do {
            put_in(graph, index, mark, &count);
            index = keeper_of(graph, index);
        } while (index != first);
        return complete(graph, mark, count);
    }
    return find_by_all_ways(graph);
}
