/* SPDX-License-Identifier: MIT */
/* What a signal handler's third argument says, on each CPU.  Apart from cpu.h, since <ucontext.h>
 * defines many short names. */
#ifndef LW_RUNTIME_ARCH_CONTEXT_H
#define LW_RUNTIME_ARCH_CONTEXT_H

#include <stdint.h>
#include <ucontext.h>

/* Where the interrupted code was. */
static inline uintptr_t lw_context_pc(const void *context)
{
    const ucontext_t *where = (const ucontext_t *)context;

#if defined(__x86_64__)
    return (uintptr_t)where->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (uintptr_t)where->uc_mcontext.pc;
#else
#error "Latchwork runs on x86-64 and aarch64"
#endif
}

#endif
