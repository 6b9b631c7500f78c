/* SPDX-License-Identifier: MIT */
/* [K1] How the tick thread falls asleep while all workers do, and is woken by the first that runs
 * again: runtime/tick.c, worker.c.  W workers sleep in their last stage and wake TIMES times (by
 * their own events); the store of each worker that says it is awake goes through a store buffer.
 *
 * Holds: a worker that goes on running is looked at: when nothing moves any more and one of them is
 * awake, the tick thread is not asleep.
 *
 * Mutants, each of which must fail:
 * -DNO_LIGHT   a worker does not fence between saying that it is awake and its look
 * -DNO_LOOK    the tick thread does not look at the workers again after it has said that it sleeps
 * -DLATE_SEEN  it reads its futex's word only then */
#ifndef W
#define W 2
#endif
#ifndef TIMES
#define TIMES 2
#endif

bool awake[W], buffered[W];  /* as memory has it; being awake is in the store buffer */
bool tick_asleep;
byte word;                   /* the futex */
bool sleeps;                 /* in it, for ever */
bool stays[W];               /* this worker runs from now on */

inline look_at_all()
{
    quiet = 1;
    i = 0;
    do
    :: i < W ->
        if
        :: awake[i] -> quiet = 0
        :: else -> skip
        fi;
        i++
    :: else -> break
    od
}

active proctype tick()
{
    byte seen, i;
    bool quiet;

end:
    do
    :: true ->
        seen = word;
        look_at_all();
        if
        :: quiet ->
            tick_asleep = 1;                        /* and a heavy fence: its own store is seen */
#ifndef NO_LOOK
            look_at_all();
#endif
#ifdef LATE_SEEN
            seen = word;
#endif
            if
            :: quiet && word == seen ->             /* as the futex compares it */
                sleeps = 1;
end_sleep:
                atomic { word != seen -> sleeps = 0 }
            :: else -> skip
            fi;
            tick_asleep = 0
        :: else ->
            /* a period passes; it is of no use to go on once somebody runs for ever */
            i = 0;
            do
            :: i < W && !stays[i] -> i++
            :: else -> break
            od;
            if
            :: i < W -> goto looked
            :: else -> skip
            fi
        fi
    od;
looked:
    skip
}

active [W] proctype worker()
{
    byte me = _pid - 1, n;

    do
    :: n < TIMES ->
        n++;
        buffered[me] = 1;
#ifndef NO_LIGHT
        !buffered[me];
#endif
        if
        :: tick_asleep -> tick_asleep = 0; atomic { !buffered[me]; word++ }
        :: else -> skip
        fi;
        !buffered[me];
        if
        :: n == TIMES -> stays[me] = 1; break
        :: n < TIMES -> awake[me] = 0               /* it sleeps in its last stage again */
        fi
    :: else -> break
    od
}

active [W] proctype buffer()
{
    byte me = _pid - 1 - W;

end:
    do
    :: atomic { buffered[me] -> buffered[me] = 0; awake[me] = 1 }
    od
}

active proctype monitor()
{
    byte i;

    timeout -> assert(!sleeps)
}
