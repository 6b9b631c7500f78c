/* SPDX-License-Identifier: MIT */
/* Handlers by kind: a list, since kinds are few.  What is run is copied out under the guard.
 *
 * [T1] table: guard dropped (release) -> taken (acquire) */
#include <errno.h>

#include "locksmith/smith.h"
#include "primitives/lock.h"
#include "runtime/fork.h"
#include "runtime/os/os.h"

enum { GUARD = 1 };

struct entry {
    struct entry *next;
    const lw_lock_kind *kind;
    lw_lock_handler *handler;
    void *arg;
};

static lw_handlers of_the_process;

static struct entry **first_of(lw_handlers *table)
{
    return (struct entry **)(void *)&table->_first;
}

/* Under the guard: the link to the kind's entry, or the end. */
static struct entry **find(lw_handlers *table, const lw_lock_kind *kind)
{
    struct entry **at = first_of(table);

    while (*at != NULL && (*at)->kind != kind)
        at = &(*at)->next;
    return at;
}

/* Under the guard: 1: `entry` is in the table; 0: it is not, and is not needed; negative: why
 * not. */
static int put(lw_handlers *table, struct entry *entry, uint32_t flags)
{
    struct entry *there = *find(table, entry->kind);

    if (there == NULL) {
        entry->next = *first_of(table);
        *first_of(table) = entry;
        return 1;
    }
    if (there->handler == entry->handler && there->arg == entry->arg)
        return 0;
    if ((flags & LW_REPLACE) == 0)
        return -EEXIST;
    there->handler = entry->handler;
    there->arg = entry->arg;
    return 0;
}

static int add(lw_handlers *table, struct entry with, uint32_t flags)
{
    struct entry *entry = lw_sys.calloc(1, sizeof *entry);
    int put_in;

    if (entry == NULL)
        return -ENOMEM;
    *entry = with;
    (void)lw_guard_take(&table->_word._value, GUARD); /* [T1] */
    put_in = put(table, entry, flags);
    lw_guard_drop(&table->_word._value, GUARD); /* [T1] */
    if (put_in <= 0)
        lw_sys.free(entry);
    return put_in < 0 ? put_in : 0;
}

static void take_out(lw_handlers *table, const lw_lock_kind *kind)
{
    struct entry *entry, **at;

    (void)lw_guard_take(&table->_word._value, GUARD); /* [T1] */
    at = find(table, kind);
    entry = *at;
    if (entry != NULL)
        *at = entry->next;
    lw_guard_drop(&table->_word._value, GUARD); /* [T1] */
    lw_sys.free(entry);
}

int lw_handlers_register(lw_handlers *handlers, const lw_lock_kind *kind, lw_lock_handler *handler,
                         void *arg, uint32_t flags)
{
    lw_handlers *table = handlers != NULL ? handlers : &of_the_process;

    if (kind == NULL || !lw_kind_is_complete(kind) || (flags & ~LW_REPLACE) != 0 ||
        (handler == NULL && flags == 0))
        return -EINVAL;
    if (lw_forked())
        return -ECHILD;
    if (handler != NULL)
        return add(table, (struct entry){NULL, kind, handler, arg}, flags);
    take_out(table, kind);
    return 0;
}

int lw_handlers_run(lw_handlers *handlers, lw_locksmith *smith, lw_lock *lock)
{
    lw_handlers *table = handlers != NULL ? handlers : &of_the_process;
    const lw_lock_kind *kind = lock->kind != NULL ? lock->kind : &lw_mutex_kind;
    struct entry run = {0};
    const struct entry *found;

    (void)lw_guard_take(&table->_word._value, GUARD); /* [T1] */
    found = *find(table, kind);
    if (found != NULL)
        run = *found;
    lw_guard_drop(&table->_word._value, GUARD); /* [T1] */
    return run.handler != NULL ? run.handler(smith, lock, run.arg) : 0;
}
