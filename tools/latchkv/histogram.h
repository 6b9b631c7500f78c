/* SPDX-License-Identifier: MIT */
/* How long things took: counts in classes that are 1/16 of a power of two wide, so a quantile is
 * off by 6 % at most, whatever the range.  One task records; others may read meanwhile. */
#ifndef LATCHKV_HISTOGRAM_H
#define LATCHKV_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

enum { KV_HISTOGRAM_CLASSES = 16 * 60 };

struct kv_histogram {
    _Atomic(uint64_t) counts[KV_HISTOGRAM_CLASSES];
};

/* The class of a value, and the largest value of a class. */
unsigned kv_histogram_class(uint64_t value);
uint64_t kv_histogram_most(unsigned class);

void kv_histogram_record(struct kv_histogram *histogram, uint64_t value);

/* Add what `from` has to `to`, which nobody else uses. */
void kv_histogram_add(struct kv_histogram *to, const struct kv_histogram *from);

uint64_t kv_histogram_count(const struct kv_histogram *histogram);

/* The value that so many of a thousand do not exceed; 0 when there are none. */
uint64_t kv_histogram_quantile(const struct kv_histogram *histogram, unsigned per_mille);

#endif
