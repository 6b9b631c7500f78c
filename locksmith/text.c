/* SPDX-License-Identifier: MIT */
/* Text in memory, and what may be in it: see text.h. */
#include "locksmith/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "runtime/os/os.h"

enum { ROOM_MIN = 1024 };

/* Room for so many bytes more and the one that ends the string. */
static bool make_room(struct lw_text *text, size_t size)
{
    size_t room = text->room != 0 ? text->room : ROOM_MIN;
    char *bytes;

    if (text->err != 0)
        return false;
    if (size < text->room - text->size)
        return true;
    while (room - text->size <= size)
        room *= 2;
    bytes = lw_sys.calloc(1, room);
    if (bytes == NULL) {
        text->err = -ENOMEM;
        return false;
    }
    if (text->size != 0)
        memcpy(bytes, text->bytes, text->size);
    lw_sys.free(text->bytes);
    text->bytes = bytes;
    text->room = room;
    return true;
}

void lw_text_add(struct lw_text *text, const char *bytes, size_t size)
{
    if (!make_room(text, size))
        return;
    memcpy(text->bytes + text->size, bytes, size);
    text->size += size;
    text->bytes[text->size] = '\0';
}

void lw_text_print(struct lw_text *text, const char *format, ...)
{
    va_list list;
    int size;

    va_start(list, format);
    size = vsnprintf(NULL, 0, format, list);
    va_end(list);
    if (size < 0 || !make_room(text, (size_t)size))
        return;
    va_start(list, format);
    (void)vsnprintf(text->bytes + text->size, (size_t)size + 1, format, list);
    va_end(list);
    text->size += (size_t)size;
}

/* How many bytes the character has that begins here; 0: it is none.  The table is that of the
 * Unicode Standard, "Well-Formed UTF-8 Byte Sequences": neither too long, nor a surrogate, nor
 * beyond U+10FFFF. */
static size_t utf8_size(const unsigned char *at)
{
    unsigned char low = 0x80, high = 0xbf;
    size_t size;

    if (at[0] < 0x80)
        return 1;
    if (at[0] < 0xc2 || at[0] > 0xf4)
        return 0;
    size = at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
    if (at[0] == 0xe0)
        low = 0xa0;
    else if (at[0] == 0xed)
        high = 0x9f;
    else if (at[0] == 0xf0)
        low = 0x90;
    else if (at[0] == 0xf4)
        high = 0x8f;
    if (at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < size; i++)
        if (at[i] < 0x80 || at[i] > 0xbf)
            return 0;
    return size;
}

/* ASCII's, and those that Unicode took over from Latin-1. */
static bool is_control(const unsigned char *at)
{
    return at[0] < 0x20 || at[0] == 0x7f || (at[0] == 0xc2 && at[1] < 0xa0);
}

void lw_text_add_name(struct lw_text *text, const char *name)
{
    for (const unsigned char *at = (const unsigned char *)name; *at != '\0';) {
        size_t size = utf8_size(at);

        if (size == 0 || is_control(at)) {
            lw_text_print(text, "\\x%02x", *at);
            at++;
            continue;
        }
        if (*at == '\'' || *at == '\\')
            lw_text_add(text, "\\", 1);
        lw_text_add(text, (const char *)at, size);
        at += size;
    }
}

void lw_text_add_utf8(struct lw_text *text, const char *name)
{
    for (const unsigned char *at = (const unsigned char *)name; *at != '\0';) {
        size_t size = utf8_size(at);

        lw_text_add(text, size != 0 ? (const char *)at : "\xef\xbf\xbd", size != 0 ? size : 3);
        at += size != 0 ? size : 1;
    }
}

void lw_text_cut(struct lw_text *text, size_t size)
{
    if (size >= text->size)
        return;
    text->size = size;
    text->bytes[size] = '\0';
}

int lw_text_write(const struct lw_text *text, int fd)
{
    size_t done = 0;

    if (text->err != 0)
        return text->err;
    while (done < text->size) {
        struct iovec part = {.iov_base = text->bytes + done, .iov_len = text->size - done};
        ssize_t written = lw_sys.writev_quiet(fd, &part, 1);

        if (written < 0 && errno != EINTR)
            return -errno;
        if (written == 0)
            return -EIO; /* it takes nothing, and has no reason */
        if (written > 0)
            done += (size_t)written;
    }
    return 0;
}

void lw_text_fini(struct lw_text *text)
{
    lw_sys.free(text->bytes);
    *text = (struct lw_text){0};
}
