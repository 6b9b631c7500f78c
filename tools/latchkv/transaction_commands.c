/* SPDX-License-Identifier: MIT */
/* MULTI, EXEC, DISCARD, WATCH, UNWATCH.  EXEC holds the locks of all shards that its commands and
 * its watched keys lie in, from the look at the watches to the end of the last command: so it is
 * one step for everybody else. */
#include "latchkv/commands.h"
#include "latchkv/server.h"

void kv_run_multi(struct kv_client *client)
{
    if (client->transaction.open) {
        kv_reply_error(&client->reply, "ERR MULTI calls can not be nested");
        return;
    }
    client->transaction.open = true;
    kv_reply_ok(&client->reply);
}

void kv_run_discard(struct kv_client *client)
{
    if (!client->transaction.open) {
        kv_reply_error(&client->reply, "ERR DISCARD without MULTI");
        return;
    }
    kv_transaction_end(client);
    kv_reply_ok(&client->reply);
}

void kv_run_watch(struct kv_client *client)
{
    if (client->transaction.open) {
        kv_reply_error(&client->reply, "ERR WATCH inside MULTI is not allowed");
        return;
    }
    for (unsigned i = 1; i < client->argc; i++) {
        if (!kv_transaction_watch(client, &client->argv[i])) {
            kv_reply_error(&client->reply, kv_error_nomem);
            return;
        }
    }
    kv_reply_ok(&client->reply);
}

/* In a transaction it finds nothing to do: EXEC has dropped the watches. */
void kv_run_unwatch(struct kv_client *client)
{
    kv_shards shards = kv_transaction_watched(client);

    kv_store_lock_always(&client->server->store, shards);
    kv_transaction_unwatch(client);
    kv_store_unlock(&client->server->store, shards);
    kv_reply_ok(&client->reply);
}

static void run_queue(struct kv_client *client)
{
    kv_reply_array(&client->reply, client->transaction.count);
    for (struct kv_queued *queued = client->transaction.first; queued; queued = queued->next) {
        client->command = queued->command;
        client->argc = queued->argc;
        client->argv = queued->argv;
        queued->command->run(client);
    }
}

void kv_run_exec(struct kv_client *client)
{
    struct kv_transaction *transaction = &client->transaction;
    struct kv_store *store = &client->server->store;
    const char *error = NULL;

    if (!transaction->open)
        error = "ERR EXEC without MULTI";
    else if (transaction->refused)
        error = "EXECABORT Transaction discarded because of previous errors.";
    else if (transaction->flags & KV_DENYOOM && kv_memory_exceeded(client))
        error =
            "EXECABORT Transaction discarded because of: OOM command not allowed when used "
            "memory > 'maxmemory'.";
    if (error != NULL) {
        if (transaction->open)
            kv_transaction_end(client);
        kv_reply_error(&client->reply, error);
        return;
    }
    kv_shards shards = kv_transaction_watched(client);
    for (struct kv_queued *queued = transaction->first; queued != NULL; queued = queued->next)
        shards |= kv_command_shards(queued->command, store, queued->argv, queued->argc);
    if (kv_store_lock(store, shards) < 0) {
        kv_client_told_to_end(client);
        return;
    }
    client->locked = shards;
    bool changed = kv_transaction_changed(client);
    kv_transaction_unwatch(client);
    if (changed)
        kv_reply_null_array(&client->reply);
    else
        run_queue(client);
    client->locked = 0;
    kv_store_unlock(store, shards);
    kv_transaction_forget(client);
}
