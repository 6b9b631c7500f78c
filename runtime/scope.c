/* SPDX-License-Identifier: MIT */
/* Anything that is entered and left. */
#include <latchwork/scope.h>

#include <errno.h>
#include <latchwork/blocking.h>
#include <latchwork/cancel.h>

struct call {
    lw_scope *scope;
    lw_nsec deadline;
    int status;
};

static int call_enter(void *arg)
{
    struct call *call = arg;

    return call->scope->kind->enter(call->scope, call->deadline);
}

static int call_exit(void *arg)
{
    struct call *call = arg;

    return call->scope->kind->exit(call->scope, call->status);
}

int lw_scope_enter(lw_scope *scope, lw_nsec deadline)
{
    const lw_scope_kind *kind = scope->kind;
    struct call call = {scope, deadline, 0};
    int status = 0, err;

    if (kind == NULL || kind->exit == NULL)
        return -EINVAL;
    if (kind->enter == NULL)
        return 0;
    if (!kind->blocking)
        return kind->enter(scope, deadline);
    err = lw_blocking(call_enter, &call, &status, deadline);
    return err < 0 ? err : status;
}

int lw_scope_exit(lw_scope *scope, int status)
{
    const lw_scope_kind *kind = scope->kind;
    struct call call = {scope, LW_FOREVER, status};
    int outcome = status;

    if (kind == NULL || kind->exit == NULL)
        return -EINVAL;
    if (!kind->blocking)
        return kind->exit(scope, status);
    /* What was entered is left, whatever happens: no cancel, and without helpers on this thread. */
    LW_SHIELD()
        if (lw_blocking(call_exit, &call, &outcome, LW_FOREVER) < 0)
            outcome = kind->exit(scope, status);
    return outcome;
}
