/* SPDX-License-Identifier: MIT */
/* latchkv-bank: the load of tools/run, its display and its verdict. */
#include "latchkv/bank.h"

#include "latchkv/number.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_USAGE = 2 };
static const lw_nsec STUCK_AFTER = 2 * LW_SEC;
static const lw_nsec FINISH_WITHIN = 5 * LW_SEC; /* less than a reply is waited for */

static const char help[] =
    "usage: latchkv-bank [--option value]...\n"
    "Moves money between accounts kept in a latchkv, from many clients at a time, each transfer\n"
    "under the LOCKs of both accounts, in conflicting order, and checks at the end that none was\n"
    "lost. A client whose LOCK is answered by DEADLOCK gives way and tries again.\n\n"
    "  --port N           of the server, on this machine (7379)\n"
    "  --unixsocket PATH  of the server, instead\n"
    "  --accounts N       (100)\n"
    "  --clients N        (50)\n"
    "  --seconds N        how long (10)\n"
    "  --seed N           of the transfers (1)\n"
    "  --workers N        threads; 0: one per usable CPU (0)\n"
    "  --in-order N       1: the lower account's lock first, so that none gives way (0)\n"
    "Ends with status 1 when money was lost, a request failed, or nothing moved for two seconds.\n";

static struct option {
    const char *name;
    uint64_t *value;
    uint64_t least, most;
} * options_of(struct bank_options *options)
{
    static struct option table[8];

    table[0] = (struct option){"--port", &options->port, 1, 65535};
    table[1] = (struct option){"--accounts", &options->accounts, 2, 1000000};
    table[2] = (struct option){"--clients", &options->clients, 1, 10000};
    table[3] = (struct option){"--seconds", &options->seconds, 1, 1000000};
    table[4] = (struct option){"--seed", &options->seed, 0, UINT64_MAX};
    table[5] = (struct option){"--workers", &options->workers, 0, 1024};
    table[6] = (struct option){"--in-order", &options->in_order, 0, 1};
    return table;
}

/* -1: serve; else the exit code. */
static int read_options(struct bank_options *options, int argc, char **argv)
{
    struct option *known = options_of(options);

    *options = (struct bank_options){NULL, 7379, 100, 50, 10, 1, 0, 0};
    for (int i = 1; i < argc; i += 2) {
        const char *value = argv[i + 1];
        struct option *option = known;

        if (strcmp(argv[i], "--help") == 0) {
            fputs(help, stdout);
            return 0;
        }
        if (strcmp(argv[i], "--unixsocket") == 0 && value != NULL) {
            options->unixsocket = value;
            continue;
        }
        while (option->name != NULL && strcmp(argv[i], option->name) != 0)
            option++;
        if (option->name == NULL || value == NULL ||
            !kv_parse_cursor(value, strlen(value), option->value) ||
            *option->value < option->least || *option->value > option->most) {
            fprintf(stderr,
                    "latchkv-bank: %s %s: no such option, or a wrong value (--help tells "
                    "more)\n",
                    argv[i], value != NULL ? value : "");
            return EXIT_USAGE;
        }
    }
    return -1;
}

/* What all tellers together have done. */
struct sum {
    uint64_t requests, transfers, deadlocks, errors;
    struct kv_histogram latencies;
};

static void add_up(const struct bank *bank, struct sum *sum)
{
    memset(sum, 0, sizeof *sum);
    for (uint64_t i = 0; i < bank->options.clients; i++) {
        const struct teller *teller = &bank->tellers[i];

        kv_histogram_add(&sum->latencies, &teller->latencies);
        sum->transfers += atomic_load_explicit(&teller->transfers, memory_order_relaxed);
        sum->deadlocks += atomic_load_explicit(&teller->deadlocks, memory_order_relaxed);
        sum->errors += atomic_load_explicit(&teller->errors, memory_order_relaxed);
    }
    sum->requests = kv_histogram_count(&sum->latencies);
}

static double quantile_ms(const struct sum *sum, unsigned per_mille)
{
    return (double)kv_histogram_quantile(&sum->latencies, per_mille) / (double)LW_MS;
}

/* A line a second: on a terminal always the same one. */
static void show(const struct sum *sum, const struct sum *before, double seconds, double all)
{
    bool terminal = isatty(STDOUT_FILENO);

    printf(
        "%s%5.0f s  %9.0f requests/s  %8.0f transfers/s  %6.0f deadlocks/s  p50 %.3f  p99 %.3f  "
        "p99.9 %.3f ms  %" PRIu64 " errors%s",
        terminal ? "\r\033[K" : "", all, (double)(sum->requests - before->requests) / seconds,
        (double)(sum->transfers - before->transfers) / seconds,
        (double)(sum->deadlocks - before->deadlocks) / seconds, quantile_ms(sum, 500),
        quantile_ms(sum, 990), quantile_ms(sum, 999), sum->errors, terminal ? "" : "\n");
    fflush(stdout);
}

static void show_errors(const struct bank *bank)
{
    unsigned shown = 0;

    for (uint64_t i = 0; i < bank->options.clients && shown < 3; i++) {
        const struct teller *teller = &bank->tellers[i];

        if (atomic_load_explicit(&teller->errors, memory_order_relaxed) == 0)
            continue;
        printf("error          client %u: %s\n", teller->number, teller->error);
        shown++;
    }
}

/* One of them, as a client was told of it. */
static void show_deadlock(const struct bank *bank)
{
    for (uint64_t i = 0; i < bank->options.clients; i++)
        if (bank->tellers[i].deadlock[0] != '\0') {
            printf("  such as      %s\n", bank->tellers[i].deadlock);
            return;
        }
}

/* For so long not one transfer was finished, though no client has failed.  By the clock of one who
 * was woken each second in between. */
static bool is_stuck(const struct sum *now, lw_nsec moment, uint64_t *transfers, lw_nsec *moved)
{
    if (now->transfers != *transfers || *moved == 0) {
        *transfers = now->transfers;
        *moved = moment;
    }
    return moment - *moved >= STUCK_AFTER;
}

/* The display, until the time is over, or nothing moves, or a signal ends it. */
static lw_nsec watch(struct bank *bank)
{
    static const int stop_on[] = {SIGINT, SIGTERM};
    static struct sum sums[2]; /* tens of kilobytes: too much for a task's stack */
    struct sum *now = &sums[0], *before = &sums[1];
    lw_nsec begin = lw_now(), last = begin, moved = 0;
    uint64_t transfers = 0;
    lw_nsec end = begin + (lw_nsec)bank->options.seconds * LW_SEC;

    memset(sums, 0, sizeof sums);
    while (last < end) {
        lw_nsec next = end - last > LW_SEC ? last + LW_SEC : end;
        int got = lw_signal_wait(stop_on, 2, next);
        lw_nsec moment = lw_now();
        struct sum *older = before;

        add_up(bank, now);
        show(now, before, (double)(moment - last) / LW_SEC, (double)(moment - begin) / LW_SEC);
        before = now;
        now = older;
        last = moment;
        bank->stuck = is_stuck(before, moment, &transfers, &moved);
        if (got != -ETIMEDOUT || before->errors == bank->options.clients || bank->stuck)
            break;
    }
    if (isatty(STDOUT_FILENO))
        putchar('\n');
    return last - begin;
}

static int summarize(struct bank *bank, lw_nsec took, int64_t before, int64_t after)
{
    static struct sum sum;
    double seconds = (double)took / LW_SEC;

    add_up(bank, &sum);
    printf("requests       %" PRIu64 " in %.1f s, %.0f/s\n", sum.requests, seconds,
           (double)sum.requests / seconds);
    printf("transfers      %" PRIu64 ", %.0f/s, %" PRIu64 " clients, %" PRIu64 " accounts\n",
           sum.transfers, (double)sum.transfers / seconds, bank->options.clients,
           bank->options.accounts);
    printf("deadlocks      %" PRIu64 " broken, %.0f/s\n", sum.deadlocks,
           (double)sum.deadlocks / seconds);
    show_deadlock(bank);
    printf("latency        p50 %.3f ms, p99 %.3f ms, p99.9 %.3f ms\n", quantile_ms(&sum, 500),
           quantile_ms(&sum, 990), quantile_ms(&sum, 999));
    printf("errors         %" PRIu64 "\n", sum.errors);
    show_errors(bank);
    printf("money before   %" PRId64 "\nmoney after    %" PRId64 "%s\n", before, after,
           before == after ? "" : "  LOST");
    if (bank->stuck)
        printf("STUCK          nothing moves: clients wait for each other's locks\n");
    return before == after && sum.errors == 0 && !bank->stuck ? 0 : -EREMOTEIO;
}

/* They finish their transfers, if they can. */
static int let_finish(struct bank *bank, lw_group *tellers)
{
    int err = bank->stuck ? -ETIMEDOUT : lw_group_wait(tellers, lw_in(FINISH_WITHIN));

    if (err != -ETIMEDOUT)
        return err;
    bank->stuck = true;
    lw_group_cancel(tellers);
    return lw_group_wait(tellers, LW_FOREVER);
}

static int work(struct bank *bank, lw_nsec *took)
{
    lw_task_options named = {.name = "teller"};
    lw_group tellers = LW_GROUP_INIT(0);
    int err;

    LW_SCOPE(&tellers.scope, LW_FOREVER, err) {
        for (uint64_t i = 0; i < bank->options.clients && err == 0; i++) {
            bank->tellers[i].bank = bank;
            bank->tellers[i].number = (unsigned)i;
            bank->tellers[i].link.fd = -1;
            err = lw_group_spawn(&tellers, teller_run, &bank->tellers[i], &named);
        }
        if (err == 0)
            *took = watch(bank);
        atomic_store_explicit(&bank->closing, true, memory_order_relaxed);
        if (err == 0)
            err = let_finish(bank, &tellers);
    }
    return err;
}

/* A server that was started a moment ago may not listen yet. */
static int connect_soon(const struct bank_options *options, struct kv_link *link)
{
    lw_nsec soon = lw_in(LW_SEC);

    for (;;) {
        int err =
            kv_link_open(link, options->unixsocket, (unsigned)options->port, lw_in(5 * LW_SEC));
        bool absent = err == -ECONNREFUSED || err == -ENOENT;

        if (!absent || lw_now() > soon || lw_sleep(lw_in(20 * LW_MS)) < 0)
            return err;
    }
}

static int run(void *arg)
{
    static struct kv_link link;
    struct bank *bank = arg;
    int64_t before = 0, after = 0;
    lw_nsec took = 1;
    int err = connect_soon(&bank->options, &link);

    if (err < 0) {
        fprintf(stderr, "latchkv-bank: no server: %s\n", strerror(-err));
        return err;
    }
    err = bank_open(bank, &link, &before);
    if (err == 0)
        err = work(bank, &took);
    if (err == 0)
        err = bank_count(bank, &link, &after);
    if (err == 0)
        err = summarize(bank, took, before, after);
    kv_link_close(&link);
    return err;
}

int main(int argc, char **argv)
{
    static struct bank bank;
    int code = read_options(&bank.options, argc, argv);

    if (code >= 0)
        return code;
    bank.tellers = calloc(bank.options.clients, sizeof *bank.tellers);
    if (bank.tellers == NULL) {
        fprintf(stderr, "latchkv-bank: not enough memory for %" PRIu64 " clients\n",
                bank.options.clients);
        return 1;
    }
    lw_options options = {.name = "bank", .workers = (unsigned)bank.options.workers};
    code = lw_run(&options, run, &bank) < 0;
    free(bank.tellers);
    return code;
}
