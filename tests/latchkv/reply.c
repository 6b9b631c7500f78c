/* SPDX-License-Identifier: MIT */
/* Replies: their bytes in both protocols, their limit, and what happens without memory. */
#include "tests/support.h"

#include "latchkv/memory.h"
#include "latchkv/reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(reply, .init = watchdog);

static struct kv_reply *started(struct kv_reply *reply, int protocol)
{
    kv_reply_init(reply, 0);
    reply->protocol = protocol;
    return reply;
}

static void assert_bytes(struct kv_reply *reply, const char *wanted)
{
    cr_assert_eq(reply->size, strlen(wanted), "%.*s", (int)reply->size, reply->data);
    cr_assert_arr_eq(reply->data, wanted, reply->size);
    kv_reply_fini(reply);
}

static void write_each(struct kv_reply *reply)
{
    kv_reply_ok(reply);
    kv_reply_status(reply, "QUEUED");
    kv_reply_error(reply, "ERR a\r\nb");
    kv_reply_errorf(reply, "ERR %d", 5);
    kv_reply_int(reply, -42);
    kv_reply_int(reply, 7);
    kv_reply_bulk(reply, "a\0b", 3);
    kv_reply_bulk(reply, NULL, 0);
    kv_reply_text(reply, "0123456789");
    kv_reply_verbatim(reply, "hi", 2);
    kv_reply_null(reply);
    kv_reply_null_array(reply);
    kv_reply_array(reply, 12);
    kv_reply_set(reply, 2);
    kv_reply_map(reply, 3);
}

Test(reply, protocol_2)
{
    static const char wanted[] =
        "+OK\r\n+QUEUED\r\n-ERR a  b\r\n-ERR 5\r\n:-42\r\n:7\r\n$3\r\na\0b\r\n"
        "$0\r\n\r\n$10\r\n0123456789\r\n$2\r\nhi\r\n$-1\r\n*-1\r\n*12\r\n"
        "*2\r\n*6\r\n";
    struct kv_reply reply;

    write_each(started(&reply, 2));
    cr_assert_eq(reply.size, sizeof wanted - 1);
    cr_assert_arr_eq(reply.data, wanted, reply.size);
    kv_reply_fini(&reply);
}

Test(reply, protocol_3)
{
    static const char wanted[] =
        "+OK\r\n+QUEUED\r\n-ERR a  b\r\n-ERR 5\r\n:-42\r\n:7\r\n$3\r\na\0b\r\n"
        "$0\r\n\r\n$10\r\n0123456789\r\n=6\r\ntxt:hi\r\n_\r\n_\r\n*12\r\n"
        "~2\r\n%3\r\n";
    struct kv_reply reply;

    write_each(started(&reply, 3));
    cr_assert_eq(reply.size, sizeof wanted - 1);
    cr_assert_arr_eq(reply.data, wanted, reply.size);
    kv_reply_fini(&reply);
}

Test(reply, an_array_may_learn_its_length_late)
{
    struct kv_reply reply;

    kv_reply_int(started(&reply, 2), 1);
    size_t opened = kv_reply_gap_open(&reply);
    for (int i = 0; i < 3; i++)
        kv_reply_int(&reply, i);
    kv_reply_array_close(&reply, opened, 3);
    kv_reply_ok(&reply);
    assert_bytes(&reply, ":1\r\n*3\r\n:0\r\n:1\r\n:2\r\n+OK\r\n");

    opened = kv_reply_gap_open(started(&reply, 2));
    kv_reply_array_close(&reply, opened, 0);
    assert_bytes(&reply, "*0\r\n");
}

Test(reply, it_can_be_taken_back)
{
    struct kv_reply reply;

    kv_reply_ok(started(&reply, 2));
    size_t mark = reply.size;
    kv_reply_int(&reply, 1);
    kv_reply_rewind(&reply, mark);
    kv_reply_int(&reply, 2);
    assert_bytes(&reply, "+OK\r\n:2\r\n");
}

Test(reply, above_its_limit_it_is_broken)
{
    struct kv_reply reply;
    char *big = calloc(1, 100000);

    kv_reply_init(&reply, 50000);
    for (int i = 0; i < 48; i++)
        kv_reply_bulk(&reply, big, 1000);
    cr_assert_not(reply.broken);
    for (int i = 0; i < 3; i++)
        kv_reply_bulk(&reply, big, 1000);
    cr_assert(reply.broken);
    size_t size = reply.size;
    kv_reply_array_close(&reply, kv_reply_gap_open(&reply), 1);
    kv_reply_bulk(&reply, big, 100000);
    cr_assert_lt(reply.size, size + 100, "something was written behind the break");
    kv_reply_fini(&reply);
    free(big);
}

Test(reply, without_memory_it_is_broken)
{
    for (long n = 0; n < 3; n++) {
        struct kv_reply reply;
        char text[6000] = {0};

        kv_memory_fail(n, false);
        kv_reply_init(&reply, 0);
        for (int i = 0; i < 4; i++)
            kv_reply_bulk(&reply, text, sizeof text);
        kv_memory_fail(-1, false);
        cr_assert(reply.broken);
        kv_reply_fini(&reply);
        cr_assert_eq(kv_memory_used(), 0u);
    }
}

Test(reply, a_large_buffer_is_given_back_when_it_was_sent)
{
    struct kv_reply reply;
    char *big = calloc(1, 1000000);

    kv_reply_bulk(started(&reply, 2), big, 1000000);
    cr_assert_gt(kv_memory_used(), 1000000u);
    kv_reply_clear(&reply);
    cr_assert_eq(kv_memory_used(), 0u);
    kv_reply_bulk(&reply, big, 100);
    size_t used = kv_memory_used();
    kv_reply_clear(&reply);
    cr_assert_eq(kv_memory_used(), used, "a usual buffer is kept");
    kv_reply_fini(&reply);
    free(big);
}
