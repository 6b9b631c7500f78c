/* SPDX-License-Identifier: MIT */
/* Two tasks write to one connection at the same time, which is a mistake in the program: the guard
 * does not make the second one wait, but tells it. */
#include <errno.h>
#include <latchwork.h>
#include <stdio.h>

static lw_resource_guard writing = LW_RESOURCE_GUARD_INIT("writing to", "the connection");
static lw_event inside, go_on;

static int write_message(void *arg)
{
    char text[128];
    int err;

    LW_SCOPE(&writing.scope, LW_NOW, err) {
        lw_event_set(&inside);
        err = lw_event_wait(&go_on, LW_FOREVER);
        printf("%s was written\n", (const char *)arg);
    } else {
        (void)lw_resource_guard_message(&writing, text, sizeof text);
        printf("%s\n", err == -EBUSY ? text : "?");
    }
    return err;
}

static int run(void *arg)
{
    static char header[] = "the header", body[] = "the body";
    lw_task first;
    int err = lw_spawn(&first, write_message, header, NULL);

    (void)arg;
    if (err == 0)
        err = lw_event_wait(&inside, LW_FOREVER);
    if (err == 0)
        err = write_message(body) == -EBUSY ? 0 : -EINVAL;
    lw_event_set(&go_on);
    if (err == 0)
        err = lw_join(first, NULL, LW_FOREVER);
    return err < 0 ? err : write_message(body);
}

int main(void) { return lw_run(NULL, run, NULL) < 0; }

/* It prints
 *
 *     another task is writing to the connection
 *     the header was written
 *     the body was written
 */
