/* SPDX-License-Identifier: MIT */
/* Everybody sends and receives through selects over several channels, with locks and events among
 * the arms: what was sent has been received, or lies in a channel; of the locks that were handed
 * out each was released, with nobody else inside. */
#include "tests/torture/torture.h"

enum { SENT = 1, RECEIVED, ENTERED, TOLD, CUT_SHORT, ITEMS };
enum { CHANNELS = 4, ROOM = 4, TASKS = 16 };

static long room[CHANNELS][ROOM];
static lw_channel channels[CHANNELS];
static lw_event event;
static lw_mutex mutex;
static uint64_t inside; /* plain, under the mutex */

static void setup(void)
{
    for (size_t i = 0; i < CHANNELS; i++)
        lw_channel_init(&channels[i], "channel", room[i], sizeof(long), i);
    event = (lw_event)LW_EVENT_INIT("event");
    mutex = (lw_mutex)LW_MUTEX_INIT("mutex");
    inside = 0;
}

/* The lock is the caller's. */
static void leave(struct actor *actor)
{
    inside++;
    if (draw(&actor->random) % 8 == 0)
        give_way();
    CHECK(inside == 1, "%llu are inside", ull(inside));
    inside--;
    CHECK(lw_mutex_release(&mutex) == 0, "a release");
    count(actor, ENTERED, 1);
}

static bool act(struct actor *actor)
{
    uint64_t number = draw(&actor->random);
    long out = 1 + (long)(number % 1000), in[2] = {0};
    lw_arm arms[5] = {lw_arm_send(&channels[(number >> 10) % CHANNELS], &out),
                      lw_arm_receive(&channels[(number >> 20) % CHANNELS], &in[0]),
                      lw_arm_receive(&channels[(number >> 30) % CHANNELS], &in[1]),
                      lw_arm_acquire(&mutex.lock), lw_arm_event(&event, NULL)};
    /* some only send, or only receive: else nobody would ever wait */
    size_t first = (number >> 40) % 3, last = (number >> 44) % 4 == 0 ? 5 : first + 1;
    lw_nsec deadline = draw_deadline(&actor->random);
    int index = lw_select(arms + first, last > first ? last - first : 1,
                          deadline == LW_FOREVER ? lw_in(1 * LW_MS) : deadline);

    if (index < 0) {
        CHECK(index == -ETIMEDOUT || index == -ECANCELED, "a select returned %d", index);
        CHECK(in[0] == 0 && in[1] == 0, "something was received all the same");
        count(actor, CUT_SHORT, 1);
    } else {
        index += (int)first;
        CHECK(arms[index].result == 0, "arm %d happened with %d", index, arms[index].result);
        CHECK((in[0] != 0) == (index == 1) && (in[1] != 0) == (index == 2),
              "what was not selected happened");
        count(actor, index == 0 ? SENT : index < 3 ? RECEIVED : TOLD,
              index == 0 ? (uint64_t)out : index < 3 ? (uint64_t)(in[0] + in[1]) : 1);
        if (index == 3)
            leave(actor);
        if (index < 3)
            count(actor, ITEMS, 1);
        if (index == 0 && BROKEN(1, &actor->random, 1000))
            count(actor, SENT, 1);
    }
    if ((number >> 50) % 16 == 0)
        lw_event_set(&event);
    else
        lw_event_clear(&event);
    count(actor, OPERATIONS, 1);
    return !torture_over();
}

static void check(void)
{
    uint64_t rest = 0;
    long item;

    for (int i = 0; i < CHANNELS; i++) {
        while (lw_channel_receive(&channels[i], &item, LW_NOW) == 0)
            rest += (uint64_t)item;
        CHECK(channels[i].wait._queue == NULL && channels[i]._senders == NULL,
              "an arm is still in channel %d", i);
    }
    CHECK(torture_sum(SENT) == torture_sum(RECEIVED) + rest,
          "%llu were sent, %llu received, %llu are left", ull(torture_sum(SENT)),
          ull(torture_sum(RECEIVED)), ull(rest));
    CHECK(!lw_locked(&mutex.lock) && mutex.lock._queue == NULL && event.wait._queue == NULL,
          "something is still waited for");
}

static void report(void)
{
    (void)printf("%llu items, %llu sent = received, %llu inside, %llu told, %llu cut short",
                 ull(torture_total(ITEMS)), ull(torture_total(SENT)), ull(torture_total(ENTERED)),
                 ull(torture_total(TOLD)), ull(torture_total(CUT_SHORT)));
}

const struct torture torture = {
    .name = "select",
    .tasks = TASKS,
    .guests = 3,
    .cancels = true,
    .setup = setup,
    .act = act,
    .check = check,
    .report = report,
};
