/* SPDX-License-Identifier: MIT */
/* Slabs: large mappings, each a row of stack slots of one class.
 *
 *     | guard | usable ... head | guard | usable ... head | ...      one mapping, one VMA
 *       64 KiB                ^ struct lw_stack_head, which `top` points to
 *
 * They are mapped NORESERVE and without huge pages, and are never unmapped: what stack an address
 * belonged to, it still belongs to.
 *
 * Guards.  MADV_GUARD_INSTALL (Linux 6.13) marks pages without splitting the mapping.  Where the
 * kernel lacks it, and on mlocked memory, mprotect() does it at two VMAs each, for a share of
 * vm.max_map_count; the stacks after that have none, which is said once.  Guards are installed when
 * slots are carved, some at a time, since each costs page tables.  A frame that is larger than a
 * guard can still step over it: code with such frames needs -fstack-clash-protection.
 *
 * [K1] a slab's fields -> the overflow report, which reads the table at any moment:
 *      slab_count (release) -> load (acquire). */
#include "runtime/slab.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/fiber.h"
#include "runtime/leak.h"
#include "runtime/os/os.h"

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(start, end) ((void)(start), (void)(end))
#endif

#ifdef LW_SIMULATED
enum { SLABS_MAX = 64 };
#else
enum { SLABS_MAX = 1024 };
#endif

static struct lw_slab slabs[SLABS_MAX];
static uint32_t slab_count; /* [K1] */

static uint32_t madvise_fails; /* no such thing in this kernel */
#ifdef LW_SIMULATED
static uint32_t madvise_works = 1; /* the simulated system copies from where it was told to */
#else
static uint32_t madvise_works; /* it was verified */
#endif
static uint64_t mprotect_count, mprotect_max;

/* ---- guards */

/* madvise() may say yes and do nothing (qemu-user does), so see the kernel refuse to read there. */
static bool guard_holds(const char *guard)
{
    int fd = lw_sys.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    bool holds;

    if (fd < 0)
        return true; /* nothing to ask with: the next one asks */
    holds = lw_sys.write(fd, guard, sizeof(uint64_t)) < 0 && errno == EFAULT;
    (void)lw_sys.close(fd);
    lw_store_rlx(holds ? &madvise_works : &madvise_fails, 1);
    return holds;
}

static bool guard_by_madvise(char *guard)
{
    if (lw_load_rlx(&madvise_fails) != 0)
        return false;
    if (lw_sys.madvise(guard, LW_STACK_GUARD_BYTES, MADV_GUARD_INSTALL) == 0)
        return lw_load_rlx(&madvise_works) != 0 || guard_holds(guard);
    if (errno == EINVAL && lw_load_rlx(&madvise_works) == 0)
        lw_store_rlx(&madvise_fails, 1);
    return false; /* mlocked, or no memory for page tables: this one only */
}

static bool guard_by_mprotect(char *guard)
{
    if (lw_load_rlx(&mprotect_max) == 0)
        lw_store_rlx(&mprotect_max,
                     1 + lw_sys.max_map_count() / 4 / 2); /* two mappings more for each */
    if (lw_load_rlx(&mprotect_count) >= lw_load_rlx(&mprotect_max))
        return false;
    (void)lw_add_rlx(&mprotect_count, 1);
    return lw_sys.mprotect(guard, LW_STACK_GUARD_BYTES, PROT_NONE) == 0;
}

static void guard_install(char *guard)
{
    static const char text[] =
        "latchwork: the system gives no more guard pages: from here on, "
        "overflows of some stacks will go unnoticed\n";
#ifdef LW_SIMULATED
    static uint32_t told = 1; /* it was drawn, in one schedule of many */
#else
    static uint32_t told;
#endif

    if (guard_by_madvise(guard) || guard_by_mprotect(guard))
        return;
    if (lw_swap_acq(&told, 1) == 0)
        (void)!lw_sys.write(STDERR_FILENO, text, sizeof text - 1);
}

/* ---- slabs */

/* Map as much as is wanted, or half of that, and so on, down to `least` slots. */
static char *map_slots(unsigned class, size_t *slots, size_t least)
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK;

    for (;; *slots /= 2) {
        char *base;

        if (*slots < least)
            *slots = least;
        base =
            lw_sys.mmap(NULL, *slots * lw_slab_stride(class), PROT_READ | PROT_WRITE, flags, -1, 0);
        if (base != MAP_FAILED)
            return base;
        if (*slots == least)
            return NULL;
    }
}

struct lw_slab *lw_slab_map(unsigned class, size_t first, size_t slots, size_t least)
{
    uint32_t number = lw_load_rlx(&slab_count);
    struct lw_slab *slab = &slabs[number];

    if (number == SLABS_MAX)
        return NULL;
    slab->base = map_slots(class, &slots, least);
    if (slab->base == NULL)
        return NULL;
    (void)lw_sys.madvise(slab->base, slots * lw_slab_stride(class), MADV_NOHUGEPAGE);
    slab->slots = slots;
    slab->first = first;
    slab->class = class;
    lw_store_rel(&slab_count, number + 1); /* [K1] */
    return slab;
}

void lw_slab_carve(const struct lw_slab *slab, size_t index, size_t count)
{
    size_t bytes = lw_stack_bytes(slab->class);

    for (size_t i = index; i < index + count; i++) {
        char *guard = slab->base + i * lw_slab_stride(slab->class),
             *bottom = guard + LW_STACK_GUARD_BYTES;

        guard_install(guard);
        VALGRIND_STACK_REGISTER(bottom, bottom + bytes);
        lw_leak_root(bottom, bytes);
    }
}

bool lw_stack_find(const void *address, struct lw_stack_place *place)
{
    uint32_t count = lw_load_acq(&slab_count); /* [K1] */

    for (uint32_t i = 0; i < count; i++) {
        const struct lw_slab *slab = &slabs[i];
        size_t index = lw_slab_index(slab, address);

        if (index == slab->slots)
            continue;
        place->class = slab->class;
        place->bottom = slab->base + index * lw_slab_stride(slab->class) + LW_STACK_GUARD_BYTES;
        place->top = (char *)lw_slab_head(slab, index);
        return true;
    }
    return false;
}
