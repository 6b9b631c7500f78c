/* SPDX-License-Identifier: MIT */
/* A double that is read while others write it: as the bits of a word. */
#ifndef LW_PRIMITIVES_NUMBER_H
#define LW_PRIMITIVES_NUMBER_H

#include "runtime/atomic.h"

union lw_number {
    double value;
    uint64_t bits;
};

LW_INLINE double lw_number_load(const uint64_t *word)
{
    return ((union lw_number){.bits = lw_load_rlx(word)}).value;
}

LW_INLINE void lw_number_store(uint64_t *word, double value)
{
    lw_store_rlx(word, ((union lw_number){.value = value}).bits);
}

#endif
