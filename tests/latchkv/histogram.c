/* SPDX-License-Identifier: MIT */
/* The load's histogram: classes without gaps, and quantiles as exact as promised. */
#include "tests/support.h"

#include "latchkv/histogram.h"

#include <string.h>

TestSuite(histogram, .init = watchdog);

Test(histogram, classes_follow_each_other)
{
    for (unsigned class = 1; class < KV_HISTOGRAM_CLASSES; class ++) {
        uint64_t most = kv_histogram_most(class);

        cr_assert_gt(most, kv_histogram_most(class - 1));
        cr_assert_eq(kv_histogram_class(most), class, "class %u", class);
        cr_assert_eq(kv_histogram_class(kv_histogram_most(class - 1) + 1), class);
    }
    cr_assert_eq(kv_histogram_class(UINT64_MAX), KV_HISTOGRAM_CLASSES - 1u);
}

Test(histogram, quantiles_are_at_most_a_sixteenth_too_high)
{
    static struct kv_histogram histogram, sum;

    cr_assert_eq(kv_histogram_quantile(&histogram, 500), 0u);
    for (uint64_t value = 1; value <= 100000; value++)
        kv_histogram_record(&histogram, value);
    kv_histogram_add(&sum, &histogram);
    kv_histogram_add(&sum, &histogram);
    cr_assert_eq(kv_histogram_count(&histogram), 100000u);
    cr_assert_eq(kv_histogram_count(&sum), 200000u);
    for (unsigned per_mille = 1; per_mille <= 1000; per_mille++) {
        uint64_t exact = per_mille * 100, found = kv_histogram_quantile(&histogram, per_mille);

        cr_assert_geq(found, exact);
        cr_assert_leq(found, exact + exact / 16);
        cr_assert_eq(found, kv_histogram_quantile(&sum, per_mille));
    }
}

Test(histogram, one_slow_request_in_a_thousand_is_the_last_quantile)
{
    static struct kv_histogram histogram;

    for (int i = 0; i < 999; i++)
        kv_histogram_record(&histogram, 10);
    kv_histogram_record(&histogram, 1000000);
    cr_assert_eq(kv_histogram_quantile(&histogram, 999), 10u);
    cr_assert_geq(kv_histogram_quantile(&histogram, 1000), 1000000u);
}
