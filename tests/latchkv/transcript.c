/* SPDX-License-Identifier: MIT */
#include "tests/latchkv/transcript.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void write_bytes(struct transcript *transcript, const void *data, size_t size)
{
    if (transcript->size + size + 1 > transcript->capacity) {
        transcript->capacity = 2 * (transcript->size + size + 1);
        transcript->text = realloc(transcript->text, transcript->capacity);
        if (transcript->text == NULL)
            abort();
    }
    if (size > 0)
        memcpy(transcript->text + transcript->size, data, size);
    transcript->size += size;
    transcript->text[transcript->size] = '\0';
}

void transcript_free(struct transcript *transcript)
{
    free(transcript->text);
    *transcript = (struct transcript){0};
}

void feeding_init(struct feeding *feeding, size_t bulk_max)
{
    *feeding = (struct feeding){0};
    kv_parser_init(&feeding->parser, bulk_max);
    write_bytes(&feeding->seen, "", 0);
}

void feeding_fini(struct feeding *feeding)
{
    kv_parser_fini(&feeding->parser);
    free(feeding->waiting);
    transcript_free(&feeding->seen);
}

static void append(struct feeding *feeding, const char *data, size_t size)
{
    char *joined = malloc(feeding->size + size);

    if (feeding->size + size == 0) {
        free(joined);
        return;
    }
    if (joined == NULL)
        abort();
    if (feeding->size > 0)
        memcpy(joined, feeding->waiting, feeding->size);
    if (size > 0)
        memcpy(joined + feeding->size, data, size);
    free(feeding->waiting);
    feeding->waiting = joined;
    feeding->size += size;
}

static void write_request(struct feeding *feeding)
{
    char head[32];

    for (unsigned i = 0; i < feeding->parser.argc; i++) {
        const struct kv_arg *arg = &feeding->parser.args[i];

        write_bytes(&feeding->seen, head, (size_t)snprintf(head, sizeof head, "%zu:", arg->size));
        write_bytes(&feeding->seen, arg->data, arg->size);
        write_bytes(&feeding->seen, " ", 1);
    }
    write_bytes(&feeding->seen, "\n", 1);
}

void feed(struct feeding *feeding, const char *data, size_t size)
{
    size_t start = 0;

    if (feeding->broken)
        return;
    append(feeding, data, size);
    while (start < feeding->size && !feeding->broken) {
        enum kv_parse got =
            kv_parser_next(&feeding->parser, feeding->waiting + start, feeding->size - start);

        if (got == KV_PARSE_MORE)
            break;
        if (got == KV_PARSE_REQUEST) {
            if (feeding->parser.argc > 0)
                write_request(feeding);
            start += feeding->parser.at;
            kv_parser_reset(&feeding->parser);
            continue;
        }
        const char *error = got == KV_PARSE_BROKEN ? feeding->parser.error : "no memory";
        write_bytes(&feeding->seen, error, strlen(error));
        feeding->broken = true;
    }
    if (start > 0) { /* the rest moves to the front, as it does in a connection's buffer */
        memmove(feeding->waiting, feeding->waiting + start, feeding->size - start);
        feeding->size -= start;
    }
}
