/* SPDX-License-Identifier: MIT */
/* A client: one connection, the state its commands work on, and what others may see of it.
 *
 * A client belongs to its task alone, which makes it, runs its commands and ends it; no lock guards
 * it.  (While that task waits for a key lock, another one reads into its input.)  Others find it in
 * the registry and read its face, which is relaxed atomics: a list of clients is a picture of a
 * moment that never was, as any such list is.  Name and membership are under the registry's lock.
 */
#ifndef LATCHKV_CLIENT_H
#define LATCHKV_CLIENT_H

#include "latchkv/clock.h"
#include "latchkv/keylock.h"
#include "latchkv/parser.h"
#include "latchkv/reply.h"
#include "latchkv/store.h"
#include "latchkv/transaction.h"

#include <latchwork.h>
#include <stdatomic.h>
#include <string.h>

struct kv_server;
struct kv_command;

/* The bytes that came and were not yet dealt with: data[start..end). */
struct kv_input {
    char *data;
    size_t start, end, capacity;
};

struct kv_face {
    _Atomic(const struct kv_command *) command; /* the last one */
    _Atomic(uint64_t) commands;                 /* how many */
    _Atomic(int64_t) active;                    /* when something last came, coarse ms */
    _Atomic(unsigned) database;
    _Atomic(int) queued; /* commands in its transaction, -1: none is open */
    _Atomic(int) protocol;
    _Atomic(bool) waiting; /* for a key lock */
    _Atomic(uint64_t) task;
    _Atomic(size_t) input_size, input_room, reply_room;
};

struct kv_client {
    struct kv_server *server;
    int fd;
    bool closing; /* after the replies so far */
    bool hostile; /* it broke the protocol */
    bool cut;     /* a reply was sent in part: nothing may follow it */
    uint64_t id;
    lw_task task;

    /* the command that runs */
    const struct kv_command *command;
    unsigned argc;
    struct kv_arg *argv;
    struct kv_clock clock;
    kv_shards locked;       /* held for it */
    struct kv_trash *trash; /* freed behind it... */
    bool trash_later;       /* ... by a task of its own */

    unsigned database;
    struct kv_reply reply;
    struct kv_transaction transaction;
    struct kv_keylock *held; /* its key locks */
    uint64_t held_count;     /* of them */

    struct kv_input input;
    struct kv_parser parser;
    lw_rate_limit limit; /* of its commands, if there is a rate */

    struct kv_face face;
    int64_t born;                      /* coarse ms */
    char *name;                        /* or NULL */
    struct kv_client *next, *previous; /* in the registry, by id */
};

/* Milliseconds of a coarse monotonic clock: for ages. */
int64_t kv_coarse_ms(void);

/* NULL: memory is out. */
struct kv_client *kv_client_new(struct kv_server *server, int fd);

/* Everything of it is released, its locks too; the descriptor stays the caller's. */
void kv_client_free(struct kv_client *client);

/* Release the key locks it holds; no lock of the store is held. */
void kv_client_unlock(struct kv_client *client);

/* Read what comes, behind what is there; it moves the bytes of the request before, whose arguments
 * are gone.  0, or why it cannot go on. */
LW_MUST_CHECK int kv_client_receive(struct kv_client *client, lw_nsec deadline);

/* Send all replies so far; waits as long as the client may be idle.  0, or why it cannot go on: it
 * is closing then, and what could not be sent is dropped with all that follows. */
LW_MUST_CHECK int kv_client_flush(struct kv_client *client);

/* Tell the log if it was we who found it too much. */
void kv_client_log_end(const struct kv_client *client, int err);

/* A wait of its task was cancelled, in the middle of a command: it is told to end.  The cancel is
 * due again, so that the last replies are sent as those are, and do not wait for ever. */
void kv_client_told_to_end(struct kv_client *client);

/* Name it (empty: not at all).  False: it keeps its name, and the reply says why. */
bool kv_client_rename(struct kv_client *client, const struct kv_arg *name);

/* Let others see how it is now. */
void kv_client_publish(struct kv_client *client);

/* What it has of its database for this key. */
static inline struct kv_space *kv_client_space(const struct kv_client *client,
                                               struct kv_store *store, const struct kv_arg *key)
{
    return kv_store_space(store, client->database, key->hash);
}

#endif
