/* SPDX-License-Identifier: MIT */
/* A crawler with a task for each page, and three connections: whoever has a permit may use one.
 * A permit is nobody's, and goes to whom it comes first. */
#include <latchwork.h>
#include <stdatomic.h>
#include <stdio.h>

static lw_semaphore connections = LW_SEMAPHORE_INIT("connections", 3);
static atomic_int open_now, most, fetched;

static int fetch(void *arg)
{
    int err = lw_semaphore_acquire(&connections, 1, LW_FOREVER), now, seen;

    (void)arg;
    if (err < 0)
        return err;
    now = atomic_fetch_add(&open_now, 1) + 1;
    for (seen = atomic_load(&most); seen < now;)
        if (atomic_compare_exchange_weak(&most, &seen, now))
            break;
    err = lw_sleep(lw_in(1 * LW_MS)); /* the network takes its time */
    atomic_fetch_add(&fetched, 1);
    atomic_fetch_sub(&open_now, 1);
    (void)lw_semaphore_release(&connections, 1);
    return err;
}

static int crawl(void *arg)
{
    lw_group pages = LW_GROUP_INIT(LW_GROUP_FAIL_FAST);
    int err;

    LW_SCOPE(&pages.scope, LW_FOREVER, err)
        for (int i = 0; i < 20 && err == 0; i++)
            err = lw_group_spawn(&pages, fetch, arg, NULL);
    printf("%d pages, %s\n", atomic_load(&fetched),
           atomic_load(&most) <= 3 ? "by three connections at most" : "by too many connections");
    printf("%d permits are free\n", (int)lw_semaphore_available(&connections));
    return err;
}

int main(void) { return lw_run(NULL, crawl, NULL) < 0; }

/* It prints
 *
 *     20 pages, by three connections at most
 *     3 permits are free
 */
