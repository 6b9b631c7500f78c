/* SPDX-License-Identifier: MIT */
/* A grant and a timeout at the same moment: just one of them happens, and both sides know which.
 *
 * Pairs play rounds: one side waits with a deadline, the other grants a little later.  The deadline
 * follows the outcome, longer after a timeout and shorter after a grant, so that about half of all
 * rounds time out and most are decided within a few instructions.  So the share of timeouts says
 * nothing of lost wakes: the deadlines would follow those, too; only if it is near 0 or 1 there was
 * no race.
 *
 * Lost is a wake that came in time: the grant had returned before the deadline, by one clock, and
 * the wait timed out.  For what is granted stays, and a wait that begins later finds it: the word
 * has changed, the permit or the item is there.  A condition forgets: there it counts if the
 * granting side had the mutex after the other had begun to wait with it.  (What a rendezvous was
 * offered is not there later either, and a child has not ended before its function has returned:
 * no such oracle for these.)  However slow the machine is, no wait ends by its deadline before it.
 * Every eighth deadline is so far off that most grants come in time. */
#include "tests/torture/torture.h"

enum { FUTEX, SEMAPHORE, CONDITION, CHANNEL, RENDEZVOUS, JOIN, KINDS, PAIRS = 2 * KINDS };
enum { ROUNDS = 1, TIMEDOUT = ROUNDS + KINDS /* both per kind */, IN_TIME = TIMEDOUT + KINDS };
enum { ROUNDS_MIN = 10000 /* of which a share says something */, FAR = 10 * LW_MS };

static struct pair {
    uint32_t asked, answered; /* rounds */
    uint32_t word;
    bool granted; /* what the granting side knows; between its answer and the next question */
    lw_nsec granted_at; /* the same: from then on no wait that began may time out; or LW_FOREVER */
    bool ending;
    bool waiting;               /* for the condition; under the mutex */
    lw_nsec patience, deadline; /* the waiting side's; patience goes on from lap to lap */
    uint32_t room[1];           /* the channel's */
    lw_semaphore semaphore;
    lw_mutex mutex;
    lw_condition condition;
    lw_channel channel;
    lw_task child;
} __attribute__((aligned(128))) pairs[PAIRS];

static void setup(void)
{
    for (int i = 0; i < PAIRS; i++) {
        lw_nsec patience = torture_lap() == 0 ? 150 * LW_US : pairs[i].patience;

        pairs[i] =
            (struct pair){.patience = patience, .semaphore = LW_SEMAPHORE_INIT("pair", 0)};
        lw_channel_init(&pairs[i].channel, "pair", pairs[i].room, sizeof *pairs[i].room,
                        i % KINDS == RENDEZVOUS ? 0 : 1);
    }
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

/* The waiting side is in its wait, or was. */
static bool has_begun(struct pair *pair)
{
    bool begun = false;
    int err;

    LW_WITH(&pair->mutex.lock, LW_FOREVER, err)
        begun = pair->waiting;
    CHECK(err == 0, "the mutex: %d", err);
    return begun;
}

/* The grant; whether somebody got it, as far as this side can tell. */
static bool grant(struct pair *pair, int kind)
{
    int err = 0;

    if (kind == FUTEX) {
        lw_store_rlx(&pair->word, 1);
        return lw_futex_wake(&pair->word, 1) == 1;
    }
    if (kind == CONDITION)
        return lw_condition_notify(&pair->condition, 1) == 1;
    if (kind == RENDEZVOUS)
        return lw_channel_send(&pair->channel, &pair->asked, LW_NOW) == 0;
    if (kind == SEMAPHORE)
        err = lw_semaphore_release(&pair->semaphore, 1);
    else
        err = lw_channel_send(&pair->channel, &pair->asked, LW_NOW);
    CHECK(err == 0, "a grant returned %d", err);
    return true;
}

static int wait_for(struct pair *pair, int kind, uint64_t number)
{
    lw_nsec deadline = pair->deadline;
    uint32_t item = 0;
    int err, waited = 0;

    switch (kind) {
    case FUTEX:
        return lw_futex_wait(&pair->word, 0, deadline);
    case SEMAPHORE:
        return lw_semaphore_acquire(&pair->semaphore, 1, deadline);
    case CHANNEL:
    case RENDEZVOUS:
        err = lw_channel_receive(&pair->channel, &item, deadline);
        CHECK(err != 0 || item == pair->asked, "item %u in round %u", item, pair->asked);
        return err;
    case CONDITION:
        LW_WITH(&pair->mutex.lock, LW_FOREVER, err) {
            pair->waiting = true;
            waited = lw_condition_wait(&pair->condition, &pair->mutex.lock, deadline);
            pair->waiting = false;
        }
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
    uint32_t item = 0;
    int status = 0;

    if (kind == CHANNEL) {
        CHECK(mine || (lw_channel_receive(&pair->channel, &item, LW_NOW) == 0 &&
                       item == pair->asked),
              "an item is lost");
        CHECK(lw_channel_count(&pair->channel) == 0, "an item too many");
    } else if (kind == SEMAPHORE) {
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
    bool far = kind < RENDEZVOUS && number >> 61 == 0;
    lw_nsec step;
    int err;

    if (torture_over()) {
        pair->ending = true;
        tell(&pair->asked);
        return false;
    }
    if (kind == JOIN)
        CHECK(lw_spawn(&pair->child, child, (void *)(uintptr_t)number, NULL) == 0, "no task");
    lw_store_rlx(&pair->word, 0);
    tell(&pair->asked);
    pair->deadline = lw_in(pair->patience + (far ? FAR : 0));
    err = wait_for(pair, kind, number);
    CHECK(err == 0 || err == -ETIMEDOUT || (kind == FUTEX && err == -EAGAIN), "a wait returned %d",
          err);
    await(&pair->answered, pair->asked);
    if (kind != JOIN && pair->granted_at < pair->deadline) {
        CHECK(err != -ETIMEDOUT, "kind %d: a wake that came in time, by %lld ns, is lost", kind,
              (long long)(pair->deadline - pair->granted_at));
        count(actor, IN_TIME + kind, 1);
    }
    if (err != 0 && BROKEN(1, &actor->random, 1000))
        err = 0;
    settle(pair, kind, err == 0, number);
    if (far)
        return true;
    step = pair->patience / 32 + 20;
    pair->patience += err == -ETIMEDOUT ? step : pair->patience > step ? -step : 0;
    count(actor, ROUNDS + kind, 1);
    if (err == -ETIMEDOUT)
        count(actor, TIMEDOUT + kind, 1);
    return true;
}

static bool answer(struct actor *actor, struct pair *pair, int kind)
{
    await(&pair->asked, pair->answered + 1);
    if (pair->ending)
        return false;
    if (kind != JOIN) {
        bool stays = kind != RENDEZVOUS, lost = BROKEN(2, &actor->random, 1000);

        dawdle(draw(&actor->random));
        if (kind == CONDITION)
            stays = has_begun(pair);
        pair->granted = (kind == FUTEX || kind == CONDITION) && lost ? false : grant(pair, kind);
        pair->granted_at = stays ? lw_now() : LW_FOREVER;
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
    static const char *const names[KINDS] = {"futex",   "semaphore",  "condition",
                                             "channel", "rendezvous", "join"};

    (void)printf("timeouts and grants in time");
    for (int i = 0; i < KINDS; i++) {
        uint64_t rounds = torture_total(ROUNDS + i), expired = torture_total(TIMEDOUT + i);
        uint64_t margin = rounds < ROUNDS_MIN ? 0 : rounds / 10;

        CHECK(expired > margin && expired < rounds - margin,
              "%s: %llu timeouts in %llu rounds: no race", names[i], ull(expired), ull(rounds));
        (void)printf("%s %s %llu %% of %llu", i == 0 ? "" : ",", names[i],
                     ull(100 * expired / rounds), ull(rounds));
        if (i < RENDEZVOUS)
            (void)printf(" and %llu", ull(torture_total(IN_TIME + i)));
    }
}

const struct torture torture = {
    .name = "race",
    .tasks = 2 * PAIRS - KINDS,
    .guests = KINDS,
    .setup = setup,
    .act = act,
    .check = check,
    .report = report,
};
