/* SPDX-License-Identifier: MIT */
/* The request parser: what a stream means does not depend on how it arrives; limits hold; errors
 * are Redis' own. */
#include "tests/support.h"

#include "latchkv/memory.h"
#include "latchkv/parser.h"
#include "tests/latchkv/transcript.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BULK_MAX = 1024 * 1024 };

TestSuite(parser, .init = watchdog);

/* All of it at once. */
static struct transcript meaning(const char *data, size_t size, size_t bulk_max)
{
    struct feeding feeding;

    feeding_init(&feeding, bulk_max);
    feed(&feeding, data, size);
    struct transcript seen = feeding.seen;
    feeding.seen = (struct transcript){0};
    feeding_fini(&feeding);
    return seen;
}

static void assert_means(const char *data, size_t size, const char *wanted)
{
    struct transcript seen = meaning(data, size, BULK_MAX);

    cr_assert_str_eq(seen.text, wanted);
    transcript_free(&seen);
}

#define MEANS(data, wanted) assert_means(data, sizeof(data) - 1, wanted)

static const char stream[] =
    "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$5\r\nb\r\n$1\r\n"
    "PING\r\n"
    "\r\n"
    "*0\r\n"
    "*-1\r\n"
    "*2\r\n$3\r\nGET\r\n$0\r\n\r\n"
    "  SET \"\\x41\\n\\\"b\" 'it\\'s' plain\t\"\"  \n"
    "*1\r\n$12\r\n$3\r\n*1\r\n+x\r\n\r\n"
    "*10\r\n$1\r\n0\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n"
    "$1\r\n5\r\n$1\r\n6\r\n$1\r\n7\r\n$1\r\n8\r\n$1\r\n9\r\n"
    "*1\r\n$-1\r\n";

static const char stream_means[] =
    "3:SET 1:a 5:b\r\n$1 \n"
    "4:PING \n"
    "3:GET 0: \n"
    "3:SET 4:A\n\"b 4:it's 5:plain 0: \n"
    "12:$3\r\n*1\r\n+x\r\n \n"
    "1:0 1:1 1:2 1:3 1:4 1:5 1:6 1:7 1:8 1:9 \n"
    "Protocol error: invalid bulk length";

Test(parser, a_stream_means_its_requests)
{
    MEANS(stream, stream_means);
}

Test(parser, a_cut_changes_nothing)
{
    size_t size = sizeof stream - 1;

    for (size_t first = 0; first <= size; first++) {
        for (size_t second = first; second <= size; second++) {
            struct feeding feeding;

            feeding_init(&feeding, BULK_MAX);
            feed(&feeding, stream, first);
            feed(&feeding, stream + first, second - first);
            feed(&feeding, stream + second, size - second);
            cr_assert_str_eq(feeding.seen.text, stream_means, "cut at %zu and %zu", first, second);
            feeding_fini(&feeding);
        }
    }
    assert_no_leaks();
}

Test(parser, bytes_may_come_one_by_one)
{
    struct feeding feeding;

    feeding_init(&feeding, BULK_MAX);
    for (size_t i = 0; i < sizeof stream - 1; i++)
        feed(&feeding, stream + i, 1);
    cr_assert_str_eq(feeding.seen.text, stream_means);
    feeding_fini(&feeding);
}

Test(parser, broken_arrays_get_the_errors_of_redis)
{
    MEANS("*x\r\n", "Protocol error: invalid multibulk length");
    MEANS("*\r\n", "Protocol error: invalid multibulk length");
    MEANS("*01\r\n", "Protocol error: invalid multibulk length");
    MEANS("*1048577\r\n", "Protocol error: invalid multibulk length");
    MEANS("*99999999999999999999\r\n", "Protocol error: invalid multibulk length");
    MEANS("*1048576\r\n", "");
    MEANS("*1\r\n!\r\n", "Protocol error: expected '$', got '!'");
    MEANS("*1\r\n\r\nx", "Protocol error: expected '$', got ' '");
    MEANS("*1\r\n!\r", "");
    MEANS("*1\r\n$x\r\n", "Protocol error: invalid bulk length");
    MEANS("*1\r\n$\r\n", "Protocol error: invalid bulk length");
    MEANS("*1\r\n$-1\r\n", "Protocol error: invalid bulk length");
    MEANS("*1\r\n$03\r\nabc\r\n", "Protocol error: invalid bulk length");
    MEANS("*1\r\n$1048577\r\n", "Protocol error: invalid bulk length");
    MEANS("*1\r\n$1048576\r\n", "");
    MEANS("*1\r\n$99999\r\n", "");
}

Test(parser, a_small_limit_holds_for_short_lengths_too)
{
    struct transcript seen = meaning("*2\r\n$10\r\n0123456789\r\n$11\r\n01234567890\r\n", 38, 10);

    cr_assert_str_eq(seen.text, "Protocol error: invalid bulk length");
    transcript_free(&seen);
}

Test(parser, broken_lines_get_the_errors_of_redis)
{
    MEANS("\"abc\r\n", "Protocol error: unbalanced quotes in request");
    MEANS("'abc\r\n", "Protocol error: unbalanced quotes in request");
    MEANS("\"a\"b\r\n", "Protocol error: unbalanced quotes in request");
    MEANS("'a'b\r\n", "Protocol error: unbalanced quotes in request");
    MEANS("\"abc\\\r\n", "Protocol error: unbalanced quotes in request");
    MEANS("\"abc\\\"\r\n", "Protocol error: unbalanced quotes in request");
    MEANS("\"\\x4\"\r\n", "2:x4 \n");
    MEANS("\"\\n\\r\\t\\b\\a\\q\"\r\n", "6:\n\r\t\b\aq \n");
    MEANS("'a\\b\\n'\n", "5:a\\b\\n \n");
    MEANS("a\"b\"\n", "2:ab \n");
}

/* `head`, then so many '1', then nothing more: the error must come once the limit is passed. */
static void assert_too_long(const char *head, const char *error)
{
    char *data = malloc(KV_LINE_MAX + 64);
    size_t size = strlen(head);

    cr_assert_not_null(data);
    memset(data, '1', KV_LINE_MAX + 64);
    memcpy(data, head, size);
    size_t line = size - (size_t)(strrchr(head, '\n') != NULL ? strrchr(head, '\n') - head + 1 : 0);
    size_t whole = size - line + KV_LINE_MAX; /* as long as a line may be */

    struct transcript seen = meaning(data, whole, BULK_MAX);
    cr_assert_str_eq(seen.text, "", "a line of exactly the limit is too long: %s", head);
    transcript_free(&seen);
    seen = meaning(data, whole + 1, BULK_MAX);
    cr_assert_str_eq(seen.text, error);
    transcript_free(&seen);
    free(data);
}

Test(parser, no_line_grows_for_ever)
{
    assert_too_long("1", "Protocol error: too big inline request");
    assert_too_long("*1", "Protocol error: too big mbulk count string");
    assert_too_long("*1\r\n$1", "Protocol error: too big bulk count string");
    assert_too_long("*1\r\n11", "Protocol error: too big bulk count string");
}

Test(parser, what_is_only_announced_takes_no_memory)
{
    struct feeding feeding;
    size_t before = kv_memory_used();

    feeding_init(&feeding, KV_BULK_MAX);
    feed(&feeding, "*1048576\r\n$536870912\r\n", 22);
    cr_assert_eq(kv_memory_used(), before);
    cr_assert_eq(kv_parser_wants(&feeding.parser), 22u + 536870912u + 2u);
    feeding_fini(&feeding);
}

Test(parser, arguments_are_given_back)
{
    struct feeding feeding;
    size_t before = kv_memory_used();

    feeding_init(&feeding, BULK_MAX);
    feed(&feeding, "*5000\r\n", 7);
    for (int i = 0; i < 5000; i++)
        feed(&feeding, "$1\r\nx\r\n", 7);
    cr_assert_eq(feeding.seen.size, 5000u * 4 + 1);
    cr_assert_eq(kv_memory_used(), before, "a rare long request keeps its memory");
    feeding_fini(&feeding);
}

Test(parser, without_memory_it_says_so)
{
    static const char many[] =
        "*9\r\n$1\r\n0\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n$1\r\n5\r\n"
        "$1\r\n6\r\n$1\r\n7\r\n$1\r\n8\r\n";

    kv_memory_fail(0, true);
    struct transcript seen = meaning(many, sizeof many - 1, BULK_MAX);
    cr_assert_str_eq(seen.text, "no memory");
    transcript_free(&seen);
    seen = meaning(many, sizeof many - 1, BULK_MAX);
    cr_assert_str_eq(seen.text, "1:0 1:1 1:2 1:3 1:4 1:5 1:6 1:7 1:8 \n");
    transcript_free(&seen);
    assert_no_leaks();
}

Test(parser, words_are_compared_whole_in_any_case)
{
    struct kv_arg arg = {.data = "GeT", .size = 3};

    cr_assert(kv_arg_is(&arg, "get"));
    cr_assert_not(kv_arg_is(&arg, "ge"));
    cr_assert_not(kv_arg_is(&arg, "gets"));
    arg.size = 0;
    cr_assert_not(kv_arg_is(&arg, "get"));
    cr_assert(kv_arg_is(&arg, ""));
}
