/* SPDX-License-Identifier: MIT */
/* The table of the peer with the threads and locks of the C library. */
#include "workloads.h"

#include <stddef.h>

int main(int argc, char **argv)
{
    static const struct bench_workload workloads[] = {
        { "mutex1", locks },
        { "mutex64", locks },
        { "rlock1", locks },
        { "rlock_nested", locks },
        { "rlock64", locks },
        { "semaphore1", locks },
        { "semaphore64", locks },
        { "rwlock_read1", locks },
        { "rwlock_write1", locks },
        { "rwlock_write64", locks },
        { "rwlock95", readers },
        { "rwlock99", readers },
        { "once1", once1 },
        { "condition", condition },
        { "barrier8", barrier8 },
        { "pingpong", pingpong },
        { "wake", wake },
        { NULL, NULL },
    };

    return bench_main(argc, argv, "pthread", workloads);
}
