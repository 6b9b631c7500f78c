/* SPDX-License-Identifier: MIT */
/* Is there an order?  Depth first over who comes next, as Wing and Gong do it (JPDC 1993), with a
 * memory of what has been tried, as Lowe adds (2017).  A client's operations come in its order, so
 * where a search stands is an index per client and the model's state.
 *
 * An operation without an answer may have happened or not; if it has not, then neither have those
 * that its client sent behind it, so the client's end may come in its place.  There are many ways
 * to put those in and few are needed, so after a while orders with few of them are tried first;
 * those that only ask are passed over; when no answer is left to explain, the order is found. */
#include <stdio.h>
#include <string.h>

#include "tests/sim/latchkv_state.h"

enum {
    DEPTH_MAX = MODEL_HISTORIES * MODEL_OPS + 1,
    SEEN_MAX = 1 << 16,
    STEPS_FIRST = 50000, /* while nothing bounds the unanswered ones */
    STEPS_MAX = 1000000,
    UNANSWERED_MAX = MODEL_HISTORIES * MODEL_OPS,
};

static struct {
    const struct model_history *histories;
    struct model_state states[DEPTH_MAX];
    unsigned long steps, steps_max, generation, seen_count;
    unsigned unanswered_max; /* that are put into the order */
    bool bounded;            /* there would have been more */
    struct {
        unsigned long generation;
        struct model_state state;
    } seen[SEEN_MAX];
} search;

static bool was_seen(const struct model_state *state)
{
    uint64_t hash = 14695981039346656037u;
    unsigned at;

    for (size_t i = 0; i < sizeof *state; i++)
        hash = (hash ^ ((const unsigned char *)state)[i]) * 1099511628211u;
    at = (unsigned)(hash ^ hash >> 32) % SEEN_MAX;
    for (; search.seen[at].generation == search.generation; at = (at + 1) % SEEN_MAX)
        if (memcmp(&search.seen[at].state, state, sizeof *state) == 0)
            return true;
    if (search.seen_count < SEEN_MAX / 2) {
        search.seen_count++;
        search.seen[at].generation = search.generation;
        memcpy(&search.seen[at].state, state, sizeof *state);
    }
    return false;
}

/* All that the client still has to do is not over before that. */
static unsigned answered_after(const struct model_state *state, unsigned client)
{
    const struct model_history *history = &search.histories[client];
    const struct model_op *next = &history->ops[state->next[client]];

    if (state->next[client] == history->count)
        return UINT32_MAX;
    if (next->answered == 0)
        next = &history->ops[history->count - 1];
    return next->answered != 0 ? next->answered : UINT32_MAX;
}

static bool go_on(unsigned depth);

static bool try_op(unsigned depth, unsigned client, unsigned index)
{
    const struct model_op *op = &search.histories[client].ops[index];
    const struct model_state *before = &search.states[depth];
    struct model_state *after = &search.states[depth + 1];

    bool unanswered = op->form != MODEL_END && op->answered == 0;

    for (unsigned i = 0; i < MODEL_HISTORIES; i++)
        if (i != client && answered_after(before, i) < op->asked)
            return false;
    if (unanswered && before->unanswered == search.unanswered_max) {
        search.bounded = true;
        return false;
    }
    for (unsigned way = 0; way < MODEL_WAYS; way++) {
        memcpy(after, before, sizeof *after);
        after->next[client] = (unsigned char)(index + 1);
        after->unanswered = (unsigned char)(before->unanswered + unanswered);
        if (model_run(after, client, op, way) && go_on(depth + 1))
            return true;
    }
    return false;
}

/* The next of the client whose answer is to be explained, or that changes something; NULL: none. */
static const struct model_op *next_of(struct model_state *state, unsigned client)
{
    const struct model_history *history = &search.histories[client];
    unsigned char *next = &state->next[client];

    while (*next < history->count && model_only_asks(&history->ops[*next]))
        ++*next;
    return *next < history->count ? &history->ops[*next] : NULL;
}

static bool is_explained(const struct model_state *state)
{
    for (unsigned i = 0; i < MODEL_HISTORIES; i++)
        for (unsigned k = state->next[i]; k < search.histories[i].count; k++)
            if (search.histories[i].ops[k].size > 0)
                return false;
    return true;
}

static bool go_on(unsigned depth)
{
    struct model_state *state = &search.states[depth];
    const struct model_op *next[MODEL_HISTORIES];

    for (unsigned i = 0; i < MODEL_HISTORIES; i++)
        next[i] = next_of(state, i);
    if (is_explained(state))
        return true;
    if (++search.steps > search.steps_max || was_seen(state))
        return false;
    for (unsigned i = 0; i < MODEL_HISTORIES; i++)
        if (next[i] != NULL && next[i]->size > 0 && try_op(depth, i, state->next[i]))
            return true;
    for (unsigned i = 0; i < MODEL_HISTORIES; i++) {
        unsigned end = search.histories[i].count - 1;

        if (next[i] == NULL || next[i]->size > 0)
            continue;
        if (try_op(depth, i, state->next[i]) ||
            (state->next[i] < end && search.histories[i].ops[end].size == 0 &&
             try_op(depth, i, end)))
            return true;
    }
    return false;
}

static bool search_from_the_start(unsigned unanswered_max)
{
    struct model_state *first = &search.states[0];

    search.generation++;
    search.seen_count = 0;
    search.unanswered_max = unanswered_max;
    search.bounded = false;
    memset(first, 0, sizeof *first);
    for (unsigned key = 0; key < MODEL_KEYS; key++)
        first->owners[key] = MODEL_NOBODY;
    return go_on(0);
}

enum model_verdict model_check(const struct model_history *histories)
{
    search.histories = histories;
    search.steps = 0;
    search.steps_max = STEPS_FIRST;
    if (search_from_the_start(UNANSWERED_MAX))
        return MODEL_RIGHT;
    if (search.steps <= search.steps_max)
        return MODEL_WRONG;
    search.steps_max = STEPS_MAX;
    for (unsigned most = 0; most <= UNANSWERED_MAX && search.steps <= STEPS_MAX; most++) {
        if (search_from_the_start(most))
            return MODEL_RIGHT;
        if (search.steps <= STEPS_MAX && !search.bounded)
            return MODEL_WRONG;
    }
    return MODEL_UNKNOWN;
}

/* ---- for people */

static void print_bytes(const char *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (data[i] == '\n')
            (void)fputc(' ', stderr);
        else if (data[i] != '\r')
            (void)fputc(data[i], stderr);
}

void model_print(const struct model_history *histories)
{
    char wire[MODEL_WIRE];

    for (unsigned i = 0; i < MODEL_HISTORIES; i++) {
        for (unsigned k = 0; k < histories[i].count; k++) {
            const struct model_op *op = &histories[i].ops[k];

            (void)fprintf(stderr, "  client %u, %u (%lld ms) to %u (%lld ms): ", i, op->asked,
                          (long long)op->asked_ms, op->answered, (long long)op->answered_ms);
            if (op->form == MODEL_END)
                (void)fprintf(stderr, "end");
            else
                print_bytes(wire, model_wire(op, true, wire));
            (void)fprintf(stderr, "-> ");
            print_bytes(op->reply, op->size);
            (void)fprintf(stderr, "\n");
        }
    }
}
