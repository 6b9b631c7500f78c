/* SPDX-License-Identifier: MIT */
/* A table that is asked for a key which it does not have yet is not locked while the disk is asked:
 * others look up theirs meanwhile, and what they added has to be looked for again. */
#include <latchwork.h>
#include <stdio.h>

static struct {
    lw_mutex mutex;
    int value, reads;
} table = { .mutex = LW_MUTEX_INIT("table") };

static int ask_the_disk(void)
{
    return lw_sleep(lw_in(1 * LW_MS));
}

static int look_up(int *value)
{
    int err;

    LW_WITH(&table.mutex.lock, LW_FOREVER, err) {
        if (table.value == 0) {
            LW_RELEASING(&table.mutex.lock, err) {
                err = ask_the_disk();
            }
            if (err < 0)
                break;
            if (table.value == 0) { /* nobody else was faster */
                table.value = 7;
                table.reads++;
            }
        }
        *value = table.value;
    }
    return err;
}

static int reader(void *arg) { return look_up(arg); }

static int run(void *arg)
{
    lw_group readers = LW_GROUP_INIT(LW_GROUP_FAIL_FAST);
    int values[3] = { 0 }, err;

    (void)arg;
    LW_SCOPE(&readers.scope, LW_FOREVER, err)
        for (int i = 0; i < 3 && err == 0; i++)
            err = lw_group_spawn(&readers, reader, &values[i], NULL);
    printf("%d %d %d, stored %d time\n", values[0], values[1], values[2], table.reads);
    return err;
}

int main(void) { return lw_run(NULL, run, NULL) < 0; }

/* It prints
 *
 *     7 7 7, stored 1 time
 */
