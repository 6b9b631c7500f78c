/* SPDX-License-Identifier: MIT */
/* Handing a hold to another task.
 *
 * A lock says in its word who owns it, and its owner's record has a hold of it, which only the
 * owner itself writes.  So what is handed over waits in a list, with the owner it is for, and that
 * one makes a hold of it, or forgets it, at its next release, wait for a lock, or end, whichever
 * needs it first.  LW_GIVEN in its word ctl says that it has to look, and stays.
 *
 * The word and the list are changed in one section of the list's guard, and the lock's within it.
 * A task that ends says that it takes no more (LW_PLACE_ENDED), and then looks for what it was
 * handed before that.
 *
 * Invariants.
 * - A lock in the list is owned by the task that it is there for, or that one is just releasing it.
 * - A task that has looked after it said that it has ended has all that it was ever handed.
 *
 * Ordering.
 * [G1] hander: CAS ctl (GIVEN); heavy fence; section; load place  <->  ending task: store place
 *      (ENDED); light fence; load ctl; section, if it was given.  So either the hander sees that it
 *      has ended, or it looks; and if it looks before the hander's section, that one sees it.
 * [G2] GIVEN, depth, and what was written inside -> the new owner: drop of the lock's guard
 *      (release) -> load of the word that names it (acquire).
 * [G3] section to section of a list: drop (release) -> CAS (acquire).
 * [G4] hander: CAS ctl (GIVEN); heavy fence; section; load wait word  <->  a task that begins to
 *      wait: its word, by RMW; load ctl; section.  So either the task finds what it was handed when
 *      it looks for a circle, or the hander sees that it waits, and has all waits looked at. */
#include <errno.h>

#include "primitives/lock.h"
#include "runtime/fork.h"

enum { LISTS = 64, GUARD = 1 };

/* In the memory of a chunk of holds: `next` and `hold` are where that has a link and a hold, since
 * others may still follow a link to it (hold.h). */
struct given {
    struct given *next;
    uint64_t id; /* whose */
    struct lw_hold hold;
};

static struct list {
    uint64_t guard __attribute__((aligned(64)));
    struct given *first;
} lists[LISTS];

void (*lw_owner_changed)(void);

static struct list *list_of(uint64_t id)
{
    return &lists[id % LISTS];
}

/* Under the guard: the next that is for that task, of that lock or (NULL) any, or the end. */
static struct given **find(struct given **at, uint64_t id, const lw_lock *lock)
{
    while (*at != NULL &&
           ((*at)->id != id || (lock != NULL && lw_hold_lock(&(*at)->hold) != lock)))
        at = &(*at)->next;
    return at;
}

static struct given **find_end(struct list *list)
{
    struct given **at = &list->first;

    while (*at != NULL)
        at = &(*at)->next;
    return at;
}

static struct given *take_out(struct given **at)
{
    struct given *given = *at;

    if (given != NULL)
        lw_store_rlx(at, given->next);
    return given;
}

static void put_back(struct list *list, struct given *first)
{
    struct given **end = &first;

    while (*end != NULL)
        end = &(*end)->next;
    (void)lw_guard_take(&list->guard, GUARD); /* [G3] */
    lw_store_rlx(end, list->first);
    list->first = first;
    lw_guard_drop(&list->guard, GUARD); /* [G3] */
}

int lw_given_take(struct lw_record *me)
{
    struct lw_cold *cold = lw_record_cold(me);
    uint64_t id = lw_load_rlx(&cold->id);
    struct list *list = list_of(id);
    struct given *mine = NULL, *given, **at = &list->first;

    if (lw_forked())
        return 0;
    (void)lw_guard_take(&list->guard, GUARD); /* [G3] */
    while ((given = take_out(at = find(at, id, NULL))) != NULL) {
        lw_store_rlx(&given->next, mine);
        mine = given;
    }
    lw_guard_drop(&list->guard, GUARD); /* [G3] */
    while ((given = mine) != NULL && lw_hold_push_given(cold, given->hold)) {
        mine = given->next;
        lw_hold_chunk_give(given);
    }
    if (mine == NULL)
        return 0;
    put_back(list, mine);
    return -ENOMEM;
}

bool lw_given_forget(struct lw_record *me, const lw_lock *lock)
{
    uint64_t id = lw_load_rlx(&lw_record_cold(me)->id);
    struct list *list = list_of(id);
    struct given *given;

    if (lw_forked()) /* the guard may be stuck, and nobody looks at holds any more */
        return true;
    (void)lw_guard_take(&list->guard, GUARD); /* [G3] */
    given = take_out(find(&list->first, id, lock));
    lw_guard_drop(&list->guard, GUARD); /* [G3] */
    if (given != NULL)
        lw_hold_chunk_give(given);
    return given != NULL;
}

/* Whoever is blocked stays so, or is no member of what is found (detector.h): an entry that is seen
 * here is a hold for as long as its wait lasts, since only the task itself takes it out. */
bool lw_given_look(const struct lw_cold *cold, uint32_t index, struct lw_hold *hold)
{
    uint64_t id = lw_load_rlx(&cold->id);
    struct list *list = list_of(id);
    struct given **at;

    if (lw_forked()) /* the guard may be stuck */
        return false;
    (void)lw_guard_take(&list->guard, GUARD); /* [G3] */
    at = find(&list->first, id, NULL);
    for (; index > 0 && *at != NULL; index--)
        at = find(&(*at)->next, id, NULL);
    if (*at != NULL)
        *hold = (*at)->hold;
    index = *at == NULL;
    lw_guard_drop(&list->guard, GUARD); /* [G3] */
    return index == 0;
}

/* Under the lock's guard, under which it would queue. */
static bool waits_for(const struct lw_record *task, const lw_lock *lock)
{
    struct lw_cold *cold = lw_record_cold(task);

    return lw_wait_can_be_granted(lw_load_acq(&cold->wait)) && /* [W1] */
           /* Perhaps by one of its arms. */
           (lw_load_rlx(&cold->kind) == LW_WAIT_SELECT ||
            ((lw_load_rlx(&cold->kind) == LW_WAIT_LOCK ||
              lw_load_rlx(&cold->kind) == LW_WAIT_SHARED) &&
             lw_load_rlx(&cold->object) == (uintptr_t)lock));
}

struct heir {
    const lw_lock *lock;
    const struct lw_record *task;
    uint64_t id;
};

static int name_heir(uint64_t *word, void *arg)
{
    const struct heir *heir = arg;

    if (waits_for(heir->task, heir->lock))
        return -EBUSY;
    *word = (*word & LW_LOCK_FLAGS) | heir->id << LW_LOCK_OWNER_SHIFT;
    return 0;
}

/* A lock that has an owner names the other one. */
static int rename_owner(lw_lock *lock, const struct lw_record *task, uint64_t id)
{
    struct heir heir = {lock, task, id};
    uint64_t word;
    int err;

    if (lw_lock_has_faces(lw_load_rlx(&lock->_word._value)))
        return lw_rwlock_rewrite(lock, name_heir, &heir); /* [G2] */
    word = lw_lock_take(lock); /* [L2] */
    err = name_heir(&word, &heir);
    if (err == 0)
        lw_lock_hint(lock, word);
    lw_lock_drop(lock, word); /* [G2] */
    return err;
}

/* From here on it is the other's, if that one is there to have it.  *blocked: and waits for
 * something. */
static int hand_over(lw_lock *lock, struct lw_record *task, struct given *given, bool *blocked)
{
    uint32_t generation = lw_id_generation(given->id);
    struct list *list = list_of(given->id);
    int err = 0;

    if (!lw_ctl_raise(task, generation, LW_GIVEN)) /* [G1] */
        return -ESRCH;
    lw_asym_heavy();                          /* [G1] */
    (void)lw_guard_take(&list->guard, GUARD); /* [G3] */
    if (!lw_ctl_lives(task, generation))          /* [G1] */
        err = -ESRCH;
    else if (lw_hold_mode(&given->hold) != LW_HOLD_UNITS)
        err = rename_owner(lock, task, given->id);
    if (err == 0) { /* at the end: who looks at it one by one would see one before it twice */
        lw_store_rlx(&given->next, NULL);
        lw_store_rlx(find_end(list), given);
    }
    lw_guard_drop(&list->guard, GUARD); /* [G3] */
    *blocked = lw_wait_is_blocked(lw_load_acq(&lw_record_cold(task)->wait)); /* [G4] */
    return err;
}

/* The caller may hand it over: 0, or why not. */
static int check(const lw_lock *lock, struct lw_record *me, bool counts)
{
    uint64_t word = lw_load_acq(&lock->_word._value); /* [G2] */
    int err = lw_is_given(me) ? lw_given_take(me) : 0;

    if (counts)
        return lw_hold_units_of(lw_record_cold(me), lock) > 0 ? 0 : err < 0 ? err : -EPERM;
    return (word & ~LW_LOCK_FLAGS) == lw_owner_word(me) && !(word & LW_LOCK_DEAD) ? 0 : -EPERM;
}

static int transfer(lw_lock *lock, struct lw_record *me, lw_task task, const void *site)
{
    bool counts = (lw_load_rlx(&lock->_word._value) & LW_LOCK_SORT) == LW_LOCK_COUNT;
    struct lw_record *to = lw_record_of(task.id);
    struct given *given;
    int err = check(lock, me, counts);
    bool blocked;

    if (err < 0 || task.id == lw_record_id(me))
        return err;
    if (to == NULL || !lw_ctl_lives(to, lw_id_generation(task.id)))
        return -ESRCH;
    given = lw_hold_chunk_take();
    if (given == NULL)
        return -ENOMEM;
    given->id = task.id;
    lw_hold_fill(&given->hold, lw_hold_of(lock, counts ? LW_HOLD_UNITS : LW_HOLD_EXCLUSIVE, site,
                                          counts ? 1 : lw_load_rlx(&lw_coarse_ms)));
    err = hand_over(lock, to, given, &blocked);
    if (err < 0) {
        lw_hold_chunk_give(given);
        return err;
    }
    if (counts)
        (void)lw_hold_drop_units(lw_record_cold(me), lock, 1);
    else
        (void)lw_owner_forget(lw_record_cold(me), lock);
    /* Who waits for the lock waits for one who waits: that may close a circle, and nobody walks.
     * By now the caller has it no more, for whoever is told, in this thread perhaps. */
    if (blocked)
        lw_owner_has_changed();
    return 0;
}

/* Of a kind that keeps its owner itself. */
static int transfer_by_kind(lw_lock *lock, lw_task task)
{
    const struct lw_record *to = lw_record_of(task.id);

    if (!lw_owned(lock))
        return -EPERM;
    if (to == NULL || !lw_ctl_lives(to, lw_id_generation(task.id)))
        return -ESRCH;
    return lock->kind->set_owner(lock, task);
}

int lw_transfer(lw_lock *lock, lw_task task)
{
    struct lw_record *me = lw_current();

    if (me == NULL)
        return -EPERM;
    if (lw_forked())
        return -ECHILD;
    if (lock->kind != NULL && lock->kind->set_owner != NULL)
        return transfer_by_kind(lock, task);
    return transfer(lock, me, task, __builtin_return_address(0));
}
