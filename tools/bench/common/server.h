/* SPDX-License-Identifier: MIT */
/* What the echo servers in C share: a listener on the loopback, and leave for many descriptors. */
#ifndef BENCH_SERVER_H
#define BENCH_SERVER_H

enum { BENCH_BACKLOG = 4096 };

/* Let this process have as many descriptors as it may. */
void bench_allow_descriptors(void);

/* A non-blocking listener on 127.0.0.1 whose connections have TCP_NODELAY. */
int bench_listen(long port);

#endif
