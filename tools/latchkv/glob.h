/* SPDX-License-Identifier: MIT */
/* Patterns as KEYS, SCAN and CONFIG GET have them: * ? [a-z] [^a-z] and \ before any of these. */
#ifndef LATCHKV_GLOB_H
#define LATCHKV_GLOB_H

#include <stdbool.h>
#include <stddef.h>

bool kv_glob_match(const char *pattern, size_t pattern_size, const char *text, size_t text_size,
                   bool ignore_case);

#endif
