/* SPDX-License-Identifier: MIT */
/* A primitive of one's own, a gate that is opened and closed: a word that says which, and the
 * library's way to wait for it to change. */
#include <errno.h>
#include <latchwork.h>
#include <stdatomic.h>
#include <stdio.h>

enum { CLOSED, OPEN };

static _Atomic uint32_t gate = CLOSED;
static atomic_int passed;

static int pass(lw_nsec deadline)
{
    int err = 0;

    while (err == 0 && atomic_load(&gate) == CLOSED) {
        err = lw_futex_wait(&gate, CLOSED, deadline);
        if (err == -EAGAIN) /* it was opened before we waited */
            err = 0;
    }
    return err;
}

static void open_it(void)
{
    atomic_store(&gate, OPEN);
    (void)lw_futex_wake(&gate, LW_ALL);
}

static int visitor(void *arg)
{
    int err = pass(LW_FOREVER);

    (void)arg;
    if (err == 0)
        atomic_fetch_add(&passed, 1);
    return err;
}

static int run(void *arg)
{
    lw_group visitors = LW_GROUP_INIT(LW_GROUP_FAIL_FAST);
    int err;

    if (pass(lw_in(1 * LW_MS)) == -ETIMEDOUT)
        printf("closed\n");
    LW_SCOPE(&visitors.scope, LW_FOREVER, err) {
        for (int i = 0; i < 5 && err == 0; i++)
            err = lw_group_spawn(&visitors, visitor, arg, NULL);
        open_it();
    }
    printf("%d passed\n", atomic_load(&passed));
    return err;
}

int main(void) { return lw_run(NULL, run, NULL) < 0; }

/* It prints
 *
 *     closed
 *     5 passed
 */
