/* SPDX-License-Identifier: MIT */
/* Guard pages of simulated stacks.  They outlive the schedule that asked for them: a schedule has
 * some ten, and to put them in and take them out again costs as much as all else that it does.
 *
 * A range is a mapping for stacks, which mostly lies at the same place in each schedule.  Its
 * guards are asked for from its beginning on, one every `stride`; the running schedule has asked
 * for the first `asked`, `held` are there.  When it asks for one that is there, nothing happens.
 *
 * Invariant: asked <= held, and in the range just those at from + i * stride, i < held, are guards.
 * Where a schedule asks for another place, or maps something else there, all are taken out, and
 * those that it has asked for are put in again.
 *
 * To this schedule, one that it has not asked for yet is no guard.  Where stacks of another size
 * lie now than before, someone may touch it, and faults: sim_guards_mend() takes it out. */
#include <stdint.h>
#include <sys/mman.h>

#include "runtime/sim/world.h"
#include "runtime/slab.h"

enum { RANGES_MAX = 64 };

struct range {
    char *from;
    size_t size, stride, held, asked;
};

/* Not of the static data that is put back before each schedule. */
static struct guards {
    unsigned count;
    bool old_kernel; /* it knows no guard pages (before Linux 6.13) */
    struct range ranges[RANGES_MAX];
} * guards;

bool sim_guards_init(void)
{
    guards = mmap(NULL, sizeof *guards, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return guards != MAP_FAILED;
}

void sim_guards_begin(void)
{
    for (unsigned i = 0; i < guards->count; i++)
        guards->ranges[i].asked = 0;
}

static bool install(char *at)
{
    if (!guards->old_kernel && madvise(at, LW_STACK_GUARD_BYTES, MADV_GUARD_INSTALL) < 0)
        guards->old_kernel = true;
    return !guards->old_kernel || mprotect(at, LW_STACK_GUARD_BYTES, PROT_NONE) == 0;
}

static void take_out(struct range *range)
{
    if (range->held > 0 && guards->old_kernel)
        (void)mprotect(range->from, range->size, PROT_READ | PROT_WRITE);
    else if (range->held > 0)
        (void)madvise(range->from, range->size, MADV_GUARD_REMOVE);
    range->held = 0;
}

void sim_guards_mapped(char *from, size_t size, bool stacks)
{
    unsigned kept = 0;
    bool known = false;

    for (unsigned i = 0; i < guards->count; i++) {
        struct range *range = &guards->ranges[i];

        if (stacks && range->from == from && range->size == size) {
            known = true;
        } else if (from < range->from + range->size && range->from < from + size) {
            take_out(range);
            continue;
        }
        guards->ranges[kept++] = *range;
    }
    guards->count = kept;
    if (stacks && !known && kept < RANGES_MAX) /* one more: its stacks have no guards */
        guards->ranges[guards->count++] = (struct range){.from = from, .size = size};
}

static struct range *range_of(const char *at)
{
    for (unsigned i = 0; i < guards->count; i++)
        if ((size_t)(at - guards->ranges[i].from) < guards->ranges[i].size)
            return &guards->ranges[i];
    return NULL;
}

/* It is not where the next one was, or the one after is unlike the schedule's before. */
static void begin_anew(struct range *range)
{
    size_t asked = range->asked;

    take_out(range);
    while (range->held < asked && install(range->from + range->held * range->stride))
        range->held++;
}

void sim_guards_install(char *at)
{
    struct range *range = range_of(at);

    if (range == NULL)
        return;
    if (range->asked == 1 && at != range->from + range->stride) {
        begin_anew(range);
        range->stride = (size_t)(at - range->from);
    }
    if (at != range->from + range->asked * range->stride)
        return; /* stacks are carved in order */
    if (range->asked == range->held && !install(at))
        return; /* too many: this one has none */
    range->asked++;
    if (range->held < range->asked)
        range->held = range->asked;
}

bool sim_guards_mend(const void *address)
{
    struct range *range = range_of(address);
    size_t offset, number;

    if (range == NULL || range->held == range->asked)
        return false;
    offset = (size_t)((const char *)address - range->from);
    number = range->stride != 0 ? offset / range->stride : 0;
    if (number < range->asked && offset - number * range->stride < LW_STACK_GUARD_BYTES)
        return false; /* a stack is full */
    begin_anew(range);
    return true;
}
