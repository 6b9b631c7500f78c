/* SPDX-License-Identifier: MIT */
/* Errands that are to be done once: one at a time runs one, nobody after it was done, and all are
 * told the status of a run, and see what it wrote, whether it failed or not.  Some runs fail, and
 * some end with their thread inside: then another runs it.  Each errand is made for a few tickets,
 * the last of whose holders frees it.  They try until it is done; or, so that nobody makes up for
 * a wakeup that is lost, until they are told something. */
#include <pthread.h>

#include "tests/torture/tickets.h"

enum { DONE = 1, FAILED, ABANDONED, TOLD, CUT_SHORT };
enum { SLOTS = 3, TICKETS = 5, RUNS_MAX = 8, FAILURE = 4096 /* no wait's */ };

struct errand {
    struct ticketed ticketed;
    lw_once once;
    /* plain: what orders them is the once */
    uint64_t secret, written[RUNS_MAX];
    int runs, inside;
    bool done;
    bool just_once; /* nobody tries again who was told something; constant */
};

/* Whoever comes to it. */
struct runner {
    struct errand *errand;
    uint64_t random;
    bool quits; /* a thread that is to end inside */
};

static struct slot slots[SLOTS];

static void *make(uint64_t *random)
{
    struct errand *errand = calloc(1, sizeof *errand);

    CHECK(errand != NULL, "no memory");
    errand->ticketed.users = TICKETS;
    errand->once = (lw_once)LW_ONCE_INIT("errand");
    errand->secret = draw(random);
    errand->just_once = draw(random) % 2 == 0;
    return errand;
}

/* The last of the runs is done, whatever was drawn. */
static int do_errand(void *arg)
{
    struct runner *runner = arg;
    struct errand *errand = runner->errand;
    uint64_t number = draw(&runner->random);
    int run = errand->runs++;

    CHECK(!errand->done, "it is done twice");
    CHECK(errand->inside++ == 0, "two are inside");
    if (number % 4 == 0)
        give_way();
    else if (number % 8 == 1)
        (void)!lw_sleep(lw_in((lw_nsec)(number >> 16) % (50 * LW_US)));
    if (number % 16 == 2)
        CHECK(lw_once_run(&errand->once, do_errand, arg, LW_FOREVER) == -EDEADLK,
              "it is run inside of itself");
    CHECK(--errand->inside == 0, "another was inside");
    if (runner->quits && run < RUNS_MAX - 1) {
        torture_add(ABANDONED, 1);
        pthread_exit(NULL);
    }
    errand->written[run] = errand->secret + (uint64_t)run;
    if ((number >> 8) % 4 == 0 && run < RUNS_MAX - 1) {
        torture_add(FAILED, 1);
        return -FAILURE - run;
    }
    torture_add(DONE, 1);
    errand->done = true;
    return run;
}

static void check_status(const struct errand *errand, int status)
{
    int run = status >= 0 ? status : -FAILURE - status;

    CHECK(run >= 0 && run < RUNS_MAX && errand->written[run] == errand->secret + (uint64_t)run,
          "a status that no run returned: %d", status);
    CHECK(status < 0 || (errand->done && errand->runs == run + 1 && errand->inside == 0),
          "told that it is done by run %d of %d", run, errand->runs);
}

/* False: again. */
static bool try_once(struct runner *runner)
{
    lw_nsec deadline = draw_deadline(&runner->random);
    bool shielded = shield_or_not(&runner->random);
    int status = BROKEN(1, &runner->random, 1000)
                     ? do_errand(runner)
                     : lw_once_run(&runner->errand->once, do_errand, runner, deadline);

    unshield(shielded);
    if (BROKEN(2, &runner->random, 1000))
        status++;
    if (status == -ECANCELED || (status == -ETIMEDOUT && deadline != LW_FOREVER)) {
        torture_add(CUT_SHORT, 1);
        if (deadline == LW_NOW)
            give_way();
        return false;
    }
    torture_add(TOLD, 1);
    check_status(runner->errand, status);
    return status >= 0 || runner->errand->just_once;
}

static void *come(void *arg)
{
    struct runner *runner = arg;
    struct slot *slot = &slots[draw(&runner->random) % SLOTS];
    int ticket;

    runner->errand = take_ticket(slot, TICKETS, make, &runner->random, &ticket);
    while (runner->errand != NULL && !try_once(runner))
        continue;
    return NULL;
}

/* In a thread that does not come back if it is the one who runs the errand; the caller goes on. */
static void come_and_quit(struct runner *runner)
{
    pthread_t thread;

    runner->quits = true;
    CHECK(pthread_create(&thread, NULL, come, runner) == 0, "no thread");
    (void)pthread_join(thread, NULL);
    CHECK(runner->errand != NULL, "a plain thread was cancelled");
    runner->quits = false;
    while (!runner->errand->just_once && !try_once(runner))
        continue;
}

static bool act(struct actor *actor)
{
    struct runner runner = {.random = draw(&actor->random)};

    if (actor->index >= torture.tasks && draw(&actor->random) % 4 == 0)
        come_and_quit(&runner);
    else
        (void)come(&runner);
    if (runner.errand != NULL && end_use(&runner.errand->ticketed)) {
        CHECK(runner.errand->once.wait._queue == NULL, "somebody still waits");
        free(runner.errand);
    }
    count(actor, OPERATIONS, 1);
    return !torture_over();
}

static void setup(void)
{
    for (int i = 0; i < SLOTS; i++)
        slots[i] = (struct slot){.mutex = LW_MUTEX_INIT("slot")};
}

/* Those that too few came to. */
static void check(void)
{
    for (int i = 0; i < SLOTS; i++) {
        struct errand *errand = (struct errand *)(void *)slots[i].open;

        CHECK(errand == NULL || errand->done || errand->just_once, "an errand was not done");
        free(errand);
    }
}

static void report(void)
{
    (void)printf("%llu were done, %llu runs failed, %llu ended inside; %llu were told, %llu waits "
                 "cut short",
                 ull(torture_total(DONE)), ull(torture_total(FAILED)),
                 ull(torture_total(ABANDONED)), ull(torture_total(TOLD)),
                 ull(torture_total(CUT_SHORT)));
}

const struct torture torture = {
    .name = "once",
    .tasks = 16,
    .guests = 4,
    .cancels = true,
    .setup = setup,
    .act = act,
    .check = check,
    .report = report,
};
