/* SPDX-License-Identifier: MIT */
/* A grant and a timeout at the same moment: just one of them happens, and both sides know which.
 *
 * Pairs play rounds: one side waits with a deadline, the other grants a little later.  The deadline
 * follows the outcome, longer after a timeout and shorter after a grant, so that about half of all
 * rounds time out and most are decided within a few instructions.  A share of timeouts of 0 or 1
 * says that there was no race; the number is printed. */
#include "tests/torture/torture.h"

enum { ROUNDS = 1, TIMEDOUT = ROUNDS + 5 /* both per kind */ };
enum { FUTEX, SEMAPHORE, CONDITION, RENDEZVOUS, JOIN, KINDS, PAIRS = 10 };

static struct pair {
    uint32_t asked, answered; /* rounds */
    uint32_t word;
    bool granted; /* what the granting side knows; between its answer and the next question */
    bool ending;
    lw_nsec patience; /* the waiting side's */
    lw_semaphore semaphore;
    lw_mutex mutex;
    lw_condition condition;
    lw_channel channel;
    lw_task child;
} __attribute__((aligned(128))) pairs[PAIRS];

static void setup(void)
{
    for (int i = 0; i < PAIRS; i++)
        pairs[i] = (struct pair){.patience = 150 * LW_US,
                                 .semaphore = LW_SEMAPHORE_INIT("pair", 0),
                                 .channel = LW_RENDEZVOUS_INIT("pair", uint32_t)};
}

static void await(const uint32_t *word, uint32_t wanted)
{
    uint32_t seen;

    while ((seen = lw_load_acq(word)) != wanted) {
        int err = lw_futex_wait(word, seen, LW_FOREVER);

        CHECK(err == 0 || err == -EAGAIN, "a wait without an end returned %d", err);
    }
}

static void tell(uint32_t *word)
{
    lw_store_rel(word, lw_load_rlx(word) + 1);
    (void)lw_futex_wake(word, 1);
}

/* Up to 20 us of work, or up to 400 us in which others run: deadlines are looked at between tasks,
 * on a grid of 65 us. */
static void dawdle(uint64_t number)
{
    bool politely = number % 4 != 0;
    lw_nsec end = lw_in((lw_nsec)(number >> 8) % (politely ? 400 * LW_US : 20 * LW_US));

    while (lw_now() < end)
        if (politely)
            give_way();
}

static int child(void *arg)
{
    dawdle((uint64_t)(uintptr_t)arg);
    return (int)((uintptr_t)arg & 0xffff);
}

/* The grant; whether somebody got it, as far as this side can tell. */
static bool grant(struct pair *pair, int kind)
{
    int err = 0;

    if (kind == FUTEX)
        return lw_futex_wake(&pair->word, 1) == 1;
    if (kind == CONDITION)
        return lw_condition_notify(&pair->condition, 1) == 1;
    if (kind == RENDEZVOUS)
        return lw_channel_send(&pair->channel, &pair->asked, LW_NOW) == 0;
    if (kind == SEMAPHORE)
        err = lw_semaphore_release(&pair->semaphore, 1);
    CHECK(err == 0, "a release returned %d", err);
    return true;
}

static int wait_for(struct pair *pair, int kind, uint64_t number)
{
    lw_nsec deadline = lw_in(pair->patience);
    uint32_t item = 0;
    int err, waited = 0;

    switch (kind) {
    case FUTEX:
        return lw_futex_wait(&pair->word, 0, deadline);
    case SEMAPHORE:
        return lw_semaphore_acquire(&pair->semaphore, 1, deadline);
    case RENDEZVOUS:
        err = lw_channel_receive(&pair->channel, &item, deadline);
        CHECK(err != 0 || item == pair->asked, "item %u in round %u", item, pair->asked);
        return err;
    case CONDITION:
        LW_WITH(&pair->mutex.lock, LW_FOREVER, err)
            waited = lw_condition_wait(&pair->condition, &pair->mutex.lock, deadline);
        return err < 0 ? err : waited;
    default:
        err = lw_join(pair->child, &waited, deadline);
        CHECK(err != 0 || waited == (int)(number & 0xffff), "a join gave %d", waited);
        return err;
    }
}

/* After a timeout: what was granted meanwhile is still there, unless the other side knows better.
 */
static void settle(struct pair *pair, int kind, bool mine, uint64_t number)
{
    int status = 0;

    if (kind == SEMAPHORE) {
        CHECK(mine || lw_semaphore_acquire(&pair->semaphore, 1, LW_NOW) == 0, "a permit is lost");
        CHECK(lw_semaphore_available(&pair->semaphore) == 0, "a permit too many");
    } else if (kind == JOIN) {
        if (!mine)
            CHECK(lw_join(pair->child, &status, LW_FOREVER) == 0 &&
                      status == (int)(number & 0xffff),
                  "the join after the timeout gave %d", status);
        CHECK(lw_join(pair->child, NULL, LW_NOW) == -ESRCH, "joined twice");
    } else {
        CHECK(mine == pair->granted, "granted says the waiter: %d, the granter: %d", mine,
              pair->granted);
    }
}

static bool ask(struct actor *actor, struct pair *pair, int kind)
{
    uint64_t number = draw(&actor->random);
    lw_nsec step;
    int err;

    if (torture_over()) {
        pair->ending = true;
        tell(&pair->asked);
        return false;
    }
    if (kind == JOIN)
        CHECK(lw_spawn(&pair->child, child, (void *)(uintptr_t)number, NULL) == 0, "no task");
    tell(&pair->asked);
    err = wait_for(pair, kind, number);
    CHECK(err == 0 || err == -ETIMEDOUT, "a wait returned %d", err);
    await(&pair->answered, pair->asked);
    if (err != 0 && BROKEN(&actor->random, 1000))
        err = 0;
    settle(pair, kind, err == 0, number);
    step = pair->patience / 32 + 20;
    pair->patience += err != 0 ? step : pair->patience > step ? -step : 0;
    count(actor, ROUNDS + kind, 1);
    if (err != 0)
        count(actor, TIMEDOUT + kind, 1);
    return true;
}

static bool answer(struct actor *actor, struct pair *pair, int kind)
{
    await(&pair->asked, pair->answered + 1);
    if (pair->ending)
        return false;
    if (kind != JOIN) {
        dawdle(draw(&actor->random));
        pair->granted = grant(pair, kind);
    }
    tell(&pair->answered);
    return true;
}

/* The first half asks, the second answers, so each kind has pairs of tasks and of a task and a
 * guest; in the join's the child is the one to race with. */
static bool act(struct actor *actor)
{
    struct pair *pair = &pairs[actor->index % PAIRS];
    int kind = actor->index % KINDS;

    count(actor, OPERATIONS, 1);
    return actor->index < PAIRS ? ask(actor, pair, kind) : answer(actor, pair, kind);
}

static void check(void)
{
    for (int i = 0; i < PAIRS; i++)
        CHECK(lw_futex_wake(&pairs[i].word, LW_ALL) == 0, "somebody is still in the queue");
}

static void report(void)
{
    static const char *const names[KINDS] = {"futex", "semaphore", "condition", "channel", "join"};

    (void)printf("timeouts");
    for (int i = 0; i < KINDS; i++) {
        uint64_t rounds = torture_total(ROUNDS + i), expired = torture_total(TIMEDOUT + i);

        CHECK(expired > 0 && expired < rounds, "%s: %llu timeouts in %llu rounds: no race",
              names[i], ull(expired), ull(rounds));
        (void)printf("%s %s %llu %% of %llu", i == 0 ? "" : ",", names[i],
                     ull(100 * expired / rounds), ull(rounds));
    }
}

const struct torture torture = {
    .name = "race",
    .tasks = 2 * PAIRS - 3,
    .guests = 3,
    .setup = setup,
    .act = act,
    .check = check,
    .report = report,
};
