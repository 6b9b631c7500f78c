/* SPDX-License-Identifier: MIT */
/* MULTI ... EXEC: the commands a client queued, and the keys it watches. */
#ifndef LATCHKV_TRANSACTION_H
#define LATCHKV_TRANSACTION_H

#include "latchkv/parser.h"
#include "latchkv/table.h"

struct kv_client;
struct kv_command;
struct kv_watch;

/* A command to be run by EXEC, with a copy of its arguments, all in one block. */
struct kv_queued {
    struct kv_queued *next;
    const struct kv_command *command;
    size_t bytes; /* of the block */
    unsigned argc;
    struct kv_arg argv[];
};

/* A key that is watched, and how it was then.  It lies in a table of the client's by its watch,
 * which stands for key and database: so it is found again however many there are. */
struct kv_watching {
    struct kv_node node; /* its key is the pointer `watch` */
    struct kv_watch *watch;
    uint64_t hash, version;
    unsigned database;
};

struct kv_transaction {
    bool open;
    bool refused;   /* a command could not be queued: EXEC refuses as well */
    uint32_t flags; /* of all queued commands */
    unsigned count; /* of queued commands */
    size_t bytes;   /* of them */
    struct kv_queued *first, *last;
    struct kv_table *watching; /* NULL: nothing */
    uint64_t watched;          /* the shards of the keys in it */
};

/* Queue the client's command.  False: memory is out, or the transaction is too long. */
bool kv_transaction_queue(struct kv_client *client);

/* Watch a key of the client's database, whose shard is locked; once is enough.  False: memory is
 * out. */
bool kv_transaction_watch(struct kv_client *client, const struct kv_arg *key);

/* Forget queue and watches; takes the locks it needs. */
void kv_transaction_end(struct kv_client *client);

/* The parts of it that EXEC puts together.  The shards of the keys that are watched; with these
 * locked: has one of the keys changed since?  and: watch none any more; then: forget the queue. */
uint64_t kv_transaction_watched(const struct kv_client *client);
bool kv_transaction_changed(struct kv_client *client);
void kv_transaction_unwatch(struct kv_client *client);
void kv_transaction_forget(struct kv_client *client);

#endif
