/* SPDX-License-Identifier: MIT */
/* Commands without a connection: atomic over shards and workers; and every allocation of every one
 * of them may fail without harm. */
#include "tests/support.h"

#include "latchkv/command.h"
#include "latchkv/memory.h"
#include "latchkv/number.h"
#include "latchkv/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(commands, .init = watchdog);

static struct kv_server server;

static void start(void)
{
    server = (struct kv_server){.config = {.databases = 4,
                                           .maxclients = 100,
                                           .maxlocks = 3,
                                           .bulk_max = 1 << 20,
                                           .query_max = 1 << 20,
                                           .bind_count = 0}};
    kv_commands_start();
    cr_assert_eq(kv_store_init(&server.store, 4), 0);
}

static struct kv_client *join(void)
{
    struct kv_client *client = kv_client_new(&server, -1);

    cr_assert_not_null(client);
    cr_assert_eq(kv_clients_add(&server.clients, client, 100), 0);
    client->task = lw_self();
    return client;
}

/* Run a line of words; the reply is added to client->reply. */
static void run_line(struct kv_client *client, const char *line)
{
    char copy[512];
    size_t size = (size_t)snprintf(copy, sizeof copy, "%s\n", line);

    if (kv_parser_next(&client->parser, copy, size) == KV_PARSE_REQUEST) {
        client->argv = client->parser.args;
        client->argc = client->parser.argc;
        kv_command_execute(client);
    } else {
        client->reply.broken = true; /* as a connection ends then */
    }
    kv_parser_reset(&client->parser);
}

static void assert_reply(struct kv_client *client, const char *line, const char *wanted)
{
    run_line(client, line);
    cr_assert_eq(client->reply.size, strlen(wanted), "%s: %.*s", line, (int)client->reply.size,
                 client->reply.data);
    cr_assert_arr_eq(client->reply.data, wanted, client->reply.size);
    kv_reply_clear(&client->reply);
}

static int use_each(void *arg)
{
    struct kv_client *client = join(), *other = join();

    (void)arg;
    assert_reply(client, "SET a 1", "+OK\r\n");
    assert_reply(client, "WATCH a b", "+OK\r\n");
    assert_reply(other, "SET b 1", "+OK\r\n");
    assert_reply(client, "MULTI", "+OK\r\n");
    assert_reply(client, "SET a 2", "+QUEUED\r\n");
    assert_reply(client, "EXEC", "*-1\r\n");
    assert_reply(client, "GET a", "$1\r\n1\r\n");
    assert_reply(client, "LOCK k", "+OK\r\n");
    assert_reply(client, "LOCK k", "-ERR this client holds the lock already\r\n");
    assert_reply(other, "UNLOCK k", "-ERR this client does not hold the lock\r\n");
    assert_reply(client, "UNLOCK k", "+OK\r\n");
    assert_reply(client, "UNLOCK k", "-ERR this client does not hold the lock\r\n");
    assert_reply(client, "LOCK k x", "-ERR timeout is not an integer or out of range\r\n");
    assert_reply(client, "LOCK k -1", "-ERR timeout is negative\r\n");
    assert_reply(client, "LOCK k 1 2", "-ERR syntax error\r\n");
    assert_reply(client, "LOCKS", "*0\r\n");
    for (int round = 0; round < 2; round++) {
        static const char full[] = "-ERR max number of locks per client reached\r\n";

        assert_reply(client, "LOCK k1", "+OK\r\n");
        assert_reply(client, "LOCK k2", "+OK\r\n");
        assert_reply(client, "LOCK k3", "+OK\r\n");
        assert_reply(client, "LOCK k4", full);
        assert_reply(client, "LOCK k3", "-ERR this client holds the lock already\r\n");
        assert_reply(other, "LOCK k4", "+OK\r\n");
        assert_reply(other, "UNLOCK k4", "+OK\r\n");
        assert_reply(client, "UNLOCK k2", "+OK\r\n");
        assert_reply(client, "LOCK k4", "+OK\r\n");
        assert_reply(client, "LOCK k2", full);
        assert_reply(client, "RESET", "+RESET\r\n");
    }
    kv_client_free(client);
    kv_client_free(other);
    return 0;
}

Test(commands, clients_see_each_other)
{
    start();
    run_all(use_each, NULL);
    kv_store_fini(&server.store);
    cr_assert_eq(kv_memory_used(), 0u);
    assert_no_leaks();
}

/* Keys of which most have expired: removing those makes the tables shrink meanwhile. */
static int list_what_stays(void *arg)
{
    enum { GONE = 6000, STAYS = 600 };
    struct kv_client *client = join();
    char line[64], wanted[16];

    (void)arg;
    for (int i = 0; i < GONE + STAYS; i++) {
        snprintf(line, sizeof line, "SET key%d v PX %d", i, i < GONE ? 1 : 1000000);
        run_line(client, line);
        kv_reply_clear(&client->reply);
    }
    cr_assert_eq(lw_sleep(lw_in(5 * LW_MS)), 0);
    run_line(client, "KEYS *");
    int size = snprintf(wanted, sizeof wanted, "*%d\r\n", STAYS);
    cr_assert_arr_eq(client->reply.data, wanted, (size_t)size, "%.8s", client->reply.data);
    kv_client_free(client);
    return 0;
}

Test(commands, keys_lists_each_key_once)
{
    start();
    run_with(1, list_what_stays, NULL);
    kv_store_fini(&server.store);
}

static int watch_again(void *arg)
{
    struct kv_client *client = join(), *other = join();

    (void)arg;
    assert_reply(client, "WATCH a b", "+OK\r\n");
    size_t used = kv_memory_used();
    for (int i = 0; i < 1000; i++)
        assert_reply(client, "WATCH a b a", "+OK\r\n");
    cr_assert_eq(kv_memory_used(), used);
    /* the first look decides; a key of another database is another key */
    assert_reply(client, "SELECT 1", "+OK\r\n");
    assert_reply(client, "WATCH a", "+OK\r\n");
    assert_reply(other, "SET a 1", "+OK\r\n");
    assert_reply(client, "SELECT 0", "+OK\r\n");
    assert_reply(client, "WATCH a", "+OK\r\n");
    assert_reply(client, "MULTI", "+OK\r\n");
    assert_reply(client, "EXEC", "*-1\r\n");
    kv_client_free(client);
    kv_client_free(other);
    return 0;
}

Test(commands, a_key_is_watched_once)
{
    start();
    run_with(1, watch_again, NULL);
    kv_store_fini(&server.store);
    cr_assert_eq(kv_memory_used(), 0u);
    assert_no_leaks();
}

static int stop_freeing(void *arg)
{
    struct kv_client *client = join();
    struct kv_trash *trash = NULL;
    char line[64];

    (void)arg;
    for (int i = 0; i < 1000; i++) {
        snprintf(line, sizeof line, "SET key%d v", i);
        run_line(client, line);
        kv_reply_clear(&client->reply);
    }
    size_t full = kv_memory_used();
    kv_store_flush(&server.store, 0, &trash);
    cr_assert_eq(lw_cancel(lw_self()), 0);
    cr_assert_eq(kv_trash_empty(&server.store, &trash), -ECANCELED);
    cr_assert_null(trash);
    cr_assert_geq(kv_memory_used(), full, "it freed on after it was told to stop");
    assert_reply(client, "DBSIZE", ":0\r\n");
    kv_client_free(client);
    return 0;
}

Test(commands, freeing_stops_when_told_to)
{
    start();
    run_with(1, stop_freeing, NULL);
    kv_store_fini(&server.store);
    cr_assert_eq(kv_memory_used(), 0u);
    assert_no_leaks();
}

/* Told to end in the middle of a command: what it still sends must not wait for ever. */
static const char *told_line;

static int run_until_told(void *arg)
{
    struct kv_client *client = arg;

    client->task = lw_self();
    run_line(client, told_line);
    cr_assert(client->closing);
    cr_assert_eq(lw_sleep(LW_FOREVER), -ECANCELED, "%s: the cancel was lost", told_line);
    return 0;
}

static void tell(struct kv_client *client, const char *line)
{
    lw_task task;

    told_line = line;
    cr_assert_eq(lw_spawn(&task, run_until_told, client, NULL), 0);
    AWAIT(is_waiting(task));
    cr_assert_eq(lw_cancel(task), 0);
    cr_assert_eq(lw_join(task, NULL, LW_FOREVER), 0);
    client->closing = false;
    kv_reply_clear(&client->reply);
}

static int tell_them(void *arg)
{
    static const char *const others[] = {"CLIENT LIST", "INFO clients", "RESET"};
    struct kv_client *client = join();
    lw_mutex *registry = &server.clients.mutex;

    (void)arg;
    kv_store_lock_always(&server.store, KV_SHARDS_ALL);
    tell(client, "GET a");
    kv_store_unlock(&server.store, KV_SHARDS_ALL);
    assert_reply(client, "MULTI", "+OK\r\n");
    assert_reply(client, "GET a", "+QUEUED\r\n");
    kv_store_lock_always(&server.store, KV_SHARDS_ALL);
    tell(client, "EXEC");
    kv_store_unlock(&server.store, KV_SHARDS_ALL);
    assert_reply(client, "DISCARD", "+OK\r\n");
    cr_assert_eq(lw_mutex_acquire(registry, LW_FOREVER), 0);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        tell(client, others[i]);
    cr_assert_eq(lw_mutex_release(registry), 0);
    kv_client_free(client);
    return 0;
}

Test(commands, who_is_told_to_end_in_a_command_is_told_again)
{
    start();
    run_all(tell_them, NULL);
    kv_store_fini(&server.store);
    cr_assert_eq(kv_memory_used(), 0u);
    assert_no_leaks();
}

enum { MOVERS = 4, ACCOUNTS = 10, TOTAL = 1000 };

static int64_t number_at(const char *reply, unsigned index)
{
    int64_t number = -1;

    for (; index > 0 || *reply != '$'; reply++) /* skips "*n" and index elements of two lines */
        if (*reply == '$')
            index--;
    reply = strchr(reply, '\n') + 1;
    cr_assert(kv_parse_int(reply, strcspn(reply, "\r"), &number));
    return number;
}

/* Moves money about with transactions; sees, at every look at all accounts, all of it. */
static int move_about(void *arg)
{
    unsigned state = (unsigned)(uintptr_t)arg;
    struct kv_client *client = join();
    char line[256];

    for (long round = 0; round < rounds(20000); round++) {
        state = state * 1664525 + 1013904223;
        unsigned from = (state >> 8) % ACCOUNTS, to = (state >> 16) % ACCOUNTS;

        run_line(client, "MULTI");
        snprintf(line, sizeof line, "DECRBY acc%u 1", from);
        run_line(client, line);
        snprintf(line, sizeof line, "INCRBY acc%u 1", to);
        run_line(client, line);
        run_line(client, "EXEC");
        kv_reply_clear(&client->reply);

        int64_t sum = 0;
        run_line(client, "MGET acc0 acc1 acc2 acc3 acc4 acc5 acc6 acc7 acc8 acc9");
        kv_reply_raw(&client->reply, "", 1);
        for (unsigned i = 0; i < ACCOUNTS; i++)
            sum += number_at(client->reply.data, i);
        cr_assert_eq(sum, TOTAL, "money is missing in round %ld", round);
        kv_reply_clear(&client->reply);
    }
    kv_client_free(client);
    return 0;
}

static int bank(void *arg)
{
    lw_group group = LW_GROUP_INIT(0);
    struct kv_client *client = join();
    int err;

    (void)arg;
    run_line(client, "FLUSHALL");
    for (unsigned i = 0; i < ACCOUNTS; i++) {
        char line[64];

        snprintf(line, sizeof line, "SET acc%u %d", i, TOTAL / ACCOUNTS);
        run_line(client, line);
    }
    LW_SCOPE(&group.scope, LW_FOREVER, err) {
        for (uintptr_t i = 1; i <= MOVERS && err == 0; i++)
            err = lw_group_spawn(&group, move_about, (void *)i, NULL);
    }
    kv_client_free(client);
    return err;
}

Test(commands, a_command_of_many_keys_is_one_step)
{
    start();
    run_all(bank, NULL);
    kv_store_fini(&server.store);
}

/* Whatever the reply is, it is a whole one: an error, or no error. */
static const char *const lines[] = {
    "SET a 1",
    "SET a 'a much longer value, which cannot be kept in the room of the one before it.'",
    "SET b 2 EX 100 GET",
    "APPEND a 'and more, and more, and more, and more, and more, and more, and more and more'",
    "INCR n",
    "MSET x 1 y 2 z 3",
    "MSETNX p 1 q 2",
    "GETSET a new",
    "MGET a b c d e f g h i j k l",
    "KEYS *",
    "SCAN 0 COUNT 1000",
    "LOCK one",
    "LOCK two 0",
    "LOCKS",
    "UNLOCK one",
    "WATCH a b c d e f",
    "WATCH f g f",
    "MULTI",
    "SET a 5",
    "LOCK three",
    "GET a",
    "EXEC",
    "CLIENT SETNAME someone",
    "CLIENT LIST",
    "CLIENT INFO",
    "HELLO 3 SETNAME another",
    "INFO",
    "CONFIG GET *",
    "COMMAND",
    "COMMAND DOCS",
    "SELECT 1",
    "SET a 1",
    "FLUSHALL",
};

/* All lines with the n-th allocation from there failing; whether one did. */
static bool run_with_failure(struct kv_client *client, long n, bool once)
{
    kv_memory_fail(n, once);
    for (size_t i = 0; i < sizeof lines / sizeof *lines && !client->reply.broken; i++) {
        run_line(client, lines[i]);
        if (client->reply.broken) /* here a connection ends */
            break;
        cr_assert_gt(client->reply.size, 0u, "%s: no reply", lines[i]);
        cr_assert_arr_eq(client->reply.data + client->reply.size - 2, "\r\n", 2);
        kv_reply_clear(&client->reply);
    }
    bool failed = kv_memory_failed();
    kv_memory_fail(-1, false);
    return failed;
}

static int fail_each(void *arg)
{
    for (int once = 0; once < 2; once++) {
        bool failed = true;

        for (long n = 0; failed; n++) {
            cr_assert_lt(n, 2000);
            start();
            struct kv_client *client = join();
            failed = run_with_failure(client, n, once);
            for (unsigned i = 0; i < KV_SHARDS; i++)
                cr_assert_not(lw_mutex_locked(&server.store.shards[i].mutex));
            kv_client_free(client);
            kv_store_fini(&server.store);
            cr_assert_eq(kv_memory_used(), 0u, "allocation %ld failed, something is lost", n);
        }
    }
    (void)arg;
    return 0;
}

Test(commands, any_allocation_may_fail)
{
    run_with(1, fail_each, NULL);
    assert_no_leaks();
}

static int fill(void *arg)
{
    struct kv_client *client = join();

    (void)arg;
    server.config.maxmemory = kv_memory_used() + 100000;
    char line[64];
    int stored = 0;
    for (; stored < 10000; stored++) {
        snprintf(line, sizeof line, "SET key%d value", stored);
        run_line(client, line);
        if (client->reply.data[0] == '-')
            break;
        kv_reply_clear(&client->reply);
    }
    cr_assert_gt(stored, 100);
    cr_assert_lt(stored, 10000);
    kv_reply_clear(&client->reply);
    assert_reply(client, "INCR n", "-OOM command not allowed when used memory > 'maxmemory'.\r\n");
    assert_reply(client, "GET key1", "$5\r\nvalue\r\n");
    assert_reply(client, "MULTI", "+OK\r\n");
    assert_reply(client, "SET a 1", "-OOM command not allowed when used memory > 'maxmemory'.\r\n");
    assert_reply(client, "EXEC",
                 "-EXECABORT Transaction discarded because of previous errors.\r\n");
    /* The last SET may have gone above it by a whole table: a few keys need not be enough. */
    for (int i = 0; i < stored; i++) {
        snprintf(line, sizeof line, "DEL key%d", i);
        assert_reply(client, line, ":1\r\n");
    }
    assert_reply(client, "SET a 1", "+OK\r\n");
    assert_reply(client, "FLUSHALL", "+OK\r\n");
    kv_client_free(client);
    return 0;
}

Test(commands, above_maxmemory_nothing_is_stored)
{
    start();
    run_with(1, fill, NULL);
    kv_store_fini(&server.store);
    cr_assert_eq(kv_memory_used(), 0u);
}
