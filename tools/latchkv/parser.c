/* SPDX-License-Identifier: MIT */
/* The state between calls is (missing, bulk, at): which argument, whether its length is known, and
 * where to go on.  So a request that trickles in byte by byte is read once, not once per byte; only
 * a line without its end is looked at again, and a line is short.
 *
 * Limits and messages are those of Redis, which clients match on, with one exception: Redis 7
 * lets an array announce 2^31 - 1 arguments, here as in its documentation it is 1024 * 1024. */
#include "latchkv/parser.h"

#include "latchkv/inline.h"
#include "latchkv/memory.h"
#include "latchkv/number.h"

#include <stdio.h>
#include <string.h>

enum { BIG_BULK = 32 * 1024 }; /* worth one read of its own */

void kv_parser_init(struct kv_parser *parser, size_t bulk_max)
{
    *parser = (struct kv_parser){.args_max = KV_ARGS_INLINE, .bulk = -1, .bulk_max = bulk_max};
    parser->args = parser->few;
}

static void shrink_args(struct kv_parser *parser)
{
    if (parser->args != parser->few)
        kv_free(parser->args, parser->args_max * sizeof *parser->args);
    parser->args = parser->few;
    parser->args_max = KV_ARGS_INLINE;
}

void kv_parser_fini(struct kv_parser *parser)
{
    if (parser->args != NULL)
        shrink_args(parser);
}

void kv_parser_reset(struct kv_parser *parser)
{
    enum { KEPT = 256 };

    if (parser->args_max > KEPT)
        shrink_args(parser);
    parser->argc = 0;
    parser->missing = 0;
    parser->bulk = -1;
    parser->at = 0;
}

size_t kv_parser_wants(const struct kv_parser *parser)
{
    return parser->bulk < BIG_BULK ? 0 : parser->at + (size_t)parser->bulk + 2;
}

bool kv_parser_add(struct kv_parser *parser, size_t offset, size_t size)
{
    if (parser->argc == parser->args_max) {
        size_t bytes = parser->args_max * sizeof *parser->args;
        bool few = parser->args == parser->few;
        struct kv_arg *more = few ? kv_alloc(2 * bytes) : kv_resize(parser->args, bytes, 2 * bytes);

        if (more == NULL)
            return false;
        if (few)
            memcpy(more, parser->few, bytes);
        parser->args = more;
        parser->args_max *= 2;
    }
    parser->args[parser->argc++] = (struct kv_arg){.offset = offset, .size = size};
    return true;
}

enum kv_parse kv_parser_done(struct kv_parser *parser, const char *data)
{
    for (unsigned i = 0; i < parser->argc; i++)
        parser->args[i].data = data + parser->args[i].offset;
    return KV_PARSE_REQUEST;
}

enum kv_parse kv_parser_broken(struct kv_parser *parser, const char *error)
{
    parser->error = error;
    return KV_PARSE_BROKEN;
}

/* The line at parser->at, which begins with a byte that says what it counts: where its digits are.
 * MORE, BROKEN, or REQUEST for "all here". */
static enum kv_parse read_line(struct kv_parser *parser, const char *data, size_t size,
                               const char *too_long, size_t *digits)
{
    const char *line = data + parser->at;
    size_t left = size - parser->at;
    const char *end = memchr(line, '\r', left);

    if (end == NULL)
        return left > KV_LINE_MAX ? kv_parser_broken(parser, too_long) : KV_PARSE_MORE;
    if ((size_t)(end - line) + 2 > left)
        return KV_PARSE_MORE;
    *digits = end > line ? (size_t)(end - line) - 1 : 0;
    return KV_PARSE_REQUEST;
}

/* The usual line, a kind and one to five digits, without a search: its size, or 0 when it is not
 * that, or may not all be here. */
static inline size_t read_short_line(const char *line, size_t left, char kind, unsigned *number)
{
    size_t at = 2;

    if (left < sizeof "$12345\r\n" - 1 || line[0] != kind || (unsigned)(line[1] - '1') > 8)
        return 0;
    *number = (unsigned)(line[1] - '0');
    for (; at <= 5 && (unsigned)(line[at] - '0') < 10; at++)
        *number = *number * 10 + (unsigned)(line[at] - '0');
    return line[at] == '\r' ? at + 2 : 0;
}

static enum kv_parse read_count(struct kv_parser *parser, const char *data, size_t size)
{
    size_t digits = 0;
    unsigned number;
    int64_t count;

    size_t line = read_short_line(data, size, '*', &number);
    if (line != 0) { /* five digits: within the limit */
        parser->missing = number;
        parser->at = line;
        return KV_PARSE_REQUEST;
    }
    enum kv_parse got =
        read_line(parser, data, size, "Protocol error: too big mbulk count string", &digits);

    if (got != KV_PARSE_REQUEST)
        return got;
    if (!kv_parse_int(data + 1, digits, &count) || count > KV_ARGS_MAX)
        return kv_parser_broken(parser, "Protocol error: invalid multibulk length");
    parser->missing = count > 0 ? (unsigned)count : 0;
    parser->at = 1 + digits + 2;
    return KV_PARSE_REQUEST;
}

static enum kv_parse read_bulk_length(struct kv_parser *parser, const char *data, size_t size)
{
    size_t digits = 0;
    unsigned number;
    int64_t bulk;

    size_t line = read_short_line(data + parser->at, size - parser->at, '$', &number);
    if (line != 0 && number <= parser->bulk_max) {
        parser->bulk = number;
        parser->at += line;
        return KV_PARSE_REQUEST;
    }
    enum kv_parse got =
        read_line(parser, data, size, "Protocol error: too big bulk count string", &digits);

    if (got != KV_PARSE_REQUEST)
        return got;
    char first = data[parser->at];
    if (first != '$') {
        snprintf(parser->error_space, sizeof parser->error_space,
                 "Protocol error: expected '$', got '%c'",
                 first == '\r' || first == '\n' ? ' ' : first);
        return kv_parser_broken(parser, parser->error_space);
    }
    if (!kv_parse_int(data + parser->at + 1, digits, &bulk) || bulk < 0 ||
        (uint64_t)bulk > parser->bulk_max)
        return kv_parser_broken(parser, "Protocol error: invalid bulk length");
    parser->bulk = bulk;
    parser->at += 1 + digits + 2;
    return KV_PARSE_REQUEST;
}

static enum kv_parse read_args(struct kv_parser *parser, const char *data, size_t size)
{
    while (parser->missing > 0) {
        if (parser->bulk < 0) {
            enum kv_parse got = read_bulk_length(parser, data, size);

            if (got != KV_PARSE_REQUEST)
                return got;
        }
        if (size - parser->at < (size_t)parser->bulk + 2)
            return KV_PARSE_MORE;
        if (!kv_parser_add(parser, parser->at, (size_t)parser->bulk))
            return KV_PARSE_NOMEM;
        parser->at += (size_t)parser->bulk + 2; /* like Redis: any two bytes for the line end */
        parser->bulk = -1;
        parser->missing--;
    }
    return kv_parser_done(parser, data);
}

enum kv_parse kv_parser_next(struct kv_parser *parser, char *data, size_t size)
{
    if (parser->missing == 0) {
        if (size == 0)
            return KV_PARSE_MORE;
        if (data[0] != '*')
            return kv_parser_inline(parser, data, size);
        enum kv_parse got = read_count(parser, data, size);

        if (got != KV_PARSE_REQUEST)
            return got;
    }
    return read_args(parser, data, size);
}

bool kv_arg_is(const struct kv_arg *arg, const char *word)
{
    size_t i = 0;

    for (; i < arg->size && word[i] != '\0'; i++) {
        bool letter = word[i] >= 'a' && word[i] <= 'z';

        if ((arg->data[i] | (letter ? 0x20 : 0)) != word[i])
            return false;
    }
    return i == arg->size && word[i] == '\0';
}
