/* SPDX-License-Identifier: MIT */
/* Lookups of names, for lw_getaddrinfo() and whoever makes sockets from names. */
#ifndef LW_RUNTIME_LOOKUP_H
#define LW_RUNTIME_LOOKUP_H

#include <latchwork/time.h>

struct addrinfo;

/* As lw_getaddrinfo().  hints: not NULL, and with no members set but those that getaddrinfo(3) lets
 * a caller set; site is the caller's caller.  [S] switches. */
int lw_lookup(const char *host, const char *service, const struct addrinfo *hints,
              struct addrinfo **found, lw_nsec deadline, const void *site);

#endif
