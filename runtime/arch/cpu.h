/* SPDX-License-Identifier: MIT */
/* What the runtime needs of a CPU.  The functions are in <cpu>.S; the only place that names
 * CPUs. */
#ifndef LW_RUNTIME_ARCH_CPU_H
#define LW_RUNTIME_ARCH_CPU_H

#include <stddef.h>

/* Save the callee-saved registers on this stack, go to the stack saved at `to`, store the old stack
 * pointer to *from (release, AFTER the old stack was left: whoever loads it with acquire may run on
 * it at once), restore and return there.  Frame layout and "the saved stack pointer is the first
 * field of a record" are what debuggers rely on. */
void lw_switch(void **from, void *to);

/* The same, but the new stack is fresh: jumps to lw_task_main() with nothing above it. */
void lw_switch_new(void **from, void *top);

/* The same for stacks that are no task's: calls entry() there, which never returns. */
void lw_switch_enter(void **from, void *top, void (*entry)(void));

/* Leave this stack for ever, for the one saved at `to`.  A jump, not a call: see lw_leave_to(). */
extern const char lw_switch_resume[];

struct lw_thread;
#ifdef LW_SIMULATED
#define LW_HIDDEN /* tests look inside the simulation library from outside */
#else
#define LW_HIDDEN __attribute__((visibility("hidden")))
#endif

extern __thread struct lw_thread *lw_thread_tls
    __attribute__((tls_model("initial-exec"))) LW_HIDDEN;

#if defined(__x86_64__)

/* Where the frame pointer is, from a saved stack pointer upwards. */
enum { LW_SAVED_FRAME = 40 };

/* The calling OS thread's struct.  volatile: after a switch the task may be on another thread, so
 * neither the pointer nor the address of the thread-local may be kept by the compiler. */
static inline __attribute__((always_inline)) struct lw_thread *lw_thread_self(void)
{
    struct lw_thread *thread;
    __asm__ volatile("movq lw_thread_tls@gottpoff(%%rip), %0\n\tmovq %%fs:(%0), %0" : "=r"(thread));
    return thread;
}

/* errno is reached by its offset from the thread pointer: the address never lives in a register. */
static inline __attribute__((always_inline)) int lw_errno_get(ptrdiff_t offset)
{
    int value;
    __asm__ volatile("movl %%fs:(%1), %0" : "=r"(value) : "r"(offset));
    return value;
}

static inline __attribute__((always_inline)) void lw_errno_put(ptrdiff_t offset, int value)
{
    __asm__ volatile("movl %0, %%fs:(%1)" : : "r"(value), "r"(offset) : "memory");
}

static inline __attribute__((always_inline, noreturn)) void lw_leave_to(void *to)
{
    __asm__ volatile("movq %0, %%rsp\n\tjmp lw_switch_resume" : : "r"(to) : "memory");
    __builtin_unreachable();
}

static inline __attribute__((always_inline)) void lw_pause(void)
{
#ifndef LW_SIMULATED /* there nobody else runs meanwhile */
    __asm__ volatile("pause" : : : "memory");
#endif
}

/* A cheap clock of its own unit that only ever grows on one thread; for ages seen by a thief. */
static inline __attribute__((always_inline)) unsigned long lw_cycles(void)
{
    return __builtin_ia32_rdtsc();
}

#elif defined(__aarch64__)

enum { LW_SAVED_FRAME = 80 };

static inline __attribute__((always_inline)) struct lw_thread *lw_thread_self(void)
{
    struct lw_thread *thread;
    unsigned long base;
    __asm__ volatile("adrp %0, :gottprel:lw_thread_tls\n\t"
                     "ldr %0, [%0, #:gottprel_lo12:lw_thread_tls]\n\t"
                     "mrs %1, tpidr_el0\n\t"
                     "ldr %0, [%1, %0]"
                     : "=&r"(thread), "=&r"(base));
    return thread;
}

static inline __attribute__((always_inline)) int lw_errno_get(ptrdiff_t offset)
{
    int value;
    unsigned long base;
    __asm__ volatile("mrs %1, tpidr_el0\n\tldr %w0, [%1, %2]"
                     : "=r"(value), "=&r"(base)
                     : "r"(offset));
    return value;
}

static inline __attribute__((always_inline)) void lw_errno_put(ptrdiff_t offset, int value)
{
    unsigned long base;
    __asm__ volatile("mrs %0, tpidr_el0\n\tstr %w1, [%0, %2]"
                     : "=&r"(base) : "r"(value), "r"(offset) : "memory");
}

static inline __attribute__((always_inline, noreturn)) void lw_leave_to(void *to)
{
    __asm__ volatile("mov sp, %0\n\tb lw_switch_resume" : : "r"(to) : "memory");
    __builtin_unreachable();
}

static inline __attribute__((always_inline)) void lw_pause(void)
{
#ifndef LW_SIMULATED /* there nobody else runs meanwhile */
    __asm__ volatile("yield" : : : "memory");
#endif
}

static inline __attribute__((always_inline)) unsigned long lw_cycles(void)
{
    unsigned long ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
}

#else
#error "Latchwork runs on x86-64 and aarch64"
#endif

#endif
