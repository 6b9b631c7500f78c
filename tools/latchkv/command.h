/* SPDX-License-Identifier: MIT */
/* The commands: one row each, which says how it is called, what it locks, and what COMMAND tells
 * about it; and the way from a request to its function. */
#ifndef LATCHKV_COMMAND_H
#define LATCHKV_COMMAND_H

#include "latchkv/client.h"

/* As COMMAND INFO shows them, in this order... */
enum kv_flags {
    KV_WRITE = 1u << 0,
    KV_READONLY = 1u << 1,
    KV_DENYOOM = 1u << 2, /* refused above maxmemory */
    KV_ADMIN = 1u << 3,
    KV_NOSCRIPT = 1u << 4,
    KV_BLOCKING = 1u << 5,
    KV_LOADING = 1u << 6,
    KV_STALE = 1u << 7,
    KV_SKIP_SLOWLOG = 1u << 8,
    KV_FAST = 1u << 9,
    KV_NO_AUTH = 1u << 10,
    KV_ALLOW_BUSY = 1u << 11,
    /* ... and what only this server looks at: */
    KV_SHOWN = (1u << 12) - 1,
    KV_AT_ONCE = 1u << 12,    /* runs, is not queued, in a transaction */
    KV_ALL_KEYS = 1u << 13,   /* locks every shard */
    KV_NO_MULTI = 1u << 14,   /* refused in a transaction */
    KV_UNLISTED = 1u << 15,   /* COMMAND does not know it */
    KV_ENDS_MULTI = 1u << 16, /* the transaction is over, even when it is refused */
};

enum kv_categories {
    KV_KEYSPACE = 1u << 0,
    KV_READS = 1u << 1,
    KV_WRITES = 1u << 2,
    KV_STRING = 1u << 3,
    KV_ADMINS = 1u << 4,
    KV_FASTS = 1u << 5,
    KV_SLOWS = 1u << 6,
    KV_BLOCKS = 1u << 7,
    KV_DANGEROUS = 1u << 8,
    KV_CONNECTION = 1u << 9,
    KV_TRANSACTION = 1u << 10,
};

typedef void kv_run(struct kv_client *client);

struct kv_command {
    const char *name; /* "get"; of a subcommand "client|id" */
    kv_run *run;      /* with the locks of its keys held */
    int arity;        /* with the name; negative: at least so many */
    unsigned flags, categories;
    struct {
        int first, last, step; /* first 0: none; last < 0: from the end */
        const char *access;    /* "RO access" */
    } keys;
    const char *tips;
    const char *group, *since, *complexity, *summary;
    const struct kv_command *subcommands; /* ends with a nameless one */
};

extern const struct kv_command kv_commands[]; /* ends with a nameless one */

/* Before the first request. */
void kv_commands_start(void);

/* What a request names: a command, or its subcommand.  NULL: neither; *container: the command that
 * has no such subcommand, or NULL. */
const struct kv_command *kv_command_find(const struct kv_arg *argv, unsigned argc,
                                         const struct kv_command **container);

/* Does the number of arguments suit? */
bool kv_command_accepts(const struct kv_command *command, unsigned argc);

/* The index range of the keys in such a request: for (i = first; i <= last; i += step). */
struct kv_key_range {
    unsigned first, last, step;
};
static inline struct kv_key_range kv_command_keys(const struct kv_command *command, unsigned argc)
{
    int last = command->keys.last;

    if (command->keys.first == 0)
        return (struct kv_key_range){1, 0, 1};
    return (struct kv_key_range){
        .first = (unsigned)command->keys.first,
        .last = last < 0 ? argc - (unsigned)-last : (unsigned)last,
        .step = (unsigned)command->keys.step,
    };
}

/* The shards of the keys of a request, whose hashes are computed. */
kv_shards kv_command_shards(const struct kv_command *command, struct kv_store *store,
                            struct kv_arg *argv, unsigned argc);

/* Run the request in client->argc, argv: reply, queue it, or refuse it. */
void kv_command_execute(struct kv_client *client);

/* ---- what the functions of commands share ---- */

extern const char kv_error_syntax[], kv_error_int[], kv_error_nomem[];

/* The argument as a number; false: it is none, and the reply says so. */
bool kv_arg_int(struct kv_client *client, unsigned index, int64_t *number);

void kv_reply_arity(struct kv_client *client); /* wrong number of arguments */
void kv_reply_help(struct kv_client *client, const char *const *lines);

/* Is the memory limit exceeded? */
bool kv_memory_exceeded(const struct kv_client *client);

#endif
