/* SPDX-License-Identifier: MIT */
/* Values below 16 have a class each; above, the highest bit and the four below it name the class.
 * The counts are relaxed atomics with one writer: a sum of them is only ever a picture. */
#include "latchkv/histogram.h"

enum { FINE = 4, FINE_CLASSES = 1 << FINE };

unsigned kv_histogram_class(uint64_t value)
{
    if (value < FINE_CLASSES)
        return (unsigned)value;
    unsigned shift = 63 - FINE - (unsigned)__builtin_clzll(value);
    unsigned class = (shift + 1) * FINE_CLASSES + (unsigned)(value >> shift) % FINE_CLASSES;

    return class < KV_HISTOGRAM_CLASSES ? class : KV_HISTOGRAM_CLASSES - 1;
}

uint64_t kv_histogram_most(unsigned class)
{
    if (class < FINE_CLASSES)
        return class;
    unsigned shift = class / FINE_CLASSES - 1;
    uint64_t least = (uint64_t)(FINE_CLASSES + class % FINE_CLASSES) << shift;

    return least + (UINT64_C(1) << shift) - 1;
}

void kv_histogram_record(struct kv_histogram *histogram, uint64_t value)
{
    _Atomic(uint64_t) *count = &histogram->counts[kv_histogram_class(value)];

    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

static uint64_t count_of(const struct kv_histogram *histogram, unsigned class)
{
    return atomic_load_explicit(&histogram->counts[class], memory_order_relaxed);
}

void kv_histogram_add(struct kv_histogram *to, const struct kv_histogram *from)
{
    for (unsigned class = 0; class < KV_HISTOGRAM_CLASSES; class ++)
        atomic_store_explicit(&to->counts[class], count_of(to, class) + count_of(from, class),
                              memory_order_relaxed);
}

uint64_t kv_histogram_count(const struct kv_histogram *histogram)
{
    uint64_t count = 0;

    for (unsigned class = 0; class < KV_HISTOGRAM_CLASSES; class ++)
        count += count_of(histogram, class);
    return count;
}

uint64_t kv_histogram_quantile(const struct kv_histogram *histogram, unsigned per_mille)
{
    uint64_t count = kv_histogram_count(histogram), below = 0;
    uint64_t wanted = (count * per_mille + 999) / 1000;

    for (unsigned class = 0; class < KV_HISTOGRAM_CLASSES; class ++) {
        below += count_of(histogram, class);
        if (below >= wanted && below > 0)
            return kv_histogram_most(class);
    }
    return 0;
}
