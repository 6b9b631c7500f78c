/* SPDX-License-Identifier: MIT */
/* Long waits for what nobody owns: an event, a channel, a condition ...
 *
 * Each is told of once, and nothing is kept of it: as time goes by, those that have just become
 * old enough began between two moments, of which the first is where the last look ended.
 *
 * Many may do so at once, such as all idle clients of a server.  So they are told of by place: one
 * report for all who wait at one place, with those in it that have waited longest.  Of more than
 * PLACES places at one look the rest is not told of. */
#include "locksmith/ages.h"

enum {
    PLACES = 16,
    MEMBERS_TOLD = 4,
};

struct place {
    const void *site;
    uint64_t object; /* of permits; else 0 */
    uint64_t count;
    struct lw_waiting longest[MEMBERS_TOLD];
    uint8_t kind;
    bool is_odd; /* nobody would wait there for long who has nothing to do */
};

static struct {
    struct place places[PLACES];
    unsigned count;
    uint32_t told_until; /* waits that began up to this moment have been told of; or ... */
    bool told;           /* ... none has */
} waits;

bool lw_may_be_long(unsigned kind)
{
    switch (kind) {
    case LW_WAIT_FUTEX:
    case LW_WAIT_UNITS:
    case LW_WAIT_EVENT:
    case LW_WAIT_CONDITION:
    case LW_WAIT_SEND:
    case LW_WAIT_RECEIVE:
    case LW_WAIT_LATCH:
    case LW_WAIT_BARRIER:
    case LW_WAIT_SELECT:
        return true;
    default:
        return false;
    }
}

/* What others have promised to come to; or others wait for what it has. */
static bool is_odd(const struct lw_cold *cold, unsigned kind)
{
    return kind == LW_WAIT_SEND || kind == LW_WAIT_LATCH || kind == LW_WAIT_BARRIER ||
           lw_load_rlx(&cold->nheld) != 0;
}

void lw_long_waits_begin(void)
{
    waits.count = 0;
}

void lw_long_waits_anew(void)
{
    waits.told = false;
}

/* NULL: there is no room. */
static struct place *place_of(const struct place *wanted)
{
    for (unsigned i = 0; i < waits.count; i++) {
        struct place *place = &waits.places[i];

        if (place->site == wanted->site && place->object == wanted->object &&
            place->kind == wanted->kind && place->is_odd == wanted->is_odd)
            return place;
    }
    if (waits.count == PLACES)
        return NULL;
    waits.places[waits.count] = *wanted;
    return &waits.places[waits.count++];
}

/* It has no deadline, and has not been told of. */
bool lw_long_waits_wants(uint32_t slot)
{
    const struct lw_cold *cold = lw_record_cold(&lw_records[slot]);

    return !(waits.told && (int32_t)(lw_load_rlx(&cold->since) - waits.told_until) <= 0) &&
           lw_load_rlx(&cold->deadline) == LW_FOREVER;
}

void lw_long_waits_note(uint32_t slot, uint64_t wait, unsigned kind)
{
    struct lw_record *record = &lw_records[slot];
    const struct lw_cold *cold = lw_record_cold(record);
    uint32_t since = lw_load_rlx(&cold->since);
    struct place *place;

    place = place_of(&(struct place){
        .site = lw_load_rlx(&cold->site),
        .object = kind == LW_WAIT_UNITS ? lw_load_rlx(&cold->object) : 0,
        .kind = (uint8_t)kind,
        .is_odd = is_odd(cold, kind),
    });
    if (place == NULL)
        return;
    lw_longest_add(place->longest, MEMBERS_TOLD,
                   &(struct lw_waiting){{record, wait, 0, false}, since});
    place->count++;
}

static int tell_of(struct place *place, lw_nsec now, const lw_detector_options *options)
{
    uint64_t told = 0;

    (void)lw_verdict_begin(LW_VERDICT_LONG_WAIT, now);
    for (unsigned i = 0; i < MEMBERS_TOLD && place->longest[i].suspect.record != NULL; i++)
        told += lw_verdict_add(&place->longest[i].suspect, now);
    if (told == 0)
        return 0;
    lw_verdict_note("told", place->count - told);
    if (!place->is_odd)
        lw_verdict_hush();
    lw_verdict_tell(options);
    return 1;
}

int lw_long_waits_judge(const struct lw_ages *ages, const lw_detector_options *options)
{
    int verdicts = 0;

    for (unsigned i = 0; i < waits.count; i++)
        if (waits.places[i].object == 0 || !lw_is_held(waits.places[i].object))
            verdicts += tell_of(&waits.places[i], ages->now, options);
    if (ages->waits_seen_ms >= ages->wait_ms) {
        waits.told_until = ages->now_ms - ages->wait_ms;
        waits.told = true;
    }
    return verdicts;
}
