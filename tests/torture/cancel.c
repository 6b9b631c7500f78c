/* SPDX-License-Identifier: MIT */
/* Each cancel is delivered, once: one side waits without an end, in each way that there is, the
 * other cancels it and goes on when that was delivered.  Sent and delivered are the same number,
 * and a cancel that is lost stops its pair for ever.
 *
 * Nothing else ends these waits, so each -ECANCELED is the one that was sent; it comes before the
 * wait, at its start, in a shield before it, or long after. */
#include "tests/torture/torture.h"

#include <unistd.h>

enum { SENT = 1, DELIVERED, SHIELDED };
enum { PAIRS = 12 };

static struct pair {
    lw_task child;      /* sleeps until the lap's end */
    uint32_t delivered; /* so often */
    uint32_t sent;      /* so often: the canceller's */
    bool over;          /* the next one delivered is the last */
} __attribute__((aligned(128))) pairs[PAIRS];

static uint32_t word;
static lw_mutex mutex; /* the main thread's */
static lw_semaphore semaphore = LW_SEMAPHORE_INIT("none", 0);
static lw_condition condition;
static lw_event event;
static lw_channel channel = LW_RENDEZVOUS_INIT("empty", uint32_t);
static lw_channel full;
static uint32_t items[1];
static int ends[2]; /* of a pipe that stays empty */

static void setup(void)
{
    uint32_t item = 0;

    CHECK(lw_mutex_acquire(&mutex, LW_NOW) == 0, "the mutex is not free");
    full = (lw_channel)LW_CHANNEL_INIT("full", items);
    CHECK(lw_channel_send(&full, &item, LW_NOW) == 0, "no room");
    CHECK(pipe(ends) == 0, "errno %d", errno);
    for (int i = 0; i < PAIRS; i++)
        pairs[i] = (struct pair){.sent = 0};
}

static int sleeper(void *arg)
{
    (void)arg;
    while (lw_sleep(LW_FOREVER) != -ECANCELED)
        continue;
    return 0;
}

static int wait_on_condition(void)
{
    static lw_mutex own; /* released while they wait */
    int err, waited = 0;

    LW_WITH(&own.lock, LW_FOREVER, err)
        waited = lw_condition_wait(&condition, &own.lock, LW_FOREVER);
    return err < 0 ? err : waited;
}

static int wait_in_group(void)
{
    lw_group group = LW_GROUP_INIT(LW_GROUP_CANCEL_AT_END);
    int err = lw_group_spawn(&group, sleeper, NULL, NULL);

    CHECK(err == 0, "no child: %d", err);
    err = lw_group_wait(&group, LW_FOREVER);
    CHECK(lw_group_end(&group, 0) == 0, "a group's end failed");
    return err;
}

static int wait_somehow(struct pair *pair, uint64_t number)
{
    uint32_t item = 0;
    char byte;
    int err = 0;

    switch (number % 13) {
    case 0:
        return lw_futex_wait(&word, 0, LW_FOREVER);
    case 1:
        return lw_mutex_acquire(&mutex, LW_FOREVER);
    case 2:
        return lw_semaphore_acquire(&semaphore, 1, LW_FOREVER);
    case 3:
        return wait_on_condition();
    case 4:
        return lw_event_wait(&event, LW_FOREVER);
    case 5:
        return lw_channel_receive(&channel, &item, LW_FOREVER);
    case 6:
        return lw_channel_send(&full, &item, LW_FOREVER);
    case 7:
        return (int)lw_read(ends[0], &byte, 1, LW_FOREVER);
    case 8:
        return lw_poll(ends[0], POLLIN, LW_FOREVER);
    case 9:
        return lw_join(pair->child, NULL, LW_FOREVER);
    case 10:
        return wait_in_group();
    case 11:
        while ((err = lw_checkpoint()) == 0)
            lw_yield();
        return err;
    default:
        return lw_sleep(LW_FOREVER);
    }
}

static bool suffer(struct actor *actor, struct pair *pair)
{
    uint64_t number = draw(&actor->random);
    int err;

    if (pair->child.id == 0)
        CHECK(lw_spawn(&pair->child, sleeper, NULL, NULL) == 0, "no task");
    if (number >> 61 == 0) {
        LW_SHIELD()
            err = lw_sleep(lw_in((lw_nsec)(number >> 8) % (50 * LW_US)));
        CHECK(err == 0, "a cancel came into a shield: %d", err);
        count(actor, SHIELDED, 1);
    }
    err = wait_somehow(pair, number >> 4);
    CHECK(err == -ECANCELED, "a wait of kind %llu that only a cancel ends returned %d",
          ull((number >> 4) % 13), err);
    count(actor, DELIVERED, 1);
    count(actor, OPERATIONS, 1);
    if (lw_load_acq(&pair->over)) {
        CHECK(lw_cancel(pair->child) == 0, "the child has ended");
        CHECK(lw_join(pair->child, NULL, LW_FOREVER) == 0, "the child cannot be joined");
        return false;
    }
    lw_store_rel(&pair->delivered, pair->delivered + 1);
    (void)lw_futex_wake(&pair->delivered, 1);
    return true;
}

static bool cancel(struct actor *actor, struct pair *pair, lw_task victim)
{
    uint64_t number = draw(&actor->random);
    bool over = torture_over();
    uint32_t seen;

    if (victim.id == 0) {
        give_way();
        return true;
    }
    for (uint64_t i = number % 8 == 0 ? (number >> 8) % 4 : 0; i > 0; i--)
        give_way();
    if (over)
        lw_store_rel(&pair->over, true);
    if (!BROKEN(1, &actor->random, 1000))
        CHECK(lw_cancel(victim) == 0, "the victim has ended");
    count(actor, SENT, 1);
    pair->sent++;
    while (!over && (seen = lw_load_acq(&pair->delivered)) != pair->sent) {
        int err = lw_futex_wait(&pair->delivered, seen, LW_FOREVER);

        CHECK(err == 0 || err == -EAGAIN, "a wait without an end returned %d", err);
    }
    return !over;
}

/* The first half suffers; the others, some of them plain threads, cancel. */
static bool act(struct actor *actor)
{
    struct pair *pair = &pairs[actor->index % PAIRS];
    lw_task victim = {lw_load_rlx(&torture_actor(actor->index % PAIRS)->task.id)};

    return actor->index < PAIRS ? suffer(actor, pair) : cancel(actor, pair, victim);
}

static void check(void)
{
    CHECK(torture_sum(SENT) == torture_sum(DELIVERED), "%llu sent, %llu delivered",
          ull(torture_sum(SENT)), ull(torture_sum(DELIVERED)));
    CHECK(lw_mutex_release(&mutex) == 0, "the mutex is not held");
    CHECK(lw_futex_wake(&word, LW_ALL) == 0, "somebody is still in the queue");
    CHECK(lw_condition_notify(&condition, LW_ALL) == 0, "somebody is still in the queue");
    CHECK(lw_semaphore_available(&semaphore) == 0, "a permit too many");
    (void)lw_close(ends[0]);
    (void)lw_close(ends[1]);
}

static void report(void)
{
    (void)printf("%llu cancels sent, %llu delivered, %llu after a shield", ull(torture_total(SENT)),
                 ull(torture_total(DELIVERED)), ull(torture_total(SHIELDED)));
}

const struct torture torture = {
    .name = "cancel",
    .tasks = 2 * PAIRS - 3,
    .guests = 3,
    .setup = setup,
    .act = act,
    .check = check,
    .report = report,
};
