/* SPDX-License-Identifier: MIT */
/* Copies of a file are fetched from three servers at once.  When one of them fails, the others are
 * cancelled, and the group ends when the last of them has ended: nobody is left behind. */
#include <errno.h>
#include <latchwork.h>
#include <stdio.h>

struct copy {
    const char *server;
    int status; /* what the server will do: 0, it answers never; negative, it fails */
    int ended_with;
};

static int fetch(void *arg)
{
    struct copy *copy = arg;

    copy->ended_with = copy->status < 0 ? copy->status : lw_sleep(LW_FOREVER);
    return copy->ended_with;
}

static int run(void *arg)
{
    struct copy copies[] = { { "north", 0, 0 }, { "south", -EHOSTUNREACH, 0 }, { "west", 0, 0 } };
    lw_group group = LW_GROUP_INIT(LW_GROUP_FAIL_FAST);
    int err;

    (void)arg;
    LW_SCOPE(&group.scope, LW_FOREVER, err)
        for (int i = 0; i < 3 && err == 0; i++)
            err = lw_group_spawn(&group, fetch, &copies[i], NULL);

    printf("the group: %s\n", err == -EHOSTUNREACH ? "unreachable" : "another outcome");
    for (int i = 0; i < 3; i++)
        printf("%s: %s\n", copies[i].server,
               copies[i].ended_with == -ECANCELED ? "cancelled" : "failed by itself");
    return 0;
}

int main(void) { return lw_run(NULL, run, NULL) < 0; }

/* It prints
 *
 *     the group: unreachable
 *     north: cancelled
 *     south: failed by itself
 *     west: cancelled
 */
