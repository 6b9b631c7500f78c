/* SPDX-License-Identifier: MIT */
/* Two kernels side by side, the real one and the simulated one: places for descriptors, whose
 * descriptor is made in the same way in both; what a call said in each, compared.  All of it is
 * for differential.c. */
#ifndef LW_TESTS_SIM_TWO_KERNELS_H
#define LW_TESTS_SIM_TWO_KERNELS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/un.h>

#include "tests/sim/real_kernel.h"

enum { PLACES = 14, KERNELS = 2, REAL = 0, SIM = 1 };

enum kind { NOTHING, COUNTER, PIPE, STREAM, TCP, PACKETS, UDP, EPOLL };

struct place {
    enum kind kind;
    int fds[KERNELS];
    bool is_stream_listener, was_shut;
    unsigned number; /* of its unix path */
};

extern struct place places[PLACES];
extern struct lw_sys tables[KERNELS];
extern const struct more_calls *const more[KERNELS];
extern unsigned unix_made; /* the last number of a path that is taken */
extern char report[4096];  /* what differed */

void begin(uint64_t seed, const char *folder);
unsigned draw(unsigned count);
bool often(unsigned one_in);

/* ---- comparing: false when something differed, which is in the report then */

long value_of(long result); /* a value, or the error: right after the call */
__attribute__((format(printf, 1, 2))) bool differ(const char *format, ...);
bool same(const char *what, const struct place *place, const long results[KERNELS]);
/* Made in both, or in neither: puts it there. */
bool made(const char *what, struct place *place, enum kind kind, const long results[KERNELS]);

/* ---- places */

struct place *any_place(void);
struct place *free_place(void); /* or NULL */
bool is_socket(const struct place *place);
bool is_inet(const struct place *place);
socklen_t unix_name(unsigned number, struct sockaddr_un *name);
/* The address that `goal` has in that kernel; 0: none. */
socklen_t address_of(const struct place *goal, unsigned kernel, struct sockaddr_storage *address);
const char *name_of(const struct place *place); /* its kind */

#endif
