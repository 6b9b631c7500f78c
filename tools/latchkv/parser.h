/* SPDX-License-Identifier: MIT */
/* Requests of the Redis protocol, parsed where they lie: arrays of bulk strings and, for people
 * with a terminal, inline commands.
 *
 * The caller owns the bytes.  It shows the parser all it has from the start of a request on, as
 * often as more arrives, at whatever address; the parser remembers how far it came.  When a request
 * is complete its arguments point into those bytes, and stay good until the caller moves them.
 * Nothing is allocated for requests of few arguments, and for more only as they come.  Of a long
 * one, kv_parser_wants() tells as soon as its length is known: a caller that makes room at once
 * spends that much, up to bulk_max, for a client that only announced it. */
#ifndef LATCHKV_PARSER_H
#define LATCHKV_PARSER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kv_arg {
    union {
        const char *data;
        size_t offset; /* from the start of the request, while it is incomplete */
    };
    size_t size;
    uint64_t hash; /* of a key, once it was needed */
};

enum kv_parse {
    KV_PARSE_MORE,    /* incomplete */
    KV_PARSE_REQUEST, /* args[0..argc), used up `at` bytes; argc 0: an empty one, to be ignored */
    KV_PARSE_BROKEN,  /* `error` says why; the connection cannot go on */
    KV_PARSE_NOMEM,
};

enum {
    KV_ARGS_INLINE = 8,        /* kept in the parser itself */
    KV_ARGS_MAX = 1024 * 1024, /* arguments of one request */
    KV_LINE_MAX = 64 * 1024,   /* an inline command, or a length */
    KV_BULK_MAX = 512 * 1024 * 1024,
};

struct kv_parser {
    struct kv_arg *args;
    unsigned argc, args_max;
    unsigned missing; /* arguments of the array still to come; 0: between requests */
    int64_t bulk;     /* size of the argument being read; -1: not yet known */
    size_t at;        /* what lies before has been understood */
    size_t bulk_max;
    const char *error;
    char error_space[64];
    struct kv_arg few[KV_ARGS_INLINE];
};

void kv_parser_init(struct kv_parser *parser, size_t bulk_max);
void kv_parser_fini(struct kv_parser *parser);

/* Look at the bytes of the request that begins at data.  Inline commands are unquoted in place. */
enum kv_parse kv_parser_next(struct kv_parser *parser, char *data, size_t size);

/* The request was dealt with: the next one begins behind it. */
void kv_parser_reset(struct kv_parser *parser);

/* How many bytes the request has from its start on, as far as is known: worth making room for. */
size_t kv_parser_wants(const struct kv_parser *parser);

/* Is this argument the word (in lower case), in any case? */
bool kv_arg_is(const struct kv_arg *arg, const char *word);

#endif
