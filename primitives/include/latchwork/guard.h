/* SPDX-License-Identifier: MIT */
/* An lw_resource_guard says that something is in use: who finds it so does not wait, but is told at
 * once.  For what must not happen twice at a time, and where a second one is a mistake.
 *
 *     static lw_resource_guard guard = LW_RESOURCE_GUARD_INIT("writing", "the journal");
 *
 *     LW_SCOPE(&guard.scope, LW_NOW, err) {
 *         ...
 *     } else {
 *         return err;                      // -EBUSY: another task is writing the journal
 *     }
 *
 * It has no owner: whoever likes may exit it, and who enters twice is refused as any other.  A
 * unique guard is the one that an object has, found by its address. */
#ifndef LATCHWORK_GUARD_H
#define LATCHWORK_GUARD_H

#include <latchwork/scope.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lw_resource_guard {
    lw_scope scope;
    const char *action;   /* what is done with the resource: "using" */
    const char *resource; /* its name; NULL: "#1" and so on, as guards without one are first used */
    lw_word32 _held, _number;
} lw_resource_guard;

LW_API extern const lw_scope_kind lw_resource_guard_kind;
#define LW_RESOURCE_GUARD_INIT(action, resource) \
    { { &lw_resource_guard_kind }, (action), (resource), { 0 }, { 0 } }

/* Enter.  Returns 0; -EBUSY: somebody has.  Anyone.  Never switches. */
LW_API LW_MUST_CHECK int lw_resource_guard_enter(lw_resource_guard *guard);

/* Leave.  Returns 0; -EPERM: nobody has entered.  Anyone.  Never switches. */
LW_API int lw_resource_guard_exit(lw_resource_guard *guard);

/* Whether somebody has entered.  Anyone; a snapshot. */
LW_API bool lw_resource_guard_guarded(const lw_resource_guard *guard);

/* What -EBUSY means, in a sentence, which is cut off to fit.
 * Returns how long it is, as snprintf(3) does.
 * Anyone.  Never switches. */
LW_API int lw_resource_guard_message(const lw_resource_guard *guard, char *text, size_t size);

/* The guard that this object has, held or not, made if there is none: *guard.  Each get needs a
 * put; with the last one the guard is gone.  `action` is that of the guard if it is made now, and
 * is kept, not copied.
 * Returns 0; -ENOMEM; -EINVAL: object is NULL.
 * Anyone.  Never switches. */
LW_API LW_MUST_CHECK int lw_unique_guard_get(lw_resource_guard **guard, const void *object,
                                             const char *action);

/* Put a guard back, once for each get.  Anyone.  Never switches. */
LW_API void lw_unique_guard_put(lw_resource_guard *guard);

/* Forget which object has which guard: those that are there work on, to their last put, but each
 * object gets a new one.  Anyone.  Never switches. */
LW_API void lw_unique_guard_clear(void);

#ifdef __cplusplus
}
#endif
#endif
