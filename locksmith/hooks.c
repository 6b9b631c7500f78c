/* SPDX-License-Identifier: MIT */
/* What an lw_locksmith does where the program has no hook, and the names of its results.  None of
 * it waits, and none can fail. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "locksmith/smith.h"
#include "primitives/lock.h"
#include "runtime/os/os.h"

bool lw_default_preliminary_check(lw_locksmith *smith, lw_lock *lock)
{
    (void)smith;
    return lock->kind == NULL || lw_kind_is_complete(lock->kind);
}

/* Somebody has it; also one who has ended, of which the lock is dead. */
bool lw_default_can_force(lw_locksmith *smith, lw_lock *lock)
{
    return lw_recognized_has(smith, lock) && (lw_locked(lock) || lw_owner(lock).id != 0);
}

lw_task lw_default_find_owner(lw_locksmith *smith, lw_lock *lock)
{
    (void)smith;
    return lw_owner(lock);
}

void lw_default_patch_owner(lw_locksmith *smith, lw_lock *lock, lw_task owner)
{
    (void)smith;
    if (lock->kind != NULL && lock->kind->set_owner != NULL)
        (void)lock->kind->set_owner(lock, owner); /* whether it is so is looked at */
}

int lw_default_audit(lw_locksmith *smith, lw_lock *lock)
{
    (void)smith;
    (void)lock;
    return 0;
}

int lw_default_throw_fallback(lw_locksmith *smith, lw_lock *lock)
{
    (void)smith;
    (void)lock;
    return LW_FORCE_NO_CURRENT_TASK;
}

int lw_default_eager_fallback(lw_locksmith *smith, lw_lock *lock)
{
    (void)smith;
    (void)lock;
    return LW_FORCE_OWNER_COMPLETED;
}

int lw_default_already_forcing(lw_locksmith *smith, lw_lock *lock)
{
    (void)smith;
    (void)lock;
    return LW_FORCE_ALREADY_BEING_FORCED;
}

int lw_default_release_returned_false(lw_locksmith *smith, lw_lock *lock)
{
    (void)smith;
    (void)lock;
    return LW_FORCE_RELEASED_WITH_FALSE;
}

void lw_default_answer_received(lw_locksmith *smith, lw_lock *lock, lw_answer answer,
                                intptr_t value)
{
    (void)smith;
    (void)lock;
    (void)answer;
    (void)value;
}

void lw_default_lock_busy(lw_locksmith *smith, lw_lock *lock, lw_locksmith *requester, int depth)
{
    (void)smith;
    (void)lock;
    (void)requester;
    (void)depth;
}

int lw_default_purge_waiters(lw_locksmith *smith, lw_lock *lock)
{
    (void)smith;
    return lw_purge_waiters(lock);
}

/* ---- texts */

static const char *kind_of(const lw_lock *lock)
{
    const lw_lock_kind *kind = lock->kind != NULL ? lock->kind : &lw_mutex_kind;

    return kind->name != NULL ? kind->name : "lock";
}

static const char *name_of(const lw_lock *lock)
{
    return lock->name != NULL ? lock->name : "";
}

void lw_default_info(const lw_lock *lock, char *text, size_t size)
{
    (void)snprintf(text, size, "%.40s '%.40s' at %p may be part of a deadlock", kind_of(lock),
                   name_of(lock), (const void *)lock);
}

/* A line about a lock whose owner was asked for it. */
static void tell(const lw_lock *lock, const char *what)
{
    char line[256];
    int size = snprintf(line, sizeof line,
                        "latchwork: %.40s '%.40s': its owner was asked to let go of it, and %s\n",
                        kind_of(lock), name_of(lock), what);

    if (size > 0 && (size_t)size < sizeof line)
        (void)!lw_sys.write(STDERR_FILENO, line, (size_t)size);
}

void lw_default_task_propagated_request(lw_locksmith *smith, lw_lock *lock)
{
    (void)smith;
    tell(lock, "ended by that without an answer");
}

int lw_default_task_raised_critical(lw_locksmith *smith, lw_lock *lock, int err)
{
    (void)smith;
    (void)lock;
    return err;
}

/* What a program gets for its own mistakes is not told. */
void lw_default_task_raised_other(lw_locksmith *smith, lw_lock *lock, int err)
{
    char what[64];

    (void)smith;
    if (err == -EINVAL || err == -EPERM)
        return;
    (void)snprintf(what, sizeof what, "ended with the error %d", -err);
    tell(lock, what);
}

/* ---- results */

bool lw_force_ok(int result)
{
    return result == LW_FORCE_SUCCESS || result == LW_FORCE_RELEASED;
}

bool lw_recognition_ok(int result)
{
    return result == LW_RECOGNITION_SUCCESS || result == LW_RECOGNITION_ALREADY_RECOGNIZED;
}

static const char *name_in(const char *const *names, size_t count, int result)
{
    return result > 0 && (size_t)result < count ? names[result] : "?";
}

const char *lw_force_name(int result)
{
    static const char *const names[] = {
        [LW_FORCE_UNFORCEABLE] = "UNFORCEABLE",
        [LW_FORCE_NO_CURRENT_TASK] = "NO_CURRENT_TASK",
        [LW_FORCE_OWNER_COMPLETED] = "OWNER_COMPLETED",
        [LW_FORCE_ALREADY_BEING_FORCED] = "ALREADY_BEING_FORCED",
        [LW_FORCE_FAILURE] = "FAILURE",
        [LW_FORCE_RELEASED_WITH_FALSE] = "RELEASED_WITH_FALSE",
        [LW_FORCE_SUCCESS] = "SUCCESS",
        [LW_FORCE_RELEASED] = "RELEASED",
    };

    return name_in(names, sizeof names / sizeof *names, result);
}

const char *lw_recognition_name(int result)
{
    static const char *const names[] = {
        [LW_RECOGNITION_FAILED_PRELIM] = "FAILED_PRELIM",
        [LW_RECOGNITION_FAILED_ACK] = "FAILED_ACK",
        [LW_RECOGNITION_ALREADY_RECOGNIZED] = "ALREADY_RECOGNIZED",
        [LW_RECOGNITION_SUCCESS] = "SUCCESS",
    };

    return name_in(names, sizeof names / sizeof *names, result);
}

bool lw_critical(int err)
{
    return err == -ESHUTDOWN || err == -ENOTRECOVERABLE;
}

int lw_locksmith_tell_busy(lw_locksmith *smith, lw_lock *lock, lw_locksmith *requester, int depth)
{
    if (smith == NULL || depth < 0)
        return -EINVAL;
    if (depth > LW_BUSY_DEPTH_MAX)
        return -EOVERFLOW;
    LW_HOOK(smith, lock_busy)(smith, lock, requester, depth);
    return 0;
}
