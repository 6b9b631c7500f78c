/* SPDX-License-Identifier: MIT */
/* The channel in many schedules: what was sent is received, once and in order, whoever gives up
 * meanwhile, also without room for any item; and a close ends all waits. */
#include "tests/sim/explore.h"

TestSuite(channel, .init = watchdog);

enum { SENDERS = 2, ITEMS = 3 };

static struct {
    lw_channel channel;
    int room[2];
    int sent, received, refused;
    int sum_sent, sum_received;
    int newest[SENDERS];
    int pipes, users;
} it;

static void set_up(unsigned capacity)
{
    memset(&it, 0, sizeof it);
    lw_channel_init(&it.channel, "channel", it.room, sizeof *it.room, capacity);
}

/* ---- conservation */

static void send_some(int sender, bool by_drawn_deadline)
{
    for (int i = 1; i <= ITEMS; i++) {
        lw_nsec deadline = by_drawn_deadline ? draw_deadline() : LW_FOREVER;
        int item = sender * 100 + i, err = lw_channel_send(&it.channel, &item, deadline);

        if (err == 0) {
            it.sent++;
            it.sum_sent += item;
        } else if (err == -EPIPE) {
            it.pipes++;
        } else {
            LW_SIM_CHECK(by_drawn_deadline && is_cut_short(err));
            LW_SIM_CHECK(err == -ECANCELED || deadline != LW_FOREVER);
            it.refused++;
        }
    }
}

static int send_to_the_end(void *arg)
{
    send_some((int)(uintptr_t)arg, false);
    return 0;
}

static int send_or_give_up(void *arg)
{
    send_some((int)(uintptr_t)arg, true);
    return 0;
}

static int receive_all(void *arg)
{
    int item, err;

    for (;;) {
        lw_nsec deadline = arg != NULL ? draw_deadline() : LW_FOREVER;

        err = lw_channel_receive(&it.channel, &item, deadline);
        if (err == -EPIPE)
            return 0;
        if (err != 0) {
            LW_SIM_CHECK(arg != NULL && is_cut_short(err));
            LW_SIM_CHECK(err == -ECANCELED || deadline != LW_FOREVER);
            continue;
        }
        it.received++;
        it.sum_received += item;
        if (arg == NULL) { /* the only one: in order */
            LW_SIM_CHECK(it.newest[item / 100] < item % 100);
            it.newest[item / 100] = item % 100;
        }
    }
}

static int conserve(void *arg)
{
    lw_task senders[SENDERS], receivers[2];
    int many = *(int *)arg;

    set_up(sim_choose(3));
    for (uintptr_t i = 0; i < SENDERS; i++)
        senders[i] = start(many > 1 ? send_or_give_up : send_to_the_end, (void *)i);
    for (int i = 0; i < many; i++)
        receivers[i] = start(receive_all, many > 1 ? &it : NULL);
    if (many > 1) {
        (void)lw_cancel(senders[1]);
        (void)lw_cancel(receivers[1]);
    }
    for (int i = 0; i < SENDERS; i++)
        LW_SIM_CHECK(end_of(senders[i]) == 0);
    LW_SIM_CHECK(it.sent + it.refused == SENDERS * ITEMS);
    lw_channel_close(&it.channel);
    for (int i = 0; i < many; i++)
        LW_SIM_CHECK(end_of(receivers[i]) == 0);
    LW_SIM_CHECK(it.received == it.sent && it.sum_received == it.sum_sent);
    LW_SIM_CHECK(it.channel.wait._queue == NULL && it.channel._senders == NULL);
    LW_SIM_CHECK(many > 1 || (it.sent == SENDERS * ITEMS && nobody_waited()));
    return 0;
}

Test(channel, what_is_sent_is_received_once_and_in_order)
{
    int receivers = 1;

    sim_all(conserve, &receivers);
}

Test(channel, who_gives_up_takes_no_item_with_it)
{
    int receivers = 2;

    sim_all(conserve, &receivers);
}

/* ---- a close ends all waits */

static int close_early(void *arg)
{
    lw_task senders[SENDERS], receiver;

    (void)arg;
    set_up(sim_choose(3));
    for (uintptr_t i = 0; i < SENDERS; i++)
        senders[i] = start(send_to_the_end, (void *)i);
    receiver = start(receive_all, NULL);
    lw_sim_point();
    lw_channel_close(&it.channel);
    for (int i = 0; i < SENDERS; i++)
        LW_SIM_CHECK(end_of(senders[i]) == 0);
    LW_SIM_CHECK(end_of(receiver) == 0);
    LW_SIM_CHECK(it.sent + it.pipes == SENDERS * ITEMS);
    LW_SIM_CHECK(it.received == it.sent && it.sum_received == it.sum_sent);
    LW_SIM_CHECK(nobody_waited());
    return 0;
}

Test(channel, a_close_ends_all_waits)
{
    sim_all(close_early, NULL);
}

/* ---- a broadcast */

static int receive_one(void *arg)
{
    lw_nsec deadline = arg != NULL ? draw_deadline() : LW_FOREVER;
    int item = 0, err = lw_channel_receive(&it.channel, &item, deadline);

    LW_SIM_CHECK(err == 0 || err == -EPIPE || (is_cut_short(err) && arg != NULL));
    LW_SIM_CHECK(item == (err == 0 ? 7 : 0));
    it.received += err == 0;
    return 0;
}

static int broadcast(void *arg)
{
    lw_task tasks[3];
    int item = 7, told = 0;

    (void)arg;
    set_up(sim_choose(2));
    for (int i = 0; i < 3; i++)
        tasks[i] = start(receive_one, i > 0 ? &it : NULL);
    (void)lw_cancel(tasks[1]);
    for (unsigned n = sim_choose(8); n > 0; n--) /* else hardly anybody would be there */
        lw_yield();
    for (int i = 0; i < 2; i++)
        told += (int)lw_channel_broadcast(&it.channel, &item);
    lw_channel_close(&it.channel);
    for (int i = 0; i < 3; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    LW_SIM_CHECK(it.received == told);
    return 0;
}

Test(channel, a_broadcast_counts_who_got_it)
{
    sim_all(broadcast, NULL);
}

/* ---- memory */

static void leave(void)
{
    if (--it.users == 0)
        BURN(&it.channel);
}

static int send_and_leave(void *arg)
{
    send_some(0, false);
    (void)arg;
    leave();
    return 0;
}

static int receive_and_leave(void *arg)
{
    int item;

    (void)arg;
    for (int i = 0; i < ITEMS; i++)
        LW_SIM_CHECK(lw_channel_receive(&it.channel, &item, LW_FOREVER) == 0);
    leave();
    return 0;
}

static int burn_after_use(void *arg)
{
    lw_task tasks[4];

    (void)arg;
    set_up(sim_choose(3));
    it.users = 4;
    for (int i = 0; i < 4; i++)
        tasks[i] = start(i % 2 == 0 ? send_and_leave : receive_and_leave, NULL);
    for (int i = 0; i < 4; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    for (unsigned i = 0; i < sizeof it.channel; i++)
        LW_SIM_CHECK(((unsigned char *)&it.channel)[i] == 0xdb);
    LW_SIM_CHECK(nobody_waited());
    return 0;
}

Test(channel, the_last_user_may_free_it)
{
    sim_all(burn_after_use, NULL);
}

/* ---- all there are */

static int rendezvous(void *arg)
{
    lw_task other;
    int item = 0;

    (void)arg;
    set_up(0);
    other = start(receive_all, NULL);
    item = 1;
    LW_SIM_CHECK(lw_channel_send(&it.channel, &item, LW_FOREVER) == 0);
    lw_channel_close(&it.channel);
    LW_SIM_CHECK(end_of(other) == 0);
    LW_SIM_CHECK(it.received == 1 && it.sum_received == 1);
    LW_SIM_CHECK(nobody_waited());
    return 0;
}

Test(channel, a_rendezvous_in_every_order)
{
    sim_every(rendezvous, NULL, 1, 100);
}
