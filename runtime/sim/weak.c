/* SPDX-License-Identifier: MIT */
/* Weak memory: in some schedules other threads see some atomic stores later than they were made.
 *
 * A store takes effect at once for who makes it, and is noted with the value that was there before;
 * until the note is dropped all others load that old value.  (The other way round, a buffer of
 * stores to come, would hide them from the plain loads of their own thread.)  Notes are dropped
 *
 * - in drawn order while others run, but that of a release store after all earlier ones of its
 *   thread: who sees it sees them;
 * - all of a thread's own when it makes a release or stronger read-modify-write, a seq_cst store or
 *   a fence, calls the system, waits, ends or leaves a stack;
 * - all of all threads by lw_asym_heavy(), which is what membarrier(2) does;
 * - that of a word that is read and modified, or stored by another.
 *
 * So a store may pass a later load and a later relaxed store, as on real machines, but loads do not
 * pass each other: it finds a missing fence or a missing release, not a missing acquire. */
#include "runtime/sim/world.h"

enum { NOTES_MAX = 16 };

bool lw_sim_weak;
unsigned lw_sim_stale;

static struct note {
    const void *word;
    uint64_t old;
    unsigned size;
    const struct sim_thread *writer;
    bool release;
} notes[NOTES_MAX]; /* oldest first; lw_sim_stale of them */

static void drop(unsigned index)
{
    lw_sim_stale--;
    for (unsigned i = index; i < lw_sim_stale; i++)
        notes[i] = notes[i + 1];
}

/* Everybody sees it now. */
static void commit(unsigned index)
{
    if (notes[index].release) {
        const struct sim_thread *writer = notes[index].writer;

        for (unsigned i = 0; i < index;)
            if (notes[i].writer == writer) {
                drop(i);
                index--;
            } else {
                i++;
            }
    }
    drop(index);
}

static bool overlaps(const struct note *note, const void *word, unsigned size)
{
    uintptr_t a = (uintptr_t)note->word, b = (uintptr_t)word;

    return a < b + size && b < a + note->size;
}

static void commit_word(const void *word, unsigned size, bool all)
{
    for (unsigned i = 0; i < lw_sim_stale;)
        if (overlaps(&notes[i], word, size) && (all || notes[i].writer != sim_world->current)) {
            commit(i);
            i = 0;
        } else {
            i++;
        }
}

void sim_weak_flush(void)
{
    for (unsigned i = 0; i < lw_sim_stale;)
        if (notes[i].writer == sim_world->current)
            drop(i);
        else
            i++;
}

void sim_weak_flush_all(void)
{
    lw_sim_stale = 0;
}

/* Others have run meanwhile. */
void sim_weak_age(void)
{
    for (unsigned i = 0; i < lw_sim_stale;)
        if (sim_chance(3)) {
            commit(i);
            i = 0;
        } else {
            i++;
        }
}

static uint64_t value_of(const void *word, unsigned size)
{
    switch (size) {
    case 1:
        return __atomic_load_n((const uint8_t *)word, __ATOMIC_RELAXED);
    case 2:
        return __atomic_load_n((const uint16_t *)word, __ATOMIC_RELAXED);
    case 4:
        return __atomic_load_n((const uint32_t *)word, __ATOMIC_RELAXED);
    default:
        return __atomic_load_n((const uint64_t *)word, __ATOMIC_RELAXED);
    }
}

uint64_t lw_sim_read(const void *word, unsigned size)
{
    for (unsigned i = 0; i < lw_sim_stale; i++) {
        const struct note *note = &notes[i];

        if (note->writer == sim_world->current || !overlaps(note, word, size))
            continue;
        if (note->word == word && note->size == size)
            return note->old; /* the oldest one's is what there was before all of them */
        commit_word(word, size, false);
        break;
    }
    return value_of(word, size);
}

void lw_sim_write(void *word, unsigned size, uint64_t value, int order)
{
    commit_word(word, size, false);
    if (order == __ATOMIC_SEQ_CST)
        sim_weak_flush();
    else if (sim_chance(4)) {
        if (lw_sim_stale == NOTES_MAX)
            commit(0);
        notes[lw_sim_stale++] = (struct note){.word = word,
                                              .old = value_of(word, size),
                                              .size = size,
                                              .writer = sim_world->current,
                                              .release = order == __ATOMIC_RELEASE};
    } else if (order == __ATOMIC_RELEASE) {
        sim_weak_flush(); /* what is seen at once takes along what came before */
    } else {
        commit_word(word, size, true);
    }
    switch (size) {
    case 1:
        __atomic_store_n((uint8_t *)word, (uint8_t)value, __ATOMIC_RELAXED);
        break;
    case 2:
        __atomic_store_n((uint16_t *)word, (uint16_t)value, __ATOMIC_RELAXED);
        break;
    case 4:
        __atomic_store_n((uint32_t *)word, (uint32_t)value, __ATOMIC_RELAXED);
        break;
    default:
        __atomic_store_n((uint64_t *)word, value, __ATOMIC_RELAXED);
        break;
    }
}

void lw_sim_modifies(const void *word, unsigned size, int order)
{
    if (order == __ATOMIC_RELEASE || order == __ATOMIC_ACQ_REL || order == __ATOMIC_SEQ_CST)
        sim_weak_flush();
    commit_word(word, size, true);
}

void lw_sim_fences(int order)
{
    if (order != __ATOMIC_ACQUIRE)
        sim_weak_flush();
}
