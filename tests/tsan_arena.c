/* SPDX-License-Identifier: MIT */
/* BoxFort, under Criterion, maps its arena at 0x2000_0000_0000 + (rand_r() & 0x3fffff) << 24,
 * which is
 * shadow memory of TSan on x86-64.  This rand_r() steers it into the range TSan leaves to
 * programs. */
#include <stdlib.h>

__attribute__((visibility("default"), no_sanitize("thread"))) int rand_r(unsigned *seed)
{
    *seed = *seed * 1103515245u + 12345u;
    return (int)(0x367000u + ((*seed >> 16) & 0xfffu));
}
