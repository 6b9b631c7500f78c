/* SPDX-License-Identifier: MIT */
/* A string that parses as a number formats back to the same bytes; so INCR may keep its result as
 * text, and no other text counts as a number. */
#include "latchkv/number.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool kv_parse_int(const char *text, size_t size, int64_t *number)
{
    const char *end = text + size;
    uint64_t value = 0;
    bool negative = size > 0 && text[0] == '-';

    text += negative;
    if (text == end || end - text > 19)
        return false;
    if (*text == '0') {
        *number = 0;
        return size == 1;
    }
    for (; text < end; text++) {
        if (*text < '0' || *text > '9')
            return false;
        value = value * 10 + (uint64_t)(*text - '0'); /* 19 digits fit 64 bits */
    }
    if (value > (uint64_t)INT64_MAX + negative)
        return false;
    *number = negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

bool kv_parse_cursor(const char *text, size_t size, uint64_t *number)
{
    uint64_t value = 0;

    if (size == 0)
        return false;
    for (size_t i = 0; i < size; i++) {
        unsigned digit = (unsigned)(text[i] - '0');
        if (digit > 9 || value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *number = value;
    return true;
}

bool kv_parse_loose(const char *text, size_t size, uint64_t *number)
{
    bool sign = size > 0 && (text[0] == '-' || text[0] == '+');
    bool negative = sign && text[0] == '-';

    *number = 0;
    if (size == 0)
        return true;
    if (!kv_parse_cursor(text + sign, size - sign, number))
        return false;
    if (negative)
        *number = 0 - *number;
    return true;
}

bool kv_parse_bytes(const char *text, uint64_t *bytes)
{
    static const struct {
        const char *name;
        uint64_t bytes;
    } units[] = {
        {"", 1},        {"b", 1},        {"k", 1000},       {"kb", 1 << 10},
        {"m", 1000000}, {"mb", 1 << 20}, {"g", 1000000000}, {"gb", 1 << 30},
    };
    size_t digits = strspn(text, "0123456789");
    uint64_t number;

    if (!kv_parse_cursor(text, digits, &number))
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcasecmp(text + digits, units[i].name) != 0)
            continue;
        *bytes = number * units[i].bytes;
        return number <= INT64_MAX / units[i].bytes;
    }
    return false;
}

size_t kv_format_int(char *text, int64_t number)
{
    char digits[KV_NUMBER_MAX];
    size_t at = sizeof digits;
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;

    do
        digits[--at] = (char)('0' + rest % 10);
    while ((rest /= 10) != 0);
    if (number < 0)
        digits[--at] = '-';
    memcpy(text, digits + at, sizeof digits - at);
    return sizeof digits - at;
}
