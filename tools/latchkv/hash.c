/* SPDX-License-Identifier: MIT */
/* SipHash by Aumasson and Bernstein (INDOCRYPT 2012), with one round per word and three at the
 * end: the variant that language runtimes settled on for their tables. */
#include "latchkv/hash.h"

#include <string.h>

struct sip {
    uint64_t a, b, c, d;
};

static inline uint64_t rotated(uint64_t word, unsigned bits)
{
    return word << bits | word >> (64 - bits);
}

static inline void sip_round(struct sip *s)
{
    s->a += s->b;
    s->b = rotated(s->b, 13) ^ s->a;
    s->a = rotated(s->a, 32);
    s->c += s->d;
    s->d = rotated(s->d, 16) ^ s->c;
    s->a += s->d;
    s->d = rotated(s->d, 21) ^ s->a;
    s->c += s->b;
    s->b = rotated(s->b, 17) ^ s->c;
    s->c = rotated(s->c, 32);
}

static inline void sip_word(struct sip *s, uint64_t word)
{
    s->d ^= word;
    sip_round(s);
    s->a ^= word;
}

/* size < 8 bytes, the first one lowest. */
static inline uint64_t word_of(const unsigned char *data, size_t size)
{
    uint64_t word = 0;

    for (size_t i = 0; i < size; i++)
        word |= (uint64_t)data[i] << (8 * i);
    return word;
}

uint64_t kv_hash(const struct kv_hash_seed *seed, const void *data, size_t size)
{
    const unsigned char *at = data, *end = at + (size & ~(size_t)7);
    struct sip s = {
        seed->low ^ 0x736f6d6570736575,
        seed->high ^ 0x646f72616e646f6d,
        seed->low ^ 0x6c7967656e657261,
        seed->high ^ 0x7465646279746573,
    }; /* "somepseudorandomlygeneratedbytes", SipHash's constants */

    for (; at < end; at += 8) {
        uint64_t word;

        memcpy(&word, at, sizeof word);
        sip_word(&s, word);
    }
    sip_word(&s, word_of(at, size & 7) | (uint64_t)size << 56);
    s.c ^= 0xff;
    sip_round(&s);
    sip_round(&s);
    sip_round(&s);
    return s.a ^ s.b ^ s.c ^ s.d;
}
