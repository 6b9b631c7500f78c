/* SPDX-License-Identifier: MIT */
/* The state of the model, for the search. */
#ifndef LW_TESTS_SIM_LATCHKV_STATE_H
#define LW_TESTS_SIM_LATCHKV_STATE_H

#include "tests/sim/latchkv_model.h"

enum {
    MODEL_NOBODY = -1,
    /* Ways of an operation: bit k: key k had expired; and: a LOCK without answer was in vain. */
    MODEL_IN_VAIN = 1 << MODEL_KEYS,
    MODEL_WAYS = MODEL_IN_VAIN << 1,
};

struct model_key {
    bool there, timed;
    unsigned char size;
    char text[MODEL_VALUE - 1];
    int64_t from, to; /* timed: it expires then */
};

/* Compared byte by byte, so holes in it stay as they were cleared at the beginning. */
struct model_state {
    struct model_key keys[MODEL_KEYS];
    int32_t owners[MODEL_KEYS]; /* of the key locks */
    unsigned char watched[MODEL_HISTORIES], changed[MODEL_HISTORIES];
    /* for the search: */
    unsigned char next[MODEL_HISTORIES]; /* operation */
    unsigned char unanswered;            /* that have happened */
};

/* Do it that way; false: it was not that way. */
bool model_run(struct model_state *state, unsigned client, const struct model_op *op, unsigned way);

/* It was not answered, and whether it happened makes no difference. */
bool model_only_asks(const struct model_op *op);

#endif
