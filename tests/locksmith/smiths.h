/* SPDX-License-Identifier: MIT */
/* What the suites of locksmiths share: owners who do as they are told when they are asked, a kind
 * of lock that has no owner, hooks that note what is called. */
#ifndef LW_TESTS_LOCKSMITH_SMITHS_H
#define LW_TESTS_LOCKSMITH_SMITHS_H

#include <errno.h>
#include <string.h>

#include "primitives/lock.h"
#include "runtime/os/os.h"
#include "tests/support.h"

/* .init of the suites.  On a slow machine a hold may last so long that the detector asks its owner:
 * then it would be there first. */
static inline void be_alone(void)
{
    lw_detector_options options;

    watchdog();
    lw_detector_get(&options);
    options.long_hold = 3600 * LW_SEC;
    cr_assert_eq(lw_detector_set(&options), 0);
}

/* ---- owners */

struct owner;
typedef int when_asked_fn(struct owner *owner);

struct owner {
    lw_lock *lock;
    when_asked_fn *when_asked; /* its result is the task's status */
    lw_force_request asked;                 /* as it was seen */
    lw_event holds, let_go;
    struct noted *noted; /* of who asks, for who cares */
    intptr_t value;
    int waited;  /* what its wait returned */
    bool pending;
    lw_task task;
};

/* Take the lock, say so, wait; if that is ended by a request, do as told. */
static inline int own_it(void *arg)
{
    struct owner *owner = arg;

    cr_assert_eq(lw_acquire(owner->lock, LW_FOREVER), 0);
    lw_event_set(&owner->holds);
    owner->waited = lw_event_wait(&owner->let_go, LW_FOREVER);
    owner->pending = lw_force_pending(&owner->asked);
    if (owner->pending && owner->when_asked != NULL)
        return owner->when_asked(owner);
    return lw_release(owner->lock);
}

static inline void start_owner(struct owner *owner)
{
    cr_assert_eq(lw_spawn(&owner->task, own_it, owner, NULL), 0);
    cr_assert_eq(lw_event_wait(&owner->holds, LW_FOREVER), 0);
    AWAIT(is_waiting(owner->task)); /* for `let_go` */
}

static inline int end_owner(struct owner *owner)
{
    int status = 1;

    lw_event_set(&owner->let_go);
    cr_assert_eq(lw_join(owner->task, &status, LW_FOREVER), 0);
    return status;
}

static inline int release_it(struct owner *owner)
{
    return lw_release(owner->lock);
}

/* Go on as if nothing had been asked. */
static inline int hold_on(struct owner *owner)
{
    while (lw_event_wait(&owner->let_go, LW_FOREVER) != 0)
        continue;
    return lw_release(owner->lock);
}

/* ---- a lock that anybody may release */

struct plain {
    lw_semaphore semaphore;
    int releases, release_error; /* what its release returns, having released nothing */
};

static inline struct plain *plain_of(lw_lock *lock)
{
    return (struct plain *)(void *)lock;
}

static inline int plain_acquire(lw_lock *lock, lw_nsec deadline)
{
    return lw_semaphore_acquire(&plain_of(lock)->semaphore, 1, deadline);
}

static inline bool plain_locked(const lw_lock *lock)
{
    return lw_semaphore_locked((const lw_semaphore *)lock);
}

static inline int plain_release(lw_lock *lock)
{
    struct plain *plain = plain_of(lock);

    plain->releases++;
    if (plain->release_error != 0)
        return plain->release_error;
    return plain_locked(lock) ? lw_semaphore_release(&plain->semaphore, 1) : -EPERM;
}

static const lw_lock_kind plain_kind = {
    .name = "plain", .acquire = plain_acquire, .release = plain_release, .locked = plain_locked};

static inline struct plain make_plain(void)
{
    struct plain plain = {.semaphore = LW_SEMAPHORE_INIT("plain", 1)};

    plain.semaphore.lock.kind = &plain_kind;
    return plain;
}

/* ---- a smith whose hooks note what is called; a hook of a test's own is put into `hooks` */

struct noted {
    lw_locksmith smith;
    lw_locksmith_hooks hooks;
    char calls[64]; /* a letter for each call, in order */
    const void *lock;
    lw_answer answer;
    intptr_t value;
    int err, result, depth, handled;
    int answers; /* received; by atomic operations */
    lw_locksmith *requester;
};

static inline void note(lw_locksmith *smith, const lw_lock *lock, char letter)
{
    struct noted *noted = smith->data;
    size_t length = strlen(noted->calls);

    noted->lock = lock;
    if (length + 1 < sizeof noted->calls)
        noted->calls[length] = letter;
}

static inline int note_audit(lw_locksmith *smith, lw_lock *lock)
{
    note(smith, lock, 'A');
    return 0;
}

static inline const void *note_info(lw_locksmith *smith, lw_lock *lock, int *err)
{
    note(smith, lock, 'I');
    *err = ((struct noted *)smith->data)->err;
    return smith;
}

static inline int note_throw(lw_locksmith *smith, lw_lock *lock)
{
    note(smith, lock, 't');
    return ((struct noted *)smith->data)->result;
}

static inline int note_eager(lw_locksmith *smith, lw_lock *lock)
{
    note(smith, lock, 'e');
    return ((struct noted *)smith->data)->result;
}

static inline int note_already(lw_locksmith *smith, lw_lock *lock)
{
    note(smith, lock, 'a');
    return ((struct noted *)smith->data)->result;
}

static inline int note_false(lw_locksmith *smith, lw_lock *lock)
{
    note(smith, lock, 'f');
    return ((struct noted *)smith->data)->result;
}

static inline void note_answer(lw_locksmith *smith, lw_lock *lock, lw_answer answer, intptr_t value)
{
    struct noted *noted = smith->data;

    note(smith, lock, 'R');
    noted->answer = answer;
    noted->value = value;
    (void)__atomic_add_fetch(&noted->answers, 1, __ATOMIC_RELEASE);
}

static inline void note_busy(lw_locksmith *smith, lw_lock *lock, lw_locksmith *requester, int depth)
{
    struct noted *noted = smith->data;

    note(smith, lock, 'b');
    noted->requester = requester;
    noted->depth = depth;
}

static inline void note_propagated(lw_locksmith *smith, lw_lock *lock)
{
    note(smith, lock, 'p');
}

static inline int note_critical(lw_locksmith *smith, lw_lock *lock, int err)
{
    struct noted *noted = smith->data;

    note(smith, lock, 'c');
    noted->err = err;
    return noted->result;
}

static inline void note_other(lw_locksmith *smith, lw_lock *lock, int err)
{
    note(smith, lock, 'o');
    ((struct noted *)smith->data)->err = err;
}

static inline int note_purge(lw_locksmith *smith, lw_lock *lock)
{
    note(smith, lock, 'P');
    return 0;
}

static inline int note_handler(lw_locksmith *smith, lw_lock *lock, void *arg)
{
    (void)arg;
    note(smith, lock, 'H');
    return ((struct noted *)smith->data)->handled;
}

/* All that is called, with the results that are the defaults', by a smith that knows the lock. */
static inline void make_noted(struct noted *noted, lw_lock *lock)
{
    *noted = (struct noted){
        .smith = LW_LOCKSMITH_INIT(&noted->hooks, noted),
        .hooks = {.audit = note_audit,
                  .answer_received = note_answer,
                  .lock_busy = note_busy,
                  .task_propagated_request = note_propagated,
                  .task_raised_other = note_other,
                  .purge_waiters = note_purge},
    };
    cr_assert_eq(lw_locksmith_recognize(&noted->smith, lock, LW_NOW), LW_RECOGNITION_SUCCESS);
}

static inline void end_noted(struct noted *noted)
{
    cr_assert_eq(lw_locksmith_fini(&noted->smith), 0);
}

#define cr_assert_calls(noted, letters) cr_assert_str_eq((noted).calls, (letters))

/* ---- short words */

static inline int force(lw_locksmith *smith, lw_lock *lock)
{
    return lw_locksmith_force(smith, lock, NULL, 0, LW_FOREVER);
}

/* One that nobody answers ends by its deadline. */
static inline int force_for_a_while(lw_locksmith *smith, lw_lock *lock)
{
    return lw_locksmith_force(smith, lock, NULL, 0, lw_in(LW_MS));
}

#endif
