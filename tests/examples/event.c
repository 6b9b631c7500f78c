/* SPDX-License-Identifier: MIT */
/* Workers that cannot begin before the settings are loaded wait for an event, which brings them
 * along; who comes after it was set goes on at once. */
#include <latchwork.h>
#include <stdatomic.h>
#include <stdio.h>

struct settings {
    int port, limit;
};

static lw_event loaded = LW_EVENT_INIT("settings loaded");
static atomic_int began;

static int worker(void *arg)
{
    void *value;
    int err = lw_event_wait_value(&loaded, &value, lw_in(60 * LW_SEC));
    const struct settings *settings = value;

    (void)arg;
    if (err == 0 && settings->port == 6379)
        atomic_fetch_add(&began, 1);
    return err;
}

static int run(void *arg)
{
    static struct settings settings = { .port = 6379, .limit = 100 };
    lw_group workers = LW_GROUP_INIT(LW_GROUP_FAIL_FAST);
    int err;

    LW_SCOPE(&workers.scope, LW_FOREVER, err) {
        for (int i = 0; i < 8 && err == 0; i++) {
            err = lw_group_spawn(&workers, worker, arg, NULL);
            if (i == 3)
                lw_event_put(&loaded, &settings);
        }
    }
    printf("%d workers began, with a limit of %d\n", atomic_load(&began), settings.limit);
    return err;
}

int main(void) { return lw_run(NULL, run, NULL) < 0; }

/* It prints
 *
 *     8 workers began, with a limit of 100
 */
