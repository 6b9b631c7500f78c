/* SPDX-License-Identifier: MIT */
/* What the parts of the detector share.
 *
 *     walk.c      a task that is about to block looks whether its wait closes a circle
 *     sweep.c     the detector's thread looks at all waits now and then
 *     graph.c     of many waits, who can still go on, and who not
 *     resolve.c   a set of waits that nobody else can end: who gives way
 *     ages.c      holds that last, and waits that others overtake
 *     abandoned.c locks whose owner has ended
 *     exhausted.c workers that are all blocked
 *     long_wait.c long waits for what nobody owns
 *     long_hold.c a hold that lasts: what is done about it
 *     ask.c       an owner is asked for a lock, and what comes of it
 *     standing.c  sets of waits that stay, and were told of
 *     verdict.c   the evidence, and who is told
 *     detector.c  what it is set to, and what it counts
 *
 * The detector follows records only (record.h), which are never unmapped.  It touches no lock:
 * objects and holds are keys, that it compares.  What it reads of a record was written before its
 * task blocked, and stays so for as long as the wait lasts; so the order that makes a verdict true
 * is always the same:
 *
 *     load the wait words of all members
 *     read what they wait for and what they hold
 *     claim each wait, of exactly the word that was loaded        [W6]
 *
 * When the last claim has succeeded, all of them have been blocked since the first word was loaded,
 * and what was read in between is so at this instant.  (To claim first and to read then, or to read
 * twice, finds circles that never were: tests/sim/phantom.c.)  Then none of them can be granted,
 * for those who could do it are members, too; and none can time out or be cancelled, for it is
 * claimed.
 *
 * One detector decides at a time (lw_deciding), be it a task or the detector's thread; who comes
 * second goes on, and leaves it to the next look at all waits.
 *
 * [D1] what one who decided wrote -> the next one: deciding, release -> CAS, acquire. */
#ifndef LW_LOCKSMITH_DETECTOR_H
#define LW_LOCKSMITH_DETECTOR_H

#include <latchwork/detector.h>

#include "locksmith/registry.h"

/* A wait that is looked at, by the word that it had then. */
struct lw_suspect {
    struct lw_record *record;
    uint64_t wait;
    uint16_t keepers; /* how many of those who are stuck keep it waiting, as far as is known */
    bool soft;        /* but for one that waits before it, it could go on */
};

/* ---- detector.c */

/* The right to decide.  False: another has it. */
bool lw_deciding_begin(void);
/* The same, and wait for it.  False: the caller is in a user's function, where it has it. */
bool lw_deciding_await(void);
void lw_deciding_end(void);

/* The same for one who has left something to who decides: if another does, it sees to that. */
bool lw_deciding_begin_now(void);

/* A copy of the options in force. */
void lw_detector_options_now(lw_detector_options *options);

/* The user's function runs in this thread; it may not change the options, nor look. */
void lw_detector_calls(bool begin);

/* lw_detector_read() tells.  By one who decides, or it would lose counts. */
extern lw_detector_counts lw_detector_counted;

LW_INLINE void lw_detector_count(uint64_t *counter)
{
    lw_store_rlx(counter, lw_load_rlx(counter) + 1);
}

/* ---- walk.c */

/* lw_wait_watcher of wait.h. */
bool lw_walk(struct lw_record *me, uint64_t wait);

/* The modes of holds, bits 1 << enum lw_hold_mode, any of which keeps a wait of that kind waiting;
 * 0: the wait is not for what is held. */
unsigned lw_modes_against(unsigned kind);

/* Of one who waits for the end of a task, a group or a call: others may close a circle with it, and
 * tell nobody. */
bool lw_is_knot(const struct lw_record *record);

/* Who waits so may wait for those who wait: all else ends by other means. */
bool lw_is_in_graph(unsigned kind);

/* A blocked task holds that object in one of those modes, bits as above: the mode's bit, or 0. */
unsigned lw_holds_against(const struct lw_cold *holder, uint64_t object, unsigned modes);

/* ---- sweep.c */

/* A wait was begun by one who holds something, and a walk from it did not tell all: the thread is
 * to be awake, and (soon) to look before long. */
void lw_sweep_notice(bool soon);

/* A wait that is a knot was begun: while there are such, the thread looks each 10 ms, if that does
 * not take too much of the time. */
void lw_sweep_notice_knot(void);

/* lw_owner_changed of lock.h, and where there is no runtime also by a thread that begins a wait:
 * before long by the thread that looks; where there is none before this returns, unless another
 * decides just then, who looks when it has. */
void lw_sweep_soon(void);

/* A set stays until that deadline, or LW_FOREVER, and may hide another one.  By one who decides. */
void lw_sweep_stands(lw_nsec deadline);

/* lw_wait_in_vain of wait.h: what stood in the way of a look may do so no more. */
void lw_sweep_in_vain(void);

/* A look was left to who decides, for there is no thread to do it. */
bool lw_sweep_is_left(void);

/* What was there is to be looked at again: something else may be found. */
void lw_sweep_anew(void);

/* The same, of the waits that are there; by one who decides, and not to be woken for. */
void lw_sweep_again(void);

/* Look at all waits, be they old or new.  By one who decides.  How many verdicts. */
int lw_sweep_now(void);

/* lw_tick_duty of worker.h. */
lw_nsec lw_sweep(lw_nsec now, bool quiet);

/* ---- resolve.c */

/* Decide about a set of waits, of which has been read that each waits for another of the set: they
 * are claimed, and then that is certain.  In a circle, as reports are; `me`: the one of them that
 * is the caller's own (or NULL).  By one who decides.
 * A set that was told of, and that stays, is not told of again.
 * True: the caller's own wait is over, by force.  *told: there was a verdict. */
bool lw_resolve(const struct lw_suspect *set, uint32_t count, struct lw_record *me, bool *told);

/* An owner was asked, and it is over.  If exactly these waits are still there: the levels after
 * that one, written into the report, which is on the desk.  False: they are not. */
bool lw_resolve_further(const struct lw_suspect *set, uint32_t count, lw_report *report,
                        const lw_detector_options *options);

/* The best victim first, and the circle as it is: of a large one the report tells of those who
 * come first only.  In sweep.c. */
void lw_turn_to_victim(struct lw_suspect *set, uint32_t count);

/* How good a victim it is, the larger the better; negative: none.  Of a claimed wait. */
int lw_score(const struct lw_suspect *suspect, bool joined_last);

/* ---- standing.c; sets that were told of, and stay; all by one who decides */

/* Exactly these waits, in whatever order. */
bool lw_standing_is(const struct lw_suspect *set, uint32_t count);
void lw_standing_note(const struct lw_suspect *set, uint32_t count);

/* What was told of may be told of again: something else is to be done about it. */
void lw_standing_forget(void);

/* ---- abandoned.c; the last two by one who decides, or the only thread */

bool lw_abandoned_any(void);
void lw_abandoned_tell(void);
void lw_abandoned_forked(void);

/* ---- exhausted.c */

/* Tell of workers that are all blocked, if there is something to tell.  By the thread that watches
 * them. */
void lw_exhausted_tell(void);

/* ---- long_hold.c */

/* A hold that lasts, and others wait for it; its report is on the desk, and was not told of. */
struct lw_long_hold {
    lw_task owner;   /* it can run; or it waits for what has nothing to do with locks */
    uint64_t object; /* a key: what is waited for */
    const struct lw_suspect *waiters; /* who have waited longest, as they were a moment ago */
    uint32_t count;                   /* of them; 1 to LW_TOLD_MAX */
    lw_report *report;
};

/* What is to be done about it.  By one who decides.  True: it was told of. */
bool lw_long_hold_decide(const struct lw_long_hold *found, const lw_detector_options *options);

/* ---- ask.c; all by one who decides, but lw_ask_due() */

enum {
#ifdef LW_TINY
    LW_ASKS = 2,
#else
    LW_ASKS = 8, /* owners that are asked at the same time */
#endif
};

/* What is asked: the owner, a member of the report that is on the desk, for that lock. */
struct lw_asked {
    size_t member;
    lw_task owner;
    lw_lock *lock; /* a key */
    const struct lw_suspect *set; /* whom it is about, as who waits for it; a copy is kept */
    uint32_t count;               /* LW_TOLD_MAX at most */
};

/* Whom of a set of claimed waits, who hears it in time; `count`: nobody. */
uint32_t lw_ask_whom(const struct lw_suspect *set, uint32_t count,
                     const lw_detector_options *options, lw_nsec now);

/* The lock of that one that another of the set waits for; NULL: none. */
lw_lock *lw_ask_for_what(const struct lw_suspect *set, uint32_t count, uint32_t owner);

/* True: it is asked, and the report is told of when that is over; none of it is on the desk any
 * more.  False: it cannot be now; what is there is looked at again before long. */
bool lw_ask(const struct lw_asked *asked, const lw_detector_options *options, lw_nsec now);

/* One of these is being asked, or waits for what is asked for. */
bool lw_ask_is_about(const struct lw_suspect *set, uint32_t count);

/* When to look at what is asked, which tells of what is over; how many verdicts. */
lw_nsec lw_ask_due(void);
int lw_ask_look(lw_nsec now);

/* Ask no longer, and tell of all that was asked. */
void lw_ask_withdraw(void);

/* ---- verdict.c; all by one who decides */

enum { LW_TOLD_MAX = 32 }; /* members that a report tells in full */

/* Write down what speaks for it, of at most LW_TOLD_MAX members; their waits are claimed, and all
 * of it is so if they still are when this has returned.  last: which one joined last. */
lw_report *lw_verdict_write(const struct lw_suspect *set, uint32_t count, uint32_t last,
                            lw_nsec now);

/* Of others than a circle: begin, and add one by one whom it is about. */
lw_report *lw_verdict_begin(lw_verdict verdict, lw_nsec now);

/* One who waits, as that word says.  False: it does not any more; or there are enough of them. */
bool lw_verdict_add(const struct lw_suspect *suspect, lw_nsec now);

/* One who does not. */
void lw_verdict_add_runner(const struct lw_record *record);

/* One who has ended. */
void lw_verdict_add_ended(lw_task task, const char *name, const void *spawn_site);

/* What the one that was added last holds, or held; name: NULL, or kept until it was told; since
 * when: 0: not known. */
void lw_verdict_add_hold(const struct lw_hold *hold, const char *name, lw_nsec since);

/* A step of level 0: `what`, and how many more there are than were added. */
void lw_verdict_note(const char *what, uint64_t more);

/* Of this one no text is made for a program that does not ask. */
void lw_verdict_hush(void);

/* What was tried; `lock` may be NULL. */
void lw_verdict_step(unsigned level, size_t member, const lw_lock *lock, const char *outcome);

/* What is on the desk is put aside, as one of LW_ASKS; and is there again, to be told of. */
void lw_verdict_keep(unsigned number);
lw_report *lw_verdict_take_back(unsigned number);

/* Count it, and tell of it.  If its last step is of level 9 that is the end of the process. */
void lw_verdict_tell(const lw_detector_options *options);

#endif
