/* SPDX-License-Identifier: MIT */
/* What latchkv is to answer: a small model of it, and a check of what clients saw.
 *
 * A history is what one client asked for, when, and what it was answered.  Histories are right if
 * all operations can be put in one order that is the clients' own, agrees with time (who was
 * answered before another was asked comes first) and gives those answers when the model does them
 * one by one: linearizability (Herlihy and Wing, TOPLAS 1990).  The state is the whole store, since
 * some operations are of many keys. */
#ifndef LW_TESTS_SIM_LATCHKV_MODEL_H
#define LW_TESTS_SIM_LATCHKV_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MODEL_KEYS = 3, /* "a", "b", "c" */
    MODEL_CLIENTS = 4,
    MODEL_HISTORIES = MODEL_CLIENTS + 1, /* and one who looks at the end */
    MODEL_OPS = 12,                      /* of a client, its end included */
    MODEL_QUEUE = 3,                     /* commands of a transaction */
    MODEL_VALUE = 32,
    MODEL_REPLY = 192,
    MODEL_WIRE = 320, /* bytes of one operation's requests */
};

enum model_verb {
    MODEL_GET,
    MODEL_SET,
    MODEL_INCR,
    MODEL_APPEND,
    MODEL_DEL,
    MODEL_GETSET,
    MODEL_SETNX,
    MODEL_SETPX,
    MODEL_PEXPIRE,
    MODEL_PERSIST,
    MODEL_MSET, /* of this key and the next */
    MODEL_MGET, /* of all */
    MODEL_QUEUED_VERBS,
    MODEL_PTTL = MODEL_QUEUED_VERBS, /* those are not put into transactions */
    MODEL_PING,
    MODEL_WATCH,
    MODEL_UNWATCH,
    MODEL_LOCK,
    MODEL_UNLOCK,
    MODEL_VERBS,
};

struct model_command {
    enum model_verb verb;
    unsigned key;
    char text[8];
    int ms; /* LOCK: its timeout, negative: none */
};

enum model_form {
    MODEL_PLAIN,
    MODEL_EXEC,    /* MULTI, the commands, EXEC */
    MODEL_DISCARD, /* MULTI, the commands, DISCARD */
    MODEL_END,     /* the client is gone; the last of each history */
};

struct model_op {
    enum model_form form;
    unsigned count; /* of commands */
    struct model_command commands[MODEL_QUEUE];
    const char *prefix;            /* END with a reply: how that begins */
    unsigned replies;              /* that it is to get */
    unsigned asked, answered;      /* stamps; answered 0: never */
    int64_t asked_ms, answered_ms; /* the latter of one without an answer: when all was over */
    size_t size;                   /* of the reply */
    char reply[MODEL_REPLY];
};

struct model_history {
    unsigned count;
    struct model_op ops[MODEL_OPS];
};

/* The bytes that ask for it: their number.  `plainly`: as lines of words, where it can be. */
size_t model_wire(const struct model_op *op, bool plainly, char *wire);

enum model_verdict { MODEL_RIGHT, MODEL_WRONG, MODEL_UNKNOWN /* it took too long */ };

/* MODEL_HISTORIES histories; one without operations is of nobody. */
enum model_verdict model_check(const struct model_history *histories);

/* On the standard error. */
void model_print(const struct model_history *histories);

#endif
