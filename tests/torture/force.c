/* SPDX-License-Identifier: MIT */
/* Owners that wait for ever with their lock, unless they are asked to let go: tasks and plain
 * threads, that release, answer, or do so too late.  Others force the locks, or host a task that is
 * to own them.
 *
 * Whoever is inside adds one to a plain counter, which in the end is the number of those that were.
 * An answer that was in time has been received, once.  And who is not asked waits for ever, which
 * is seen. */
#include "tests/torture/torture.h"

#include "primitives/lock.h"

enum { HELD = 1, ASKED, ANSWERED, RECEIVED, FORCED, HOSTED, CUT_SHORT, INSIDE /* per section */ };
enum { SECTIONS = 6, SMITHS = 3, MARK = 99 };

static struct section {
    lw_lock lock;
    uint64_t plain;
} sections[SECTIONS];
static lw_locksmith smiths[SMITHS];

static void receive(lw_locksmith *smith, lw_lock *lock, lw_answer answer, intptr_t value)
{
    (void)smith;
    (void)lock;
    if (value == MARK && answer != LW_ANSWER_LATER)
        torture_add(RECEIVED, 1);
}

static void setup(void)
{
    static const lw_locksmith_hooks hooks = {.answer_received = receive};
    const lw_mutex mutex = LW_MUTEX_INIT("mutex");
    const lw_rlock rlock = LW_RLOCK_INIT("rlock");
    const lw_priority_lock priority_lock = LW_PRIORITY_LOCK_INIT("priority lock");
    const lw_lock *const kinds[] = {&mutex.lock, &rlock.lock, &priority_lock.lock};

    for (int j = 0; j < SMITHS; j++)
        CHECK(lw_locksmith_fini(&smiths[j]) == 0, "a smith has something to do");
    for (int i = 0; i < SECTIONS; i++)
        sections[i] = (struct section){.lock = *kinds[i % 3]};
    for (int j = 0; j < SMITHS; j++) {
        smiths[j] = (lw_locksmith)LW_LOCKSMITH_INIT(&hooks, NULL);
        for (int i = 0; i < SECTIONS; i++)
            CHECK(lw_recognition_ok(
                      lw_locksmith_recognize(&smiths[j], &sections[i].lock, LW_FOREVER)),
                  "a lock is not recognised");
    }
}

/* Inside: alone with the counter. */
static void add_one(struct section *section)
{
    uint64_t seen = section->plain;

    give_way();
    section->plain = seen + 1;
}

static void answer(struct actor *actor)
{
    uint64_t number = draw(&actor->random);
    lw_force_request asked;
    int err;

    if (!lw_force_pending(&asked))
        return;
    count(actor, ASKED, 1);
    if (number % 2 == 0)
        return; /* the release is answer enough */
    if (number % 8 == 1)
        give_way();
    err = lw_force_answer(&asked, number % 16 < 8 ? LW_ANSWER_RELEASED : LW_ANSWER_VALUE, MARK);
    CHECK(err == 0 || err == -ESTALE, "an answer returned %d", err);
    count(actor, ANSWERED, (uint64_t)(err == 0) + BROKEN(2, &actor->random, 100));
}

static void hold(struct actor *actor, struct section *section)
{
    int err = lw_acquire(&section->lock, lw_in(LW_MS));

    /* Asked for one that it has let go of just now. */
    CHECK(err == 0 || err == -ETIMEDOUT || err == -ECANCELED || err == -EDEADLK,
          "an acquire returned %d", err);
    if (err < 0)
        return;
    add_one(section);
    count(actor, INSIDE + (int)(section - sections), 1 + BROKEN(1, &actor->random, 1000));
    count(actor, HELD, 1);
    err = lw_sleep(LW_FOREVER);
    CHECK(err == -EDEADLK || err == -ECANCELED, "a sleep returned %d", err);
    answer(actor);
    CHECK(lw_release(&section->lock) == 0, "it could not be left");
}

static bool is_result(int result)
{
    return result == -ETIMEDOUT || result == -ECANCELED || result == -EDEADLK ||
           result == LW_FORCE_UNFORCEABLE || result == LW_FORCE_SUCCESS ||
           result == LW_FORCE_FAILURE || result == LW_FORCE_ALREADY_BEING_FORCED;
}

static void force(struct actor *actor, lw_locksmith *smith, struct section *section)
{
    int result = lw_locksmith_force(smith, &section->lock, NULL, 0,
                                    lw_in((lw_nsec)(draw(&actor->random) % (2 * LW_MS))));

    CHECK(is_result(result), "a force returned %d", result);
    count(actor, result == LW_FORCE_SUCCESS ? FORCED : CUT_SHORT, 1);
}

static int be_hosted(void *arg)
{
    struct section *section = arg;

    CHECK(lw_owned(&section->lock), "the hosted task is not the owner");
    add_one(section);
    torture_add(INSIDE + (int)(section - sections), 1);
    torture_add(HOSTED, 1);
    return 0;
}

static void host(struct actor *actor, lw_locksmith *smith, struct section *section)
{
    static const lw_host_timeouts short_ones = {LW_MS, LW_MS, LW_FOREVER};
    int status = 1, err = lw_locksmith_host(smith, &section->lock, be_hosted, section, &status,
                                            &short_ones, LW_FOREVER);

    CHECK(err == 0 ? status == 0 : is_result(err), "a host returned %d", err);
    count(actor, CUT_SHORT, err != 0);
}

static bool act(struct actor *actor)
{
    uint64_t number = draw(&actor->random);
    struct section *section = &sections[(number >> 8) % SECTIONS];
    lw_locksmith *smith = &smiths[(number >> 16) % SMITHS];

    if (number % 8 == 0)
        host(actor, smith, section);
    else if (number % 2 == 0)
        force(actor, smith, section);
    else
        hold(actor, section);
    count(actor, OPERATIONS, 1);
    return !torture_over();
}

/* Whoever still holds one. */
static void finish(void)
{
    for (int i = 0; i < SECTIONS; i++)
        CHECK(is_result(lw_locksmith_force(&smiths[0], &sections[i].lock, NULL, 0, lw_in(LW_MS))),
              "a last force");
}

static void check(void)
{
    for (int i = 0; i < SECTIONS; i++)
        CHECK(sections[i].plain == torture_sum(INSIDE + i), "lock %d: counted to %llu by %llu", i,
              ull(sections[i].plain), ull(torture_sum(INSIDE + i)));
    CHECK(torture_sum(RECEIVED) == torture_sum(ANSWERED), "%llu answers, %llu received",
          ull(torture_sum(ANSWERED)), ull(torture_sum(RECEIVED)));
}

static void report(void)
{
    (void)printf("%llu held, %llu asked, %llu answered, %llu forced, %llu hosted",
                 ull(torture_total(HELD)), ull(torture_total(ASKED)), ull(torture_total(ANSWERED)),
                 ull(torture_total(FORCED)), ull(torture_total(HOSTED)));
}

const struct torture torture = {
    .name = "force",
    .tasks = 14,
    .guests = 4,
    .cancels = true,
    .setup = setup,
    .act = act,
    .finish = finish,
    .check = check,
    .report = report,
};
