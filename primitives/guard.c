/* SPDX-License-Identifier: MIT */
/* lw_resource_guard: one bit that one of many takes; and the guards of objects, by their addresses.
 *
 * Those are in a tree (tsearch(3)) under a mutex of OS threads: a get or put of one is rare beside
 * its use, which does not touch the tree.  One that was cleared is in the tree no more.
 *
 * [G1] what was done inside -> who enters next: exit CAS release -> enter CAS acquire. */
#include <latchwork/guard.h>

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/atomic.h"
#include "runtime/fork.h"
#include "runtime/thread_mutex.h"

/* ---- one guard */

static uint32_t numbers; /* given to guards without a name */

int lw_resource_guard_enter(lw_resource_guard *guard)
{
    uint32_t free = 0;

    return lw_cas_acq(&guard->_held._value, &free, 1) ? 0 : -EBUSY; /* [G1] */
}

int lw_resource_guard_exit(lw_resource_guard *guard)
{
    uint32_t held = 1;

    return lw_cas_rel(&guard->_held._value, &held, 0) ? 0 : -EPERM; /* [G1] */
}

bool lw_resource_guard_guarded(const lw_resource_guard *guard)
{
    return lw_load_rlx(&guard->_held._value) != 0;
}

/* Given when it is first asked for. */
static uint32_t number_of(const lw_resource_guard *guard)
{
    uint32_t *number = (uint32_t *)&guard->_number._value, none = 0;
    uint32_t mine;

    if (lw_load_rlx(number) != 0)
        return lw_load_rlx(number);
    mine = lw_add_rlx(&numbers, 1) + 1;
    return lw_cas_acq_rel(number, &none, mine) ? mine : none;
}

int lw_resource_guard_message(const lw_resource_guard *guard, char *text, size_t size)
{
    const char *action = guard->action != NULL ? guard->action : "using";

    if (guard->resource != NULL)
        return snprintf(text, size, "another task is %s %s", action, guard->resource);
    return snprintf(text, size, "another task is %s #%u", action, (unsigned)number_of(guard));
}

static int scope_enter(lw_scope *scope, lw_nsec deadline)
{
    (void)deadline;
    return lw_resource_guard_enter((lw_resource_guard *)(void *)scope);
}

static int scope_exit(lw_scope *scope, int status)
{
    int err = lw_resource_guard_exit((lw_resource_guard *)(void *)scope);

    return status < 0 || err == 0 ? status : err; /* the body's failure first */
}

const lw_scope_kind lw_resource_guard_kind = {"resource guard", scope_enter, scope_exit, false};

/* ---- those of objects */

struct unique {
    lw_resource_guard guard;
    const void *object;
    size_t users;
    bool listed;
    char name[24];
};

static struct {
    struct lw_thread_mutex mutex;
    void *tree; /* of struct unique, by object */
} objects;

static int compare(const void *a, const void *b)
{
    uintptr_t of_a = (uintptr_t)((const struct unique *)a)->object;
    uintptr_t of_b = (uintptr_t)((const struct unique *)b)->object;

    return of_a < of_b ? -1 : of_a > of_b;
}

/* One more, in the tree; NULL: no memory. */
static struct unique *make(const void *object, const char *action)
{
    struct unique *unique = calloc(1, sizeof *unique);

    if (unique == NULL)
        return NULL;
    (void)snprintf(unique->name, sizeof unique->name, "%p", object);
    unique->guard = (lw_resource_guard)LW_RESOURCE_GUARD_INIT(action, unique->name);
    unique->object = object;
    unique->listed = tsearch(unique, &objects.tree, compare) != NULL;
    if (unique->listed)
        return unique;
    free(unique);
    return NULL;
}

int lw_unique_guard_get(lw_resource_guard **guard, const void *object, const char *action)
{
    struct unique wanted = {.object = object}, *unique, **found;

    if (object == NULL)
        return -EINVAL;
    if (lw_forked())
        return -ECHILD;
    lw_thread_mutex_lock(&objects.mutex);
    found = tfind(&wanted, &objects.tree, compare);
    unique = found != NULL ? *found : make(object, action);
    if (unique != NULL)
        unique->users++;
    lw_thread_mutex_unlock(&objects.mutex);
    if (unique == NULL)
        return -ENOMEM;
    *guard = &unique->guard;
    return 0;
}

void lw_unique_guard_put(lw_resource_guard *guard)
{
    struct unique *unique = (struct unique *)(void *)guard;
    bool last;

    if (lw_forked())
        return;
    lw_thread_mutex_lock(&objects.mutex);
    last = --unique->users == 0;
    if (last && unique->listed)
        (void)tdelete(unique, &objects.tree, compare);
    lw_thread_mutex_unlock(&objects.mutex);
    if (last)
        free(unique);
}

static void unlist(void *unique)
{
    ((struct unique *)unique)->listed = false;
}

void lw_unique_guard_clear(void)
{
    if (lw_forked())
        return;
    lw_thread_mutex_lock(&objects.mutex);
    tdestroy(objects.tree, unlist);
    objects.tree = NULL;
    lw_thread_mutex_unlock(&objects.mutex);
}
