/* SPDX-License-Identifier: MIT */
/* LOCK, UNLOCK, LOCKS, DEADLOCKS: the commands that Redis does not have.
 *
 * LOCK comes here with the lock of the key's shard held, tries the key's mutex, and only when it is
 * taken gives the shard back and waits.  While it waits somebody must notice when the client goes
 * away: a second task reads the connection for that, and cancels the wait.  What it reads are
 * requests for later; a client that sends more than fits its limit is closed, as one that sends
 * too long a request. */
#include "latchkv/commands.h"
#include "latchkv/deadlocks.h"
#include "latchkv/memory.h"
#include "latchkv/number.h"
#include "latchkv/server.h"

#include <errno.h>
#include <string.h>

struct watcher {
    struct kv_client *client;
    int err; /* why the client cannot go on, or 0 */
};

/* Read what the client sends meanwhile, as much as a request may have: the end of the connection is
 * behind it.  Ends when that comes, and then ends the wait; or when it is cancelled. */
static int watch_connection(void *arg)
{
    struct watcher *watcher = arg;
    int err = 0;

    while (err == 0)
        err = kv_client_receive(watcher->client, LW_FOREVER);
    if (err == -ECANCELED)
        return err;
    watcher->err = err;
    lw_cancel(watcher->client->task);
    return 0;
}

/* Wait for the mutex; no lock of the store is held, and the arguments of the request are gone when
 * it comes back, since the watcher has the client's input until then.  What lw_mutex_acquire()
 * returns; a client that is gone is closing, even when it has the mutex: its later commands do not
 * run. */
static int wait_for(struct kv_client *client, lw_mutex *mutex, lw_nsec deadline)
{
    struct watcher watcher = {client, 0};
    lw_task_options options = {.name = "lock watcher"};
    lw_group group = LW_GROUP_INIT(LW_GROUP_CANCEL_AT_END);
    int scope, err = -ENOMEM;

    kv_parser_reset(&client->parser);
    client->argc = 0;
    atomic_store_explicit(&client->face.waiting, true, memory_order_relaxed);
    LW_SCOPE(&group.scope, LW_FOREVER, scope) {
        scope = lw_group_spawn(&group, watch_connection, &watcher, &options);
        if (scope == 0)
            err = lw_mutex_acquire(mutex, deadline);
    }
    atomic_store_explicit(&client->face.waiting, false, memory_order_relaxed);
    client->closing |= watcher.err < 0;
    kv_client_log_end(client, watcher.err);
    return err;
}

/* The key lock is taken by somebody: what is before the LOCK in the pipeline goes out, then it
 * waits.  Comes back with the shard's lock held again.  0, or what lw_mutex_acquire() or the spawn
 * of the watcher says; -ECANCELED: the client is closing. */
static int wait_outside(struct kv_client *client, struct kv_keylock *lock, lw_nsec deadline)
{
    struct kv_store *store = &client->server->store;
    kv_shards shards = client->locked;

    kv_store_unlock(store, shards);
    int err = -ECANCELED; /* why the replies did not go out is no answer to LOCK */
    if (kv_client_flush(client) == 0)
        err = wait_for(client, &lock->mutex, deadline);
    kv_store_lock_always(store, shards);
    return err;
}

/* It gave way: for whom. */
static void reply_deadlock(struct kv_client *client)
{
    struct kv_deadlock deadlock;
    char text[1024]; /* for as many members as there are, with their keys */

    if (!kv_deadlocks_mine(&deadlock)) {
        kv_reply_error(&client->reply, "DEADLOCK this lock cannot be had while the client holds "
                                       "what it holds: UNLOCK, then try again");
        return;
    }
    if (kv_deadlock_name(&deadlock, &client->server->clients) < 0)
        kv_client_told_to_end(client);
    kv_deadlock_tell(&deadlock, text, sizeof text);
    kv_reply_errorf(&client->reply, "DEADLOCK %s: UNLOCK, then try again", text);
}

static void reply_failure(struct kv_client *client, int err)
{
    switch (err) {
    case -ETIMEDOUT:
        kv_reply_null(&client->reply);
        break;
    case -EDEADLK:
        reply_deadlock(client);
        break;
    case -ENOMEM:
        kv_reply_error(&client->reply, kv_error_nomem);
        break;
    default: /* told to stop, or the client is gone */
        kv_client_told_to_end(client);
        break;
    }
}

/* LW_FOREVER, LW_NOW for 0, or a moment; false: the reply says what is wrong. */
static bool read_deadline(struct kv_client *client, lw_nsec *deadline)
{
    int64_t ms;

    *deadline = LW_FOREVER;
    if (client->argc > 3) {
        kv_reply_error(&client->reply, kv_error_syntax);
        return false;
    }
    if (client->argc == 3) {
        if (!kv_parse_int(client->argv[2].data, client->argv[2].size, &ms)) {
            kv_reply_error(&client->reply, "ERR timeout is not an integer or out of range");
            return false;
        }
        if (ms < 0) {
            kv_reply_error(&client->reply, "ERR timeout is negative");
            return false;
        }
        *deadline = ms == 0 ? LW_NOW : ms > INT64_MAX / LW_MS ? LW_FOREVER : lw_in(ms * LW_MS);
    }
    if (client->transaction.open) /* EXEC waits for nothing */
        *deadline = LW_NOW;
    return true;
}

void kv_run_lock(struct kv_client *client)
{
    const struct kv_arg *key = &client->argv[1];
    struct kv_space *space = kv_client_space(client, &client->server->store, key);
    struct kv_keylock *lock = kv_keylock_find(space, key);
    lw_nsec deadline;

    if (!read_deadline(client, &deadline))
        return;
    if (lock != NULL && lock->owner == client->id) {
        kv_reply_error(&client->reply, "ERR this client holds the lock already");
        return;
    }
    if (client->held_count >= client->server->config.maxlocks) {
        kv_reply_error(&client->reply, "ERR max number of locks per client reached");
        return;
    }
    lock = kv_keylock_use(space, key, client->database);
    if (lock == NULL) {
        kv_reply_error(&client->reply, kv_error_nomem);
        return;
    }
    int err = lw_mutex_acquire(&lock->mutex, LW_NOW);
    if (err == -ETIMEDOUT && deadline != LW_NOW)
        err = wait_outside(client, lock, deadline);
    if (err == 0) {
        kv_keylock_own(lock, client->id, &client->held);
        client->held_count++;
        kv_reply_ok(&client->reply);
        return;
    }
    kv_keylock_leave(space, lock);
    reply_failure(client, err);
}

void kv_run_unlock(struct kv_client *client)
{
    const struct kv_arg *key = &client->argv[1];
    struct kv_space *space = kv_client_space(client, &client->server->store, key);
    struct kv_keylock *lock = kv_keylock_find(space, key);

    if (lock == NULL || lock->owner != client->id) {
        kv_reply_error(&client->reply, "ERR this client does not hold the lock");
        return;
    }
    kv_keylock_release(space, lock);
    client->held_count--;
    kv_reply_ok(&client->reply);
}

struct listing {
    struct kv_reply *reply;
    size_t count;
};

static bool show_lock(struct kv_node *node, void *arg)
{
    struct kv_keylock *lock = (struct kv_keylock *)node;
    struct listing *listing = arg;
    struct kv_reply *reply = listing->reply;

    if (lock->owner == 0) /* on its way from one to the next */
        return false;
    kv_reply_map(reply, 5);
    kv_reply_text(reply, "key");
    kv_reply_bulk(reply, lock->key, lock->node.key_size);
    kv_reply_text(reply, "db");
    kv_reply_int(reply, lock->database);
    kv_reply_text(reply, "owner");
    kv_reply_int(reply, (int64_t)lock->owner);
    kv_reply_text(reply, "held-ms");
    kv_reply_int(reply, kv_coarse_ms() - lock->since);
    kv_reply_text(reply, "waiters");
    kv_reply_int(reply, lock->users - 1);
    listing->count++;
    return false;
}

void kv_run_locks(struct kv_client *client)
{
    struct kv_store *store = &client->server->store;
    struct listing listing = {&client->reply, 0};
    size_t opened = kv_reply_gap_open(&client->reply);

    for (unsigned i = 0; i < KV_SHARDS; i++)
        for (unsigned database = 0; database < store->databases; database++)
            kv_table_each(&store->shards[i].spaces[database].locks, show_lock, &listing);
    kv_reply_array_close(&client->reply, opened, listing.count);
}

static void show_member(struct kv_reply *reply, const struct kv_deadlock_member *member)
{
    kv_reply_map(reply, 4);
    kv_reply_text(reply, "client");
    kv_reply_int(reply, (int64_t)member->client);
    kv_reply_text(reply, "waits-for");
    kv_reply_text(reply, member->waits_for);
    kv_reply_text(reply, "waited-ms");
    kv_reply_int(reply, member->waited_ms);
    kv_reply_text(reply, "holds");
    kv_reply_int(reply, (int64_t)member->holds);
}

static void show_deadlock(struct kv_reply *reply, const struct kv_deadlock *deadlock)
{
    kv_reply_map(reply, 6);
    kv_reply_text(reply, "number");
    kv_reply_int(reply, (int64_t)deadlock->number);
    kv_reply_text(reply, "at-ms");
    kv_reply_int(reply, deadlock->at_ms);
    kv_reply_text(reply, "verdict");
    kv_reply_text(reply, lw_verdict_name(deadlock->verdict));
    kv_reply_text(reply, "clients");
    kv_reply_int(reply, (int64_t)deadlock->members_in_all);
    kv_reply_text(reply, "gave-way");
    if (deadlock->broken)
        kv_reply_int(reply, (int64_t)deadlock->members[0].client);
    else
        kv_reply_null(reply);
    kv_reply_text(reply, "members");
    kv_reply_array(reply, deadlock->member_count);
    for (size_t i = 0; i < deadlock->member_count; i++)
        show_member(reply, &deadlock->members[i]);
}

void kv_run_deadlocks(struct kv_client *client)
{
    enum { USUALLY = 10 };
    struct kv_deadlock *last = kv_alloc(KV_DEADLOCKS_KEPT * sizeof *last);
    int64_t max = USUALLY;
    size_t count;

    if (client->argc > 2 ||
        (client->argc == 2 &&
         (!kv_parse_int(client->argv[1].data, client->argv[1].size, &max) || max < 0)))
        kv_reply_error(&client->reply, client->argc > 2 ? kv_error_syntax
                                                        : "ERR count is not a number, or negative");
    else if (last == NULL)
        kv_reply_error(&client->reply, kv_error_nomem);
    else {
        count = kv_deadlocks_last(last, (size_t)max);
        kv_reply_array(&client->reply, count);
        for (size_t i = 0; i < count; i++) {
            if (kv_deadlock_name(&last[i], &client->server->clients) < 0)
                kv_client_told_to_end(client);
            show_deadlock(&client->reply, &last[i]);
        }
    }
    kv_free(last, last != NULL ? KV_DEADLOCKS_KEPT * sizeof *last : 0);
}
