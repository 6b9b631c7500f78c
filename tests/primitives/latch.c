/* SPDX-License-Identifier: MIT */
/* The laws of lw_latch and lw_multi_latch.  Rows R301 to R318 are the latter's. */
#include "tests/primitives/crowd.h"

TestSuite(latch, .init = watchdog);

/* ---- lw_latch */

static int wait_for_latch(void *arg)
{
    return lw_latch_wait(arg, LW_FOREVER);
}

static int count_to_zero(void *arg)
{
    lw_latch latch = LW_LATCH_INIT("counted", 5), open = {0};
    lw_task waiters[3];

    (void)arg;
    cr_assert_eq(lw_latch_wait(&open, LW_NOW), 0, "all zero is open");
    cr_assert_eq(lw_latch_count(&latch), 5);
    for (int i = 0; i < 3; i++)
        waiters[i] = start_waiter(wait_for_latch, &latch);
    cr_assert_eq(lw_latch_wait(&latch, LW_NOW), -ETIMEDOUT);
    cr_assert_eq(lw_latch_wait(&latch, lw_in(LW_US)), -ETIMEDOUT);
    cr_assert_eq(lw_latch_count_down(&latch, 2), 0);
    cr_assert_eq(lw_latch_count_down(&latch, 4), -EOVERFLOW);
    cr_assert_eq(lw_latch_count_down(&latch, 0), 0);
    cr_assert_eq(lw_latch_count(&latch), 3);
    cr_assert(is_waiting(waiters[0]) && is_waiting(waiters[2]));
    cr_assert_eq(lw_cancel(waiters[1]), 0);
    cr_assert_eq(join_status(waiters[1]), -ECANCELED);
    cr_assert_eq(lw_latch_count_down(&latch, 3), 0);
    cr_assert_eq(join_status(waiters[0]), 0);
    cr_assert_eq(join_status(waiters[2]), 0);
    cr_assert_eq(lw_latch_wait(&latch, LW_NOW), 0);
    cr_assert_eq(lw_latch_count_down(&latch, 1), -EOVERFLOW);
    cr_assert_eq(latch.wait._word._value, 0);
    return 0;
}

Test(latch, it_opens_at_zero_and_stays_open)
{
    run_all(count_to_zero, NULL);
}

struct shared {
    lw_latch latch;
    long written[CROWD_MAX]; /* plain: each by its member, before its count down */
    int members;
};

static void count_and_wait(struct member *member)
{
    struct shared *shared = member->crowd->object;
    int err;

    shared->written[member->index] = member->index + 1;
    cr_assert_eq(lw_latch_count_down(&shared->latch, 1), 0);
    do
        err = lw_latch_wait(&shared->latch, random_deadline(member));
    while (is_interruption(err));
    cr_assert_eq(err, 0);
    for (int i = 0; i < shared->members; i++)
        cr_assert_eq(shared->written[i], i + 1, "seen after the wait");
}

static int crowds(void *arg)
{
    (void)arg;
    for (uint64_t seed = 1; seed <= (uint64_t)rounds(100); seed++) {
        struct shared shared = {.latch = LW_LATCH_INIT("crowd", 14), .members = 14};
        struct crowd crowd = {.tasks = 12,
                              .threads = 2,
                              .cancels = true,
                              .act = count_and_wait,
                              .object = &shared,
                              .seed = seed};

        crowd_run(&crowd);
        cr_assert_eq(shared.latch.wait._word._value, 0);
        cr_assert_null(shared.latch.wait._queue);
    }
    return 0;
}

Test(latch, what_was_written_before_is_seen_after)
{
    run_all(crowds, NULL);
}

/* ---- lw_multi_latch */

enum { A = 7, B = 3, C = 99, D = 1, UNKNOWN = 4 };

static void make(lw_multi_latch *latch, lw_latch_entry entries[4])
{
    static const lw_latch_entry these[4] = {
        {A, 2, NULL}, {B, 1, NULL}, {C, 0, NULL}, {D, -5, NULL}};

    memcpy(entries, these, sizeof these);
    cr_assert_eq(lw_multi_latch_init(latch, "several", entries, 4), 0);
}

struct wish {
    lw_multi_latch *latch;
    uint64_t key;
    bool all;
};

static int wish(void *arg)
{
    struct wish *wish = arg;

    return wish->all ? lw_multi_latch_wait_all(wish->latch, LW_FOREVER)
                     : lw_multi_latch_wait(wish->latch, wish->key, 0, LW_FOREVER);
}

static int codes(void *arg)
{
    lw_latch_entry entries[4], twice[3] = {{5, 1, NULL}, {6, 1, NULL}, {5, 2, NULL}};
    lw_multi_latch latch, none = {0};

    (void)arg;
    cr_assert_eq(lw_multi_latch_wait(&none, 1, 0, LW_NOW), -EINVAL, "zeroed");
    cr_assert_eq(lw_multi_latch_wait_all(&none, LW_NOW), -EINVAL);
    cr_assert_eq(lw_multi_latch_count_down(&none, 1, 0), -EINVAL);
    lw_multi_latch_count_down_all(&none);
    cr_assert_eq(lw_multi_latch_wait_all(&none, LW_NOW), -EINVAL, "as before");
    cr_assert_eq(lw_multi_latch_init(&latch, NULL, twice, 3), -EINVAL, "R303");
    cr_assert_eq(lw_multi_latch_init(&none, NULL, NULL, 0), 0);
    cr_assert(lw_multi_latch_broken(&none), "R318: an empty one");
    cr_assert_eq(lw_multi_latch_wait_all(&none, LW_NOW), 0, "R318");
    make(&latch, entries);
    cr_assert_eq(lw_multi_latch_wait(&latch, C, LW_STRICT, LW_NOW), 0, "R301, R313");
    cr_assert_eq(lw_multi_latch_wait(&latch, D, 0, LW_NOW), 0, "R301, R311");
    cr_assert_eq(lw_multi_latch_wait(&latch, UNKNOWN, 0, LW_NOW), 0, "R311");
    cr_assert_eq(lw_multi_latch_wait(&latch, UNKNOWN, LW_STRICT, LW_NOW), -ENOENT, "R312");
    cr_assert_eq(lw_multi_latch_wait(&latch, A, 2, LW_NOW), -EINVAL);
    cr_assert_eq(lw_multi_latch_wait(&latch, A, 0, LW_NOW), -ETIMEDOUT);
    cr_assert_eq(lw_multi_latch_count_down(&latch, UNKNOWN, 0), 0, "R306");
    cr_assert_eq(lw_multi_latch_count_down(&latch, UNKNOWN, LW_STRICT), -ENOENT, "R306");
    cr_assert_eq(lw_multi_latch_count_down(&latch, C, 0), 0, "R307");
    cr_assert_eq(lw_multi_latch_count_down(&latch, C, LW_STRICT), -EOVERFLOW, "R307");
    cr_assert_eq(lw_multi_latch_count_down(&latch, A, 2), -EINVAL);
    cr_assert_eq(lw_multi_latch_wait_all(&latch, lw_in(LW_US)), -ETIMEDOUT, "R317");
    cr_assert_not(lw_multi_latch_broken(&latch), "R318");
    cr_assert_eq(lw_multi_latch_count_down(&latch, A, LW_STRICT), 0, "R304, R317: as before");
    cr_assert_eq(lw_multi_latch_wait(&latch, B, 0, LW_NOW), -ETIMEDOUT, "R304: not the others");
    cr_assert_eq(lw_multi_latch_count_down(&latch, A, LW_STRICT), 0);
    cr_assert_eq(lw_multi_latch_wait(&latch, A, LW_STRICT, LW_NOW), 0);
    cr_assert_eq(lw_multi_latch_count_down(&latch, B, LW_STRICT), 0);
    cr_assert(lw_multi_latch_broken(&latch), "R318");
    cr_assert_eq(lw_multi_latch_wait_all(&latch, LW_NOW), 0, "R318");
    return 0;
}

Test(latch, misuse_has_its_code_and_changes_nothing)
{
    run_all(codes, NULL);
}

static int wake_by_key(void *arg)
{
    lw_latch_entry entries[4];
    lw_multi_latch latch;
    struct wish wishes[4] = {
        {&latch, A, false}, {&latch, B, false}, {&latch, A, false}, {&latch, 0, true}};
    lw_task tasks[4];

    (void)arg;
    make(&latch, entries);
    for (int i = 0; i < 4; i++)
        tasks[i] = start_waiter(wish, &wishes[i]);
    cr_assert_eq(lw_multi_latch_count_down(&latch, A, 0), 0, "R308: though others wait");
    cr_assert_eq(lw_multi_latch_count_down(&latch, B, 0), 0);
    cr_assert_eq(join_status(tasks[1]), 0, "R305");
    cr_assert(is_waiting(tasks[0]) && is_waiting(tasks[2]), "R314: not by other keys");
    cr_assert(is_waiting(tasks[3]), "R316");
    cr_assert_eq(lw_cancel(tasks[0]), 0);
    cr_assert_eq(join_status(tasks[0]), -ECANCELED);
    cr_assert(is_waiting(tasks[2]), "R315");
    cr_assert_eq(lw_multi_latch_wait(&latch, A, 0, LW_NOW), -ETIMEDOUT, "R315");
    cr_assert_eq(lw_multi_latch_count_down(&latch, A, 0), 0);
    cr_assert_eq(join_status(tasks[2]), 0, "R305, R314");
    cr_assert_eq(join_status(tasks[3]), 0, "R316");
    return 0;
}

Test(latch, each_key_wakes_its_own_and_the_last_one_all)
{
    run_all(wake_by_key, NULL);
}

static int lower_all(void *arg)
{
    lw_latch_entry entries[3] = {{1, 1, NULL}, {2, 3, NULL}, {3, 2, NULL}};
    lw_multi_latch latch;
    struct wish wishes[4] = {
        {&latch, 1, false}, {&latch, 2, false}, {&latch, 3, false}, {&latch, 0, true}};
    lw_task tasks[4];

    (void)arg;
    cr_assert_eq(lw_multi_latch_init(&latch, NULL, entries, 3), 0);
    for (int i = 0; i < 4; i++)
        tasks[i] = start_waiter(wish, &wishes[i]);
    lw_multi_latch_count_down_all(&latch);
    cr_assert_eq(join_status(tasks[0]), 0, "R310: in the same call");
    cr_assert(is_waiting(tasks[1]) && is_waiting(tasks[2]), "R309: by exactly one");
    lw_multi_latch_count_down_all(&latch);
    cr_assert_eq(join_status(tasks[2]), 0, "R309: also when some complete");
    cr_assert(is_waiting(tasks[1]) && is_waiting(tasks[3]));
    lw_multi_latch_count_down_all(&latch);
    cr_assert_eq(join_status(tasks[1]), 0, "R309");
    cr_assert_eq(join_status(tasks[3]), 0, "R316");
    lw_multi_latch_count_down_all(&latch);
    cr_assert(lw_multi_latch_broken(&latch));
    return 0;
}

Test(latch, all_keys_are_lowered_as_one)
{
    run_all(lower_all, NULL);
}

/* R302: the entries are the latch's copy of what its counts come from.  That may change, and be the
 * source of another latch. */
static int change_the_source(void *arg)
{
    lw_latch_entry source[3] = {{C, 1, NULL}, {A, 2, NULL}, {B, 3, NULL}}, entries[2][3];
    lw_multi_latch latches[2];
    struct wish wishes[2] = {{&latches[0], A, false}, {&latches[1], A, false}};
    lw_task tasks[2];

    (void)arg;
    for (int i = 0; i < 2; i++) {
        memcpy(entries[i], source, sizeof source);
        cr_assert_eq(lw_multi_latch_init(&latches[i], NULL, entries[i], 3), 0);
        tasks[i] = start_waiter(wish, &wishes[i]);
    }
    cr_assert(source[0].key == C && source[1].key == A && source[2].key == B, "as it was");
    for (int i = 0; i < 3; i++)
        source[i] = (lw_latch_entry){UNKNOWN, -1, NULL};
    cr_assert_eq(lw_multi_latch_count_down(&latches[0], UNKNOWN, LW_STRICT), -ENOENT, "R302");
    for (int n = 0; n < 2; n++)
        cr_assert_eq(lw_multi_latch_count_down(&latches[0], A, LW_STRICT), 0, "R302");
    cr_assert_eq(lw_multi_latch_count_down(&latches[0], A, LW_STRICT), -EOVERFLOW, "R302");
    cr_assert_eq(join_status(tasks[0]), 0, "R302");
    cr_assert(is_waiting(tasks[1]), "R302: not those of the other");
    for (int n = 0; n < 3; n++) {
        cr_assert_not(lw_multi_latch_broken(&latches[1]), "R302");
        lw_multi_latch_count_down_all(&latches[1]);
    }
    cr_assert_eq(join_status(tasks[1]), 0, "R302");
    cr_assert(lw_multi_latch_broken(&latches[1]), "R302");
    cr_assert_not(lw_multi_latch_broken(&latches[0]), "R302");
    return 0;
}

Test(latch, r302_a_source_that_changes_changes_no_latch)
{
    run_all(change_the_source, NULL);
}

/* What a key is, and how many there are, is the latch's from the beginning. */
static int find_all_keys(void *arg)
{
    enum { KEYS = 100 };
    lw_latch_entry entries[KEYS];
    lw_multi_latch latch;
    uint64_t random = 1;

    (void)arg;
    for (int i = 0; i < KEYS; i++)
        entries[i] = (lw_latch_entry){random_draw(&random), 1 + i % 2, NULL};
    cr_assert_eq(lw_multi_latch_init(&latch, NULL, entries, KEYS), 0);
    random = 1;
    for (int i = 0; i < KEYS; i++) {
        uint64_t key = random_draw(&random);

        cr_assert_eq(lw_multi_latch_count_down(&latch, key, LW_STRICT), 0);
        cr_assert_eq(lw_multi_latch_wait(&latch, key, LW_STRICT, LW_NOW),
                     i % 2 == 0 ? 0 : -ETIMEDOUT);
        cr_assert_eq(lw_multi_latch_count_down(&latch, key, LW_STRICT),
                     i % 2 == 0 ? -EOVERFLOW : 0);
    }
    cr_assert(lw_multi_latch_broken(&latch));
    return 0;
}

Test(latch, every_key_is_found)
{
    run_all(find_all_keys, NULL);
}
