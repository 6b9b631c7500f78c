/* SPDX-License-Identifier: MIT */
/* The client's side of a connection to latchkv: requests are put together, sent as one, and their
 * replies read. */
#ifndef LATCHKV_LINK_H
#define LATCHKV_LINK_H

#include <latchwork.h>
#include <stddef.h>
#include <stdint.h>

enum { KV_LINK_OUT = 64 * 1024, KV_LINK_IN = 16 * 1024, KV_REPLY_TEXT = 256 };

struct kv_link {
    int fd;
    size_t out_size, in_start, in_end;
    char out[KV_LINK_OUT], in[KV_LINK_IN];
};

struct kv_answer {
    char kind;                /* '+', '-', ':', '$', or '*' */
    int64_t number;           /* ':' its value, '$' and '*' the length, -1 for null */
    char text[KV_REPLY_TEXT]; /* '+', '-', '$': the beginning of it, ended by a zero */
};

/* Connect to the unix socket, or to the port of this machine when path is NULL.  0 or an error. */
LW_MUST_CHECK int kv_link_open(struct kv_link *link, const char *path, unsigned port,
                               lw_nsec deadline);
void kv_link_close(struct kv_link *link);

/* Add a request of count words; -EMSGSIZE when it does not fit. */
LW_MUST_CHECK int kv_link_put(struct kv_link *link, unsigned count, const char *const *words);

/* Send what was put. */
LW_MUST_CHECK int kv_link_send(struct kv_link *link, lw_nsec deadline);

/* Read one reply; the elements of an array are read one by one, behind it. */
LW_MUST_CHECK int kv_link_read(struct kv_link *link, struct kv_answer *answer, lw_nsec deadline);

#endif
