/* SPDX-License-Identifier: MIT */
/* The program's thread-local variables in a simulation (locals.c). */
#ifndef LW_RUNTIME_SIM_LOCALS_H
#define LW_RUNTIME_SIM_LOCALS_H

#include <stdbool.h>

bool sim_locals_init(void);              /* at load time; false: no memory */
void sim_locals_begin(void);             /* a schedule, on this OS thread */
void sim_locals_new(unsigned index);     /* there is a new virtual thread */
void sim_locals_switch(unsigned from, unsigned to); /* from here on it is the other one's turn */
bool sim_locals_have(const void *variable); /* each virtual thread has it for itself */

#endif
