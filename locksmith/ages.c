/* SPDX-License-Identifier: MIT */
/* What is found by the age of waits: holds that last, and waits that others overtake.
 *
 * Nothing can be claimed here, for the owner of a lock may run.  So nothing rests on one look: what
 * is said of a hold, or of a wait, is what several looks have seen.
 *
 *     LONG_HOLD  somebody has waited for `long_hold`; and one that does not wait for others has
 *                held what he waits for as long, the same hold at two looks at least
 *     STARVED    somebody waits, and has for twice as long; at PASSES looks there was a hold of
 *                what he waits for that was not there at the look before; and nobody has got it
 *                meanwhile who waits as long as he does
 *
 * What is waited for by some who wait for half of `long_hold`, at least, is watched: in a table,
 * by its key.  Where there is no room in it for another one it is left out; so this allocates
 * nothing, and what it costs does not depend on how much is held while nobody waits for long.
 *
 * The hold of one that runs is read while it may change.  One hold is the same as another by its
 * owner, its place and the millisecond in which it was taken.  Of permits that is not noted, and
 * whoever takes one again and again at one place seems to have kept it: there only an owner that
 * is blocked, in one and the same wait, is said to hold one for long.
 *
 * Ages are by the monotonic clock; of that only time that was watched counts (watched_time.c). */
#include "locksmith/ages.h"

#include <string.h>

#include "primitives/lock.h"

enum {
#ifdef LW_TINY
    WATCHED = 16,
#else
    WATCHED = 512,
#endif
    PROBES = 8,
    WAITERS_TOLD = 7,
    SIGHTS = 2,
    PASSES = 4,
    /* Waits that began so soon after each other may have come in either order. */
    SLACK_MS = 64,
    SOON_MS = 10,
    TICKS = 1 << (64 - LW_HOLD_TICK_SHIFT), /* of a hold's clock, until it wraps */
};

/* Who has it, of those who could give it back. */
struct holder {
    struct lw_record *record; /* NULL: none is known */
    uint64_t id;
    uint64_t wait; /* in which it is blocked; 0: it runs */
    struct lw_hold hold;
};

struct watched {
    uint64_t object;
    uint32_t round; /* of the look at which somebody waited for it last */
    uint32_t waiters;
    /* who waits longest */
    struct lw_waiting first, oldest; /* as the looks before have seen it; as this one does */
    uint32_t ahead, ahead_before; /* how many of those who wait came no later, it included */
    uint32_t looks, passes;
    bool there, first_told;
    /* who has it */
    struct holder holder, other;
    lw_nsec since;
    uint32_t sights;
    uint64_t holds, holds_before; /* a set of bits, of the hashes of all holds */
    bool held, fresh, hold_told;
};

static struct {
    struct watched table[WATCHED];
    struct watched *last; /* that was found */
    uint32_t round, noted;
} watch;

static uint32_t at_most(uint32_t value, uint32_t max)
{
    return value < max ? value : max;
}

static uint32_t age_of(const struct lw_ages *ages, uint32_t since)
{
    uint32_t age = ages->now_ms - since;

    return at_most(age <= INT32_MAX ? age : 0, ages->seen_ms);
}

/* ---- the table */

static bool is_contended(unsigned kind)
{
    return lw_modes_against(kind) != 0;
}

static uint64_t mix(uint64_t value)
{
    value *= UINT64_C(0x9e3779b97f4a7c15);
    return value ^ value >> 32;
}

/* It may be of this look, or of the one before. */
static bool is_current(const struct watched *it)
{
    return it->object != 0 && watch.round - it->round <= 1;
}

/* NULL: it is not there; *room: but could be (NULL: it could not). */
static struct watched *find(uint64_t object, struct watched **room)
{
    uint64_t at = mix(object);

    *room = NULL;
    if (watch.last != NULL && watch.last->object == object && is_current(watch.last))
        return watch.last;
    for (unsigned i = 0; i < PROBES; i++) {
        struct watched *it = &watch.table[(at + i) % WATCHED];

        if (!is_current(it))
            *room = *room != NULL ? *room : it;
        else if (it->object == object)
            return watch.last = it;
    }
    return NULL;
}

/* The first one of this look who waits for it. */
static void begin_round(struct watched *it)
{
    it->round = watch.round;
    it->waiters = 0;
    it->oldest.suspect.record = NULL;
    it->ahead_before = it->ahead;
    it->holds_before = it->holds;
    it->ahead = 0;
    it->holds = 0;
    it->there = it->held = it->fresh = false;
    it->other.record = NULL;
    watch.noted++;
}

/* ---- who waits */

void lw_ages_begin(struct lw_ages *ages, lw_nsec now, const lw_detector_options *options)
{
    *ages = (struct lw_ages){.now = now,
                             .now_ms = (uint32_t)(now / LW_MS),
                             .hold_ms = lw_in_ms(options->long_hold),
                             .wait_ms = lw_in_ms(options->long_wait),
                             .next_ms = UINT32_MAX};
    lw_watched_time(now, options, &ages->seen_ms, &ages->waits_seen_ms);
    for (unsigned kind = 0; kind < LW_WAIT_KINDS; kind++) {
        uint32_t hold = is_contended(kind) ? ages->hold_ms / 2 : UINT32_MAX;

        ages->ripe[kind] = at_most(lw_may_be_long(kind) ? ages->wait_ms : UINT32_MAX, hold);
    }
    watch.round++;
    watch.noted = 0;
    lw_long_waits_begin();
}

static void note_contended(uint32_t slot, uint64_t wait)
{
    struct lw_record *record = &lw_records[slot];
    const struct lw_cold *cold = lw_record_cold(record);
    uint64_t object = lw_load_rlx(&cold->object);
    uint32_t since = lw_load_rlx(&cold->since);
    struct watched *room, *it = find(object, &room);

    if (it == NULL && room != NULL) {
        it = room;
        *it = (struct watched){.object = object, .round = watch.round - 1};
    }
    if (it == NULL)
        return;
    if (it->round != watch.round)
        begin_round(it);
    it->waiters++;
    it->there |= it->first.suspect.record == record && it->first.suspect.wait == wait;
    it->ahead += (int32_t)(since - it->first.since) <= SLACK_MS;
    if (it->oldest.suspect.record == NULL || (int32_t)(since - it->oldest.since) < 0)
        it->oldest = (struct lw_waiting){{record, wait, 0, false}, since};
}

void lw_ages_note(struct lw_ages *ages, uint32_t slot, uint64_t wait, unsigned kind, uint32_t age)
{
    if (is_contended(kind))
        note_contended(slot, wait);
    if (!lw_may_be_long(kind) || !lw_long_waits_wants(slot))
        return;
    age = at_most(age, ages->waits_seen_ms);
    if (age >= ages->wait_ms)
        lw_long_waits_note(slot, wait, kind);
    else
        ages->next_ms = at_most(ages->next_ms, ages->wait_ms - age);
}

/* ---- who has it */

static bool is_same_hold(const struct holder *one, const struct holder *other)
{
    return one->record == other->record && one->id == other->id &&
           one->hold.lock == other->hold.lock && one->hold.site == other->hold.site &&
           (lw_hold_mode(&one->hold) != LW_HOLD_UNITS || one->wait == other->wait);
}

static void note_hold(struct watched *it, const struct holder *holder, bool is_blocked)
{
    uint64_t hash = mix(holder->id ^ mix(holder->hold.lock ^ mix(holder->hold.site)));
    uint64_t bit = UINT64_C(1) << (hash & 63);

    it->holds |= bit;
    it->fresh |= (it->holds_before & bit) == 0;
    if (is_blocked || (lw_hold_mode(&holder->hold) == LW_HOLD_UNITS && holder->wait == 0))
        return;
    if (it->holder.record != NULL && is_same_hold(&it->holder, holder)) {
        it->holder.wait = holder->wait;
        it->held = true;
    } else {
        it->other = *holder;
    }
}

static void look_at_holds_of(struct lw_record *record)
{
    const struct lw_cold *cold = lw_record_cold(record);
    struct lw_hold_look look = {.cold = cold};
    struct holder holder = {.record = record};
    bool is_blocked = false;
    unsigned kind;

    holder.wait = lw_load_acq(&cold->wait); /* [G1] */
    kind = lw_load_rlx(&cold->kind);
    if (!lw_wait_is_blocked(holder.wait))
        holder.wait = 0;
    else
        is_blocked = lw_is_in_graph(kind) && kind != LW_WAIT_CALL;
    holder.id = lw_load_rlx(&cold->id);
    while (lw_hold_look(&look, &holder.hold)) {
        struct watched *room, *it = find((uintptr_t)lw_hold_lock(&holder.hold), &room);

        if (it != NULL && it->round == watch.round && lw_hold_mode(&holder.hold) <= LW_HOLD_WAKER)
            note_hold(it, &holder, is_blocked);
    }
}

/* It lives, and has something. */
static bool may_hold(const struct lw_record *record)
{
    return (lw_load_rlx(&record->place) & (LW_PLACE_STACK | LW_PLACE_GUEST)) != 0 &&
           (lw_load_acq(&record->ctl) & LW_LIVE) != 0 && lw_has_any(record);
}

static void look_at_holds(void)
{
    uint32_t slots = lw_registry_slots();

    for (uint32_t slot = 0; slot < slots; slot++)
        if (may_hold(&lw_records[slot]))
            look_at_holds_of(&lw_records[slot]);
}

/* How old the hold is at least, when it is seen first.  A thread may have taken it while nobody
 * kept the coarse clock, and then it is not so old; but that was before others waited. */
static uint32_t age_at_sight(const struct lw_ages *ages, const struct holder *holder,
                             uint32_t waited)
{
    uint32_t age = 0, waits = 0;

    if (lw_hold_mode(&holder->hold) != LW_HOLD_UNITS)
        age = (ages->now_ms - (uint32_t)(holder->hold.site >> LW_HOLD_TICK_SHIFT)) % TICKS;
    if (age > TICKS - 1024) /* it was taken after the look had begun */
        age = 0;
    age = at_most(age, waited);
    if (holder->wait != 0)
        waits = age_of(ages, lw_load_rlx(&lw_record_cold(holder->record)->since));
    return age > waits ? age : waits;
}

static void note_holder(struct watched *it, const struct lw_ages *ages)
{
    if (it->held) {
        it->sights++;
        return;
    }
    it->holder = it->other;
    it->sights = 1;
    it->hold_told = false;
    if (it->holder.record != NULL)
        it->since = ages->now - LW_MS * (lw_nsec)age_at_sight(ages, &it->holder,
                                                              age_of(ages, it->oldest.since));
}

/* ---- what is told */

/* Who waits for the object, as its word says; false: it does not. */
static bool waits_for(struct lw_record *record, uint64_t object, struct lw_waiting *one)
{
    const struct lw_cold *cold = lw_record_cold(record);

    if ((lw_load_rlx(&record->place) & (LW_PLACE_STACK | LW_PLACE_GUEST)) == 0)
        return false;
    *one = (struct lw_waiting){{record, lw_load_acq(&cold->wait), 0, false}, /* [G1] */
                               lw_load_rlx(&cold->since)};
    return (one->suspect.wait & LW_PHASE_MASK) == LW_PHASE_WAITING &&
           lw_load_rlx(&cold->object) == object && is_contended(lw_load_rlx(&cold->kind));
}

static void find_longest(uint64_t object, struct lw_waiting longest[WAITERS_TOLD])
{
    uint32_t slots = lw_registry_slots();
    struct lw_waiting one;

    for (uint32_t slot = 0; slot < slots; slot++)
        if (waits_for(&lw_records[slot], object, &one))
            lw_longest_add(longest, WAITERS_TOLD, &one);
}

bool lw_is_held(uint64_t object)
{
    uint32_t slots = lw_registry_slots();

    for (uint32_t slot = 0; slot < slots; slot++)
        if (may_hold(&lw_records[slot]) &&
            lw_holds_against(lw_record_cold(&lw_records[slot]), object, ~0u) != 0)
            return true;
    return false;
}

/* The helper that works for the owner waits for a lock itself. */
static bool is_kept_by_call(const struct holder *holder)
{
    uint32_t slots = lw_registry_slots();
    const struct lw_cold *cold = lw_record_cold(holder->record);
    uint64_t job = lw_load_rlx(&cold->object);

    if (holder->wait == 0 || lw_load_rlx(&cold->kind) != LW_WAIT_CALL)
        return false;
    for (uint32_t slot = 0; slot < slots; slot++) {
        const struct lw_record *record = &lw_records[slot];
        const struct lw_cold *helper = lw_record_cold(record);

        if (lw_record_is_guest(record) && (uintptr_t)lw_load_rlx(&record->arg) == job &&
            lw_wait_is_blocked(lw_load_acq(&helper->wait)) &&
            lw_is_in_graph(lw_load_rlx(&helper->kind)))
            return true;
    }
    return false;
}

static void add_holder(const struct watched *it, const struct lw_ages *ages)
{
    const struct holder *holder = &it->holder;
    struct lw_suspect suspect = {holder->record, holder->wait, 0, false};

    if (holder->wait == 0 || !lw_verdict_add(&suspect, ages->now))
        lw_verdict_add_runner(holder->record);
    lw_verdict_add_hold(&holder->hold, NULL, it->since);
}

/* 0: its owner has ended, or they have all got it. */
static int tell_of_hold(struct watched *it, const struct lw_ages *ages,
                        const lw_detector_options *options)
{
    struct lw_waiting longest[WAITERS_TOLD] = {{{0}, 0}};
    struct lw_suspect told[WAITERS_TOLD];
    struct lw_long_hold found = {
        .owner = {it->holder.id}, .object = it->object, .waiters = told};

    if (lw_record_id(it->holder.record) != it->holder.id)
        return 0;
    found.report = lw_verdict_begin(LW_VERDICT_LONG_HOLD, ages->now);
    add_holder(it, ages);
    find_longest(it->object, longest);
    for (unsigned i = 0; i < WAITERS_TOLD && longest[i].suspect.record != NULL; i++)
        if (lw_verdict_add(&longest[i].suspect, ages->now))
            told[found.count++] = longest[i].suspect;
    if (found.count == 0)
        return 0;
    lw_verdict_note("told", it->waiters > found.count ? it->waiters - found.count : 0);
    it->hold_told = true;
    return lw_long_hold_decide(&found, options);
}

static int judge_hold(struct watched *it, struct lw_ages *ages, const lw_detector_options *options)
{
    uint32_t held, waited = age_of(ages, it->oldest.since), wanting = 0;

    if (it->holder.record == NULL || it->hold_told)
        return 0;
    held = at_most(lw_in_ms(ages->now - it->since), ages->seen_ms);
    if (it->sights < SIGHTS)
        wanting = SOON_MS;
    if (held < ages->hold_ms && ages->hold_ms - held > wanting)
        wanting = ages->hold_ms - held;
    if (waited < ages->hold_ms && ages->hold_ms - waited > wanting)
        wanting = ages->hold_ms - waited;
    if (wanting == 0)
        return is_kept_by_call(&it->holder) ? 0 : tell_of_hold(it, ages, options);
    ages->next_ms = at_most(ages->next_ms, wanting);
    return 0;
}

static int tell_of_starved(struct watched *it, const struct lw_ages *ages,
                           const lw_detector_options *options)
{
    (void)lw_verdict_begin(LW_VERDICT_STARVED, ages->now);
    if (!lw_verdict_add(&it->first.suspect, ages->now))
        return 0;
    if (it->holder.record != NULL)
        add_holder(it, ages);
    lw_verdict_note("others got it, again and again", 0);
    it->first_told = true;
    lw_verdict_tell(options);
    return 1;
}

static int judge_wait(struct watched *it, struct lw_ages *ages, const lw_detector_options *options)
{
    uint32_t waited = age_of(ages, it->first.since);

    if (!it->there) {
        it->first = it->oldest;
        it->looks = it->passes = 0;
        it->first_told = false;
        return 0;
    }
    if (it->looks++ == 0)
        return 0; /* those ahead of it were counted for the first time */
    if (it->ahead < it->ahead_before)
        it->passes = 0;
    else if (it->fresh && waited >= 2 * SLACK_MS)
        it->passes++;
    if (it->first_told || it->passes < PASSES || waited < 2 * ages->hold_ms)
        return 0;
    return tell_of_starved(it, ages, options);
}

int lw_ages_judge(struct lw_ages *ages, const lw_detector_options *options)
{
    int verdicts = lw_long_waits_judge(ages, options);

    if (watch.noted == 0)
        return verdicts;
    look_at_holds();
    for (unsigned i = 0; i < WATCHED; i++) {
        struct watched *it = &watch.table[i];

        if (it->object == 0 || it->round != watch.round)
            continue;
        note_holder(it, ages);
        verdicts += judge_hold(it, ages, options) + judge_wait(it, ages, options);
    }
    return verdicts;
}

void lw_ages_anew(void)
{
    memset(watch.table, 0, sizeof watch.table);
    lw_long_waits_anew();
}
