/* SPDX-License-Identifier: MIT */
/* Signals that tasks wait for.
 *
 * A signal may hit any thread at any moment, also in the middle of a run queue's operation, so a
 * handler cannot wake a task.  (And signalfd() would need the signals blocked in all threads, also
 * in those that existed before.)  So the handler, on whichever thread, notes the number in
 * `pending` and rings a futex; and a thread of its own, the courier, gives pending signals to those
 * who wait.  It runs while somebody waits, and some time longer.  It has just the caught signals
 * unblocked: so they arrive even if the program blocks them everywhere else.  Who does not wait
 * starts no courier: it looks for itself into what the kernel keeps back.
 *
 * A signal that nobody waits for stays in `pending`, and the next call takes it.  The order of
 * calls is kept: whoever looks into `pending` first gives those who were there before what they
 * want.
 *
 * The queue and courier_state are under the guard; pending, caught and bell are the handler's.  A
 * waiter looks at `pending` and queues up in one go under the guard; a signal that comes in between
 * rings after that, and the courier then needs the guard.
 *
 * [G1] the number -> the courier: bell (release) -> load (acquire).  A caller who only looks at
 *      `pending` needs no order. */
#include <errno.h>
#include <latchwork/signal.h>
#include <pthread.h>
#include <signal.h>

#include "runtime/courier.h"
#include "runtime/fork.h"
#include "runtime/os/os.h"
#include "runtime/thread_mutex.h"
#include "runtime/wait.h"

#define GUARD UINT64_C(1)

#ifdef LW_TINY
#define LINGER (2 * LW_MS)
#else
#define LINGER (5 * LW_SEC)
#endif

enum { NUMBERS = 64 };
enum { COURIER_NONE, COURIER_STARTS, COURIER_RUNS, COURIER_LEAVES };

/* What a waiter wants and gets; on its stack. */
struct order {
    uint64_t wanted;
    int number;
};

static uint64_t guard;
static void *queue;            /* of waiters, first come first */
static uint32_t courier_state; /* RUNS: who is queued will be served; LEAVES: to be joined */
static pthread_t courier;
static struct lw_thread_mutex courier_mutex; /* making and joining it */

static uint64_t pending, caught; /* bit n - 1: signal n */
static uint32_t bell;            /* [G1] */

static uint64_t bit_of(int number)
{
    return UINT64_C(1) << (number - 1);
}

static void ring(void)
{
    (void)lw_add_acq_rel(&bell, 1); /* [G1] */
    lw_sys.futex_wake(&bell, 1);
}

static void on_signal(int number)
{
    int saved = errno;

    (void)lw_or_acq_rel(&pending, bit_of(number));
    ring();
    errno = saved;
}

/* ---- giving; all under the guard */

static struct order *order_of(struct lw_record *record)
{
    return lw_record_cold(record)->data;
}

/* The first in the queue who wants the signal and still waits for it: out of the queue, claimed. */
static struct lw_record *claim_waiter(uint64_t bit)
{
    struct lw_node *node = lw_queue_head(&queue), *first = node;

    if (node == NULL)
        return NULL;
    do {
        struct lw_record *record = lw_node_record(node);

        if ((order_of(record)->wanted & bit) != 0 && lw_wake_claim(record)) {
            lw_queue_remove(&queue, node);
            return record;
        }
        node = node->next;
    } while (node != first);
    return NULL;
}

/* Give what is pending to those who wait for it. */
static void give_pending(struct lw_wake_batch *batch)
{
    uint64_t left = lw_load_rlx(&pending);

    for (; left != 0; left &= left - 1) {
        int number = __builtin_ctzll(left) + 1;
        struct lw_record *record = claim_waiter(bit_of(number));

        if (record == NULL)
            continue;
        (void)lw_and_acq_rel(&pending, ~bit_of(number));
        order_of(record)->number = number;
        lw_wake_batch_add(batch, record);
    }
}

/* One of those that nobody who came earlier wants, or 0. */
static int take_pending(uint64_t wanted, struct lw_wake_batch *batch)
{
    uint64_t mine;
    int number;

    give_pending(batch);
    mine = lw_load_rlx(&pending) & wanted;
    if (mine == 0)
        return 0;
    number = __builtin_ctzll(mine) + 1;
    (void)lw_and_acq_rel(&pending, ~bit_of(number));
    return number;
}

/* ---- the courier */

static void unblock_caught(void)
{
    uint64_t bits = lw_load_rlx(&caught);
    sigset_t blocked;

    (void)sigfillset(&blocked);
    for (int number = 1; number <= NUMBERS; number++)
        if ((bits & bit_of(number)) != 0)
            (void)sigdelset(&blocked, number);
    (void)lw_sys.thread_sigmask(SIG_SETMASK, &blocked, NULL);
}

static void *courier_main(void *arg)
{
    lw_nsec leave_at = LW_FOREVER;
    bool leave = false;

    (void)arg;
    lw_sys.thread_name("lw-signals");
    for (;;) {
        uint32_t seen = lw_load_acq(&bell); /* [G1] */
        struct lw_wake_batch batch = {0};

        unblock_caught();
        lw_guard_take(&guard, GUARD);
        give_pending(&batch);
        if (queue != NULL)
            leave_at = LW_FOREVER;
        else if (leave_at == LW_FOREVER)
            leave_at = lw_sys.now() + LINGER;
        else if (lw_sys.now() >= leave_at && courier_state == COURIER_RUNS)
            courier_state = COURIER_LEAVES;
        leave = courier_state == COURIER_LEAVES;
        lw_guard_drop(&guard, GUARD);
        lw_wake_batch_run(&batch, LW_GRANTED);
        if (leave)
            return NULL;
        lw_sys.futex_wait(&bell, seen, leave_at);
    }
}

static uint32_t courier_set(uint32_t from, uint32_t to, bool if_idle)
{
    uint32_t seen;

    lw_guard_take(&guard, GUARD);
    seen = courier_state;
    if (seen == from && (!if_idle || queue == NULL))
        seen = courier_state = to;
    lw_guard_drop(&guard, GUARD);
    return seen;
}

/* See to it that a courier runs; it may have left again by the time this returns.  -EAGAIN. */
static int courier_start(void)
{
    int err = 0;

    /* Nothing in here waits for longer than threads take to begin and end. */
    lw_thread_mutex_lock(&courier_mutex);
    if (courier_set(COURIER_LEAVES, COURIER_LEAVES, false) == COURIER_LEAVES) {
        (void)lw_sys.thread_join(courier, NULL);
        (void)courier_set(COURIER_LEAVES, COURIER_NONE, false);
    }
    if (courier_set(COURIER_NONE, COURIER_STARTS, false) == COURIER_STARTS) {
        if (lw_sys.thread_create(&courier, NULL, courier_main, NULL) != 0)
            err = -EAGAIN;
        (void)courier_set(COURIER_STARTS, err == 0 ? COURIER_RUNS : COURIER_NONE, false);
    }
    lw_thread_mutex_unlock(&courier_mutex);
    return err;
}

void lw_courier_retire(void)
{
    uint32_t state;

    lw_thread_mutex_lock(&courier_mutex);
    state = courier_set(COURIER_RUNS, COURIER_LEAVES, true);
    if (state == COURIER_LEAVES) {
        ring();
        (void)lw_sys.thread_join(courier, NULL);
        (void)courier_set(COURIER_LEAVES, COURIER_NONE, false);
    }
    lw_thread_mutex_unlock(&courier_mutex);
}

bool lw_courier_exists(void)
{
    return lw_load_rlx(&courier_state) != COURIER_NONE;
}

/* ---- waiting */

static int wanted_of(const int *numbers, size_t count, uint64_t *wanted)
{
    *wanted = 0;
    for (size_t i = 0; i < count; i++) {
        switch (numbers[i]) {
        case SIGKILL:
        case SIGSTOP:
        case SIGSEGV: /* of the instruction that caused them, which would only be repeated */
        case SIGBUS:
        case SIGFPE:
        case SIGILL:
            return -EINVAL;
        default:
            if (numbers[i] < 1 || numbers[i] > NUMBERS || numbers[i] > SIGRTMAX)
                return -EINVAL;
            *wanted |= bit_of(numbers[i]);
        }
    }
    return *wanted != 0 ? 0 : -EINVAL;
}

/* From now on these go to on_signal. */
static int catch_signals(uint64_t wanted)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    uint64_t left = wanted & ~lw_load_rlx(&caught);

    if (left == 0)
        return 0;
    (void)sigfillset(&action.sa_mask);
    for (; left != 0; left &= left - 1) {
        int number = __builtin_ctzll(left) + 1;

        if (lw_sys.sigaction(number, &action, NULL) != 0)
            return -EINVAL; /* the C library keeps some for itself */
        (void)lw_or_acq_rel(&caught, bit_of(number));
    }
    ring(); /* a courier that runs has more to unblock */
    return 0;
}

static int take(uint64_t wanted)
{
    struct lw_wake_batch batch = {0};
    int number;

    lw_guard_take(&guard, GUARD);
    number = take_pending(wanted, &batch);
    lw_guard_drop(&guard, GUARD);
    lw_wake_batch_run(&batch, LW_GRANTED);
    return number;
}

/* Note those that the kernel keeps, since no thread lets them in, as the handler would have.
 * False: there are none. */
static bool fetch_blocked(uint64_t wanted)
{
    static const struct timespec at_once;
    bool found = false;
    sigset_t set;
    int number;

    (void)sigemptyset(&set);
    for (; wanted != 0; wanted &= wanted - 1)
        (void)sigaddset(&set, __builtin_ctzll(wanted) + 1);
    while ((number = lw_sys.sigtimedwait(&set, NULL, &at_once)) > 0) {
        (void)lw_or_acq_rel(&pending, bit_of(number));
        found = true;
    }
    return found;
}

/* Without waiting: a signal that is there, or -ETIMEDOUT.  What is fetched goes through `pending`,
 * where those who came before have the first choice. */
static int take_now(uint64_t wanted)
{
    int number = take(wanted);

    if (number == 0 && fetch_blocked(wanted))
        number = take(wanted);
    return number != 0 ? number : -ETIMEDOUT;
}

/* Take a signal that is there (its number), or queue up under the eyes of a courier (0). */
static int take_or_queue(struct lw_record *me, struct order *order, lw_nsec deadline,
                         const void *site)
{
    for (;;) {
        struct lw_wake_batch batch = {0};
        bool served = false;
        int number, err = courier_start();

        if (err < 0)
            return err;
        lw_guard_take(&guard, GUARD);
        number = take_pending(order->wanted, &batch);
        if (number == 0 && courier_state == COURIER_RUNS) {
            lw_wait_begin(me, LW_WAIT_SIGNAL, &queue, NULL, deadline, site);
            lw_record_cold(me)->data = order;
            lw_queue_push(&queue, &lw_record_cold(me)->node);
            served = true;
        }
        lw_guard_drop(&guard, GUARD);
        lw_wake_batch_run(&batch, LW_GRANTED);
        if (number != 0 || served)
            return number;
    }
}

int lw_signal_wait(const int *numbers, size_t count, lw_nsec deadline)
{
    struct order order = {0};
    struct lw_record *me;
    enum lw_outcome outcome;
    int result = wanted_of(numbers, count, &order.wanted);

    if (result == 0 && lw_forked())
        result = -ECHILD;
    if (result == 0)
        result = catch_signals(order.wanted);
    if (result == 0)
        result = lw_wait_enter(&me, deadline);
    if (result == 0)
        result = deadline == LW_NOW
                     ? take_now(order.wanted)
                     : take_or_queue(me, &order, deadline, __builtin_return_address(0));
    if (result != 0)
        return result;

    outcome = lw_wait_finish(me);
    if (outcome == LW_GRANTED)
        return order.number;
    lw_guard_take(&guard, GUARD);
    lw_queue_remove(&queue, &lw_record_cold(me)->node);
    lw_guard_drop(&guard, GUARD);
    return lw_wait_error(me, outcome);
}
