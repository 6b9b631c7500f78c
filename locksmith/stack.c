/* SPDX-License-Identifier: MIT */
/* Who called whom, down to where a task waits, for its report.
 *
 * The frames of one that is not on a CPU lie still while its wait is claimed, from the stack
 * pointer that it saved; and those of the caller are its own.  They are followed by their frame
 * pointers, which point up, and stay within the stack.  In a program that is built without them the
 * chain ends early, or leads to what is no address in a program, where it is given up.
 *
 * Who claims a wait does not keep it from being granted by one whom it knows nothing of; then the
 * stack may be gone.  So it is the kernel that reads it, and says if it is not there.  That takes a
 * microsecond: stacks are told of the first of many reports alike only (verdict.c).
 *
 * Of plain threads, and in simulation, where reports are to be the same each time, there are
 * none. */
#include "locksmith/stack.h"

#include <latchwork/sim.h>
#include <string.h>

#include "locksmith/symbols.h"
#include "runtime/arch/cpu.h"
#include "runtime/os/os.h"
#include "runtime/worker.h"

enum {
    COPIED = 16384, /* bytes; most stacks are not as deep */
    INNER_MAX = 16, /* frames of the library itself */
};

/* The lower end of a stack, as it was; of one who decides. */
static struct {
    uintptr_t at;
    size_t size;
    unsigned char bytes[COPIED];
} copy;

static void read_stack(uintptr_t from, uintptr_t top)
{
    size_t size = top - from < COPIED ? top - from : COPIED;

    copy.at = from;
    copy.size = from < top ? lw_sys.memory_read(copy.bytes, (const void *)from, size) : 0;
}

static bool read_word(uintptr_t address, uintptr_t *word)
{
    if (address < copy.at || address % sizeof *word != 0 || copy.size < sizeof *word ||
        address - copy.at > copy.size - sizeof *word)
        return false;
    memcpy(word, copy.bytes + (address - copy.at), sizeof *word);
    return true;
}

/* Where the frame begins to which the innermost function returns. */
static bool find_first(const struct lw_record *record, uintptr_t *frame)
{
    uintptr_t top = lw_load_rlx(&record->place) & LW_PLACE_STACK;
    void *sp;

    if (record == lw_current()) {
        *frame = (uintptr_t)__builtin_frame_address(0);
        read_stack(*frame, top);
        return true;
    }
    sp = lw_load_acq(&record->sp); /* [S1] of sched.c; NULL: it is still about to leave */
    if (sp == NULL)
        return false;
    read_stack((uintptr_t)sp, top);
    return read_word((uintptr_t)sp + LW_SAVED_FRAME, frame);
}

/* How many; innermost first.  Not those two by which every task begins: lw_task_main() and the
 * first code on its stack, to which no frame points. */
static size_t follow(uintptr_t frame, const void *found[], size_t max)
{
    size_t count = 0;
    uintptr_t next = frame, to, offset;
    const char *module;

    while (count < max && read_word(frame, &next) && read_word(frame + sizeof next, &to) &&
           lw_module_of((const void *)to, &module, &offset)) {
        found[count++] = (const void *)to;
        if (next <= frame)
            break;
        frame = next;
    }
    return next == 0 && count > 2 ? count - 2 : count;
}

size_t lw_stack_of(const struct lw_record *record, const void *site,
                   const void *stack[LW_STACK_MAX])
{
    const void *found[INNER_MAX + LW_STACK_MAX];
    uintptr_t frame;
    size_t count, first = 0;

    if (lw_sim_active() || lw_record_is_guest(record) || !find_first(record, &frame))
        return 0;
    count = follow(frame, found, sizeof found / sizeof found[0]);
    while (first < count && found[first] != site)
        first++;
    if (first == count) /* the place was given by who called: its own frames are not known */
        return 0;
    count = count - first < LW_STACK_MAX ? count - first : LW_STACK_MAX;
    memcpy(stack, found + first, count * sizeof stack[0]);
    return count;
}
