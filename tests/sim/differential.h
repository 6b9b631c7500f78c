/* SPDX-License-Identifier: MIT */
/* The same calls on the real kernel and on the simulated one. */
#ifndef LW_TESTS_SIM_DIFFERENTIAL_H
#define LW_TESTS_SIM_DIFFERENTIAL_H

#include <stdint.h>

/* A run of `steps` random calls; what differed first, or an empty text.  `folder`: for the unix
 * sockets of the real kernel. */
const char *differential_run(uint64_t seed, unsigned steps, const char *folder);

/* Tell each step on stderr. */
extern int differential_loud;

#endif
