/* SPDX-License-Identifier: MIT */
#include "latchkv/reply.h"

#include "latchkv/memory.h"
#include "latchkv/number.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    USUAL = 4 * 1024,                  /* the first buffer */
    KEPT = 64 * 1024,                  /* a larger one is given back when it was sent */
    HEADER_MAX = 1 + KV_NUMBER_MAX + 2 /* "*12\r\n" */
};

void kv_reply_init(struct kv_reply *reply, size_t limit)
{
    *reply = (struct kv_reply){.limit = limit, .protocol = 2};
}

void kv_reply_fini(struct kv_reply *reply)
{
    kv_free(reply->data, reply->capacity);
    reply->data = NULL;
    reply->capacity = 0;
}

void kv_reply_clear(struct kv_reply *reply)
{
    reply->size = 0;
    if (reply->capacity > KEPT)
        kv_reply_fini(reply);
}

void kv_reply_rewind(struct kv_reply *reply, size_t mark)
{
    reply->size = mark;
}

static bool grow(struct kv_reply *reply, size_t more)
{
    size_t wanted = reply->size + more;
    size_t capacity = reply->capacity != 0 ? 2 * reply->capacity : USUAL;

    if (reply->broken || (reply->limit != 0 && wanted > reply->limit)) {
        reply->broken = true;
        return false;
    }
    if (reply->limit != 0 && capacity > reply->limit)
        capacity = reply->limit;
    if (capacity < wanted)
        capacity = wanted;
    char *data = kv_resize(reply->data, reply->capacity, capacity);
    if (data == NULL) {
        reply->broken = true;
        return false;
    }
    reply->data = data;
    reply->capacity = capacity;
    return true;
}

/* Where to write at most `more` bytes; NULL: broken. */
static inline char *room(struct kv_reply *reply, size_t more)
{
    if (__builtin_expect(reply->capacity - reply->size < more, 0) && !grow(reply, more))
        return NULL;
    return reply->data + reply->size;
}

/* "?<number>\r\n" at `to`; returns its end. */
static inline char *put_header(char *to, char kind, int64_t number)
{
    *to++ = kind;
    if (number >= 0 && number < 10)
        *to++ = (char)('0' + number);
    else
        to += kv_format_int(to, number);
    *to++ = '\r';
    *to++ = '\n';
    return to;
}

static void header(struct kv_reply *reply, char kind, int64_t number)
{
    char *to = room(reply, HEADER_MAX);

    if (to != NULL)
        reply->size = (size_t)(put_header(to, kind, number) - reply->data);
}

void kv_reply_raw(struct kv_reply *reply, const void *data, size_t size)
{
    char *to = room(reply, size);

    if (to == NULL || size == 0)
        return;
    memcpy(to, data, size);
    reply->size += size;
}

void kv_reply_ok(struct kv_reply *reply)
{
    kv_reply_raw(reply, "+OK\r\n", 5);
}

void kv_reply_status(struct kv_reply *reply, const char *text)
{
    kv_reply_raw(reply, "+", 1);
    kv_reply_raw(reply, text, strlen(text));
    kv_reply_raw(reply, "\r\n", 2);
}

void kv_reply_error(struct kv_reply *reply, const char *text)
{
    size_t size = strlen(text);
    char *to = room(reply, size + 3);

    if (to == NULL)
        return;
    *to++ = '-';
    for (size_t i = 0; i < size; i++)
        *to++ = text[i];
    for (char *at = to - size; at < to; at++)
        if (*at == '\r' || *at == '\n')
            *at = ' ';
    *to++ = '\r';
    *to++ = '\n';
    reply->size = (size_t)(to - reply->data);
}

void kv_reply_errorf(struct kv_reply *reply, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    kv_reply_error(reply, text);
}

void kv_reply_int(struct kv_reply *reply, int64_t number)
{
    header(reply, ':', number);
}

void kv_reply_bulk(struct kv_reply *reply, const void *data, size_t size)
{
    char *to = room(reply, HEADER_MAX + size + 2);

    if (to == NULL)
        return;
    to = put_header(to, '$', (int64_t)size);
    if (size > 0)
        memcpy(to, data, size);
    to += size;
    *to++ = '\r';
    *to++ = '\n';
    reply->size = (size_t)(to - reply->data);
}

void kv_reply_text(struct kv_reply *reply, const char *text)
{
    kv_reply_bulk(reply, text, strlen(text));
}

void kv_reply_verbatim(struct kv_reply *reply, const char *data, size_t size)
{
    if (reply->protocol == 2) {
        kv_reply_bulk(reply, data, size);
        return;
    }
    header(reply, '=', (int64_t)(size + 4));
    kv_reply_raw(reply, "txt:", 4);
    kv_reply_raw(reply, data, size);
    kv_reply_raw(reply, "\r\n", 2);
}

void kv_reply_null(struct kv_reply *reply)
{
    if (reply->protocol == 2)
        kv_reply_raw(reply, "$-1\r\n", 5);
    else
        kv_reply_raw(reply, "_\r\n", 3);
}

void kv_reply_null_array(struct kv_reply *reply)
{
    if (reply->protocol == 2)
        kv_reply_raw(reply, "*-1\r\n", 5);
    else
        kv_reply_raw(reply, "_\r\n", 3);
}

void kv_reply_array(struct kv_reply *reply, size_t count)
{
    header(reply, '*', (int64_t)count);
}

void kv_reply_set(struct kv_reply *reply, size_t count)
{
    header(reply, reply->protocol == 2 ? '*' : '~', (int64_t)count);
}

void kv_reply_map(struct kv_reply *reply, size_t pairs)
{
    if (reply->protocol == 2)
        header(reply, '*', (int64_t)(2 * pairs));
    else
        header(reply, '%', (int64_t)pairs);
}

size_t kv_reply_gap_open(struct kv_reply *reply)
{
    size_t opened = reply->size;

    if (room(reply, KV_REPLY_GAP) != NULL)
        reply->size += KV_REPLY_GAP;
    return opened;
}

void kv_reply_gap_close(struct kv_reply *reply, size_t opened, const char *text, size_t size)
{
    if (reply->broken)
        return;
    char *gap = reply->data + opened;
    memcpy(gap, text, size);
    memmove(gap + size, gap + KV_REPLY_GAP, reply->size - opened - KV_REPLY_GAP);
    reply->size -= KV_REPLY_GAP - size;
}

void kv_reply_array_close(struct kv_reply *reply, size_t opened, size_t count)
{
    char text[HEADER_MAX];

    kv_reply_gap_close(reply, opened, text, (size_t)(put_header(text, '*', (int64_t)count) - text));
}
