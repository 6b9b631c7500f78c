/* SPDX-License-Identifier: MIT */
/* AddressSanitizer in a simulation (sanitizer.c).  Nothing in ordinary builds. */
#ifndef LW_RUNTIME_SIM_SANITIZER_H
#define LW_RUNTIME_SIM_SANITIZER_H

#include "runtime/os/sanitizer.h"
#include "runtime/sim/world.h"

#ifdef LW_ASAN

/* No frame of such a function is on a fake stack: where that would be the wrong one; and large
 * frames, for which ASan wants fresh pages each time. */
#define SIM_UNSEEN __attribute__((no_sanitize("address")))

void sim_sanitizer_key(pthread_key_t key);     /* it is made now */
bool sim_sanitizer_has_key(pthread_key_t key); /* it is not the program's */
pthread_key_t sim_sanitizer_its_key(void);     /* if there is one */
void sim_sanitizer_end(void *notes);           /* on a thread, which has ended (libc.c) */
bool sim_sanitizer_asks(const void *caller);   /* our clock_gettime(), called from there */

/* Just before a switch of threads, and just after it.  In between nothing may be called that is
 * instrumented. */
void sim_sanitizer_leaves(struct sim_thread *from, const struct sim_thread *to);
void sim_sanitizer_arrives(struct sim_thread *me, struct sim_thread *left);

void sim_sanitizer_root(void *at, size_t size); /* as lw_leak_root(), of this schedule */
void sim_sanitizer_forget(struct sim_thread *thread); /* what it had: it is never seen again */
void sim_sanitizer_forgets(void);                     /* the schedule is over */

/* From now on: what it says of an error in a schedule is followed by sim_say_schedule(). */
void sim_sanitizer_tells(bool on);

#else

#define SIM_UNSEEN

LW_INLINE void sim_sanitizer_key(pthread_key_t key)
{
    (void)key;
}

LW_INLINE bool sim_sanitizer_has_key(pthread_key_t key)
{
    (void)key;
    return false;
}

LW_INLINE bool sim_sanitizer_asks(const void *caller)
{
    (void)caller;
    return false;
}

LW_INLINE void sim_sanitizer_leaves(struct sim_thread *from, const struct sim_thread *to)
{
    (void)from;
    (void)to;
}

LW_INLINE void sim_sanitizer_arrives(struct sim_thread *me, struct sim_thread *left)
{
    (void)me;
    (void)left;
}

LW_INLINE void sim_sanitizer_root(void *at, size_t size)
{
    (void)at;
    (void)size;
}

LW_INLINE void sim_sanitizer_forget(struct sim_thread *thread)
{
    (void)thread;
}

LW_INLINE void sim_sanitizer_forgets(void)
{
}

LW_INLINE void sim_sanitizer_tells(bool on)
{
    (void)on;
}

#endif
#endif
