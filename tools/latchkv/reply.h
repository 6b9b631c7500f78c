/* SPDX-License-Identifier: MIT */
/* The replies of one connection, in RESP2 or RESP3, collected until its task sends them.
 *
 * Writing never waits and never fails at the place of writing: when memory or the limit is reached
 * the rest is dropped, `broken` says so, and the connection must end, because what it got so far is
 * no longer a prefix of what it should get. */
#ifndef LATCHKV_REPLY_H
#define LATCHKV_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kv_reply {
    char *data;
    size_t size, capacity;
    size_t limit; /* 0: none */
    int protocol; /* 2 or 3 */
    bool broken;
};

void kv_reply_init(struct kv_reply *reply, size_t limit);
void kv_reply_fini(struct kv_reply *reply);

/* All was sent: begin anew, with a buffer of the usual size. */
void kv_reply_clear(struct kv_reply *reply);

/* Take back what was written since the size was `mark`. */
void kv_reply_rewind(struct kv_reply *reply, size_t mark);

void kv_reply_status(struct kv_reply *reply, const char *text); /* +text */
void kv_reply_ok(struct kv_reply *reply);

/* -text: the code ("ERR", "NOPROTO") is its first word.  Line ends in it become blanks. */
void kv_reply_error(struct kv_reply *reply, const char *text);
void kv_reply_errorf(struct kv_reply *reply, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

void kv_reply_int(struct kv_reply *reply, int64_t number);
void kv_reply_bulk(struct kv_reply *reply, const void *data, size_t size);
void kv_reply_text(struct kv_reply *reply, const char *text); /* a bulk string */
void kv_reply_verbatim(struct kv_reply *reply, const char *data, size_t size);
void kv_reply_null(struct kv_reply *reply);
void kv_reply_null_array(struct kv_reply *reply);
void kv_reply_array(struct kv_reply *reply, size_t count);
void kv_reply_set(struct kv_reply *reply, size_t count);
void kv_reply_map(struct kv_reply *reply, size_t pairs);

/* What stands before the rest but is known only behind it: up to KV_REPLY_GAP bytes of text.  What
 * open returns is for close. */
enum { KV_REPLY_GAP = 64 };
size_t kv_reply_gap_open(struct kv_reply *reply);
void kv_reply_gap_close(struct kv_reply *reply, size_t opened, const char *text, size_t size);

/* The same for an array whose length is not known. */
void kv_reply_array_close(struct kv_reply *reply, size_t opened, size_t count);

/* Bytes as they are. */
void kv_reply_raw(struct kv_reply *reply, const void *data, size_t size);

#endif
