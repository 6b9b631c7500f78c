/* SPDX-License-Identifier: MIT */
/* Numbers as text, exactly as strict as Redis is about them. */
#ifndef LATCHKV_NUMBER_H
#define LATCHKV_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KV_NUMBER_MAX = 20 }; /* the longest: "-9223372036854775808" */

/* A canonical decimal number: no sign but '-', no leading zeros, no blanks.  False: it is not one,
 * or out of range. */
bool kv_parse_int(const char *text, size_t size, int64_t *number);

/* The same, any run of digits. */
bool kv_parse_cursor(const char *text, size_t size, uint64_t *number);

/* As strtoul(3), which Redis reads cursors with: nothing is 0, there may be a sign, and -1 is the
 * largest; but no blanks before. */
bool kv_parse_loose(const char *text, size_t size, uint64_t *number);

/* A number of bytes with Redis' units: "100", "64k" (thousands), "64kb" (1024s), m, mb, g, gb. */
bool kv_parse_bytes(const char *text, uint64_t *bytes);

/* Writes at most KV_NUMBER_MAX bytes, without an end; how many. */
size_t kv_format_int(char *text, int64_t number);

#endif
