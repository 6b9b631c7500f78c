/* SPDX-License-Identifier: MIT */
/* Everything at once, for as long as one likes: trees of tasks that are spawned in each way, wait
 * in each way, are cancelled, shielded, woken from tasks and threads, on runtimes that come and go.
 *
 *     mix [seconds [seed]]
 *
 * What must hold: whatever was spawned ran once; a join gives what its task returned; a wake that
 * was counted was one wait that was granted; nothing is left when a runtime has stopped.  A failure
 * prints the seed; a hang dumps the tasks and aborts. */
#include <errno.h>
#include <latchwork.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/atomic.h"

enum { WORDS = 8, GUESTS = 2, TREES = 40, DEPTH = 5, HANG_SECONDS = 60 };

static struct {
    uint64_t seed;
    uint32_t words[WORDS];
    uint64_t spawned, ran, woken, granted, timedout, cancelled, joined;
    uint32_t done;
    lw_task handles[64]; /* of whoever wrote last: stale or not, all may be cancelled */
    uint64_t draws;
} mix;

#define CHECK(truth, ...)                                                                          \
    do {                                                                                           \
        if (!(truth)) {                                                                            \
            (void)fprintf(stderr, "mix: seed %llu: %s: ", (unsigned long long)mix.seed, #truth);   \
            (void)fprintf(stderr, __VA_ARGS__);                                                    \
            (void)fputc('\n', stderr);                                                             \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static void count(uint64_t *counter, uint64_t by)
{
    (void)lw_add_rlx(counter, by);
}

/* Each task and thread has a stream of its own: splitmix64 of a shared counter. */
static uint64_t draw(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static uint64_t new_stream(void)
{
    return mix.seed ^ lw_add_rlx(&mix.draws, 1) * UINT64_C(0xd1342543de82ef95);
}

static int wait_somehow(uint64_t *random)
{
    uint64_t number = draw(random);
    lw_nsec deadline = lw_in((lw_nsec)(number >> 44));
    int err;

    if (number % 5 == 0)
        return lw_sleep(deadline);
    if (number % 5 == 1) {
        lw_yield();
        return 0;
    }
    err = lw_futex_wait(&mix.words[(number >> 8) % WORDS], 0, deadline);
    CHECK(err == 0 || err == -ETIMEDOUT || err == -ECANCELED, "a wait returned %d", err);
    count(err == 0 ? &mix.granted : err == -ETIMEDOUT ? &mix.timedout : &mix.cancelled, 1);
    return err;
}

static void disturb(uint64_t *random)
{
    uint64_t number = draw(random);
    lw_task task = {lw_load_rlx(&mix.handles[(number >> 8) % 64].id)};

    if (number % 3 == 0)
        (void)lw_cancel(task);
    else
        count(&mix.woken,
              lw_futex_wake(&mix.words[(number >> 8) % WORDS], (uint32_t)(number >> 60)));
}

static int node(void *arg);

/* Children that are joined one by one, with deadlines and cancels on the way. */
static void join_children(intptr_t depth, unsigned children, uint64_t *random)
{
    lw_task tasks[4];
    unsigned spawned = 0;

    while (spawned < children && lw_spawn(&tasks[spawned], node, (void *)(depth - 1), NULL) == 0) {
        count(&mix.spawned, 1);
        lw_store_rlx(&mix.handles[draw(random) % 64].id, tasks[spawned].id);
        spawned++;
    }
    for (unsigned i = 0; i < spawned; i++) {
        int status = 0, err;

        do
            err =
                lw_join(tasks[i], &status,
                        draw(random) % 4 != 0 ? LW_FOREVER : lw_in((lw_nsec)(draw(random) >> 44)));
        while (err == -ETIMEDOUT || err == -ECANCELED);
        CHECK(err == 0, "a join returned %d", err);
        CHECK(status == (int)depth - 1 + 100, "a join gave %d", status);
        count(&mix.joined, 1);
    }
}

static void group_children(intptr_t depth, unsigned children, uint64_t *random)
{
    lw_group group = LW_GROUP_INIT(draw(random) % 4 == 0 ? LW_GROUP_CANCEL_AT_END : 0);
    int err;

    LW_SCOPE(&group.scope, LW_FOREVER, err) {
        for (unsigned i = 0; i < children; i++)
            if (lw_group_spawn(&group, node, (void *)(depth - 1), NULL) == 0)
                count(&mix.spawned, 1);
        if (draw(random) % 3 == 0)
            err = lw_group_wait(&group, lw_in((lw_nsec)(draw(random) >> 44)));
        else if (draw(random) % 4 == 0)
            err = -EIO;
    }
    CHECK(lw_group_running(&group) == 0, "children outlive their group");
}

static int node(void *arg)
{
    intptr_t depth = (intptr_t)arg;
    uint64_t random = new_stream(), number = draw(&random);
    unsigned children = depth > 0 ? (unsigned)(number >> 8) % 5 : 0;

    count(&mix.ran, 1);
    if (number % 7 == 0)
        LW_SHIELD()
            CHECK(wait_somehow(&random) != -ECANCELED, "a cancel came into a shield");
    else if (number % 2 == 0)
        (void)wait_somehow(&random);
    if (number % 3 != 0)
        disturb(&random);
    if (children > 4)
        children = 4;
    if (number % 5 < 2)
        join_children(depth, children, &random);
    else
        group_children(depth, children, &random);
    if (number % 11 == 0 && depth > 0 && lw_spawn(NULL, node, (void *)(depth - 1), NULL) == 0)
        count(&mix.spawned, 1);
    return (int)depth + 100;
}

static void *guest(void *arg)
{
    uint64_t random = new_stream();

    while (!lw_load_acq(&mix.done)) {
        disturb(&random);
        if (draw(&random) % 8 == 0)
            (void)wait_somehow(&random);
    }
    return arg;
}

static int plant(void *arg)
{
    (void)arg;
    for (int i = 0; i < TREES; i++) {
        uint64_t random = new_stream();

        join_children(DEPTH, 4, &random);
    }
    return 0;
}

static void lap(unsigned workers)
{
    lw_options options = {.name = "mix", .workers = workers, .stop_within = 3600 * LW_SEC};
    pthread_t guests[GUESTS];
    int status;

    lw_store_rel(&mix.done, 0);
    for (int i = 0; i < GUESTS; i++)
        CHECK(pthread_create(&guests[i], NULL, guest, NULL) == 0, "no thread");
    status = lw_run(&options, plant, NULL);
    CHECK(status == 0, "a run returned %d", status);
    lw_store_rel(&mix.done, 1);
    for (int i = 0; i < GUESTS; i++)
        (void)pthread_join(guests[i], NULL);
    CHECK(mix.ran == mix.spawned, "%llu were spawned, %llu ran", (unsigned long long)mix.spawned,
          (unsigned long long)mix.ran);
    CHECK(mix.woken == mix.granted, "%llu wakes, %llu grants", (unsigned long long)mix.woken,
          (unsigned long long)mix.granted);
}

static void on_alarm(int number)
{
    static const char text[] = "mix: it hangs; its tasks:\n";

    (void)number;
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    (void)lw_dump(STDERR_FILENO);
    abort();
}

int main(int argc, char **argv)
{
    lw_nsec end = lw_in((argc > 1 ? atol(argv[1]) : 60) * LW_SEC);
    uint64_t laps = 0;

    mix.seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)lw_now();
    (void)signal(SIGALRM, on_alarm);
    while (lw_now() < end) {
        (void)alarm(HANG_SECONDS);
        lap(1u << laps % 3);
        if (laps++ % 5 == 0)
            lw_trim();
    }
    (void)printf(
        "seed %llu: %llu laps, %llu tasks, %llu joins, %llu grants, %llu timeouts, %llu cancels\n",
        (unsigned long long)mix.seed, (unsigned long long)laps, (unsigned long long)mix.ran,
        (unsigned long long)mix.joined, (unsigned long long)mix.granted,
        (unsigned long long)mix.timedout, (unsigned long long)mix.cancelled);
    return 0;
}
