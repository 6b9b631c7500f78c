/* SPDX-License-Identifier: MIT */
/* Philosophers who all take the fork to their left first, 5 to 1000 of them at a table, and nobody
 * but the detector keeps them eating.  Each fork counts its meals, plainly; nobody is refused but
 * by a verdict; and nobody leaves the table without a meal, so one who is starved is seen as one
 * who never comes back. */
#include "tests/torture/detecting.h"

enum { REFUSED = 1, SECTIONS };
enum { SEATS_MAX = 1000, GUESTS = 3 };

static struct fork {
    lw_mutex mutex;
    long meals; /* plain: under the mutex */
} __attribute__((aligned(64))) forks[SEATS_MAX];

static int seats, guests; /* of the lap; guests have the first seats */
static unsigned greed;    /* one in so many looks around with one fork in the hand */

static void setup(void)
{
    static const int tables[] = {5, 12, 40, 200, SEATS_MAX};
    static const unsigned greeds[] = {1, 2, 16};

    seats = tables[torture_lap() % 5];
    guests = torture_lap() % 2 == 0 ? GUESTS : 0;
    greed = greeds[torture_lap() % 3];
    for (int i = 0; i < SEATS_MAX; i++)
        forks[i] = (struct fork){.mutex = LW_MUTEX_INIT("fork")};
    begin_to_detect();
}

/* Negative: there is no seat for it in this lap. */
static int seat_of(const struct actor *actor)
{
    int guest = actor->index - SEATS_MAX, seat = actor->index + guests;

    if (guest >= 0)
        return guest < guests ? guest : -1;
    return seat < seats ? seat : -1;
}

static void eat(struct actor *actor, struct fork *left, struct fork *right)
{
    left->meals++;
    right->meals++;
    count(actor, SECTIONS, BROKEN(1, &actor->random, 1000) ? 1 : 2);
    count(actor, OPERATIONS, 1);
    CHECK(lw_mutex_release(&right->mutex) == 0, "the right fork");
}

static bool act(struct actor *actor)
{
    int seat = seat_of(actor), err;
    struct fork *left, *right;

    if (seat < 0)
        return false;
    left = &forks[seat];
    right = &forks[(seat + 1) % seats];
    CHECK(lw_mutex_acquire(&left->mutex, LW_FOREVER) == 0, "who has nothing is never refused");
    if (draw(&actor->random) % greed == 0)
        give_way();
    err = lw_mutex_acquire(&right->mutex, LW_FOREVER);
    CHECK(err == 0 || err == -EDEADLK, "%d", err);
    count(actor, REFUSED, err == -EDEADLK || BROKEN(2, &actor->random, 1000));
    if (err == 0)
        eat(actor, left, right);
    CHECK(lw_mutex_release(&left->mutex) == 0, "the left fork");
    if (err == -EDEADLK)
        CHECK(lw_backoff(LW_FOREVER) == 0, "who has nothing may start over");
    return !torture_over() || actor->counts[OPERATIONS] == 0;
}

static void check(void)
{
    uint64_t sum = 0;

    for (int i = 0; i < SEATS_MAX; i++)
        sum += (uint64_t)forks[i].meals;
    CHECK(sum == torture_sum(SECTIONS), "%llu forks used, counted to %llu",
          ull(torture_sum(SECTIONS)), ull(sum));
    check_refused(torture_sum(REFUSED));
}

static void report(void)
{
    (void)printf("%llu meals, %llu deadlocks, each philosopher ate in each lap",
                 ull(torture_total(OPERATIONS)), ull(torture_total(REFUSED)));
}

const struct torture torture = {
    .name = "philosophers",
    .tasks = SEATS_MAX,
    .guests = GUESTS,
    .setup = setup,
    .act = act,
    .check = check,
    .report = report,
};
