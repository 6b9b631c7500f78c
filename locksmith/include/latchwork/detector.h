/* SPDX-License-Identifier: MIT */
/* The detector finds tasks and threads that wait for each other for ever, and other waits that will
 * not end well, while the program runs; and it makes one of them give way.  There is one in a
 * process, for all its runtimes and plain threads.
 *
 * A task that is about to wait for a lock, or for the end of a task, and whose wait closes a circle
 * of such waits, finds that itself, at once.  Of each circle one member gives way: its wait returns
 * -EDEADLK, and what it holds it still holds.  It releases that, asks lw_backoff(), and starts
 * over.  What no task can find alone (among readers, holders of permits, groups) is found by the
 * detector's thread, which runs with the first runtime and looks at all waits now and then.
 *
 * A circle that a deadline will break within 100 ms is left alone; and never ended by force is a
 * wait that cannot fail (in a shield; to get a lock back after a condition; the end of a group): an
 * owner is asked then, if one hears it.  If nothing helps it is UNFORCEABLE, or, when one of the
 * waits has a deadline, a TIMED_DEADLOCK, however far away that is.  A reader that waits behind a
 * writer, while others read, is let past him instead, if that will do; and so is one that waits for
 * permits of a bounded semaphore that are there, behind one that wants more.
 *
 * The look also tells of what is no circle, and is not broken by force:
 *
 *     LONG_HOLD   somebody has waited for `long_hold`, and for as long another has held what he
 *                 waits for; that one runs, or waits for what has nothing to do with locks (I/O,
 *                 sleep, lw_blocking()).  Members: the owner, then who has waited longest.  Once
 *                 for each hold.
 *     STARVED     somebody has waited for twice as long, and at several looks in a row another had
 *                 just got what he waits for, who had not waited as long.  Members: he, and who has
 *                 it now.  Once for each wait.
 *     LONG_WAIT   waits without a deadline have lasted for `long_wait`, for what nobody owns: an
 *                 event, a condition, a channel, a latch, a barrier, a futex, permits that nobody
 *                 holds, or one of several things.  Not I/O, signals, sleep, rate limits, nor the
 *                 end of a task, which last as long as they last.  Members: of all who have waited
 *                 so long since the last look, at one place, those who have longest.  Once for each
 *                 wait.  On the standard error only of those who wait to send, for a latch or a
 *                 barrier, or hold a lock meanwhile: the others may just have nothing to do.
 *
 *     ABANDONED   a task or thread has ended with locks that it held.  Member: that one, with what
 *                 it held.  Its end itself has released each lock, repaired it first, or marked it:
 *                 a step says which.  Told at once, whether anybody waits or not.
 *
 *     WORKER_EXHAUSTION   all workers of a runtime are blocked in calls of the system that it knows
 *                 nothing of, while tasks are ready.  Members: the tasks that make these calls.
 *                 Another worker joins, if there can be one; the step says so.  Once, until none is
 *                 blocked any more; and on the standard error only if no other could join.
 *
 * Who waits for a lock itself is not accused of holding one; nor is, for his permits, one who runs.
 * Time in which the whole process was stopped counts for nobody, unless it was short: up to a
 * quarter of `long_hold`, or for LONG_WAIT an eighth of `long_wait`, and a quarter of a second.
 *
 * What it allocates is for the look at all waits, and is kept: nothing while at most 256 wait, and
 * then 216 bytes for each of them, whose number is rounded up to a power of two.  Beside that there
 * is 0.6 MB of static memory, of which a page is there once it is used, and a byte for 16 tasks.
 *
 * Nothing need be turned on.  A program that is linked with liblatchwork.a by other means than
 * pkg-config has it if it uses a function of this header.
 *
 * What it has found is a verdict, and all that speaks for it is in an lw_report: who waits for
 * what, since when and where, what he holds and where he took it, who was chosen to give way and
 * why, and what came of it.
 *
 *     static void tell(const lw_report *report, void *arg)      // an on_report
 *     {
 *         (void)lw_report_write(report, LW_REPORT_TEXT, STDERR_FILENO);
 *     }
 *
 * A report, with all that it points to, is valid while the callback runs that was given it.  A site
 * is an address in the program: that which the call returns to whose place it tells; NULL: it is
 * not known.  Names are those that objects and tasks were given; NULL: none. */
#ifndef LATCHWORK_DETECTOR_H
#define LATCHWORK_DETECTOR_H

#include <latchwork/lock.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What was found.  "Members" are those of the report. */
typedef enum lw_verdict {
    LW_VERDICT_NONE,              /* nothing */
    LW_VERDICT_DEADLOCK,          /* the members wait for each other, and nobody else can end it */
    LW_VERDICT_TIMED_DEADLOCK,    /* the same, but a deadline will end it: before long, or else when
                                   * nothing else can */
    LW_VERDICT_ABANDONED,         /* the owner of a lock has ended without a release */
    LW_VERDICT_ORPHAN_EVENT,      /* all who could set it have ended */
    LW_VERDICT_LONG_HOLD,         /* an owner that can run keeps others waiting for long */
    LW_VERDICT_LONG_WAIT,         /* a long wait for what nobody owns */
    LW_VERDICT_STARVED,           /* others get again and again what a member waits for */
    LW_VERDICT_LIVELOCK,          /* the members make each other start over, again and again */
    LW_VERDICT_INVERSION,         /* an important task waits for one that comes after others */
    LW_VERDICT_WORKER_EXHAUSTION, /* those who could go on have no worker left to run them */
} lw_verdict;

/* What happens about a verdict. */
typedef enum lw_detector_mode {
    LW_DETECTOR_OFF,    /* nobody looks */
    LW_DETECTOR_REPORT, /* it is told, and the program stays as it is */
    LW_DETECTOR_FORCE,  /* it is broken by the first level that can, and told */
} lw_detector_mode;

/* Levels, from the mildest; options take them as a set of bits.
 *
 *     0   tell
 *     1   let a waiter overtake another, if it is only their order that closes the circle
 *     2   the victim's wait fails with -EDEADLK
 *     3   ask the owner for the lock, who has a while to answer (a grace)
 *     4   undo what the victim did under its locks, and start it over
 *     5   unwind the victim
 *     6   repair what a lock protects, and release it
 *     7   mark the lock (-EOWNERDEAD), and release it
 *     8   end the victim, or its group
 *     9   abort the process, with the report
 *
 * 3: the owner of a hold that lasts is asked; of a circle that 1 and 2 do not break, one whose own
 * wait ends before the grace does, or that was spawned with LW_TASK_FORCIBLE: the others would not
 * hear it.  It sees that with lw_force_pending() (force.h).  The report is told when that is over,
 * with what came of it: "released", "released late" after "more time", "downgraded", "refused",
 * "answered with a value", "its owner has ended", "nobody waits for it any more", "no answer",
 * "withdrawn".
 *
 * 6 and 7 are what the end of an owner does with the locks that it leaves, by their kinds and
 * whether they are allowed or not (lock.h): nobody's lock is taken from him.
 *
 * 8: a task whose wait is in no shield is cancelled (lw_cancel()), and by that the group for whose
 * end it waits; also one that gave way time after time and never let go.  9: what is told is
 * written to the standard error, too, and then abort(3) is called. */
#define LW_LEVEL(n) (1u << (n))
#define LW_LEVELS_DEFAULT (LW_LEVEL(0) | LW_LEVEL(1) | LW_LEVEL(2) | LW_LEVEL(3))

/* A lock that a member holds. */
typedef struct lw_report_hold {
    const lw_lock *lock; /* a key, as its memory may have ended: to be compared, not followed */
    const char *lock_name;
    const void *site; /* where it was taken */
    lw_nsec since;    /* the moment; 0: not known */
} lw_report_hold;

/* One of those that it is about. */
typedef struct lw_report_member {
    lw_task task; /* a task, or a plain thread */
    const char *task_name;
    const char *kind_name;   /* of what it waits for: "mutex", "join"; NULL: it does not wait */
    /* What it waits for, a key; NULL: in a circle for the next member, as in a join; else nothing
     * that has an address. */
    const void *object;
    const char *object_name;
    const void *wait_site;
    const void *spawn_site;
    lw_nsec since;    /* the wait began at this moment; 0: not known */
    lw_nsec deadline; /* of the wait; LW_FOREVER: it has none */
    const lw_report_hold *holds; /* in the order in which it took them */
    size_t hold_count;
    int score; /* the larger, the better a victim; negative: its wait cannot be made to fail */
    /* The calls that led to its wait, from wait_site outwards, as far as frame pointers tell (gcc,
     * clang: -fno-omit-frame-pointer), 16 at most.  Of tasks only, and of a deadlock only with the
     * first report of its signature; else 0. */
    const void *const *stack;
    size_t stack_depth;
} lw_report_member;

/* One thing that was tried. */
typedef struct lw_report_step {
    unsigned level;
    lw_task task;        /* to whom; {0}: nobody in particular */
    const lw_lock *lock; /* a key; NULL: about none */
    const char *outcome; /* in words: "reordered", "rolled back", "refused" */
} lw_report_step;

typedef struct lw_report {
    lw_verdict verdict;
    bool unforceable;   /* it stays, since no level that is on can break it */
    uint64_t signature; /* the same places in the same program: the same, also in its next run */
    uint64_t count;     /* how often that signature was seen before */
    lw_nsec at;         /* the moment */
    /* In a circle: each waits for what the next one holds, the last one for what the first does. */
    const lw_report_member *members;
    size_t member_count;
    size_t victim; /* which member; member_count: none */
    const lw_report_step *steps; /* in the order in which they were tried */
    size_t step_count;
} lw_report;

/* How a report is written. */
typedef enum lw_report_format {
    LW_REPORT_TEXT, /* for people: lines, the first of which begins with "latchwork: " */
    LW_REPORT_JSON, /* for programs: one object on one line, see lw_report_write() */
    LW_REPORT_DOT,  /* for graphviz: a drawing of who waits for whom */
    LW_REPORT_SVG,  /* that drawing, made by graphviz's dot(1), a process of its own */
} lw_report_format;

/* How the detector works.  All zero, in a field: its default; mode stands for itself. */
typedef struct lw_detector_options {
    lw_detector_mode mode;
    uint32_t levels;     /* which may be used, LW_LEVEL(2) | ...; LW_LEVELS_DEFAULT */
    lw_nsec period_min;  /* it looks at all waits this often when it has found something, ... */
    lw_nsec period_max;  /* ... and this often when it has not for long; 1 ms and 1 s */
    lw_nsec long_hold;   /* a hold that others wait for is long after; 1 s */
    lw_nsec long_wait;   /* a wait for what nobody owns is long after; 30 s */
    lw_nsec grace;       /* so long an owner may take to answer, ten times if it says so; 100 ms */
    /* What this version does not do yet. */
    bool immunity;       /* let those who deadlocked often at the same places pass one at a time */
    bool order_lint;     /* tell of locks taken in either order, before they deadlock */
    /* Told of each verdict, after what was done about it; NULL: text on the standard error, once
     * for each signature, and neither of what a deadline ends within 100 ms nor of some of
     * LONG_WAIT.  The text is written by a thread that lives while it writes: of more than sixteen
     * reports that wait for it only their number is told, and a process that ends by exit(3) waits
     * for it at most 1 s.
     * The function is called by the detector's thread, by the thread whose wait closed the circle,
     * by one that ends with locks, or by one that calls lw_detector_scan(); where no runtime is
     * there, also by any that begins a wait, whose wait has ended in vain (so a timed one may take
     * longer by that), has ended the last runtime, or calls lw_transfer(),
     * lw_bounded_semaphore_set_bound() or lw_detector_set().  It may not wait, nor use a lock that
     * tasks hold while they wait; while it runs nothing else is decided. */
    void (*on_report)(const lw_report *report, void *arg);
    /* Which member is to give way; report->victim is whom the detector would choose, and stays that
     * if it returns no index of a member whose score is 0 or more.  As on_report; NULL: no say. */
    size_t (*choose_victim)(const lw_report *report, void *arg);
    void *arg; /* of both */
    uint64_t _reserved[6];
} lw_detector_options;

/* What the detector has done since the process began. */
typedef struct lw_detector_counts {
    uint64_t verdicts[16];     /* found, by lw_verdict */
    uint64_t forced[10];       /* broken, by level */
    uint64_t scans;            /* how often it looked at all waits */
    uint64_t phantoms_refused; /* circles that were not there any more when it looked again */
    uint64_t _reserved[4];
} lw_detector_counts;

/* The options in force, with what stands for each default.  In the child of a fork, of a process
 * in which the library had threads, the mode is LW_DETECTOR_OFF.
 * Anyone, also a callback.  Never switches. */
LW_API void lw_detector_get(lw_detector_options *options);

/* From now on these are in force; NULL: the defaults, which are mode FORCE and zero in all else.
 * So an options struct of zeros turns it off.  Of those before no callback runs any more once this
 * returns; what was being asked is told of before that.
 * Returns 0; -EINVAL: no such mode, a negative time, a period_min above period_max, or what this
 * version does not have: the levels 4 and 5, or any above 9, immunity, order_lint, a reserved field
 * that is not 0; -EDEADLK: in a callback of the detector's; -ECHILD after fork.
 * Anyone, at any time.  Never switches: it blocks the thread while a callback runs. */
LW_API LW_MUST_CHECK int lw_detector_set(const lw_detector_options *options);

/* Look at all waits now, whether they are old or new, in the caller's thread.
 * Returns how many verdicts were told of (where an owner is asked, that is later); -EBUSY: another
 * looks, or decides; -EDEADLK: in a callback of the detector's; -ECHILD after fork.
 * Anyone.  Never switches. */
LW_API int lw_detector_scan(void);

/* What it has done.  Anyone.  Never switches. */
LW_API void lw_detector_read(lw_detector_counts *counts);

/* Write a report to a descriptor.  It is made in memory first, so that what fails for lack of it
 * has written nothing.  Places in the program are told as well as the program's symbols and its
 * debugging information allow: "function (file:line)", "function+0x12 (program)" or
 * "program+0x1234".  What reading them takes is on a thread of its own, and is given up after 3 s.
 *
 * The keys of the JSON object; addresses, ids and the signature are strings in hexadecimal, moments
 * nanoseconds on CLOCK_MONOTONIC, and what is not there is null.  Of names, bytes that are no UTF-8
 * become U+FFFD.  Counts beyond INT64_MAX are INT64_MAX.
 *
 *     report   verdict unforceable signature seen_before at_ns victim members steps
 *     member   task task_name waits_for stack spawn_site score holds held_by
 *              (held_by: indices of the members that hold what it waits for)
 *     waits_for   kind object name site since_ns deadline_ns
 *     hold     lock name site since_ns
 *     step     level task lock outcome
 *     site     address function file line module offset
 *
 * Returns 0; -ENOMEM: nothing was written; -EINVAL: no report, or no such format; -ENOTSUP: JSON,
 * and the library was built without it; or SVG, and there is no dot on the PATH, or it has failed,
 * or this is a simulation; -EBADF and other errors of write(2): a part may have been written; and
 * of SVG also those of memfd_create(2) and posix_spawn(3), when nothing was.  No SIGPIPE is raised.
 * Anyone, not only in a callback: a report may be the caller's own.  Never switches: it blocks the
 * thread while it reads symbols, while dot draws, and while the descriptor takes nothing. */
LW_API int lw_report_write(const lw_report *report, lw_report_format format, int fd);

/* The name of a verdict: that of its constant, without LW_VERDICT_; "UNKNOWN" for what is none.
 * Anyone.  Never switches. */
LW_API const char *lw_verdict_name(int verdict);

#ifdef __cplusplus
}
#endif
#endif
