/* SPDX-License-Identifier: MIT */
/* What the parts of the simulator share among themselves: virtual threads, the plan of a schedule,
 * memory.  What they offer to the simulated system calls is in engine.h. */
#ifndef LW_RUNTIME_SIM_WORLD_H
#define LW_RUNTIME_SIM_WORLD_H

#include <latchwork/sim.h>
#include <signal.h>

#include "runtime/os/os.h"
#include "runtime/os/sanitizer.h"
#include "runtime/sim/engine.h"
#include "runtime/thread.h"

/* ---- virtual threads (threads.c) */

enum {
    SIM_THREADS_MAX = 512, /* at a time */
#ifdef LW_ASAN
    SIM_STACK_BYTES = 1 << 20, /* whose shadow is cleared for each thread anew */
#else
    SIM_STACK_BYTES = 8 << 20, /* what threads have unless they are told otherwise */
#endif
    SIM_NAME_BYTES = 16,
    SIM_EXCEPTION_BYTES = 64,
};

/* What pthread_self() says in thread i: none that libc ever gives out. */
#define SIM_PTHREAD_FIRST ((pthread_t)0x51000000)

enum sim_state { SIM_READY, SIM_BLOCKED, SIM_DONE };

struct sim_thread {
    void *sp; /* while another runs */
    enum sim_state state;
    unsigned index;
    struct lw_thread *self; /* lw_thread_tls and errno, while another runs */
    int error;
    /* blocked: */
    const void *key;
    int64_t until;
    const char *what;
    bool woken;
    bool spins;      /* let others go on first */
    bool watches;    /* the library's, which looks around each 10 ms (tick.c) */
    unsigned rounds; /* of spinning, when only spinners were left */
    bool detached, joined; /* joined: somebody does, or has */
    bool was_joined;
    uint64_t priority;     /* PCT */
    uint64_t steps, since; /* its own, before it went on last; the world's, then */
    uint64_t turn;         /* its own, when its turn began */
    void *(*main)(void *arg);
    void *arg, *result;
    void (*end)(void *arg); /* the library's hook, at its end */
    void *end_arg;
    void **specific;       /* values of pthread keys, by key */
    struct sim_end *ends;  /* of its thread-local objects, the last one first */
    const char *root;      /* what its main() stands on; NULL: the process's own stack */
    void *cleanups;        /* of pthread_cleanup_push(), the last one first */
    _Alignas(16) char exception[SIM_EXCEPTION_BYTES]; /* by which it is unwound */
    char name[SIM_NAME_BYTES];
    char *stack;        /* lowest address; NULL: the process's own */
    const void *bottom; /* ASan: of the stack it stood on when it was left */
    size_t size;
    void *fake;
    bool intercepted; /* made by the program: ASan has notes of its own on it */
    void *notes;
};

struct sim_event {
    int64_t when;
    void (*fn)(void *arg);
    void *arg;
};

enum { SIM_EVENTS_MAX = 1024 };

/* Of this schedule; index 0 is the one that runs the program or the test. */
struct sim_world {
    struct sim_thread threads[SIM_THREADS_MAX];
    unsigned count;
    struct sim_thread *current; /* NULL: the engine itself */
    int64_t now;
    int64_t idle; /* of it: went by because nobody could run */
    unsigned looks_alone; /* of the one that watches, since another has run */
    struct sim_event events[SIM_EVENTS_MAX];
    unsigned event_count;
};

extern struct sim_world *sim_world;

/* A new virtual thread that is ready to run main(arg); NULL: too many. */
struct sim_thread *sim_thread_new(void *(*main)(void *arg), void *arg);
struct sim_thread *sim_thread_of(pthread_t id); /* NULL: none of this schedule's */

/* The caller ends; not by main()'s return only: see libc_exit.c. */
__attribute__((noreturn)) void sim_thread_end(void *result);

/* Give up the CPU for another that is ready: the caller was blocked, spins or has ended. */
void sim_reschedule(void);

/* The caller, the last one to run, has ended its part: back to sim_world_run(). */
__attribute__((noreturn)) void sim_world_leave(void);

/* One schedule from its beginning to its end: body(arg) on virtual thread 0. */
void sim_world_run(void (*body)(void *arg), void *arg);

/* From now on the calling OS thread is virtual thread 0. */
void sim_world_adopt(void);
/* After all; false: that is not where it is, or there are others. */
bool sim_world_disown(void);

/* ---- decisions (plan.c) */

enum sim_kind {
    SIM_GO_ON, /* at a point: 0 go on, else another one */
    SIM_PICK,  /* the running one cannot: which of those who can */
    SIM_DRAW,  /* anything else */
};

enum sim_strategy { SIM_BY_RANDOM, SIM_BY_PCT, SIM_BY_EXHAUSTION, SIM_BY_LIST, SIM_PLAINLY };

/* At its `at`-th step thread `thread` did not go the plain way: `way` is the number of the thread
 * that went on, plus 1, or SIM_TIME; of anything else that was drawn, the way. */
struct sim_choice {
    uint32_t thread, way;
    uint64_t at;
};

enum { SIM_TIME = SIM_THREADS_MAX + 1 };

struct sim_choices {
    struct sim_choice *list;
    size_t count, room;
};

bool sim_plan_init(void); /* at load time; false: no memory */

/* Before a schedule.  `list`: for SIM_BY_LIST.  expected: about how many steps, for PCT. */
void sim_plan_begin(enum sim_strategy strategy, uint64_t seed, unsigned depth, uint64_t steps_max,
                    uint64_t expected, const struct sim_choices *list);
/* The next branch of an exhaustive search; false: there is none. */
bool sim_plan_next_branch(void);
void sim_plan_forget_branches(void);

/* Which of `ways`; ready: for SIM_GO_ON and SIM_PICK, who they are, the last way may be NULL: time
 * goes on. */
unsigned sim_decide(enum sim_kind kind, unsigned ways, struct sim_thread *const *ready);
void sim_plan_in_test(bool in_test); /* the test begins, or has ended */
void sim_plan_ask_soon(void);        /* somebody who may come first is ready now */
void sim_plan_ask_rather(void);      /* the next point is one that the program has asked for */
void sim_plan_new_thread(struct sim_thread *thread);
void sim_plan_leaves(struct sim_thread *thread); /* another one runs from here on */
void sim_plan_comes(struct sim_thread *thread);
void sim_plan_spins(struct sim_thread *thread);
bool sim_plan_turn_is_over(void); /* the running thread has to let others go on now */
uint64_t sim_plan_steps(void);    /* so far */
uint64_t sim_plan_hash(void);     /* of the choices so far */
bool sim_plan_recorded(struct sim_choices *copy); /* false: too many; the copy is the caller's */

/* Lists (choices.c). */
bool sim_choices_add(struct sim_choices *choices, struct sim_choice choice); /* false: no memory */
void sim_choices_sort(struct sim_choices *choices); /* by thread, as a plan goes by it */
void sim_choices_free(struct sim_choices *choices);

/* Text of a list: "thread: at.way at.way thread: at.way", numbers in base 36, each `at` as the
 * distance from the one before; false: no room, or no such text. */
bool sim_choices_print(const struct sim_choices *choices, char *text, size_t size);
bool sim_choices_parse(struct sim_choices *choices, const char *text);

/* Leaves out what can be: the rest fails as the whole list did (shorten.c). */
struct sim_failure;
typedef bool sim_fails(const struct sim_choices *choices, const struct sim_failure *failed);
void sim_shorten(struct sim_choices *choices, sim_fails *fails, const struct sim_failure *failed);

/* ---- memory (memory.c) */

bool sim_memory_init(void);     /* at load time, the last of all; false: no memory */
void sim_memory_begin(void);    /* before a schedule: static data as at load time, nothing mapped */
void sim_memory_end(void);      /* after the last: static data as before the first */
bool sim_memory_enter(void);    /* before the first; false: no memory */
unsigned long sim_blocks(void); /* of sim_alloc() and calloc, not freed yet */
char *sim_stack(unsigned index);
void sim_memory_fill(struct lw_sys *table);

/* ---- guard pages of stacks (guards.c) */
bool sim_guards_init(void);  /* at load time; false: no memory */
void sim_guards_begin(void); /* a schedule, which has none yet */
void sim_guards_mapped(char *from, size_t size, bool stacks);
void sim_guards_install(char *at);
bool sim_guards_mend(const void *address); /* it was one of another schedule's, and is gone */

/* ---- the table (system.c); and of it, whatever a test has put there, what libc.c does */
int sim_thread_create(pthread_t *id, const pthread_attr_t *attributes, void *(*main)(void *arg),
                      void *arg);
int sim_thread_create_program(pthread_t *id, const pthread_attr_t *attributes,
                              void *(*main)(void *arg), void *arg);
#define NO_TIME INT64_MIN /* a time that is none: EINVAL */
int sim_thread_join(pthread_t id, void **result, int64_t until);
int sim_thread_join_always(pthread_t id, void **result);
pthread_t sim_thread_self(void);
void sim_system_fill(struct lw_sys *table);
extern struct lw_sys sim_real; /* the table as it was at load time */

/* ---- events (system.c): those that are due; the moment of the next, INT64_MAX: none */
int64_t sim_events_next(void);
void sim_events_run(void);

/* The calling OS thread is the one that the simulation runs on. */
bool sim_is_here(void);

/* ---- the program's own threads: the ends of its pthread keys (libc.c), of its thread-local
 * objects (libc_exit.c) */
void sim_specific_end(struct sim_thread *thread);
void sim_locals_end(struct sim_thread *thread);

/* ---- weak memory (weak.c) */
bool sim_weak_init(void);             /* at load time; false: no memory */
void sim_weak_begin(void);            /* from here on, in this schedule */
void sim_weak_thread(unsigned index); /* there is a new one */
void sim_weak_flush(void);            /* all see what the running thread has seen */
void sim_weak_flush_all(void);        /* all see the newest */
void sim_weak_age(void);              /* another thread goes on: perhaps it does */

/* ---- stuck.c: nobody can run, and `next` is the next moment that somebody waits for.  The moment
 * that time goes on to; INT64_MAX: none would change anything. */
int64_t sim_moment_that_counts(int64_t next);

/* ---- failures (run.c) */
__attribute__((noreturn)) void sim_crash(const char *text);

/* Of a test by lw_sim_run(), in the process that it was called in. */
bool sim_is_test(void);

/* What brings the running schedule back, on the standard error. */
void sim_say_schedule(void);

/* ---- signals that end the schedule (fatal.c) */
enum { SIM_FATALS = 7 };

struct sim_signals { /* as they were before */
    struct sigaction actions[SIM_FATALS];
    stack_t stack;
    void *memory;
};

void sim_signals_catch(struct sim_signals *before);
void sim_signals_release(const struct sim_signals *before);

/* ---- once more, by itself (again.c) */
enum { SIM_REASON_BYTES = 256 };

struct sim_outcome {
    int verdict;
    uint64_t hash;
    char reason[SIM_REASON_BYTES];
};

typedef void sim_rerun(enum sim_strategy strategy, uint64_t number, const struct sim_choices *list,
                       struct sim_outcome *outcome);

bool sim_again_init(void); /* at load time; false: no memory */
/* Before the first schedule; after the last one. */
void sim_again_begin(sim_rerun *rerun);
void sim_again_end(void);
bool sim_again_can(void);
/* False: it cannot be known. */
bool sim_again(enum sim_strategy strategy, uint64_t number, const struct sim_choices *list,
               struct sim_outcome *outcome);

/* ---- what is said of them, on the standard error (report.c) */
struct sim_failure {
    enum sim_strategy strategy;
    uint64_t number; /* the schedule's seed; by exhaustion, its place in the search */
    int verdict, status;
    char reason[SIM_REASON_BYTES];
};

struct sim_way_back {
    uint64_t hash;                  /* of the schedule that failed */
    size_t many;                    /* choices that it had */
    const struct sim_choices *list; /* that bring it back; NULL: they were too many to keep */
    bool shortened;                 /* to those that are needed */
    bool alone;                     /* it fails by itself, without the schedules before it */
    uint64_t first, schedules;      /* seed of the first of those, and how many, with this one */
};

/* After a failure: the shortest list found, in the result, and what is to be said (explain.c). */
void sim_explain(const struct sim_failure *failed, const lw_sim_options *options,
                 lw_sim_result *result);

/* Its schedule is one that its seed brings back. */
bool sim_has_seed(enum sim_strategy strategy);

/* Where it fails; the engine stands still meanwhile.  Who waits for what, if it may be that. */
void sim_say_failure(const struct sim_failure *failure);
/* What brings it back, in two parts of one line: the seed, if it has one, for which no memory is
 * needed (it may be malloc() that failed); then the choices. */
void sim_say_seed(const struct sim_failure *failure, const struct sim_way_back *way);
void sim_say_choices(const struct sim_failure *failure, const struct sim_way_back *way);
void sim_say_running(const struct sim_failure *running);
void sim_say_search(uint64_t schedules, unsigned depth, bool all);

#endif
