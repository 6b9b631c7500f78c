/* SPDX-License-Identifier: MIT */
/* The bare CAS pair, for figures that come from programs which are not ours. */
#include "bench.h"

#include <stddef.h>

static void cas_pair(struct bench *bench)
{
    double best = bench_cas_pair();

    for (long i = 1; i < bench->n; i++) {
        double pair = bench_cas_pair();

        if (pair < best)
            best = pair;
    }
    bench_add(bench, "", best, "ns");
}

int main(int argc, char **argv)
{
    static const struct bench_workload workloads[] = { { "cas_pair", cas_pair }, { NULL, NULL } };

    return bench_main(argc, argv, "machine", workloads);
}
