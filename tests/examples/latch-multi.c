/* SPDX-License-Identifier: MIT */
/* Three files are written by several tasks each.  One latch has a count for each file, so that who
 * wants one file waits for its writers only, and who wants all of them for all. */
#include <latchwork.h>
#include <stdio.h>

enum { INDEX = 10, TABLE = 20, LOG = 30 };

static lw_multi_latch written;

static int write_part(void *arg)
{
    return lw_multi_latch_count_down(&written, *(const uint64_t *)arg, LW_STRICT);
}

static int run(void *arg)
{
    static lw_latch_entry files[] = {
        { .key = INDEX, .count = 1 }, { .key = TABLE, .count = 3 }, { .key = LOG, .count = 2 },
    };
    static uint64_t parts[] = { TABLE, LOG, INDEX, TABLE, LOG, TABLE };
    lw_group writers = LW_GROUP_INIT(LW_GROUP_FAIL_FAST);
    int err = lw_multi_latch_init(&written, "written", files, 3);

    (void)arg;
    if (err < 0)
        return err;
    LW_SCOPE(&writers.scope, LW_FOREVER, err) {
        for (int i = 0; i < 6 && err == 0; i++)
            err = lw_group_spawn(&writers, write_part, &parts[i], NULL);
        if (err == 0)
            err = lw_multi_latch_wait(&written, TABLE, LW_STRICT, LW_FOREVER);
        printf("the table is complete\n");
        if (err == 0)
            err = lw_multi_latch_wait_all(&written, LW_FOREVER);
        printf("all are: %s\n", lw_multi_latch_broken(&written) ? "yes" : "no");
    }
    return err;
}

int main(void) { return lw_run(NULL, run, NULL) < 0; }

/* It prints
 *
 *     the table is complete
 *     all are: yes
 */
