/* SPDX-License-Identifier: MIT */
/* The hash of keys: SipHash-1-3 under a key drawn at start, so that a client cannot choose keys
 * that collide. */
#ifndef LATCHKV_HASH_H
#define LATCHKV_HASH_H

#include <stddef.h>
#include <stdint.h>

struct kv_hash_seed {
    uint64_t low, high;
};

uint64_t kv_hash(const struct kv_hash_seed *seed, const void *data, size_t size);

#endif
