/* SPDX-License-Identifier: MIT */
/* The memory of a schedule.
 *
 * Static data.  The library keeps what is process-wide in static variables: depots, tables, the
 * tick thread.  Before each schedule all of it is copied back from an image of load time, so each
 * schedule begins as a process does.  What the engine itself keeps from schedule to schedule lies
 * in mappings, found by pointers that are the same in every image.
 *
 * The library in a shared object is a module of its own, whose writable segments are found by
 * dl_iterate_phdr(3), and the image of load time is what its constructors left.  Linked into a
 * program (our own test suites) its data lie among the program's: then the image is that of the
 * lw_sim_run(), and the program's static data come back as well.  They also do if the settings ask
 * for it: then the program's segments are parts beside those of the library.
 *
 * Heap.  One range, handed out from its start on, never used twice in a schedule: what is freed is
 * overwritten, so that a use after free reads nonsense, the same nonsense each time.  Under ASan it
 * is the real heap, and ASan sees it.
 *
 * Mappings.  One range, too, all of it there from the beginning.  What lay there in an earlier
 * schedule is overwritten with zeros when it is mapped; of a range without access, when it gets
 * access.  Stacks are not, for nobody expects zeros of them. */
#include <errno.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "runtime/fiber.h"
#include "runtime/os/os.h"
#include "runtime/sim/settings.h"
#include "runtime/sim/world.h"
#include "runtime/slab.h"

#define HEAP_BYTES ((size_t)4 << 30)
#define MAP_BYTES ((size_t)1 << 38)
#define STACKS_BYTES ((size_t)SIM_THREADS_MAX * (SIM_STACK_BYTES + PAGE))

enum {
    PARTS_MAX = 8,
    BLOCK_ALIGN = 64,
    FREED = 0xdb,
    PAGE = 4096,
    SMALL_BYTES = 32 * PAGE, /* quicker overwritten than unmapped and faulted in */
};

struct part {
    char *at;
    size_t size;
    char *load, *live; /* images */
};

/* Before each block of the heap. */
struct block {
    struct block *next, **link; /* ASan: of those not freed */
    size_t size;
    uint64_t state;
};
#define LIVING UINT64_C(0x6c6976696e67)
_Static_assert(sizeof(struct block) <= BLOCK_ALIGN, "a block begins on a line");

static struct memory {
    struct part parts[PARTS_MAX];
    unsigned count;    /* of those that are put back */
    unsigned own, all; /* the library's, which come first; with the program's */
    bool alone;        /* the library is a module of its own */
    char *heap, *heap_end, *map, *map_end, *stacks;
    unsigned guarded; /* stacks that have a guard page */
    struct block *blocks;
    unsigned long blocks_live;
} * memory;

/* ---- static data */

/* No memcpy: ASan's would look at red zones. */
__attribute__((no_sanitize("address"), no_sanitize("thread"))) static void
copy(char *to, const char *from, size_t size)
{
    __asm__ volatile("" : : : "memory");
#if defined(__x86_64__)
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
#else
    for (size_t i = 0; i < size; i++)
        ((volatile char *)to)[i] = from[i];
#endif
}

static char *reserve(size_t size, int protection)
{
    void *at = mmap(NULL, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return at == MAP_FAILED ? NULL : at;
}

static void add_part(char *from, char *to)
{
    if (from < to && memory->count < PARTS_MAX)
        memory->parts[memory->count++] = (struct part){.at = from, .size = (size_t)(to - from)};
}

/* Writable, but for what the dynamic linker made read-only after relocating. */
#define PAGE_OF(address) ((char *)((uintptr_t)(address) & ~(uintptr_t)(PAGE - 1)))

static void add_module(const struct dl_phdr_info *info)
{
    char *sealed = NULL, *sealed_end = NULL;

    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];

        if (header->p_type == PT_GNU_RELRO) {
            uintptr_t from = info->dlpi_addr + header->p_vaddr;

            sealed = PAGE_OF(from);
            sealed_end = PAGE_OF(from + header->p_memsz + PAGE - 1);
        }
    }
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        char *from = (char *)(info->dlpi_addr + header->p_vaddr), *to = from + header->p_memsz;

        if (header->p_type != PT_LOAD || (header->p_flags & PF_W) == 0)
            continue;
        if (sealed == NULL || sealed_end <= from || sealed >= to) {
            add_part(from, to);
            continue;
        }
        if (sealed > from)
            add_part(from, sealed);
        if (sealed_end < to)
            add_part(sealed_end, to);
    }
}

struct search {
    uintptr_t address;
    bool first, is_program;
};

static int find_module(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct search *search = arg;
    bool program = search->first;

    (void)size;
    search->first = false;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        uintptr_t from = info->dlpi_addr + header->p_vaddr;

        if (header->p_type == PT_LOAD && search->address >= from &&
            search->address - from < header->p_memsz) {
            search->is_program = program;
            add_module(info);
            return 1;
        }
    }
    return 0;
}

/* Of the parts from `first` on; load: what they are now is what they begin with. */
static bool make_images(unsigned first, bool load)
{
    for (unsigned i = first; i < memory->count; i++) {
        struct part *part = &memory->parts[i];

        if (part->live == NULL)
            part->live = reserve(part->size, PROT_READ | PROT_WRITE);
        if (part->load == NULL)
            part->load = reserve(part->size, PROT_READ | PROT_WRITE);
        if (part->live == NULL || part->load == NULL)
            return false;
        if (load)
            copy(part->load, part->at, part->size);
    }
    return true;
}

bool sim_memory_init(void)
{
    struct search search = {(uintptr_t)&memory, true, false};

    memory = (struct memory *)(void *)reserve(sizeof *memory, PROT_READ | PROT_WRITE);
    if (memory == NULL || !sim_guards_init())
        return false;
    (void)dl_iterate_phdr(find_module, &search);
    memory->alone = !search.is_program;
    memory->own = memory->all = memory->count;
    return !memory->alone || make_images(0, true);
}

static int find_program(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    (void)arg;
    add_module(info);
    return 1; /* it is the first */
}

static bool enter_parts(void)
{
    memory->count = memory->all;
    if (memory->alone && sim_settings->program_data && memory->all == memory->own) {
        (void)dl_iterate_phdr(find_program, NULL);
        memory->all = memory->count;
    }
    if (!sim_settings->program_data)
        memory->count = memory->own;
    return make_images(memory->alone ? memory->own : 0, true) && make_images(0, false);
}

/* All three ranges, in one: there are all of them or none. */
static bool reserve_ranges(void)
{
    char *at = reserve(HEAP_BYTES + MAP_BYTES + STACKS_BYTES, PROT_READ | PROT_WRITE);

    if (at == NULL)
        return false;
    memory->heap = memory->heap_end = at;
    memory->map = memory->map_end = at + HEAP_BYTES;
    memory->stacks = memory->map + MAP_BYTES;
    (void)madvise(at, HEAP_BYTES + MAP_BYTES + STACKS_BYTES, MADV_NOHUGEPAGE);
    return true;
}

bool sim_memory_enter(void)
{
    if ((memory->heap == NULL && !reserve_ranges()) || !enter_parts())
        return false;
    for (unsigned i = 0; i < memory->count; i++)
        copy(memory->parts[i].live, memory->parts[i].at, memory->parts[i].size);
    return true;
}

/* What the schedule before has left on the heap: it failed, or it leaks. */
static void drop_blocks(void)
{
#ifdef LW_ASAN
    while (memory->blocks != NULL) {
        struct block *block = memory->blocks;

        memory->blocks = block->next;
        sim_real.free(block);
    }
#endif
    memory->blocks = NULL;
    memory->blocks_live = 0;
    memory->heap_end = memory->heap;
}

void sim_memory_begin(void)
{
    drop_blocks();
    sim_guards_begin();
    memory->map_end = memory->map;
    for (unsigned i = 0; i < memory->count; i++)
        copy(memory->parts[i].at, memory->parts[i].load, memory->parts[i].size);
}

void sim_memory_end(void)
{
    drop_blocks();
    for (unsigned i = 0; i < memory->count; i++)
        copy(memory->parts[i].at, memory->parts[i].live, memory->parts[i].size);
}

/* ---- heap */

unsigned long sim_blocks(void)
{
    return memory->blocks_live;
}

void *sim_alloc(size_t size)
{
    size_t whole = (BLOCK_ALIGN + size + BLOCK_ALIGN - 1) & ~(size_t)(BLOCK_ALIGN - 1);
    struct block *block;

#ifdef LW_ASAN
    block = sim_real.calloc(1, whole);
    if (block == NULL)
        return NULL;
    block->next = memory->blocks;
    block->link = &memory->blocks;
    if (block->next != NULL)
        block->next->link = &block->next;
    memory->blocks = block;
#else
    if (size > HEAP_BYTES || whole > HEAP_BYTES - (size_t)(memory->heap_end - memory->heap))
        return NULL;
    block = (struct block *)(void *)memory->heap_end;
    memory->heap_end += whole;
    memset(block, 0, whole);
#endif
    block->size = size;
    block->state = LIVING;
    memory->blocks_live++;
    return (char *)block + BLOCK_ALIGN;
}

void sim_free(void *at)
{
    struct block *block;

    if (at == NULL)
        return;
    block = (struct block *)(void *)((char *)at - BLOCK_ALIGN);
    if (block->state != LIVING)
        sim_crash("memory is freed that was freed before, or was never got");
    block->state = 0;
    memory->blocks_live--;
#ifdef LW_ASAN
    *block->link = block->next;
    if (block->next != NULL)
        block->next->link = block->link;
    sim_real.free(block);
#else
    memset(at, FREED, block->size);
#endif
}

static void *map_calloc(size_t count, size_t size)
{
    sim_point();
    if (sim_fault(SIM_FAULT_MEMORY) || (size != 0 && count > SIZE_MAX / size))
        return NULL;
    return sim_alloc(count * size);
}

/* ---- mappings */

static void *map_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    size_t whole = (size + PAGE - 1) & ~(size_t)(PAGE - 1);
    char *from;

    (void)at;
    (void)fd;
    (void)offset;
    sim_point();
    from = memory->map_end; /* others may have mapped something meanwhile */
    if (sim_fault(SIM_FAULT_MAP) || whole > MAP_BYTES - (size_t)(from - memory->map)) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    memory->map_end += whole;
    sim_guards_mapped(from, whole, (flags & MAP_STACK) != 0);
    if ((flags & MAP_STACK) == 0 && ((flags & MAP_NORESERVE) == 0 || whole <= SMALL_BYTES))
        memset(from, 0, whole);
    else if ((flags & MAP_STACK) == 0 && protection != PROT_NONE)
        (void)madvise(from, whole, MADV_DONTNEED); /* large, of which little was used */
    return from;
}

static int map_munmap(void *at, size_t size)
{
    (void)at;
    (void)size;
    return 0;
}

static int map_mprotect(void *at, size_t size, int protection)
{
    sim_point();
    if (sim_fault(SIM_FAULT_MAP)) {
        errno = ENOMEM;
        return -1;
    }
    if ((protection & PROT_WRITE) != 0)
        memset(at, 0, size);
    return 0;
}

static int map_madvise(void *at, size_t size, int advice)
{
    sim_point();
    if (sim_fault(SIM_FAULT_MAP)) {
        errno = ENOMEM;
        return -1;
    }
    if (advice == MADV_DONTNEED)
        (void)madvise(at, size, advice);
    if (advice == MADV_GUARD_INSTALL)
        sim_guards_install(at);
    return 0;
}

/* Guarded when first used: all at once they would be a thousand mappings more for each fork. */
char *sim_stack(unsigned index)
{
    for (; memory->guarded <= index; memory->guarded++)
        (void)mprotect(memory->stacks + (size_t)memory->guarded * (SIM_STACK_BYTES + PAGE), PAGE,
                       PROT_NONE);
    return memory->stacks + (size_t)index * (SIM_STACK_BYTES + PAGE) + PAGE;
}

void sim_memory_fill(struct lw_sys *table)
{
    table->calloc = map_calloc;
    table->free = sim_free;
    table->mmap = map_mmap;
    table->munmap = map_munmap;
    table->mprotect = map_mprotect;
    table->madvise = map_madvise;
    table->memory_read = sim_real.memory_read; /* what was freed may not be there, as outside */
}
