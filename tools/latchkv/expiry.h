/* SPDX-License-Identifier: MIT */
/* Times to live as commands give them. */
#ifndef LATCHKV_EXPIRY_H
#define LATCHKV_EXPIRY_H

#include "latchkv/client.h"

enum kv_time_unit {
    KV_AFTER_S,
    KV_AFTER_MS,
    KV_AT_S,
    KV_AT_MS,
};

/* The moment that an argument means, in milliseconds since 1970; it must lie in positive time, and
 * may have passed.  False: the reply says what is wrong. */
bool kv_arg_expiry(struct kv_client *client, unsigned index, enum kv_time_unit unit,
                   int64_t *expires);

#endif
