/* SPDX-License-Identifier: MIT */
/* A transfer takes the locks of both accounts, that of the payer first: so tellers wait for each
 * other in circles, unless they are to take that of the lower account first.  One that is told that
 * it was its turn to give way gives the lock back that it has, leaves the others a moment, and
 * begins again.
 *
 *     LOCK a | LOCK b | GET a, GET b | MSET a .. b .. | UNLOCK b, UNLOCK a
 *
 * A bar is a round trip; requests between two bars are sent as one, and each counts as one request
 * that took the round trip. */
#include "latchkv/bank.h"
#include "latchkv/number.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { NAME_SIZE = 32, TOGETHER_MAX = 2, SOME = 500 };

static const lw_nsec PATIENCE = 10 * LW_SEC; /* for one reply */
static const lw_nsec PAUSE = 50 * LW_US;     /* after a deadlock; twice as long after the next */
enum { DOUBLINGS = 6 };

/* splitmix64 */
static uint64_t draw(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static void name_account(char *name, uint64_t account)
{
    snprintf(name, NAME_SIZE, "account:%" PRIu64, account);
}

/* Send what was put, read so many replies, note how long it took. */
static int exchange(struct teller *teller, struct kv_answer *answers, unsigned count)
{
    lw_nsec begin = lw_now(), deadline = begin + PATIENCE;
    int err = kv_link_send(&teller->link, deadline);

    for (unsigned i = 0; i < count && err == 0; i++) {
        err = kv_link_read(&teller->link, &answers[i], deadline);
        if (err == 0)
            kv_histogram_record(&teller->latencies, (uint64_t)(lw_now() - begin));
        if (err == 0 && answers[i].kind == '-') {
            snprintf(teller->error, sizeof teller->error, "%s", answers[i].text);
            err = -EREMOTEIO;
        }
    }
    return err;
}

static int put(struct teller *teller, const char *verb, const char *key)
{
    const char *words[] = {verb, key};

    return kv_link_put(&teller->link, 2, words);
}

static int lock(struct teller *teller, const char *key)
{
    struct kv_answer answer;
    int err = put(teller, "LOCK", key);

    if (err == 0)
        err = exchange(teller, &answer, 1);
    if (err == -EREMOTEIO && strncmp(answer.text, "DEADLOCK ", 9) == 0)
        return -EDEADLK;
    return err == 0 && answer.kind != '+' ? -EBADMSG : err;
}

/* Both; 0: they are held. */
static int lock_both(struct teller *teller, const char *first, const char *second, uint64_t *state)
{
    for (unsigned times = 0;; times++) {
        lw_nsec pause = PAUSE << (times < DOUBLINGS ? times : DOUBLINGS);
        struct kv_answer answer;
        int err = lock(teller, first);

        if (err == 0)
            err = lock(teller, second);
        if (err != -EDEADLK)
            return err;
        atomic_fetch_add_explicit(&teller->deadlocks, 1, memory_order_relaxed);
        snprintf(teller->deadlock, sizeof teller->deadlock, "%s", teller->error);
        teller->error[0] = '\0';
        err = put(teller, "UNLOCK", first);
        if (err == 0)
            err = exchange(teller, &answer, 1);
        if (err == 0)
            err = lw_sleep(lw_in((lw_nsec)(draw(state) % (uint64_t)pause)));
        if (err < 0)
            return err;
    }
}

static int unlock_both(struct teller *teller, const char *first, const char *second)
{
    struct kv_answer answers[TOGETHER_MAX];
    int err = put(teller, "UNLOCK", second);

    if (err == 0)
        err = put(teller, "UNLOCK", first);
    return err == 0 ? exchange(teller, answers, 2) : err;
}

static int get_both(struct teller *teller, const char *first, const char *second, int64_t *money)
{
    struct kv_answer answers[TOGETHER_MAX];
    int err = put(teller, "GET", first);

    if (err == 0)
        err = put(teller, "GET", second);
    if (err == 0)
        err = exchange(teller, answers, 2);
    for (int i = 0; i < 2 && err == 0; i++)
        if (!kv_parse_int(answers[i].text, strlen(answers[i].text), &money[i]))
            err = -EBADMSG;
    return err;
}

static int set_both(struct teller *teller, const char *first, const char *second,
                    const int64_t *money)
{
    struct kv_answer answer;
    char one[NAME_SIZE], two[NAME_SIZE];
    const char *words[] = {"MSET", first, one, second, two};

    snprintf(one, sizeof one, "%" PRId64, money[0]);
    snprintf(two, sizeof two, "%" PRId64, money[1]);
    int err = kv_link_put(&teller->link, 5, words);
    return err == 0 ? exchange(teller, &answer, 1) : err;
}

static int transfer(struct teller *teller, uint64_t *state)
{
    const struct bank_options *options = &teller->bank->options;
    uint64_t accounts = options->accounts;
    uint64_t a = draw(state) % accounts, b = draw(state) % (accounts - 1);
    int64_t money[2], amount = (int64_t)(draw(state) % SOME);
    char first[NAME_SIZE], second[NAME_SIZE];

    b += b >= a; /* another one */
    if (options->in_order && b < a) {
        uint64_t lower = b;

        b = a;
        a = lower;
        amount = -amount;
    }
    name_account(first, a);
    name_account(second, b);

    int err = lock_both(teller, first, second, state);
    if (err == 0)
        err = get_both(teller, first, second, money);
    if (err == 0 && money[0] >= amount && money[1] >= -amount) {
        money[0] -= amount;
        money[1] += amount;
        err = set_both(teller, first, second, money);
    }
    return err == 0 ? unlock_both(teller, first, second) : err;
}

int teller_run(void *arg)
{
    struct teller *teller = arg;
    struct bank *bank = teller->bank;
    const struct bank_options *options = &bank->options;
    uint64_t state = options->seed * 1000003 + teller->number;
    int err =
        kv_link_open(&teller->link, options->unixsocket, (unsigned)options->port, lw_in(PATIENCE));

    while (err == 0 && !atomic_load_explicit(&bank->closing, memory_order_relaxed)) {
        err = transfer(teller, &state);
        if (err == 0)
            atomic_fetch_add_explicit(&teller->transfers, 1, memory_order_relaxed);
    }
    kv_link_close(&teller->link);
    if (err < 0 && !(err == -ECANCELED && bank->stuck)) {
        if (err != -EREMOTEIO)
            snprintf(teller->error, sizeof teller->error, "%s", strerror(-err));
        atomic_store_explicit(&teller->errors, 1, memory_order_relaxed);
    }
    return 0;
}

static int complain(const char *what, int err, const struct kv_answer *answer)
{
    fprintf(stderr, "latchkv-bank: %s: %s\n", what, err < 0 ? strerror(-err) : answer->text);
    return err < 0 ? err : -EREMOTEIO;
}

int bank_open(struct bank *bank, struct kv_link *link, int64_t *money)
{
    char name[NAME_SIZE], start[NAME_SIZE];
    const char *words[] = {"SET", name, start};
    struct kv_answer answer;

    snprintf(start, sizeof start, "%d", ACCOUNT_START);
    for (uint64_t account = 0; account < bank->options.accounts; account++) {
        name_account(name, account);
        int err = kv_link_put(link, 3, words);

        if (err == 0)
            err = kv_link_send(link, lw_in(PATIENCE));
        if (err == 0)
            err = kv_link_read(link, &answer, lw_in(PATIENCE));
        if (err < 0 || answer.kind != '+')
            return complain("opening the accounts", err, &answer);
    }
    return bank_count(bank, link, money);
}

int bank_count(struct bank *bank, struct kv_link *link, int64_t *money)
{
    char name[NAME_SIZE];
    const char *words[] = {"GET", name};
    struct kv_answer answer;
    int64_t more;

    *money = 0;
    for (uint64_t account = 0; account < bank->options.accounts; account++) {
        name_account(name, account);
        int err = kv_link_put(link, 2, words);

        if (err == 0)
            err = kv_link_send(link, lw_in(PATIENCE));
        if (err == 0)
            err = kv_link_read(link, &answer, lw_in(PATIENCE));
        if (err < 0 || !kv_parse_int(answer.text, strlen(answer.text), &more))
            return complain("counting the money", err, &answer);
        *money += more;
    }
    return 0;
}
