/* SPDX-License-Identifier: MIT */
/* Locks that are not released on some path, by one who ends then; and by one who lives on. */
#include "tests/corpus/stage.h"

/* Its notes do not have it: nobody will let go of it. */
static int keep(int number)
{
    HOLDS(lw_acquire(lock_of(number), LW_FOREVER) == 0);
    return 0;
}

static int return_early(struct player *me)
{
    TRY(keep(A));
    meet(me);
    return 0;
}

static int be_told(struct player *me)
{
    meet(me);
    HOLDS(lw_acquire(lock_of(A), LW_FOREVER) == -ENOTRECOVERABLE);
    return 0;
}

static int return_early_while_one_waits(struct player *me)
{
    TRY(keep(A));
    meet(me);
    until_waits(me, 1);
    return 0;
}

static int write_and_return_early(struct player *me)
{
    TRY(keep(WRITE));
    meet(me);
    return 0;
}

static int be_told_as_reader(struct player *me)
{
    meet(me);
    HOLDS(lw_acquire(lock_of(READ), LW_FOREVER) == -ENOTRECOVERABLE);
    return 0;
}

/* It goes on with other things, for ever. */
static int forget_it(struct player *me)
{
    TRY(take(me, A));
    meet(me);
    return lw_event_wait(&stage.events[0], LW_FOREVER);
}

static int want_it(struct player *me)
{
    meet(me);
    return take(me, A);
}

const struct kernel corpus_owners[] = {
    {.name = "moby#17176", .what = "returns early, without a release", .kind = RESOURCE,
     .says = OWNER, .abandons = true, .roles = {return_early, be_told}},
    {.name = "moby#7559", .what = "the same; two come after it", .kind = RESOURCE,
     .says = OWNER, .abandons = true, .roles = {return_early, be_told, be_told}},
    {.name = "grpc#795", .what = "the same, while one waits", .kind = RESOURCE,
     .says = OWNER, .abandons = true, .roles = {return_early_while_one_waits, be_told}},
    {.name = "grpc#3017", .what = "a writer returns early", .kind = RESOURCE,
     .says = OWNER, .abandons = true, .roles = {write_and_return_early, be_told_as_reader}},
    {.name = "moby#17176, alive", .what = "its owner waits for other things", .kind = RESOURCE,
     .says = NOT_SEEN, .members = 3, .tasks = 3, .roles = {forget_it, want_it}},
    {0},
};
