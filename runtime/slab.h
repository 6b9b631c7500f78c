/* SPDX-License-Identifier: MIT */
/* The mappings that stacks are slots of, and the guards between those.  See slab.c. */
#ifndef LW_RUNTIME_SLAB_H
#define LW_RUNTIME_SLAB_H

#include <sys/mman.h>

#include "runtime/stack.h"

#ifndef MADV_GUARD_INSTALL /* Linux 6.13 */
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif

struct lw_slab {
    struct lw_slab *next; /* of the same class, in the order of mapping: the depot's */
    char *base;
    size_t slots, carved; /* carved: the depot's */
    size_t first;         /* number of its first slot within the class */
    unsigned class;
};

LW_INLINE size_t lw_slab_stride(unsigned class)
{
    return LW_STACK_GUARD_BYTES + lw_stack_bytes(class);
}

/* Where the head of a slot lies. */
LW_INLINE struct lw_stack_head *lw_slab_head(const struct lw_slab *slab, size_t index)
{
    char *end = slab->base + (index + 1) * lw_slab_stride(slab->class);
    return (struct lw_stack_head *)(void *)(end - sizeof(struct lw_stack_head));
}

/* The index of the slot that an address lies in, or slots: in none of this slab. */
LW_INLINE size_t lw_slab_index(const struct lw_slab *slab, const void *address)
{
    size_t index =
        (size_t)((uintptr_t)address - (uintptr_t)slab->base) / lw_slab_stride(slab->class);
    return index < slab->slots ? index : slab->slots;
}

/* Map a slab of `slots` slots, or if that much cannot be had of fewer, but not of fewer than
 * `least`. NULL: no memory.  One caller at a time. */
struct lw_slab *lw_slab_map(unsigned class, size_t first, size_t slots, size_t least);

/* Make the slots index .. index + count - 1 ready for use.  They are in nobody's hands but the
 * caller's. */
void lw_slab_carve(const struct lw_slab *slab, size_t index, size_t count);

#endif
