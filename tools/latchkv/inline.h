/* SPDX-License-Identifier: MIT */
/* The other half of the parser: a line of words, as typed into a terminal, with "quoted\n" and
 * 'quoted' words.  Included by the parser's two files only. */
#ifndef LATCHKV_INLINE_H
#define LATCHKV_INLINE_H

#include "latchkv/parser.h"

/* The request that begins at data is not an array. */
enum kv_parse kv_parser_inline(struct kv_parser *parser, char *data, size_t size);

/* What both halves end with. */
bool kv_parser_add(struct kv_parser *parser, size_t offset, size_t size);
enum kv_parse kv_parser_done(struct kv_parser *parser, const char *data);
enum kv_parse kv_parser_broken(struct kv_parser *parser, const char *error);

#endif
