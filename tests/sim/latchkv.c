/* SPDX-License-Identifier: MIT */
/* latchkv, as it is, in simulation: its listeners and connections on simulated sockets, in the
 * weather that the schedule draws, against clients who die in the middle of a request.  Whatever
 * the order, what clients were answered is what one client after the other could have been
 * (latchkv_model.h), and when they are gone nothing of them is left. */
#include <criterion/criterion.h>
#include <errno.h>
#include <latchwork.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "latchkv/command.h"
#include "latchkv/memory.h"
#include "latchkv/server.h"
#include "tests/sim/explore.h"
#include "tests/sim/latchkv_visit.h"

TestSuite(latchkv, .init = watchdog);

/* ---- the server */

static struct kv_server server;

static struct {
    size_t memory_before, memory_empty; /* with no store, with an empty one */
    lw_task task;
    bool rough; /* clients may be cut off */
    bool stopped;
} scene;

/* Out of descriptors it listens later, and breaks connections only then. */
static void open_server(bool on_unix)
{
    unsigned listeners = on_unix ? 2 : 1;

    memset(&scene, 0, sizeof scene);
    scene.memory_before = kv_memory_used();
    memset(&server, 0, sizeof server);
    server.config = (struct kv_config){.binds = {"127.0.0.1"},
                                       .bind_count = 1,
                                       .unixsocket = on_unix ? VISIT_PATH : NULL,
                                       .port = strtoul(VISIT_PORT, NULL, 10),
                                       .databases = 1,
                                       .maxclients = sim_choose(8) == 7 ? 2 : 100,
                                       .maxlocks = 8,
                                       .bulk_max = 1 << 20,
                                       .query_max = 1 << 20};
    kv_commands_start();
    LW_SIM_CHECK(kv_store_init(&server.store, 1) == 0);
    scene.memory_empty = kv_memory_used();
    LW_SIM_CHECK(lw_spawn(&scene.task, kv_server_run, &server, NULL) == 0);
    while (server.listener_count < listeners)
        (void)!lw_sleep(lw_in(LW_MS));
    sim_weather.reset = sim_choose(4) == 3 ? 30 : 0;
    sim_weather.no_files = sim_choose(6) == 5 ? 6 : 0;
    scene.rough = sim_weather.reset != 0 || server.config.maxclients < MODEL_CLIENTS;
}

/* Descriptors of the simulation that are sockets; what else there is, is the library's. */
static unsigned count_sockets(void)
{
    enum { LOOKED_AT = 200 };
    unsigned count = 0;

    for (int fd = SIM_FD_FIRST; fd < SIM_FD_FIRST + LOOKED_AT; fd++) {
        int type;
        socklen_t size = sizeof type;

        count += lw_sys.getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0;
    }
    return count;
}

static void stop_server(void)
{
    int status = 1;

    scene.stopped = true;
    LW_SIM_CHECK(lw_cancel(scene.task) == 0);
    LW_SIM_CHECK(lw_join(scene.task, &status, LW_FOREVER) == 0);
    LW_SIM_CHECK(status == 0 || status == -ECANCELED);
}

/* The server notices that its clients are gone within the time for their last replies. */
static void expect_no_clients(void)
{
    enum { TRIES = 100 };
    unsigned tries = 0;

    sim_weather.no_files = 0;
    (void)!lw_sleep(lw_in(LW_SEC)); /* whoever was not accepted yet is now */
    while (count_sockets() > server.listener_count && ++tries < TRIES)
        (void)!lw_sleep(lw_in(50 * LW_MS));
    LW_SIM_CHECK(count_sockets() == server.listener_count); /* the last that a connection closes */
    LW_SIM_CHECK(atomic_load(&server.clients.count) == 0);
    LW_SIM_CHECK(server.clients.first == NULL);
}

static void expect_nothing_left(void)
{
    for (unsigned i = 0; i < KV_SHARDS; i++) {
        LW_SIM_CHECK(server.store.shards[i].spaces[0].locks.count == 0);
        LW_SIM_CHECK(server.store.shards[i].spaces[0].watches.count == 0);
    }
}

/* Tables that once had a lock or a watch keep their first segment, for the next. */
static size_t kept_by_tables(void)
{
    size_t segment = KV_TABLE_FIRST * sizeof(struct kv_node *), used = kv_memory_used(), kept = 0;
    void *one = kv_alloc(segment);

    used = kv_memory_used() - used; /* by one of them */
    kv_free(one, segment);
    for (unsigned i = 0; i < KV_SHARDS; i++) {
        const struct kv_space *space = &server.store.shards[i].spaces[0];

        kept += ((space->locks.buckets != 0) + (space->watches.buckets != 0)) * used;
    }
    return kept;
}

/* A client without a connection. */
static size_t ask(const char *line, char *reply, size_t room)
{
    struct kv_client *client = kv_client_new(&server, -1);
    char copy[64];
    size_t size = (size_t)snprintf(copy, sizeof copy, "%s\r\n", line);

    LW_SIM_CHECK(client != NULL);
    client->task = lw_self();
    LW_SIM_CHECK(kv_parser_next(&client->parser, copy, size) == KV_PARSE_REQUEST);
    client->argv = client->parser.args;
    client->argc = client->parser.argc;
    kv_command_execute(client);
    LW_SIM_CHECK(client->reply.size <= room);
    size = client->reply.size;
    memcpy(reply, client->reply.data, size);
    kv_client_free(client);
    return size;
}

static void close_server(void)
{
    char reply[16];

    expect_nothing_left();
    (void)ask("FLUSHALL", reply, sizeof reply);
    LW_SIM_CHECK(kv_memory_used() == scene.memory_empty + kept_by_tables());
    if (!scene.stopped)
        stop_server();
    LW_SIM_CHECK(count_sockets() == 0);
    kv_store_fini(&server.store);
    LW_SIM_CHECK(kv_memory_used() == scene.memory_before);
}

/* ---- clients */

static struct visit visits[MODEL_CLIENTS];
static struct model_history histories[MODEL_HISTORIES];
static pthread_t guests[MODEL_CLIENTS];
static bool is_guest[MODEL_CLIENTS];

static void start_visits(unsigned count, lw_fn *run, void *(*run_as_guest)(void *visit))
{
    bool on_unix = server.config.unixsocket != NULL;

    memset(visits, 0, sizeof visits);
    for (unsigned i = 0; i < count; i++) {
        visits[i].number = i;
        visits[i].on_unix = on_unix && sim_choose(2) == 1;
        visits[i].history = &histories[i];
        visits[i].rough = scene.rough;
        is_guest[i] = sim_choose(4) == 3;
        if (is_guest[i])
            LW_SIM_CHECK(pthread_create(&guests[i], NULL, run_as_guest, &visits[i]) == 0);
        else
            LW_SIM_CHECK(lw_spawn(NULL, run, &visits[i], NULL) == 0);
    }
}

static void await_visits(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        while (!visits[i].done) /* pthread_join would keep a worker */
            (void)!lw_sleep(lw_in(5 * LW_MS));
        if (is_guest[i])
            LW_SIM_CHECK(pthread_join(guests[i], NULL) == 0);
    }
}

/* A client that may be cut off ends, for the server, at any moment after what it was answered: it
 * may read the answers later. */
static void end_histories(void)
{
    for (unsigned i = 0; i < MODEL_CLIENTS; i++) {
        struct model_history *history = &histories[i];
        struct model_op *end;

        if (history->count == 0)
            continue;
        end = &history->ops[history->count - 1];
        for (unsigned k = 0; k < history->count; k++)
            if (history->ops[k].answered == 0)
                history->ops[k].answered_ms = visit_ms();
        if (end->answered == 0) {
            if (scene.rough)
                end->asked = 0;
            end->answered = visit_stamp();
        }
    }
}

/* The last look, when nobody else is there. */
static void look(void)
{
    struct model_history *history = &histories[MODEL_CLIENTS];
    struct model_op *op = &history->ops[0];

    history->count = 1;
    memset(op, 0, sizeof *op);
    op->count = 1;
    op->commands[0].verb = MODEL_MGET;
    op->asked = visit_stamp();
    op->asked_ms = visit_ms();
    op->size = ask("MGET a b c", op->reply, sizeof op->reply);
    op->answered = visit_stamp();
    op->answered_ms = visit_ms();
}

static bool says_more = true;

static void check_histories(void)
{
    enum model_verdict verdict = model_check(histories);

    if (says_more && verdict != MODEL_RIGHT) {
        says_more = false; /* not each time that it is tried with fewer choices */
        model_print(histories);
    }
    LW_SIM_CHECK(verdict != MODEL_UNKNOWN || planted != PLANTED_NOTHING); /* that must be wrong */
    if (verdict == MODEL_UNKNOWN)
        return;
    LW_SIM_CHECK(verdict == MODEL_RIGHT);
}

static int serve_visits(void *arg)
{
    unsigned count = 2 + sim_choose(MODEL_CLIENTS - 1);
    bool stops = sim_choose(4) == 3;

    (void)arg;
    memset(histories, 0, sizeof histories);
    visit_start_time();
    planted_start();
    open_server(sim_choose(2) == 1);
    scene.rough |= stops;
    start_visits(count, visit_run, visit_run_as_guest);
    if (stops) {
        (void)!lw_sleep(lw_in(sim_choose(20) * LW_MS));
        stop_server();
    }
    await_visits(count);
    if (!stops)
        expect_no_clients();
    end_histories();
    look();
    check_histories();
    close_server();
    return 0;
}

/* ---- money */

enum { MONEY = 100 };

static long sum_of(const char *reply, size_t size)
{
    char text[MODEL_REPLY + 1];
    long sum = 0;

    memcpy(text, reply, size);
    text[size] = '\0';
    for (const char *at = strchr(text, '$'); at != NULL; at = strchr(at + 1, '$')) {
        LW_SIM_CHECK(at[1] != '-');
        sum += strtol(strchr(at, '\n'), NULL, 10);
    }
    return sum;
}

static int move_money(void *arg)
{
    unsigned count = 2 + sim_choose(MODEL_CLIENTS - 1);
    struct model_op *last = &histories[MODEL_CLIENTS].ops[0];

    (void)arg;
    planted_start();
    teller_start();
    open_server(sim_choose(2) == 1);
    (void)ask("MSET a 100 b 100 c 100", last->reply, sizeof last->reply);
    start_visits(count, teller_run, teller_run_as_guest);
    await_visits(count);
    expect_no_clients();
    look();
    LW_SIM_CHECK(sum_of(last->reply, last->size) == MODEL_KEYS * MONEY);
    close_server();
    return 0;
}

/* ---- tests */

Test(latchkv, answers_as_one_client_after_the_other)
{
    sim_some(serve_visits, NULL, 2);
}

Test(latchkv, money_stays_under_key_locks_whoever_dies)
{
    sim_some(move_money, NULL, 2);
}

/* Nothing of the server or of the schedules before gets into a schedule. */
Test(latchkv, a_seed_serves_the_same_clients_again)
{
    sim_alone(serve_visits, NULL, 40);
}

/* How many schedules it takes until it fails; 0: it does not. */
static uint64_t find(lw_fn *test, enum planted what, const char *name)
{
    lw_sim_options options = {.quiet = true, .schedules = 20000};
    lw_sim_result result;
    int verdict;

    planted = what;
    says_more = false;
    sim_settings->no_shortening = true;
    verdict = lw_sim_run(&options, test, NULL, &result);
    planted = PLANTED_NOTHING;
    says_more = true;
    (void)fprintf(stderr, "# %s: schedule %llu\n", name, (unsigned long long)result.schedules);
    return verdict == LW_SIM_FAILED_CHECK ? result.schedules : 0;
}

Test(latchkv, what_is_planted_into_it_is_found)
{
    static const char *const names[PLANTED_COUNT] = {
        [PLANTED_STALE_GET] = "a stale GET",
        [PLANTED_TORN_INCR] = "INCR in two steps",
        [PLANTED_TORN_MSET] = "MSET in two steps",
        [PLANTED_BLIND_EXEC] = "EXEC that does not look at the watches",
        [PLANTED_DOUBLE_LOCK] = "a lock given twice",
        [PLANTED_LATE_EXPIRY] = "a time to live forgotten",
        [PLANTED_SWAPPED_REPLY] = "two replies swapped",
    };

    /* It would be the same again; and what an abandoned schedule does not free is a leak. */
    if (is_slow() || getenv("LW_SIM_SCHEDULES") != NULL)
        return;
    for (int what = PLANTED_NOTHING + 1; what < PLANTED_COUNT; what++)
        cr_assert_gt(find(serve_visits, (enum planted)what, names[what]), 0u, "%s", names[what]);
    cr_assert_gt(find(move_money, PLANTED_DOUBLE_LOCK, "money under a lock given twice"), 0u);
}
