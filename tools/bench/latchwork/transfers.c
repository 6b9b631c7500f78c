/* SPDX-License-Identifier: MIT */
/* What the detector costs where there is no deadlock, but waits are many: 64 tasks transfer money
 * between 100 accounts, each under the locks of both, in one order, and now and then another runs
 * meanwhile, so that many of them wait.  In turn with the detector as it comes and without; per
 * transfer.  herd: 10,000 tasks wait for each other, and all go on at once, again and again, while
 * the detector looks at them as often as it can be told to; per wait.
 *
 * Turns are on, off, off, on: what else the machine does meets both, and what counts is the median
 * of the ratios of such four. */
#include "crowd.h"

#include <stdlib.h>

enum { CROWD = 64, ACCOUNTS = 100, EACH = 4000, FIRST = 1000, YIELDS = 4 };
enum { HERD = 10000, HERD_ROUNDS = 100 };

static struct account {
    _Alignas(64) lw_mutex mutex;
    long money;
} accounts[ACCOUNTS];

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u; /* Knuth, MMIX */
    return *state >> 33;
}

static void transfer(uint64_t *random)
{
    struct account *payer = &accounts[next_random(random) % ACCOUNTS];
    struct account *payee = &accounts[next_random(random) % ACCOUNTS];
    struct account *first = payer < payee ? payer : payee, *second = payer < payee ? payee : payer;
    long amount = (long)(next_random(random) % 10);

    if (first == second)
        return;
    bench_check(lw_mutex_acquire(&first->mutex, LW_FOREVER), "acquire");
    if (next_random(random) % YIELDS == 0)
        lw_yield();
    bench_check(lw_mutex_acquire(&second->mutex, LW_FOREVER), "acquire");
    payer->money -= amount;
    payee->money += amount;
    bench_check(lw_mutex_release(&second->mutex), "release");
    bench_check(lw_mutex_release(&first->mutex), "release");
}

static int make_transfers(void *arg)
{
    const struct member *member = arg;
    uint64_t random = (uint64_t)member->number + 1;

    for (int i = 0; i < EACH; i++)
        transfer(&random);
    return 0;
}

static lw_barrier gate;

static int pass_gate(void *arg)
{
    (void)arg;
    for (int i = 0; i < HERD_ROUNDS; i++)
        if (lw_barrier_wait(&gate, NULL, LW_FOREVER) < 0)
            bench_fail("a barrier of %d broke", HERD);
    return 0;
}

static void detect(lw_detector_mode mode, bool often)
{
    lw_detector_options options;

    lw_detector_get(&options);
    options.mode = mode;
    if (often)
        options.period_max = options.period_min;
    bench_check(lw_detector_set(&options), "lw_detector_set");
}

static double turn_of_transfers(lw_detector_mode mode)
{
    detect(mode, false);
    return crowd_run(CROWD, make_transfers, NULL) / (CROWD * EACH);
}

static double turn_of_herd(lw_detector_mode mode)
{
    detect(mode, true);
    gate = (lw_barrier)LW_BARRIER_INIT("gate", HERD);
    return crowd_run(HERD, pass_gate, NULL) / ((double)HERD * HERD_ROUNDS);
}

static void check_money(void)
{
    long sum = 0;

    for (int i = 0; i < ACCOUNTS; i++)
        sum += accounts[i].money;
    if (sum != ACCOUNTS * FIRST)
        bench_fail("there are %ld instead of %d", sum, ACCOUNTS * FIRST);
}

static void compare(struct bench *bench, double (*turn)(lw_detector_mode mode))
{
    static const struct {
        const char *name, *unit;
    } figures[] = { { "on", "ns" }, { "off", "ns" }, { "ratio", "x" } };
    enum { ON, OFF, RATIO, FIGURES };
    float *of[FIGURES];

    for (int i = 0; i < FIGURES; i++)
        if ((of[i] = malloc((size_t)bench->n * sizeof *of[i])) == NULL)
            bench_fail("no memory for %ld figures", bench->n);
    (void)turn(LW_DETECTOR_FORCE);
    for (long i = 0; i < bench->n; i++) {
        double on = turn(LW_DETECTOR_FORCE), off = turn(LW_DETECTOR_OFF);

        off += turn(LW_DETECTOR_OFF);
        on += turn(LW_DETECTOR_FORCE);
        of[ON][i] = (float)on / 2;
        of[OFF][i] = (float)off / 2;
        of[RATIO][i] = (float)(on / off);
    }
    for (int i = 0; i < FIGURES; i++) {
        double median = (double)bench_quantile(of[i], bench->n, 0.5);

        bench_add(bench, figures[i].name, median, figures[i].unit);
        free(of[i]);
    }
}

int transfers(void *arg)
{
    for (int i = 0; i < ACCOUNTS; i++)
        accounts[i] = (struct account){ .money = FIRST };
    compare(arg, turn_of_transfers);
    check_money();
    return 0;
}

int herd(void *arg)
{
    compare(arg, turn_of_herd);
    return 0;
}
