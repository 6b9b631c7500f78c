/* SPDX-License-Identifier: MIT */
/* Locks whose owner has ended without a release.
 *
 * What becomes of such a lock is done by the ending task itself, in lock.c: it is repaired, or
 * marked, or just released.  Here it is told.  The task writes down what it leaves, on a paper, as
 * it comes to it, for the next owner of a lock may free it at once.  When it has left all it tells
 * of it; or, if another decides just then, that one does when it has decided.
 *
 * Of more than PAPERS that end so at the same time the rest is only counted.
 *
 * [A1] a paper from hand to hand:  state, release -> CAS, acquire
 * [A2] paper READY; look whether another decides  <->  decides no more; look for papers; all
 *      seq_cst */
#include "locksmith/detector.h"

#include <string.h>

#include "primitives/lock.h"
#include "runtime/os/os.h"

enum { PAPERS = 4, LOCKS_TOLD = 8, NAME_BYTES = 32 };

enum state { FREE, WRITTEN, READY, READ };

struct left {
    struct lw_hold hold;
    enum lw_left how;
    bool has_name;
    char name[NAME_BYTES];
};

static struct paper {
    uint32_t state;
    uint64_t writer; /* who looks for it by that; 0: nobody */
    lw_task owner;
    bool has_name;
    char name[NAME_BYTES];
    const void *spawn_site;
    uint32_t count;
    struct left left[LOCKS_TOLD];
} papers[PAPERS];

static uint32_t lost; /* locks for which there was no paper */

/* ---- who ends */

static bool copy_name(char *to, const char *name)
{
    if (name != NULL)
        (void)strncpy(to, name, NAME_BYTES - 1);
    return name != NULL;
}

static struct paper *take_paper(const struct lw_record *me)
{
    for (unsigned i = 0; i < PAPERS; i++) {
        struct paper *paper = &papers[i];
        uint32_t state = FREE;

        if (!lw_cas_acq(&paper->state, &state, WRITTEN)) /* [A1] */
            continue;
        memset(paper->name, 0, sizeof paper->name);
        paper->count = 0;
        paper->owner = (lw_task){lw_record_id(me)};
        paper->has_name = (lw_load_rlx(&me->place) & LW_PLACE_OPTIONS) != 0 &&
                          copy_name(paper->name, lw_load_rlx(&lw_record_cold(me)->name));
        paper->spawn_site = (const void *)(uintptr_t)(lw_load_rlx(&me->site) & LW_HOLD_SITE_MASK);
        lw_store_rlx(&paper->writer, paper->owner.id);
        return paper;
    }
    return NULL;
}

/* NULL: it has none. */
static struct paper *paper_of(const struct lw_record *me)
{
    for (unsigned i = 0; i < PAPERS; i++)
        if (lw_load_rlx(&papers[i].writer) == lw_record_id(me))
            return &papers[i];
    return NULL;
}

static void write_down(struct lw_record *me, const struct lw_hold *hold, const char *name,
                       enum lw_left how)
{
    struct paper *paper = paper_of(me);

    if (paper == NULL)
        paper = take_paper(me);
    if (paper == NULL) {
        (void)lw_add_sc(&lost, 1); /* [A2] */
    } else if (paper->count++ < LOCKS_TOLD) {
        struct left *left = &paper->left[paper->count - 1];

        *left = (struct left){.hold = *hold, .how = how};
        left->has_name = copy_name(left->name, name);
    }
}

static void hand_in(const struct lw_record *me)
{
    struct paper *paper = paper_of(me);

    if (paper != NULL) {
        lw_store_rlx(&paper->writer, 0);
        lw_store_sc(&paper->state, READY); /* [A1] [A2] */
    }
    if (lw_deciding_begin_now())
        lw_deciding_end();
}

static void leave(struct lw_record *me, const struct lw_hold *hold, const char *name,
                  enum lw_left how)
{
    if (lw_load_rlx(&lw_wait_watcher) == NULL && paper_of(me) == NULL)
        return; /* nobody looks */
    if (hold != NULL)
        write_down(me, hold, name, how);
    else
        hand_in(me);
}

/* ---- who tells */

static const struct {
    unsigned level;
    const char *outcome;
} outcomes[] = {
    [LW_LEFT_RELEASED] = {7, "released"},
    [LW_LEFT_REPAIRED] = {6, "repaired, and released"},
    [LW_LEFT_INCONSISTENT] = {7, "marked: who gets it next is told (-EOWNERDEAD)"},
    [LW_LEFT_DEAD] = {7, "marked: nobody gets it any more (-ENOTRECOVERABLE)"},
};

static void tell_of(const struct paper *paper, const lw_detector_options *options)
{
    uint32_t told = paper->count < LOCKS_TOLD ? paper->count : LOCKS_TOLD;

    (void)lw_verdict_begin(LW_VERDICT_ABANDONED, lw_sys.now());
    lw_verdict_add_ended(paper->owner, paper->has_name ? paper->name : NULL, paper->spawn_site);
    for (uint32_t i = 0; i < told; i++) {
        const struct left *left = &paper->left[i];

        lw_verdict_add_hold(&left->hold, left->has_name ? left->name : NULL, 0);
        lw_verdict_step(outcomes[left->how].level, 0, lw_hold_lock(&left->hold),
                        outcomes[left->how].outcome);
        lw_detector_count(&lw_detector_counted.forced[outcomes[left->how].level]);
    }
    if (paper->count > told)
        lw_verdict_note("more locks than are told", 0);
    lw_verdict_tell(options);
}

bool lw_abandoned_any(void)
{
    bool any = lw_load_sc(&lost) != 0; /* [A2] */

    for (unsigned i = 0; i < PAPERS; i++)
        any |= lw_load_sc(&papers[i].state) == READY; /* [A2] */
    return any;
}

void lw_abandoned_tell(void)
{
    lw_detector_options options;
    uint32_t uncounted = lw_swap_acq(&lost, 0);

    lw_detector_options_now(&options);
    for (; uncounted > 0; uncounted--)
        lw_detector_count(&lw_detector_counted.verdicts[LW_VERDICT_ABANDONED]);
    for (unsigned i = 0; i < PAPERS; i++) {
        uint32_t state = READY;

        if (!lw_cas_acq(&papers[i].state, &state, READ)) /* [A1] */
            continue;
        if (options.mode != LW_DETECTOR_OFF)
            tell_of(&papers[i], &options);
        lw_store_rel(&papers[i].state, FREE); /* [A1] */
    }
}

void lw_abandoned_forked(void)
{
    memset(papers, 0, sizeof papers);
    lost = 0;
}

__attribute__((constructor)) static void hear_of_ends(void)
{
    lw_left_behind = leave;
}
