/* SPDX-License-Identifier: MIT */
/* A bank: tasks and threads move money between accounts, under the lock of each, taken in whatever
 * order the transfer has.  Who is refused the second account puts back what it took from the first
 * one and starts over.  Now and then one takes all accounts, in any order, and counts: the money is
 * what it was at the beginning, then and at the end.  S54, as far as giving way goes. */
#include "tests/torture/detecting.h"

enum { REFUSED = 1, CANCELLED, AUDITS };
enum { ACCOUNTS = 24, TASKS = 40, GUESTS = 4, EACH = 1000, AUDIT_ONE_IN = 4096 };

static struct account {
    lw_mutex mutex;
    lw_rlock rlock;
    lw_priority_lock priority;
    lw_rwlock rw;
    long balance; /* plain: under the lock */
} __attribute__((aligned(64))) accounts[ACCOUNTS];

/* One account in four is under a lock of each kind. */
static lw_lock *lock_of(int number)
{
    struct account *account = &accounts[number];
    lw_lock *locks[] = {&account->mutex.lock, &account->rlock.lock, &account->priority.lock,
                        &account->rw.write};

    return locks[number % 4];
}

static void setup(void)
{
    for (int i = 0; i < ACCOUNTS; i++)
        accounts[i] = (struct account){.mutex = LW_MUTEX_INIT("account"),
                                       .rlock = LW_RLOCK_INIT("account"),
                                       .priority = LW_PRIORITY_LOCK_INIT("account"),
                                       .rw = LW_RWLOCK_INIT("account", 0),
                                       .balance = EACH};
    begin_to_detect();
}

static long sum_up(void)
{
    long sum = 0;

    for (int i = 0; i < ACCOUNTS; i++)
        sum += accounts[i].balance;
    return sum;
}

static int take(struct actor *actor, int number)
{
    int err = lw_acquire(lock_of(number), LW_FOREVER);

    CHECK(err == 0 || err == -EDEADLK || err == -ECANCELED, "%d", err);
    count(actor, REFUSED, err == -EDEADLK || BROKEN(2, &actor->random, 1000));
    count(actor, CANCELLED, err == -ECANCELED);
    return err;
}

static void drop(int number)
{
    CHECK(lw_release(lock_of(number)) == 0, "account %d", number);
}

static int transfer(struct actor *actor, int from, int to)
{
    long amount = (long)(draw(&actor->random) % 50);
    int err = take(actor, from);

    if (err < 0)
        return err;
    if (amount > accounts[from].balance)
        amount = accounts[from].balance;
    accounts[from].balance -= amount;
    if (draw(&actor->random) % 16 == 0)
        give_way();
    err = take(actor, to);
    if (err == 0) {
        accounts[to].balance += amount + BROKEN(1, &actor->random, 1000);
        drop(to);
    } else {
        accounts[from].balance += amount;
    }
    drop(from);
    return err;
}

/* All of them, from one at random on. */
static int audit(struct actor *actor)
{
    int first = (int)(draw(&actor->random) % ACCOUNTS), taken = 0, err = 0;

    while (taken < ACCOUNTS && (err = take(actor, (first + taken) % ACCOUNTS)) == 0)
        taken++;
    if (err == 0)
        CHECK(sum_up() == (long)ACCOUNTS * EACH, "the money has become %ld", sum_up());
    count(actor, AUDITS, err == 0);
    while (taken-- > 0)
        drop((first + taken) % ACCOUNTS);
    return err;
}

static bool act(struct actor *actor)
{
    uint64_t number = draw(&actor->random);
    int from = (int)(number % ACCOUNTS);
    int to = (int)((from + 1 + (number >> 16) % (ACCOUNTS - 1)) % ACCOUNTS), err;

    err = (number >> 32) % AUDIT_ONE_IN == 0 ? audit(actor) : transfer(actor, from, to);
    count(actor, OPERATIONS, err == 0);
    if (err == -EDEADLK)
        err = lw_backoff(LW_FOREVER);
    CHECK(err == 0 || err == -ECANCELED, "%d", err);
    return !torture_over();
}

static void check(void)
{
    CHECK(sum_up() == (long)ACCOUNTS * EACH, "the money has become %ld", sum_up());
    check_refused(torture_sum(REFUSED));
}

static void report(void)
{
    (void)printf("the money is constant, %llu deadlocks, %llu audits, %llu were cancelled",
                 ull(torture_total(REFUSED)), ull(torture_total(AUDITS)),
                 ull(torture_total(CANCELLED)));
}

const struct torture torture = {
    .name = "bank",
    .tasks = TASKS,
    .guests = GUESTS,
    .cancels = true,
    .setup = setup,
    .act = act,
    .check = check,
    .report = report,
};
