/* SPDX-License-Identifier: MIT */
/* A model client: what it asks for, how it goes about it and how it ends are drawn by the schedule;
 * what it is answered is kept for the check. */
#ifndef LW_TESTS_SIM_LATCHKV_VISIT_H
#define LW_TESTS_SIM_LATCHKV_VISIT_H

#include "tests/sim/latchkv_model.h"

#define VISIT_PORT "7379"
#define VISIT_PATH "/somewhere/latchkv"

struct visit {
    unsigned number;
    bool on_unix;
    bool rough; /* connections may break, or be ended by the server */
    struct model_history *history;
    bool done;
    int fd;
    unsigned answered; /* operations */
    size_t start, end;
    char in[2048];
};

/* Of this schedule: more with each call. */
unsigned visit_stamp(void);
void visit_start_time(void);

int64_t visit_ms(void);

/* The client, as a task and as a plain thread. */
int visit_run(void *visit);
void *visit_run_as_guest(void *visit);

/* One that moves money between the keys, and both ways to run it; before each schedule. */
int teller_run(void *visit);
void *teller_run_as_guest(void *visit);
void teller_start(void);

/* For clients with a plan of their own: connect (0 or an error); read one reply (its size, or an
 * error; 0: there is no more). */
int visit_connect(struct visit *visit);
int visit_read(struct visit *visit, const char **reply);

/* What is planted into server or client, for a test that finds it. */
enum planted {
    PLANTED_NOTHING,
    PLANTED_STALE_GET,     /* GET answers what it answered the time before */
    PLANTED_TORN_INCR,     /* INCR gives the shard away between its read and its write */
    PLANTED_TORN_MSET,     /* MSET lets others in between its keys */
    PLANTED_BLIND_EXEC,    /* EXEC does not look at the watches */
    PLANTED_DOUBLE_LOCK,   /* LOCK says yes to a second one */
    PLANTED_LATE_EXPIRY,   /* PSETEX forgets the time */
    PLANTED_SWAPPED_REPLY, /* a client takes two replies for each other's */
    PLANTED_COUNT,
};
extern enum planted planted;
void planted_start(void); /* before each schedule */

#endif
