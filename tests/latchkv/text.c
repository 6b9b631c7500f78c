/* SPDX-License-Identifier: MIT */
/* Numbers, patterns and hashes. */
#include "tests/support.h"

#include "latchkv/glob.h"
#include "latchkv/hash.h"
#include "latchkv/number.h"

#include <string.h>

TestSuite(text, .init = watchdog);

static void assert_number(int64_t number, const char *text)
{
    char out[KV_NUMBER_MAX + 1];
    int64_t back;

    out[kv_format_int(out, number)] = '\0';
    cr_assert_str_eq(out, text);
    cr_assert(kv_parse_int(text, strlen(text), &back));
    cr_assert_eq(back, number);
}

Test(text, numbers_go_there_and_back)
{
    assert_number(0, "0");
    assert_number(7, "7");
    assert_number(-7, "-7");
    assert_number(1000000007, "1000000007");
    assert_number(INT64_MAX, "9223372036854775807");
    assert_number(INT64_MIN, "-9223372036854775808");
    assert_number(INT64_MIN + 1, "-9223372036854775807");
    for (int64_t number = 1; number < INT64_MAX / 9; number *= 9) {
        char out[KV_NUMBER_MAX];
        int64_t back;

        cr_assert(kv_parse_int(out, kv_format_int(out, number), &back));
        cr_assert_eq(back, number);
        cr_assert(kv_parse_int(out, kv_format_int(out, -number), &back));
        cr_assert_eq(back, -number);
    }
}

Test(text, what_is_not_canonical_is_no_number)
{
    static const char *const wrong[] = {
        "",
        "-",
        "+1",
        " 1",
        "1 ",
        "01",
        "-0",
        "-01",
        "00",
        "1.0",
        "1e3",
        "0x1",
        "--1",
        "1-",
        "abc",
        "9223372036854775808",
        "-9223372036854775809",
        "10000000000000000000",
        "99999999999999999999",
        "18446744073709551616",
    };
    int64_t number;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        cr_assert_not(kv_parse_int(wrong[i], strlen(wrong[i]), &number), "%s", wrong[i]);
}

Test(text, loose_numbers_have_signs)
{
    uint64_t number = 7;

    cr_assert(kv_parse_loose("", 0, &number));
    cr_assert_eq(number, 0u);
    cr_assert(kv_parse_loose("+12", 3, &number));
    cr_assert_eq(number, 12u);
    cr_assert(kv_parse_loose("-1", 2, &number));
    cr_assert_eq(number, UINT64_MAX);
    cr_assert_not(kv_parse_loose("-", 1, &number));
    cr_assert_not(kv_parse_loose("+-1", 3, &number));
    cr_assert_not(kv_parse_loose(" 1", 2, &number));
    cr_assert_not(kv_parse_loose("-18446744073709551616", 21, &number));
}

Test(text, cursors_fill_64_bits)
{
    uint64_t number;

    cr_assert(kv_parse_cursor("18446744073709551615", 20, &number));
    cr_assert_eq(number, UINT64_MAX);
    cr_assert_not(kv_parse_cursor("18446744073709551616", 20, &number));
    cr_assert_not(kv_parse_cursor("99999999999999999999", 20, &number));
    cr_assert_not(kv_parse_cursor("1x", 2, &number));
    cr_assert_not(kv_parse_cursor("", 0, &number));
    cr_assert(kv_parse_cursor("007", 3, &number));
    cr_assert_eq(number, 7u);
}

static void assert_bytes(const char *text, uint64_t wanted)
{
    uint64_t bytes;

    cr_assert(kv_parse_bytes(text, &bytes), "%s", text);
    cr_assert_eq(bytes, wanted);
}

Test(text, bytes_have_units)
{
    uint64_t bytes;

    assert_bytes("0", 0);
    assert_bytes("100", 100);
    assert_bytes("100b", 100);
    assert_bytes("3k", 3000);
    assert_bytes("3KB", 3072);
    assert_bytes("2m", 2000000);
    assert_bytes("2Mb", 2 << 20);
    assert_bytes("1g", 1000000000);
    assert_bytes("1gb", 1 << 30);
    cr_assert_not(kv_parse_bytes("", &bytes));
    cr_assert_not(kv_parse_bytes("kb", &bytes));
    cr_assert_not(kv_parse_bytes("1tb", &bytes));
    cr_assert_not(kv_parse_bytes("-1", &bytes));
    cr_assert_not(kv_parse_bytes("99999999999gb", &bytes));
}

static bool matches(const char *pattern, const char *text)
{
    return kv_glob_match(pattern, strlen(pattern), text, strlen(text), false);
}

Test(text, patterns_match_as_in_redis)
{
    cr_assert(matches("*", "anything"));
    cr_assert(matches("*", ""));
    cr_assert(matches("", ""));
    cr_assert_not(matches("", "a"));
    cr_assert_not(matches("a", ""));
    cr_assert(matches("a*c", "ac"));
    cr_assert(matches("a*c", "abbbc"));
    cr_assert_not(matches("a*c", "abbbd"));
    cr_assert(matches("a*b*c", "a-b-b-c"));
    cr_assert(matches("**a**", "bab"));
    cr_assert(matches("h?llo", "hello"));
    cr_assert_not(matches("h?llo", "hllo"));
    cr_assert(matches("h[ae]llo", "hallo"));
    cr_assert_not(matches("h[ae]llo", "hillo"));
    cr_assert(matches("h[^e]llo", "hallo"));
    cr_assert_not(matches("h[^e]llo", "hello"));
    cr_assert(matches("h[a-c]llo", "hbllo"));
    cr_assert(matches("h[c-a]llo", "hbllo"));
    cr_assert_not(matches("h[a-c]llo", "hdllo"));
    cr_assert(matches("a\\*b", "a*b"));
    cr_assert_not(matches("a\\*b", "axb"));
    cr_assert(matches("[\\]]", "]"));
    cr_assert(matches("[ab", "a"));
    cr_assert_not(matches("[", "["));
    cr_assert_not(matches("[]", "a"));
    cr_assert(matches("\\", "\\"));
    cr_assert(kv_glob_match("SAV[E]", 6, "save", 4, true));
    cr_assert(kv_glob_match("s[A-B]ve", 8, "save", 4, true));
    cr_assert_not(kv_glob_match("SAVE", 4, "save", 4, false));
}

Test(text, no_pattern_takes_exponential_time)
{
    enum { STARS = 500, TEXT = 5000 };
    char pattern[2 * STARS + 1], text[TEXT];

    memset(text, 'a', sizeof text);
    for (int i = 0; i < STARS; i++)
        memcpy(pattern + 2 * (size_t)i, "a*", 2);
    pattern[2 * STARS] = 'b';
    cr_assert_not(kv_glob_match(pattern, sizeof pattern, text, sizeof text, false));
}

Test(text, the_hash_depends_on_every_bit)
{
    struct kv_hash_seed seed = {1, 2}, other = {1, 3};
    unsigned char data[24] = {0};

    for (size_t size = 0; size <= sizeof data; size++) {
        uint64_t plain = kv_hash(&seed, data, size);

        cr_assert_eq(plain, kv_hash(&seed, data, size));
        cr_assert_neq(plain, kv_hash(&other, data, size));
        if (size > 0)
            cr_assert_neq(plain, kv_hash(&seed, data, size - 1));
        for (size_t bit = 0; bit < 8 * size; bit++) {
            data[bit / 8] ^= (unsigned char)(1 << bit % 8);
            cr_assert_neq(plain, kv_hash(&seed, data, size), "size %zu, bit %zu", size, bit);
            data[bit / 8] ^= (unsigned char)(1 << bit % 8);
        }
    }
}

Test(text, the_hash_spreads_over_shards_and_buckets)
{
    enum { KEYS = 64000, PLACES = 64 };
    struct kv_hash_seed seed = {11, 22};
    unsigned high[PLACES] = {0}, low[PLACES] = {0};

    for (int i = 0; i < KEYS; i++) {
        char key[KV_NUMBER_MAX];
        uint64_t hash = kv_hash(&seed, key, kv_format_int(key, i));

        high[hash >> 58]++;
        low[hash % PLACES]++;
    }
    for (int i = 0; i < PLACES; i++) { /* the mean is 1000, the deviation 31 */
        cr_assert_gt(high[i], 800u);
        cr_assert_lt(high[i], 1200u);
        cr_assert_gt(low[i], 800u);
        cr_assert_lt(low[i], 1200u);
    }
}
