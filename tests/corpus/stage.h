/* SPDX-License-Identifier: MIT */
/* Kernels after published bugs, and clean programs that look like them: each is a few roles that
 * are played at once by tasks, plain threads or both, on one stage.
 *
 * A role takes locks by their numbers, and just returns when a wait fails; what it still holds is
 * let go of for it.  Then, if it was refused, it asks lw_backoff(), and plays again.  The first
 * time roles wait for each other (meet(), until_waits()), so that what is to happen happens in
 * every run; when they play again they do not.
 *
 * The stage keeps notes of its own: who is inside of what, and how often; what is told of a
 * deadlock is compared with them.
 *
 * The same files are compiled twice: for the real library and for the simulation.  What differs,
 * main.c and simulated.c have. */
#ifndef LW_TESTS_CORPUS_STAGE_H
#define LW_TESTS_CORPUS_STAGE_H

#include <errno.h>
#include <latchwork.h>
#include <sched.h>
#include <stddef.h>

enum { PLAYERS_MAX = 8, HOLDS_MAX = 8, STEPS = 8, VERDICTS = 16 };

/* The locks of the stage. */
enum {
    A, B, C, D, E, F, G, H, /* mutexes */
    NESTED, NESTED_2,       /* lw_rlock */
    RANKED,                 /* lw_priority_lock */
    READ, WRITE,            /* of one lw_rwlock, ... */
    READ_2, WRITE_2,        /* ... of another, ... */
    READ_3, WRITE_3,        /* ... and of one that prefers writers, as Go's, */
    READ_4, WRITE_4,        /* ... and another like that */
    PERMITS,                /* lw_bounded_semaphore of 3 */
    LOCKS
};

struct player;

/* Negative: a wait of it failed. */
typedef int role(struct player *me);

struct player {
    role *role;
    lw_task task; /* {0}: not there yet */
    int index;
    bool again, joined;
    int step, held[HOLDS_MAX], holds;
    int had; /* so many holds when it last began to wait, the first time it played */
    int refused, status;
    long taken[LOCKS];
};

/* What the detector has to say. */
enum says {
    DEADLOCK,  /* these are its members, and one of them gives way */
    REORDERED, /* the same, but a reader goes before a writer, and nobody gives way */
    AT_ONCE,   /* nothing: the call fails with -EDEADLK before it waits */
    OWNER,     /* no deadlock: who has ended, and who comes after that gets -ENOTRECOVERABLE */
    CANNOT,    /* nothing: what deadlocked there cannot here */
    NOT_SEEN,  /* no deadlock, only that a wait for a condition, a channel or the like is long */
    CLEAN,     /* nothing: there is no deadlock */
};

enum kind { RESOURCE, COMMUNICATION, MIXED };

#define PLAYER(index) (1u << (index))

struct kernel {
    const char *name; /* as published: project and number */
    const char *what;
    enum kind kind;
    enum says says;
    uint32_t members; /* who are told of (DEADLOCK, REORDERED), or stay (NOT_SEEN) */
    uint32_t victims; /* one of whom gives way first */
    uint32_t children; /* who are begun by a player */
    uint32_t tasks;    /* who have to be tasks */
    bool abandons;     /* the first one ends with a lock */
    bool hands_over;   /* somebody is given a lock, and may end before it knows */
    bool timed; /* who gives its waits a deadline may be told of a deadlock that it ends */
    long laps;  /* each role is played so often; 0: once */
    role *roles[PLAYERS_MAX];
};

/* Each ends with one that has no name. */
extern const struct kernel corpus_mutexes[], corpus_rwlocks[], corpus_joins[], corpus_owners[],
    corpus_conditions[], corpus_channels[], corpus_mixed[], corpus_clean[], corpus_orderly[];

/* The stage. */
extern struct stage {
    lw_mutex mutexes[H - A + 1];
    lw_rlock nested[2];
    lw_priority_lock ranked;
    lw_rwlock rw[4];
    lw_bounded_semaphore permits;
    lw_condition conditions[2];
    lw_channel channels[4]; /* 0, 1: rendezvous; 2: of one item; 3: of two; of int */
    int one[1], two[2];
    lw_event events[2];
    lw_latch latch; /* of 2 */
    lw_semaphore signal; /* of 0 */
    lw_once once[2];
    lw_event over;
    struct player players[PLAYERS_MAX];
    const struct kernel *kernel;
    int meeting[STEPS], begun, ended, all; /* but for children */
    bool known; /* all tasks are */
    int count; /* of the program's own, under its locks */
    struct inside {
        int writers, readers;
        long sections;
    } inside[LOCKS];
} stage;

/* Play a kernel once, in a task; who of the players is a thread: bits.  It does not return if
 * something is wrong. */
void perform(const struct kernel *kernel, uint32_t threads);

/* Who is to be a thread, in the so many'th way; false: there are no more ways. */
bool choose_threads(const struct kernel *kernel, unsigned way, uint32_t *threads);

/* All performances of a kernel, in whatever process. */
struct outcome {
    uint64_t runs, told[VERDICTS];
};

/* ---- for roles */

lw_lock *lock_of(int number);

/* Take and let go; negative as lw_acquire(). */
int take(struct player *me, int number);
int take_by(struct player *me, int number, lw_nsec deadline);
void drop(struct player *me, int number);

/* Taken or let go of by other means. */
void note_taken(struct player *me, int number);
void note_dropped(struct player *me, int number);

/* What a wait that is no lock's has returned; returns it. */
int note(struct player *me, int err);

/* To take it is refused before it waits, and what one has one keeps. */
int be_refused(struct player *me, int number);

int wait_on(struct player *me, int condition, int mutex);
int send_to(int channel);
int receive_from(int channel);
int join(struct player *me, int other);

/* All players get here before one goes on; until that one has got to a wait. */
void meet(struct player *me);
void until_waits(struct player *me, int other);

/* Once for each child, by its parent. */
int play_child(void *player);

/* End with -EDEADLK and the like as the wait did. */
#define TRY(call)                                                                                  \
    do {                                                                                           \
        int err_ = (call);                                                                         \
        if (err_ < 0)                                                                              \
            return err_;                                                                           \
    } while (0)

/* ---- what differs */

/* In a process of its own: all performances, some of them, or one by `seed`.  It fails there. */
void corpus_perform_all(const struct kernel *kernel);
extern struct outcome *corpus_outcome; /* of this kernel; shared with the process that looks on */
extern const char corpus_runs[];       /* what they are: "runs", "schedules" */

_Noreturn void corpus_fail(const char *truth, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#define HOLDS(truth) \
    ((truth) ? (void)0 : corpus_fail(#truth, __FILE__, __LINE__, "see there"))
#define SAYS(truth, ...) \
    ((truth) ? (void)0 : corpus_fail(#truth, __FILE__, __LINE__, __VA_ARGS__))

/* By then all is over, or it never is; LW_FOREVER: whoever looks on will know. */
lw_nsec corpus_patience(void);

/* Up to now all that others have done is seen. */
void corpus_settle(void);

#define AWAIT(truth)                                                                               \
    do {                                                                                           \
        while (!(truth)) {                                                                         \
            lw_yield();                                                                            \
            (void)sched_yield();                                                                   \
        }                                                                                          \
        corpus_settle();                                                                           \
    } while (0)

#endif
