/* SPDX-License-Identifier: MIT */
/* The laws of LW_RELEASING.  Rows R163 to R170. */
#include "tests/primitives/crowd.h"

#include <latchwork/releasing.h>

TestSuite(releasing, .init = watchdog);

struct met {
    lw_rlock lock;
    bool entered; /* guarded by the lock, or atomic */
    bool released;
    int order[4], count;
};

static int enter_meanwhile(void *arg)
{
    struct met *met = arg;

    cr_assert_eq(lw_rlock_acquire(&met->lock, LW_FOREVER), 0);
    met->entered = true;
    met->order[met->count++] = 1;
    return lw_rlock_release(&met->lock);
}

static int let_others_in(void *arg)
{
    struct met met = {.lock = LW_RLOCK_INIT("released")};
    int err = 1;

    (void)arg;
    cr_assert_eq(lw_rlock_acquire(&met.lock, LW_FOREVER), 0);
    for (int round = 0; round < 2; round++) {
        lw_task other = start_waiter(enter_meanwhile, &met);

        LW_RELEASING(&met.lock.lock, err) {
            cr_assert_eq(join_status(other), 0, "R163");
            err = -EIO;
        }
        cr_assert_eq(err, -EIO, "R168: the body's outcome stands");
        cr_assert(lw_owned(&met.lock.lock), "R163, R164, R168");
        cr_assert(met.entered);
        met.entered = false;
    }
    LW_RELEASING(&met.lock.lock, err)
        break; /* leaves the scope */
    cr_assert_eq(err, 0);
    cr_assert(lw_owned(&met.lock.lock));
    return lw_rlock_release(&met.lock);
}

Test(releasing, others_may_take_it_meanwhile)
{
    run_all(let_others_in, NULL);
}

static int release_of_another(void *arg)
{
    bool ran = false, refused = false;
    int err;

    LW_RELEASING(arg, err)
        ran = true;
    else
        refused = err == -EPERM;
    cr_assert(refused && !ran, "R166");
    return 0;
}

static int misuse(void *arg)
{
    lw_rlock lock = LW_RLOCK_INIT(NULL);
    lw_task other;
    int err;

    (void)arg;
    LW_RELEASING(&lock.lock, err)
        cr_assert_fail("released");
    cr_assert_eq(err, -EPERM, "R165");
    cr_assert_not(lw_locked(&lock.lock), "R165");
    cr_assert_eq(lw_rlock_acquire(&lock, LW_FOREVER), 0);
    cr_assert_eq(lw_spawn(&other, release_of_another, &lock.lock, NULL), 0);
    cr_assert_eq(join_status(other), 0);
    cr_assert(lw_owned(&lock.lock), "R166: the owner keeps it");
    cr_assert_eq(lw_rlock_acquire(&lock, LW_FOREVER), 0);
    LW_RELEASING(&lock.lock, err) {
        cr_assert(lw_owned(&lock.lock), "R167: one level");
        cr_assert_eq(lock.lock._number, 0, "R167");
    }
    cr_assert_eq(lock.lock._number, 1, "R167");
    cr_assert_eq(lw_rlock_release(&lock), 0);
    return lw_rlock_release(&lock);
}

Test(releasing, what_the_caller_does_not_own_is_not_released)
{
    run_all(misuse, NULL);
}

static int hold_and_release(void *arg)
{
    struct met *met = arg;
    int err;

    cr_assert_eq(lw_rlock_acquire(&met->lock, LW_FOREVER), 0);
    LW_RELEASING(&met->lock.lock, err) {
        __atomic_store_n(&met->released, true, __ATOMIC_RELEASE);
        AWAIT(__atomic_load_n(&met->entered, __ATOMIC_ACQUIRE));
    }
    cr_assert_eq(err, 0);
    cr_assert(lw_owned(&met->lock.lock), "R169");
    met->order[met->count++] = 2;
    cr_assert_eq(lw_rlock_release(&met->lock), 0);
    return lw_sleep(LW_FOREVER);
}

static int cancel_meanwhile(void *arg)
{
    struct met met = {.lock = LW_RLOCK_INIT("cancelled")};
    lw_task task, waiter;

    (void)arg;
    cr_assert_eq(lw_spawn(&task, hold_and_release, &met, NULL), 0);
    AWAIT(__atomic_load_n(&met.released, __ATOMIC_ACQUIRE));
    cr_assert_eq(lw_rlock_acquire(&met.lock, LW_FOREVER), 0);
    waiter = start_waiter(enter_meanwhile, &met);
    __atomic_store_n(&met.entered, true, __ATOMIC_RELEASE);
    AWAIT(is_waiting(task) && is_waiting(waiter));
    cr_assert_eq(lw_cancel(task), 0);
    for (int i = 0; i < 20; i++)
        lw_yield();
    cr_assert(is_waiting(task), "R169: not before it has the lock");
    cr_assert_eq(lw_rlock_release(&met.lock), 0);
    cr_assert_eq(join_status(waiter), 0);
    cr_assert_eq(join_status(task), -ECANCELED, "R169: by the next wait");
    cr_assert(met.order[0] == 1 && met.order[1] == 2, "R170: in its turn");
    return 0;
}

Test(releasing, it_is_taken_again_whatever_comes_and_in_turn)
{
    run_all(cancel_meanwhile, NULL);
}
