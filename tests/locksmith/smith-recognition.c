/* SPDX-License-Identifier: MIT */
/* The laws of recognition: which locks a locksmith comes to know, and which it knows. */
#include "tests/locksmith/smiths.h"

TestSuite(smith_recognition, .init = be_alone);

Test(smith_recognition, r092_results_have_the_seeds_numbers)
{
    cr_assert_eq(LW_RECOGNITION_FAILED_PRELIM, 1);
    cr_assert_eq(LW_RECOGNITION_FAILED_ACK, 2);
    cr_assert_eq(LW_RECOGNITION_ALREADY_RECOGNIZED, 3);
    cr_assert_eq(LW_RECOGNITION_SUCCESS, 4);
    cr_assert_str_eq(lw_recognition_name(LW_RECOGNITION_FAILED_PRELIM), "FAILED_PRELIM");
    cr_assert_str_eq(lw_recognition_name(LW_RECOGNITION_FAILED_ACK), "FAILED_ACK");
    cr_assert_str_eq(lw_recognition_name(LW_RECOGNITION_ALREADY_RECOGNIZED), "ALREADY_RECOGNIZED");
    cr_assert_str_eq(lw_recognition_name(LW_RECOGNITION_SUCCESS), "SUCCESS");
    cr_assert_str_eq(lw_recognition_name(5), "?");
}

/* ---- a new one */

static int use_a_new_one(void *arg)
{
    lw_locksmith first = LW_LOCKSMITH_INIT(NULL, arg), second = LW_LOCKSMITH_INIT(NULL, NULL);
    lw_mutex mutex = LW_MUTEX_INIT("known");
    lw_lock *locks[4] = {NULL};

    cr_assert_eq(lw_locksmith_recognized(&first, locks, 4), 1, "R015");
    cr_assert_null(locks[0]->kind, "R013, R014: a mutex, made with the smith");
    cr_assert_eq(lw_locksmith_recognize(&first, locks[0], LW_NOW),
                 LW_RECOGNITION_ALREADY_RECOGNIZED, "R015");
    cr_assert_eq(lw_locksmith_forget(&first, locks[0]), -ENOENT);
    cr_assert_eq(lw_locksmith_recognized(&second, locks + 1, 1), 1);
    cr_assert_neq(locks[0], locks[1], "R016");
    cr_assert_eq(lw_locksmith_recognize(&first, &mutex.lock, LW_NOW), LW_RECOGNITION_SUCCESS,
                 "R067");
    cr_assert_eq(lw_locksmith_recognize(&first, &mutex.lock, LW_NOW),
                 LW_RECOGNITION_ALREADY_RECOGNIZED, "R067");
    cr_assert_eq(lw_locksmith_recognized(&second, locks, 4), 1, "R016");
    cr_assert_eq(lw_locksmith_forget(&second, &mutex.lock), -ENOENT, "R016");
    cr_assert_eq(lw_locksmith_recognize(&second, &mutex.lock, LW_NOW), LW_RECOGNITION_SUCCESS);
    cr_assert_eq(lw_locksmith_fini(&first), 0);
    cr_assert_eq(lw_locksmith_recognized(&second, locks, 4), 2, "R016");
    cr_assert_eq(lw_locksmith_recognized(&first, locks, 4), 1);
    cr_assert_eq(lw_locksmith_fini(&second), 0);
    return 0;
}

Test(smith_recognition, r013_to_r016_a_new_one_knows_its_mutex_and_shares_nothing)
{
    run_all(use_a_new_one, NULL);
    cr_assert_eq(use_a_new_one(NULL), 0);
}

Test(smith_recognition, r067_known_once)
{
    static lw_locksmith smith = LW_LOCKSMITH_INIT(NULL, NULL);
    lw_mutex zeroed = {0};

    cr_assert_eq(lw_locksmith_recognize(&smith, &zeroed.lock, LW_FOREVER),
                 LW_RECOGNITION_SUCCESS);
    cr_assert_eq(lw_locksmith_recognize(&smith, &zeroed.lock, LW_FOREVER),
                 LW_RECOGNITION_ALREADY_RECOGNIZED);
    cr_assert_eq(lw_locksmith_forget(&smith, &zeroed.lock), 0);
    cr_assert_eq(lw_locksmith_forget(&smith, &zeroed.lock), -ENOENT);
    cr_assert_eq(lw_locksmith_recognize(&smith, &zeroed.lock, LW_FOREVER),
                 LW_RECOGNITION_SUCCESS);
    cr_assert_eq(lw_locksmith_fini(&smith), 0);
}

/* ---- the preliminary check */

static int hold_its_mutex(void *arg)
{
    lw_lock *own = NULL;

    (void)lw_locksmith_recognized(arg, &own, 1);
    return lw_acquire(own, LW_NOW);
}

static bool no(lw_locksmith *smith, lw_lock *lock)
{
    (void)smith;
    (void)lock;
    return false;
}

Test(smith_recognition, r061_r062_a_kind_that_lacks_a_function_is_not_looked_at)
{
    static const lw_locksmith_hooks hooks = {.preliminary_check = no};
    lw_locksmith smith = LW_LOCKSMITH_INIT(NULL, NULL), picky = LW_LOCKSMITH_INIT(&hooks, NULL);
    lw_lock_kind lacking[3] = {plain_kind, plain_kind, plain_kind};
    struct plain plain = make_plain();
    lw_lock *own = NULL;

    lacking[0].acquire = NULL;
    lacking[1].release = NULL;
    lacking[2].locked = NULL;
    cr_assert_eq(hold_its_mutex(&smith), 0);
    cr_assert_eq(hold_its_mutex(&picky), 0);
    for (int i = 0; i < 3; i++) {
        plain.semaphore.lock.kind = &lacking[i];
        cr_assert_eq(lw_locksmith_recognize(&smith, &plain.semaphore.lock, LW_FOREVER),
                     LW_RECOGNITION_FAILED_PRELIM, "R061; R062: the mutex is taken");
    }
    plain.semaphore.lock.kind = &plain_kind;
    cr_assert_eq(lw_locksmith_recognize(&picky, &plain.semaphore.lock, LW_FOREVER),
                 LW_RECOGNITION_FAILED_PRELIM);
    cr_assert_eq(lw_locksmith_recognize(&smith, &plain.semaphore.lock, LW_FOREVER), -EDEADLK);
    (void)lw_locksmith_recognized(&smith, &own, 1);
    cr_assert_eq(lw_release(own), 0);
    cr_assert_eq(lw_locksmith_recognize(&smith, &plain.semaphore.lock, LW_FOREVER),
                 LW_RECOGNITION_SUCCESS, "R061");
    cr_assert_eq(lw_locksmith_fini(&smith), 0);
    (void)lw_locksmith_recognized(&picky, &own, 1);
    cr_assert_eq(lw_release(own), 0);
}

/* ---- the lock's kind agrees, or not */

struct asked {
    struct plain plain;
    int answer, times;
    lw_locksmith *smith;
};

static int acknowledge(lw_lock *lock, lw_locksmith *smith)
{
    struct asked *asked = (struct asked *)(void *)lock;
    lw_lock *own = NULL;

    asked->times++;
    asked->smith = smith;
    (void)lw_locksmith_recognized(smith, &own, 1);
    cr_assert_not(lw_locked(own), "not under its mutex");
    return asked->answer;
}

static const lw_lock_kind asked_kind = {.name = "asked",
                                        .acquire = plain_acquire,
                                        .release = plain_release,
                                        .locked = plain_locked,
                                        .acknowledge = acknowledge};

static struct asked make_asked(const lw_lock_kind *kind, int answer)
{
    struct asked asked = {.plain = make_plain(), .answer = answer};

    asked.plain.semaphore.lock.kind = kind;
    return asked;
}

static const struct {
    int answer, result;
} acknowledgements[] = {
    {0, LW_RECOGNITION_SUCCESS},           /* R068 */
    {1, LW_RECOGNITION_SUCCESS},           /* R068 */
    {-EPERM, LW_RECOGNITION_FAILED_ACK},   /* R069 */
    {-EIO, LW_RECOGNITION_FAILED_ACK},     /* R070 */
    {-EDEADLK, LW_RECOGNITION_FAILED_ACK}, /* R070 */
    {-ESHUTDOWN, -ESHUTDOWN},              /* R071 */
    {-ENOTRECOVERABLE, -ENOTRECOVERABLE},  /* R071 */
    {-ECANCELED, -ECANCELED},              /* R072 */
};

Test(smith_recognition, r068_to_r071_the_kind_is_asked)
{
    for (size_t i = 0; i < sizeof acknowledgements / sizeof *acknowledgements; i++) {
        struct asked asked = make_asked(&asked_kind, acknowledgements[i].answer);
        lw_locksmith smith = LW_LOCKSMITH_INIT(NULL, NULL);
        int result = acknowledgements[i].result;

        cr_assert_eq(lw_locksmith_recognize(&smith, &asked.plain.semaphore.lock, LW_FOREVER),
                     result, "%zu", i);
        cr_assert_eq(asked.times, 1);
        cr_assert_eq(asked.smith, &smith);
        cr_assert_eq(lw_locksmith_recognized(&smith, NULL, 0),
                     result == LW_RECOGNITION_SUCCESS ? 2 : 1, "%zu", i);
        cr_assert_eq(lw_locksmith_fini(&smith), 0);
    }
}

static int wait_to_acknowledge(lw_lock *lock, lw_locksmith *smith)
{
    (void)lock;
    cr_assert_eq(lw_locksmith_fini(smith), -EBUSY);
    return lw_sleep(LW_FOREVER);
}

static const lw_lock_kind slow_kind = {.name = "slow",
                                       .acquire = plain_acquire,
                                       .release = plain_release,
                                       .locked = plain_locked,
                                       .acknowledge = wait_to_acknowledge};

struct pair {
    lw_locksmith *smith;
    lw_lock *lock;
};

static int recognize(void *arg)
{
    struct pair *pair = arg;

    return lw_locksmith_recognize(pair->smith, pair->lock, LW_FOREVER);
}

static int cancel_it(void *arg)
{
    struct asked asked = make_asked(&slow_kind, 0);
    lw_locksmith smith = LW_LOCKSMITH_INIT(NULL, NULL);
    struct pair pair = {&smith, &asked.plain.semaphore.lock};
    lw_task task;
    int status = 0;

    (void)arg;
    cr_assert_eq(lw_spawn(&task, recognize, &pair, NULL), 0);
    AWAIT(is_waiting(task));
    cr_assert_eq(lw_cancel(task), 0);
    cr_assert_eq(lw_join(task, &status, LW_FOREVER), 0);
    cr_assert_eq(status, -ECANCELED, "R072");
    cr_assert_eq(lw_locksmith_recognized(&smith, NULL, 0), 1, "R072");
    cr_assert_eq(lw_locksmith_fini(&smith), 0);
    return 0;
}

Test(smith_recognition, r072_a_cancel_ends_it)
{
    run_all(cancel_it, NULL);
}

/* Which wins, is known. */
static int recognize_me(lw_lock *lock, lw_locksmith *smith)
{
    struct asked *asked = (struct asked *)(void *)lock;

    return ++asked->times == 1 &&
                   lw_locksmith_recognize(smith, lock, LW_FOREVER) != LW_RECOGNITION_SUCCESS
               ? -EIO
               : 0;
}

static const lw_lock_kind eager_kind = {.name = "eager",
                                        .acquire = plain_acquire,
                                        .release = plain_release,
                                        .locked = plain_locked,
                                        .acknowledge = recognize_me};

Test(smith_recognition, r073_acknowledge_may_call_the_smith)
{
    struct asked asked = make_asked(&eager_kind, 0);
    lw_locksmith smith = LW_LOCKSMITH_INIT(NULL, NULL);

    cr_assert_eq(lw_locksmith_recognize(&smith, &asked.plain.semaphore.lock, LW_FOREVER),
                 LW_RECOGNITION_ALREADY_RECOGNIZED, "R073: by the inner call");
    cr_assert_eq(asked.times, 2);
    cr_assert_eq(lw_locksmith_recognized(&smith, NULL, 0), 2);
    cr_assert_eq(lw_locksmith_fini(&smith), 0);
}

/* ---- what is known */

Test(smith_recognition, r089_r090_a_snapshot_and_the_end_of_a_lock)
{
    lw_locksmith smith = LW_LOCKSMITH_INIT(NULL, NULL), other = LW_LOCKSMITH_INIT(NULL, NULL);
    lw_mutex mutexes[20] = {0};
    lw_lock *locks[32] = {NULL};
    size_t count;

    for (int i = 0; i < 10; i++) {
        cr_assert_eq(lw_locksmith_recognize(&smith, &mutexes[i].lock, LW_NOW),
                     LW_RECOGNITION_SUCCESS);
        cr_assert_eq(lw_locksmith_recognize(&other, &mutexes[i].lock, LW_NOW),
                     LW_RECOGNITION_SUCCESS);
    }
    count = lw_locksmith_recognized(&smith, locks, 32);
    cr_assert_eq(count, 11);
    for (int i = 10; i < 20; i++)
        cr_assert_eq(lw_locksmith_recognize(&smith, &mutexes[i].lock, LW_NOW),
                     LW_RECOGNITION_SUCCESS);
    for (size_t i = 1; i < count; i++)
        cr_assert(locks[i] >= &mutexes[0].lock && locks[i] <= &mutexes[9].lock, "R089");
    cr_assert_null(locks[count], "R089");
    cr_assert_eq(lw_locksmith_recognized(&smith, locks, 3), 21, "how many there are");

    cr_assert_eq(lw_acquire(&mutexes[3].lock, LW_NOW), 0);
    cr_assert_eq(lw_lock_fini(&mutexes[3].lock), -EBUSY);
    cr_assert_eq(lw_locksmith_recognized(&smith, NULL, 0), 21);
    cr_assert_eq(lw_release(&mutexes[3].lock), 0);
    cr_assert_eq(lw_lock_fini(&mutexes[3].lock), 0);
    cr_assert_eq(lw_locksmith_recognized(&smith, NULL, 0), 20, "R090");
    cr_assert_eq(lw_locksmith_recognized(&other, NULL, 0), 10, "R090: by all");
    cr_assert_eq(lw_locksmith_forget(&smith, &mutexes[3].lock), -ENOENT, "R090");
    cr_assert_eq(lw_locksmith_fini(&smith), 0);
    cr_assert_eq(lw_locksmith_fini(&other), 0);
}

Test(smith_recognition, without_memory_nothing_is_known)
{
    lw_locksmith smith = LW_LOCKSMITH_INIT(NULL, NULL);
    lw_mutex mutex = LW_MUTEX_INIT("unknown");

    sys_watch();
    cr_assert_eq(lw_thread_attach(), 0);
    sys_fail(SYS_CALLOC, 1, false);
    cr_assert_eq(lw_locksmith_recognize(&smith, &mutex.lock, LW_NOW), -ENOMEM);
    sys_fail(SYS_CALLOC, 0, false);
    cr_assert_eq(lw_locksmith_recognized(&smith, NULL, 0), 1);
    cr_assert_eq(lw_locksmith_recognize(&smith, &mutex.lock, LW_NOW), LW_RECOGNITION_SUCCESS);
    cr_assert_eq(lw_locksmith_fini(&smith), 0);
    assert_no_leaks();
}

/* ---- in time */

static int recognize_late(void *arg)
{
    lw_locksmith smith = LW_LOCKSMITH_INIT(NULL, NULL);
    lw_mutex mutex = LW_MUTEX_INIT("late");
    lw_lock *own = NULL;
    struct owner owner = {0};

    (void)arg;
    (void)lw_locksmith_recognized(&smith, &own, 1);
    owner.lock = own;
    start_owner(&owner);
    cr_assert_eq(lw_locksmith_recognize(&smith, &mutex.lock, lw_in(LW_MS)), -ETIMEDOUT);
    cr_assert_eq(lw_locksmith_force(&smith, &mutex.lock, NULL, 0, lw_in(LW_MS)), -ETIMEDOUT);
    cr_assert_eq(end_owner(&owner), 0);
    cr_assert_eq(lw_locksmith_recognized(&smith, NULL, 0), 1);
    return 0;
}

Test(smith_recognition, the_deadline_is_kept)
{
    run_all(recognize_late, NULL);
}
