/* SPDX-License-Identifier: MIT */
/* The server's functions that a test can break, and the call of the system that the simulation
 * library does not stand in for; put in place by the linker's --wrap. */
#include <latchwork/sim.h>
#include <string.h>
#include <sys/random.h>

#include "latchkv/command.h"
#include "latchkv/commands.h"
#include "latchkv/expiry.h"
#include "latchkv/log.h"
#include "latchkv/number.h"
#include "latchkv/server.h"
#include "runtime/sim/engine.h"
#include "tests/sim/latchkv_visit.h"

enum planted planted;

static char stale[64];
static size_t stale_size;

void planted_start(void)
{
    stale_size = 0;
}

/* ---- the system */

ssize_t __wrap_getrandom(void *buffer, size_t size, unsigned flags);

/* Which keys share a shard is the schedule's choice, too. */
ssize_t __wrap_getrandom(void *buffer, size_t size, unsigned flags)
{
    (void)flags;
    memset(buffer, (int)sim_choose(256), size);
    return (ssize_t)size;
}

/* In the place of latchkv's own, which is not linked. */
void kv_log(const char *format, ...)
{
    (void)format;
}

/* ---- commands */

kv_run __real_kv_run_get, __real_kv_run_incr, __real_kv_run_mset, __real_kv_run_lock;
kv_run __real_kv_run_psetex;
kv_run __wrap_kv_run_get, __wrap_kv_run_incr, __wrap_kv_run_mset, __wrap_kv_run_lock;
kv_run __wrap_kv_run_psetex;
bool __real_kv_transaction_changed(struct kv_client *client);
bool __wrap_kv_transaction_changed(struct kv_client *client);

/* Others come in. */
static void open_the_door(struct kv_client *client)
{
    kv_store_unlock(&client->server->store, client->locked);
    lw_sim_point();
    kv_store_lock_always(&client->server->store, client->locked);
}

void __wrap_kv_run_get(struct kv_client *client)
{
    size_t mark = client->reply.size;

    __real_kv_run_get(client);
    if (planted != PLANTED_STALE_GET || client->reply.size - mark > sizeof stale)
        return;
    if (stale_size != 0) {
        kv_reply_rewind(&client->reply, mark);
        kv_reply_raw(&client->reply, stale, stale_size);
    } else {
        stale_size = client->reply.size - mark;
        memcpy(stale, client->reply.data + mark, stale_size);
    }
}

void __wrap_kv_run_incr(struct kv_client *client)
{
    const struct kv_arg *key = &client->argv[1];
    struct kv_space *space = kv_client_space(client, &client->server->store, key);
    int64_t number = 0;

    if (planted == PLANTED_TORN_INCR) {
        struct kv_entry *entry = kv_entry_of(*kv_space_at(space, key, &client->clock));

        if (entry == NULL || kv_parse_int(kv_entry_value(entry), entry->value_size, &number)) {
            char text[KV_NUMBER_MAX];
            size_t size = kv_format_int(text, number + 1);

            open_the_door(client);
            (void)kv_space_put(space, kv_space_at(space, key, &client->clock), key, text, size);
            kv_reply_int(&client->reply, number + 1);
            return;
        }
    }
    __real_kv_run_incr(client);
}

void __wrap_kv_run_mset(struct kv_client *client)
{
    struct kv_arg *argv = client->argv;
    unsigned argc = client->argc;
    size_t mark = client->reply.size;

    if (planted != PLANTED_TORN_MSET || argc != 5) {
        __real_kv_run_mset(client);
        return;
    }
    client->argc = 3;
    __real_kv_run_mset(client);
    kv_reply_rewind(&client->reply, mark);
    open_the_door(client);
    client->argv += 2;
    __real_kv_run_mset(client);
    client->argv = argv;
    client->argc = argc;
}

void __wrap_kv_run_lock(struct kv_client *client)
{
    const struct kv_arg *key = &client->argv[1];
    struct kv_space *space = kv_client_space(client, &client->server->store, key);
    const struct kv_keylock *lock = kv_keylock_find(space, key);

    if (planted == PLANTED_DOUBLE_LOCK && lock != NULL && lock->owner != client->id)
        kv_reply_ok(&client->reply);
    else
        __real_kv_run_lock(client);
}

void __wrap_kv_run_psetex(struct kv_client *client)
{
    if (planted == PLANTED_LATE_EXPIRY) {
        struct kv_arg *argv = client->argv;
        struct kv_arg plain[3] = {argv[0], argv[1], argv[3]};

        client->argv = plain;
        client->argc = 3;
        kv_run_set(client);
        client->argv = argv;
        client->argc = 4;
        return;
    }
    __real_kv_run_psetex(client);
}

bool __wrap_kv_transaction_changed(struct kv_client *client)
{
    bool changed = __real_kv_transaction_changed(client);

    return planted == PLANTED_BLIND_EXEC ? false : changed;
}
