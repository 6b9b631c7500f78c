/* SPDX-License-Identifier: MIT */
/* Every byte that latchkv takes from the system while it serves: counted, so that a limit can be
 * set on it, and refusable, so that a test can make the n-th request fail.
 *
 * Sizes are given back with the block, which makes the count exact without asking the allocator.
 * All functions may be called by any task or thread. */
#ifndef LATCHKV_MEMORY_H
#define LATCHKV_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

/* A block of size > 0 bytes, not cleared; NULL when memory is out. */
void *kv_alloc(size_t size);

/* The same, cleared. */
void *kv_alloc_clear(size_t size);

/* The block with another size; NULL when memory is out, and then the old block is untouched. */
void *kv_resize(void *block, size_t size_old, size_t size_new);

/* Give a block back; NULL is no block, whatever its size. */
void kv_free(void *block, size_t size);

/* What is taken now and the most that ever was, with an estimate of the allocator's own cost. */
size_t kv_memory_used(void);
size_t kv_memory_peak(void);

/* For tests: let `after` more requests through, then fail one (once) or all that follow (!once).  A
 * negative number fails none.  And: has one failed since? */
void kv_memory_fail(long after, bool once);
bool kv_memory_failed(void);

#endif
