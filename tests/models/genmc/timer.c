/* SPDX-License-Identifier: MIT */
/* [W4] Lazy timers: a node left over from one wait, against the next wait of the same task
 * (runtime/timer_node.h; the wheel is one slot).
 *
 * The first wait, until 5, ends otherwise, and leaves its node linked; the second, until 8, relies
 * on it if it is linked early enough.  The expiry comes at 6, and then at 9 whenever there is
 * something linked.  Holds: the second wait ends, and not at 6; so does the first.
 *
 * holds:
 * fails: -DNO_LIGHT
 * fails: -DNO_HEAVY
 * fails: -DWEAK_STORE
 * fails: -DWEAK_LOAD
 */
#include "runtime/timer_node.h"

static uint64_t guard;
static uint32_t linked, runnable, ended;

static void make_ready(void)
{
    assert(__atomic_fetch_add(&runnable, 1, __ATOMIC_RELEASE) == 0);
}

static void link_at(int64_t when)
{
    lw_store_rlx(&cold_[0].timer_when, when);
    __atomic_store_n(&linked, 1, __ATOMIC_RELAXED);
}

/* As lw_timer_arm() does it. */
static void arm(int64_t deadline)
{
    lw_asym_light();
    if (lw_timer_is_armed(&cold_[0], deadline))
        return;
    (void)lw_guard_take(&guard, 1);
    cold_[0].timer_home = 1;
    link_at(deadline);
    lw_guard_drop(&guard, 1);
}

static void park(void)
{
    await(__atomic_load_n(&runnable, __ATOMIC_ACQUIRE) != 0);
    __atomic_store_n(&runnable, 0, __ATOMIC_RELAXED);
}

static void *task(void *arg)
{
    lw_wait_begin(&hot_[0], LW_WAIT_EVENT, NULL, NULL, 5, NULL);
    arm(5);
    if (!lw_wait_take_back(&cold_[0]))
        park();
    lw_wait_begin(&hot_[0], LW_WAIT_EVENT, NULL, NULL, 8, NULL);
    arm(8);
    park();
    __atomic_store_n(&ended, 1, __ATOMIC_RELEASE);
    return arg;
}

/* As lw_wheel_run() does it, with one node. */
static void run(int64_t now)
{
    int64_t deadline;

    (void)lw_guard_take(&guard, 1);
    if (linked != 0 && lw_load_rlx(&cold_[0].timer_when) <= now) {
        __atomic_store_n(&linked, 0, __ATOMIC_RELAXED);
        if (lw_timer_expire(&cold_[0], now)) {
            if (now == 6)
                assert(lw_load_rlx(&cold_[0].wait) >> LW_STATE_BITS == 1);
            lw_guard_drop(&guard, 1);
            make_ready();
            return;
        }
        lw_asym_heavy();
        if (lw_timer_is_wanted(&cold_[0], &deadline))
            link_at(deadline);
    }
    lw_guard_drop(&guard, 1);
}

static void *expiry(void *arg)
{
    run(6);
    for (int i = 0; i < 3; i++) {
        await(__atomic_load_n(&linked, __ATOMIC_RELAXED) != 0 ||
              __atomic_load_n(&ended, __ATOMIC_ACQUIRE) != 0);
        run(9);
    }
    return arg;
}

int main(void)
{
    pthread_t threads[2];

    begin();
    cold_[0].timer_when = LW_TIMER_NONE;
    start(&threads[0], task);
    start(&threads[1], expiry);
    for (int i = 0; i < 2; i++)
        join(threads[i]);
    return 0;
}
