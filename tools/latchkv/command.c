/* SPDX-License-Identifier: MIT */
/* Names are found in a small open table, built once from the rows: the names are known and few, so
 * it is half empty and a look at one slot is nearly always enough. */
#include "latchkv/command.h"

#include "latchkv/memory.h"
#include "latchkv/number.h"
#include "latchkv/server.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 256, NAME_MAX_SIZE = 16 };

static const struct kv_command *slots[SLOTS];

const char kv_error_syntax[] = "ERR syntax error";
const char kv_error_int[] = "ERR value is not an integer or out of range";
const char kv_error_nomem[] = "OOM command not allowed when used memory > 'maxmemory'.";

static unsigned slot_of(const char *name, size_t size)
{
    unsigned hash = (unsigned)size;

    for (size_t i = 0; i < size; i++)
        hash = hash * 33 + ((unsigned char)name[i] | 0x20); /* letters in either case */
    return (hash ^ hash >> 8) % SLOTS;
}

void kv_commands_start(void)
{
    for (const struct kv_command *command = kv_commands; command->name != NULL; command++) {
        unsigned slot = slot_of(command->name, strlen(command->name));

        while (slots[slot] != NULL && slots[slot] != command)
            slot = (slot + 1) % SLOTS;
        slots[slot] = command;
    }
}

static const struct kv_command *find_sub(const struct kv_command *container,
                                         const struct kv_arg *name)
{
    size_t skip = strlen(container->name) + 1;

    for (const struct kv_command *sub = container->subcommands; sub->name != NULL; sub++)
        if (kv_arg_is(name, sub->name + skip))
            return sub;
    return NULL;
}

const struct kv_command *kv_command_find(const struct kv_arg *argv, unsigned argc,
                                         const struct kv_command **container)
{
    *container = NULL;
    if (argv[0].size > NAME_MAX_SIZE)
        return NULL;
    unsigned slot = slot_of(argv[0].data, argv[0].size);

    while (slots[slot] != NULL && !kv_arg_is(&argv[0], slots[slot]->name))
        slot = (slot + 1) % SLOTS;
    const struct kv_command *command = slots[slot];
    if (command == NULL || command->subcommands == NULL || argc < 2)
        return command;
    *container = command;
    return find_sub(command, &argv[1]);
}

bool kv_command_accepts(const struct kv_command *command, unsigned argc)
{
    return command->arity >= 0 ? argc == (unsigned)command->arity
                               : argc >= (unsigned)-command->arity;
}

kv_shards kv_command_shards(const struct kv_command *command, struct kv_store *store,
                            struct kv_arg *argv, unsigned argc)
{
    kv_shards shards = command->flags & KV_ALL_KEYS ? KV_SHARDS_ALL : 0;
    struct kv_key_range keys = kv_command_keys(command, argc);

    for (unsigned i = keys.first; i <= keys.last && i < argc; i += keys.step) {
        argv[i].hash = kv_hash(&store->seed, argv[i].data, argv[i].size);
        shards |= kv_shards_of(argv[i].hash);
    }
    return shards;
}

bool kv_memory_exceeded(const struct kv_client *client)
{
    uint64_t most = client->server->config.maxmemory;

    return most != 0 && kv_memory_used() > most;
}

bool kv_arg_int(struct kv_client *client, unsigned index, int64_t *number)
{
    if (kv_parse_int(client->argv[index].data, client->argv[index].size, number))
        return true;
    kv_reply_error(&client->reply, kv_error_int);
    return false;
}

void kv_reply_arity(struct kv_client *client)
{
    bool ends = client->command->flags & KV_ENDS_MULTI;

    kv_reply_errorf(&client->reply, "%s wrong number of arguments for '%s' command",
                    ends ? "EXECABORT Transaction discarded because of:" : "ERR",
                    client->command->name);
}

void kv_reply_help(struct kv_client *client, const char *const *lines)
{
    static const char *const common[] = {"HELP", "    Prints this help."};
    const char *container = client->command->name;
    char first[128], name[NAME_MAX_SIZE + 1];
    size_t count = 0, size = strcspn(container, "|");

    for (size_t i = 0; i < size && i < NAME_MAX_SIZE; i++)
        name[i] = (char)toupper((unsigned char)container[i]);
    name[size] = '\0';
    snprintf(first, sizeof first,
             "%s <subcommand> [<arg> [value] [opt] ...]. Subcommands are:", name);
    while (lines[count] != NULL)
        count++;
    kv_reply_array(&client->reply, count + 3);
    kv_reply_status(&client->reply, first);
    for (size_t i = 0; i < count; i++)
        kv_reply_status(&client->reply, lines[i]);
    kv_reply_status(&client->reply, common[0]);
    kv_reply_status(&client->reply, common[1]);
}

static void refuse_unknown(struct kv_client *client, const struct kv_command *container)
{
    enum { SHOWN = 128 }; /* bytes of the name, and of the arguments */
    char shown[2 * SHOWN + 8] = "";
    size_t size = 0;

    if (container != NULL) {
        char name[NAME_MAX_SIZE + 1] = "";

        for (size_t i = 0; container->name[i] != '\0' && i < NAME_MAX_SIZE; i++)
            name[i] = (char)toupper((unsigned char)container->name[i]);
        kv_reply_errorf(&client->reply, "ERR unknown subcommand '%.*s'. Try %s HELP.",
                        client->argv[1].size < SHOWN ? (int)client->argv[1].size : SHOWN,
                        client->argv[1].data, name);
        return;
    }
    for (unsigned i = 1; i < client->argc && size < SHOWN; i++) {
        size_t most = SHOWN - size;

        size += (size_t)snprintf(shown + size, sizeof shown - size, "'%.*s' ",
                                 (int)(client->argv[i].size < most ? client->argv[i].size : most),
                                 client->argv[i].data);
    }
    kv_reply_errorf(&client->reply, "ERR unknown command '%.*s', with args beginning with: %s",
                    (int)(client->argv[0].size < SHOWN ? client->argv[0].size : SHOWN),
                    client->argv[0].data, shown);
}

/* Does anything speak against the command?  Then the reply says so. */
static bool refused(struct kv_client *client, const struct kv_command *container)
{
    const struct kv_command *command = client->command;

    if (command == NULL) {
        refuse_unknown(client, container);
        return true;
    }
    if (!kv_command_accepts(command, client->argc)) {
        kv_reply_arity(client);
        return true;
    }
    if (client->transaction.open && command->flags & KV_NO_MULTI) {
        kv_reply_error(&client->reply, "ERR Command not allowed inside a transaction");
        return true;
    }
    if (command->flags & KV_DENYOOM && kv_memory_exceeded(client)) {
        kv_reply_error(&client->reply, kv_error_nomem);
        return true;
    }
    return false;
}

static void empty_trash(struct kv_client *client)
{
    static const lw_task_options options = {.name = "trash"};
    struct kv_server *server = client->server;
    int err;

    if (client->trash_later) {
        kv_trash_leave(&server->store, &client->trash);
        err = lw_group_spawn(&server->tasks, kv_trash_run, &server->store, &options);
        if (err < 0) /* as if it were not ASYNC */
            err = kv_trash_run(&server->store);
    } else {
        err = kv_trash_empty(&server->store, &client->trash);
    }
    if (err < 0)
        lw_cancel(client->task); /* it was said to us there: it is due again at our next wait */
}

static void run(struct kv_client *client)
{
    struct kv_store *store = &client->server->store;
    kv_shards shards = kv_command_shards(client->command, store, client->argv, client->argc);

    if (kv_store_lock(store, shards) < 0) {
        kv_client_told_to_end(client); /* the command did not happen */
        return;
    }
    client->locked = shards;
    client->command->run(client);
    client->locked = 0;
    kv_store_unlock(store, shards);
    if (client->trash != NULL)
        empty_trash(client);
}

void kv_command_execute(struct kv_client *client)
{
    const struct kv_command *container;

    client->command = kv_command_find(client->argv, client->argc, &container);
    client->clock.ms = 0;
    if (refused(client, container)) {
        client->transaction.refused |= client->transaction.open;
        if (client->command != NULL && client->command->flags & KV_ENDS_MULTI)
            kv_transaction_end(client);
        return;
    }
    if (!client->transaction.open || client->command->flags & KV_AT_ONCE) {
        run(client);
    } else if (kv_transaction_queue(client)) {
        kv_reply_status(&client->reply, "QUEUED");
    } else {
        kv_reply_error(&client->reply, kv_error_nomem);
        client->transaction.refused = true;
    }
}
