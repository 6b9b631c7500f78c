/* SPDX-License-Identifier: MIT */
/* Guests: threads that are not ours get a struct lw_thread and a record at their first wait or
 * acquire, and give both back when they end. */
#include <errno.h>
#include <latchwork/task.h>

#include "runtime/fiber.h"
#include "runtime/fork.h"
#include "runtime/os/os.h"
#include "runtime/wait.h"
#include "runtime/worker.h"

static void detach(void *arg)
{
    struct lw_thread *thread = arg;
    struct lw_cold *cold = lw_record_cold(thread->current);

    if (lw_task_is_to_settle(thread->current)) {
        lw_thread_tls = thread; /* it may have been cleared before destructors ran */
        lw_task_settle(thread->current, 0);
    }
    lw_store_rlx(&cold->shields, 0);
    lw_fiber_end(thread->current);
    lw_guest_record_give(thread->current);
    lw_fiber_guest_fini(thread);
    lw_thread_tls = NULL;
    lw_sys.free(thread);
}

static int attach(void)
{
    struct lw_thread *thread;
    struct lw_record *record;

    if (lw_fork_init() < 0)
        return -ENOMEM;
    thread = lw_sys.calloc(1, sizeof *thread);
    record = thread != NULL ? lw_guest_record_take() : NULL;
    if (record == NULL) {
        lw_sys.free(thread);
        return -ENOMEM;
    }
    lw_store_rlx(&record->fn, NULL);
    lw_store_rlx(&record->arg, NULL);
    lw_store_rlx(&record->site, 0);
    lw_store_rel(&record->peer, LW_PEER_DETACHED); /* [R4] */
    lw_store_rel(&record->place, LW_PLACE_GUEST);  /* [R4] */
    lw_store_rel(&record->ctl, lw_load_rlx(&record->ctl) | LW_LIVE);
    lw_fiber_begin(record, NULL);
    lw_record_begin(record);
    lw_store_rlx(&lw_record_cold(record)->shields, 0);
    lw_thread_run(thread, record);
    thread->tid = lw_sys.thread_number();
    if (lw_sys.thread_at_end(detach, thread) != 0) {
        lw_guest_record_give(record);
        lw_sys.free(thread);
        return -ENOMEM;
    }
    lw_fiber_guest_init(thread);
    lw_thread_tls = thread;
    return 0;
}

struct lw_record *lw_current_or_attach(void)
{
    struct lw_record *me = lw_current();

    if (lw_likely(me != NULL))
        return me;
    return !lw_forked() && lw_thread_self() == NULL && attach() == 0 ? lw_current() : NULL;
}

int lw_wait_enter_slow(struct lw_record **me)
{
    if (lw_forked())
        return -ECHILD;
    *me = lw_current_or_attach();
    return *me != NULL ? 0 : -ENOMEM;
}

int lw_thread_attach(void)
{
    struct lw_record *me;

    return lw_current() != NULL ? 0 : lw_wait_enter_slow(&me);
}

struct lw_runtime *lw_runtime_here(void)
{
    struct lw_thread *thread = lw_thread_self();
    struct lw_runtime *found = NULL;

    if (thread != NULL && thread->worker != NULL)
        return thread->worker->runtime;
    for (unsigned i = 0; i < LW_RUNTIMES_MAX; i++) {
        struct lw_runtime *runtime = lw_load_sc(&lw_runtimes[i]); /* [T2] */

        if (runtime == NULL)
            continue;
        if (found != NULL)
            return NULL; /* several: which one is meant? */
        found = runtime;
    }
    return found;
}
