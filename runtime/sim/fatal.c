/* SPDX-License-Identifier: MIT */
/* Signals that end a process end the schedule instead, if it is the schedule's thread that gets
 * them. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/sim/sanitizer.h"
#include "runtime/sim/world.h"

static const int fatal[SIM_FATALS] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};

static void on_fatal(int number, siginfo_t *info, void *context)
{
    sigset_t mask;

    (void)context;
    if (number == SIGSEGV && sim_is_here() && sim_guards_mend(info->si_addr))
        return;
    if (!lw_sim_active()) { /* not the schedule's doing: the engine's, or another thread's */
        (void)signal(number, SIG_DFL);
        (void)raise(number);
        return;
    }
    (void)sigemptyset(&mask);
    (void)sigaddset(&mask, number);
    (void)pthread_sigmask(SIG_UNBLOCK, &mask, NULL); /* this handler never returns */
    sim_fail(LW_SIM_CRASHED, "signal %d (%s) at address %p", number, strsignal(number),
             number == SIGABRT ? NULL : info->si_addr);
}

void sim_signals_catch(struct sim_signals *before)
{
    struct sigaction action = {.sa_sigaction = on_fatal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    stack_t stack = {.ss_size = 256 * 1024};

    before->memory = stack.ss_sp = malloc(stack.ss_size);
    if (stack.ss_sp == NULL || sigaltstack(&stack, &before->stack) != 0)
        before->stack = (stack_t){.ss_flags = SS_DISABLE};
    for (unsigned i = 0; i < SIM_FATALS; i++)
        (void)sigaction(fatal[i], &action, &before->actions[i]);
    sim_sanitizer_tells(true);
}

void sim_signals_release(const struct sim_signals *before)
{
    sim_sanitizer_tells(false);
    for (unsigned i = 0; i < SIM_FATALS; i++)
        (void)sigaction(fatal[i], &before->actions[i], NULL);
    (void)sigaltstack(&before->stack, NULL);
    free(before->memory);
}
