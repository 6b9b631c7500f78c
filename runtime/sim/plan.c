/* SPDX-License-Identifier: MIT */
/* The plan of a schedule: which way each decision goes.
 *
 * Steps.  Every point and every decision counts one.  The plan says in advance at which step it
 * wants to be asked again, so that the points in between cost a decrement.
 *
 * Lists.  Each decision that did not go the plain way is noted: at which of its own steps which
 * thread went which way.  As nothing else differs between two runs, the list is the run; and as
 * steps are counted by thread, an entry still means the same when others are left out, which is
 * what makes lists worth shortening.  Going by a list asks only at the steps that are in it.
 *
 * Random.  Preemption at a point after a distance whose mean is drawn per schedule, from 2 to 512
 * points: short ones find what hangs on two neighbouring accesses, long ones what needs somebody to
 * get far while another stands still.
 *
 * PCT (Burckhardt, Kothari, Musuvathi, Nagarakatte, ASPLOS 2010).  Threads have random priorities,
 * the highest that can run does, and at depth - 1 random steps the running one becomes the lowest.
 * Finds a bug of depth d in n threads and k steps with a chance of at least 1 / (n k^(d-1)).
 * Threads that spin become the lowest, too, or they would spin for ever.
 *
 * Exhaustive.  Depth-first over all decisions, without state: each run repeats the decisions of the
 * one before up to the last that has another way, and takes that.  Going on is way 0; other ways at
 * a point are preemptions, of which there are at most `depth` in a run (Musuvathi and Qadeer, PLDI
 * 2007); decisions of who can when the running one cannot are free.  All of it between the test's
 * beginning and its end: how the runtime starts and stops around it is always the same. */
#include <stdlib.h>
#include <string.h>

#include "runtime/os/os.h"
#include "runtime/sim/point.h"
#include "runtime/sim/world.h"

#define PRIORITY_FIRST (UINT64_C(1) << 56)

enum {
    NOTED_MAX = 1 << 20,
    CHANGES_MAX = 64,
    TURN_STEPS = 4000, /* then a thread lets others go on, whatever the strategy says */
};

struct branch {
    uint32_t way, ways;
};

/* Kept from schedule to schedule. */
static struct plan {
    enum sim_strategy strategy;
    uint64_t random;
    unsigned depth;
    uint64_t steps_max;
    uint64_t asked_at; /* the step at which the countdown is 0 */
    uint64_t hash;
    struct sim_choices noted;
    bool too_many;
    uint64_t mean;      /* random: of the distance */
    unsigned haste;     /* random: one in so many times it is time that goes on; 0: never */
    bool in_test;       /* between the test's beginning and its end */
    unsigned preempted; /* exhaustive */
    size_t known, next; /* branches; the next decision's */
    size_t branches_room;
    struct branch *branches;
    uint64_t changes[CHANGES_MAX]; /* PCT: steps, ascending */
    unsigned changes_count, changes_done;
    uint64_t lowest; /* PCT: priority of who was last made to let others go on */
    const struct sim_choices *list;
    size_t list_next[SIM_THREADS_MAX]; /* by thread: where its next entry may be */
} * plan;

static uint64_t draw(void)
{
    uint64_t z = plan->random += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static unsigned draw_of(unsigned count)
{
    return (unsigned)(((draw() >> 32) * count) >> 32);
}

/* ---- steps */

uint64_t sim_plan_steps(void)
{
    return plan->asked_at - (uint64_t)lw_sim_countdown;
}

/* Steps of the running thread's own. */
static uint64_t own_steps(void)
{
    const struct sim_thread *me = sim_world->current;

    return me->steps + (sim_plan_steps() - me->since);
}

/* The entry of the list that comes next for the running thread; NULL: none does. */
static const struct sim_choice *next_entry(uint64_t from)
{
    uint32_t me = sim_world->current->index;
    size_t *next = &plan->list_next[me];

    while (*next < plan->list->count &&
           (plan->list->list[*next].thread != me || plan->list->list[*next].at < from))
        ++*next;
    return *next < plan->list->count ? &plan->list->list[*next] : NULL;
}

/* How many steps until the plan wants to be asked, from the step `now` on. */
static uint64_t distance(uint64_t now)
{
    const struct sim_choice *entry;
    uint64_t own;

    switch (plan->strategy) {
    case SIM_BY_RANDOM:
        return 1 + (((draw() >> 32) * (2 * plan->mean)) >> 32);
    case SIM_BY_PCT:
        return plan->changes_done < plan->changes_count && plan->changes[plan->changes_done] > now
                   ? plan->changes[plan->changes_done] - now
               : plan->changes_done < plan->changes_count ? 1
                                                          : UINT32_MAX;
    case SIM_BY_EXHAUSTION:
        return plan->in_test && plan->preempted < plan->depth ? 1 : UINT32_MAX;
    case SIM_BY_LIST:
        if (sim_world->current == NULL)
            break;
        own = own_steps();
        entry = next_entry(own + 1);
        return entry != NULL ? entry->at - own : UINT32_MAX;
    case SIM_PLAINLY:
        break;
    }
    return UINT32_MAX;
}

static void ask_again(uint64_t now)
{
    uint64_t steps = distance(now);

    if (sim_world->current != NULL) {
        uint64_t turn_ends = now - own_steps() + sim_world->current->turn + TURN_STEPS;

        if (turn_ends <= now)
            steps = 1;
        else if (steps > turn_ends - now)
            steps = turn_ends - now;
    }
    if (steps > plan->steps_max + 1 - now)
        steps = plan->steps_max + 1 - now;
    plan->asked_at = now + steps;
    lw_sim_countdown = (int64_t)steps;
}

void sim_plan_ask_soon(void)
{
    if (plan->strategy != SIM_BY_PCT || lw_sim_countdown <= 1)
        return;
    plan->asked_at = sim_plan_steps() + 1;
    lw_sim_countdown = 1;
}

/* There are far more points in the library than in a test: those count for more. */
void sim_plan_ask_rather(void)
{
    if (plan->strategy != SIM_BY_RANDOM || lw_sim_countdown <= 1 || draw_of(3) != 0)
        return;
    plan->asked_at = sim_plan_steps() + 1;
    lw_sim_countdown = 1;
}

/* ---- noting */

static void note(uint64_t step, uint32_t way, const struct sim_thread *chosen, bool time)
{
    struct sim_choice choice = {sim_world->current->index, way, own_steps()};

    plan->hash = (plan->hash ^ (step << 8) ^ way) * UINT64_C(0x9e3779b97f4a7c15);
    plan->hash ^= plan->hash >> 29;
    if (time)
        choice.way = SIM_TIME;
    else if (chosen != NULL)
        choice.way = chosen->index + 1;
    if (!plan->too_many)
        plan->too_many = plan->noted.count >= NOTED_MAX || !sim_choices_add(&plan->noted, choice);
}

uint64_t sim_plan_hash(void)
{
    return plan->hash;
}

bool sim_plan_recorded(struct sim_choices *copy)
{
    *copy = (struct sim_choices){0};
    if (plan->too_many)
        return false;
    for (size_t i = 0; i < plan->noted.count; i++)
        if (!sim_choices_add(copy, plan->noted.list[i]))
            return false;
    sim_choices_sort(copy);
    return true;
}

/* ---- the strategies */

static unsigned by_random(enum sim_kind kind, unsigned ways, struct sim_thread *const *ready)
{
    bool time = kind == SIM_GO_ON && ways > 1 && ready[ways - 2] == NULL;

    if (kind != SIM_GO_ON)
        return draw_of(ways);
    if (time && plan->haste != 0 && draw_of(plan->haste) == 0)
        return ways - 1;
    if (ways - time == 1)
        return 0;
    return 1 + draw_of(ways - time - 1);
}

static unsigned highest(unsigned count, struct sim_thread *const *ready)
{
    unsigned best = 0;

    for (unsigned i = 1; i < count; i++)
        if (ready[i] != NULL && ready[i]->priority > ready[best]->priority)
            best = i;
    return best;
}

static unsigned by_pct(enum sim_kind kind, unsigned ways, struct sim_thread *const *ready,
                       uint64_t step)
{
    struct sim_thread *me = sim_world->current;
    unsigned best;

    if (kind == SIM_DRAW)
        return draw_of(ways);
    if (kind == SIM_PICK)
        return highest(ways, ready);
    while (plan->changes_done < plan->changes_count && plan->changes[plan->changes_done] <= step) {
        me->priority = --plan->lowest; /* below all that were drawn */
        plan->changes_done++;
        if (ways > 1 && ready[ways - 2] == NULL && draw_of(2) == 0)
            return ways - 1;
    }
    if (ways == 1 || ready[0] == NULL)
        return 0;
    best = highest(ways - 1, ready);
    return ready[best]->priority > me->priority ? 1 + best : 0;
}

static unsigned by_branch(enum sim_kind kind, unsigned ways)
{
    struct branch *branch;

    if (ways == 1 || !plan->in_test || (kind == SIM_GO_ON && plan->preempted >= plan->depth))
        return 0;
    if (plan->next == plan->branches_room) {
        size_t room = plan->branches_room == 0 ? 1024 : plan->branches_room * 2;
        struct branch *branches = realloc(plan->branches, room * sizeof *branches);

        if (branches == NULL)
            sim_crash("no memory for the branches of an exhaustive search");
        plan->branches = branches;
        plan->branches_room = room;
    }
    branch = &plan->branches[plan->next];
    if (plan->next == plan->known) {
        *branch = (struct branch){0, ways};
        plan->known++;
    }
    if (branch->ways != ways)
        sim_crash("the test depends on more than the schedule: it does not repeat");
    plan->next++;
    plan->preempted += kind == SIM_GO_ON && branch->way != 0;
    return branch->way;
}

static unsigned by_list(enum sim_kind kind, unsigned ways, struct sim_thread *const *ready)
{
    uint64_t own = own_steps();
    const struct sim_choice *entry = next_entry(own);
    unsigned offset = kind == SIM_GO_ON;

    if (entry == NULL || entry->at != own)
        return 0;
    if (kind == SIM_DRAW)
        return entry->way < ways ? entry->way : 0;
    for (unsigned i = 0; i + offset < ways; i++)
        if (ready[i] != NULL ? ready[i]->index + 1 == entry->way : entry->way == SIM_TIME)
            return i + offset;
    return 0; /* of a list that was shortened: what it meant is not there */
}

unsigned sim_decide(enum sim_kind kind, unsigned ways, struct sim_thread *const *ready)
{
    const struct sim_thread *chosen = NULL;
    uint64_t step;
    unsigned way = 0;

    if (kind != SIM_GO_ON)
        lw_sim_countdown--; /* a point has counted itself */
    step = sim_plan_steps();
    if (step > plan->steps_max)
        sim_fail(LW_SIM_ENDLESS, "%llu steps, and no end", (unsigned long long)plan->steps_max);
    switch (plan->strategy) {
    case SIM_BY_RANDOM:
        way = by_random(kind, ways, ready);
        break;
    case SIM_BY_PCT:
        way = by_pct(kind, ways, ready, step);
        break;
    case SIM_BY_EXHAUSTION:
        way = by_branch(kind, ways);
        break;
    case SIM_BY_LIST:
        way = by_list(kind, ways, ready);
        break;
    case SIM_PLAINLY:
        break;
    }
    if (kind != SIM_DRAW && way + (kind == SIM_PICK) > 0)
        chosen = ready[way - (kind == SIM_GO_ON)];
    if (way != 0)
        note(step, way, chosen, kind == SIM_GO_ON && chosen == NULL);
    if (kind == SIM_GO_ON || plan->strategy == SIM_BY_LIST)
        ask_again(step);
    return way;
}

void sim_plan_leaves(struct sim_thread *thread)
{
    thread->steps += sim_plan_steps() - thread->since;
    if (thread->state != SIM_READY)
        thread->turn = thread->steps;
}

void sim_plan_comes(struct sim_thread *thread)
{
    thread->since = sim_plan_steps();
    if (plan->strategy == SIM_BY_LIST)
        ask_again(thread->since);
}

unsigned sim_choose(unsigned count)
{
    return count > 1 && sim_world->current != NULL ? sim_decide(SIM_DRAW, count, NULL) : 0;
}

bool sim_chance(unsigned one_in)
{
    if (one_in == 0 || sim_world->current == NULL)
        return false;
    if (plan->strategy == SIM_BY_EXHAUSTION) {
        lw_sim_countdown--; /* a list counts it */
        return false;
    }
    /* As a decision of two ways, so that a list says it, but not an even one. */
    if (plan->strategy == SIM_BY_RANDOM || plan->strategy == SIM_BY_PCT) {
        uint64_t step;

        lw_sim_countdown--;
        step = sim_plan_steps();
        if (draw_of(one_in) != 0)
            return false;
        note(step, 1, NULL, false);
        return true;
    }
    return sim_decide(SIM_DRAW, 2, NULL) != 0;
}

void sim_plan_new_thread(struct sim_thread *thread)
{
    thread->priority = PRIORITY_FIRST + (plan->strategy == SIM_BY_PCT ? draw() >> 8 : 0);
}

void sim_plan_spins(struct sim_thread *thread)
{
    if (plan->strategy == SIM_BY_PCT)
        thread->priority = --plan->lowest;
}

/* Some loops of the library neither wait nor spin: they look elsewhere while another is at it.  On
 * a machine that other one gets the CPU sooner or later, so it does here.  A turn does not begin
 * anew when others come in between: who is woken again and again would keep all others out. */
bool sim_plan_turn_is_over(void)
{
    struct sim_thread *me = sim_world->current;
    uint64_t now = sim_plan_steps();

    if (own_steps() - me->turn < TURN_STEPS)
        return false;
    me->steps += now - me->since;
    me->since = now;
    me->turn = me->steps;
    ask_again(now);
    return true;
}

void sim_plan_in_test(bool in_test)
{
    plan->in_test = in_test;
    ask_again(sim_plan_steps());
}

/* ---- beginning */

bool sim_plan_init(void)
{
    plan = calloc(1, sizeof *plan);
    return plan != NULL;
}

static void plan_changes(uint64_t expected)
{
    unsigned count = plan->depth > 1 ? plan->depth - 1 : 0;

    plan->changes_count = count < CHANGES_MAX ? count : CHANGES_MAX;
    plan->changes_done = 0;
    plan->lowest = PRIORITY_FIRST;
    for (unsigned i = 0; i < plan->changes_count; i++) {
        uint64_t step = 1 + draw() % (expected > 0 ? expected : 1);
        unsigned at = i;

        for (; at > 0 && plan->changes[at - 1] > step; at--)
            plan->changes[at] = plan->changes[at - 1];
        plan->changes[at] = step;
    }
}

void sim_plan_begin(enum sim_strategy strategy, uint64_t seed, unsigned depth, uint64_t steps_max,
                    uint64_t expected, const struct sim_choices *list)
{
    plan->strategy = strategy;
    plan->random = seed * UINT64_C(0xd1342543de82ef95) + UINT64_C(0x2545f4914f6cdd1d);
    plan->depth = depth;
    plan->steps_max = steps_max;
    plan->hash = UINT64_C(0x6c617463687726);
    plan->noted.count = 0;
    plan->too_many = false;
    plan->in_test = false;
    plan->preempted = 0;
    plan->next = 0;
    plan->list = list;
    memset(plan->list_next, 0, sizeof plan->list_next);
    if (strategy == SIM_BY_RANDOM) {
        plan->mean = UINT64_C(1) << (1 + draw_of(9));
        plan->haste = draw_of(2) == 0 ? 0 : 1u << (4 + draw_of(8));
    }
    if (strategy == SIM_BY_PCT)
        plan_changes(expected);
    plan->asked_at = 0;
    ask_again(0);
}

bool sim_plan_next_branch(void)
{
    while (plan->known > 0) {
        struct branch *last = &plan->branches[plan->known - 1];

        if (++last->way < last->ways)
            return true;
        plan->known--;
    }
    return false;
}

void sim_plan_forget_branches(void)
{
    plan->known = 0;
}
