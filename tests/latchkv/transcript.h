/* SPDX-License-Identifier: MIT */
/* What a stream of bytes means to the parser, as text: so that two ways to feed it can be compared.
 * Used by the parser's suite and by its fuzz target. */
#ifndef LW_TESTS_LATCHKV_TRANSCRIPT_H
#define LW_TESTS_LATCHKV_TRANSCRIPT_H

#include "latchkv/parser.h"

#include <stddef.h>

/* A text that grows. */
struct transcript {
    char *text;
    size_t size, capacity;
};

void transcript_free(struct transcript *transcript);

/* A connection's end, without the connection: bytes arrive, requests are taken. */
struct feeding {
    struct kv_parser parser;
    char *waiting; /* a block of exactly its size, a new one each time: moves are the rule */
    size_t size;
    struct transcript seen;
    bool broken;
};

void feeding_init(struct feeding *feeding, size_t bulk_max);
void feeding_fini(struct feeding *feeding);

/* More bytes; writes what they complete into `seen`. */
void feed(struct feeding *feeding, const char *data, size_t size);

#endif
