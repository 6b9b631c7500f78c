/* SPDX-License-Identifier: MIT */
/* The word of lw_mutex: barging, WOKEN, timed hand-over, a waiter that gives up, and the owner who
 * frees the mutex after its own release.  See primitives/mutex.c; sequentially consistent.
 *
 * T tasks acquire and release ROUNDS times; the last task's waits may end by a timeout.  Holds:
 *
 * - at most one task is inside;
 * - nobody sleeps for ever: a run ends with all tasks at their end (spin's invalid end states);
 * - nobody touches the mutex after the last one inside has released and freed it;
 * - no owner and a queue: WOKEN.
 *
 * Mutants, each of which must fail:
 * -DFORGET_WOKEN   one who is back and loses does not clear WOKEN
 * -DBLIND_RELEASE  the fast release ignores the flags
 * -DBARGE_GUARDED  barging ignores GUARD
 * -DGRANT_DEAD     a hand-over does not look whether the waiter still waits
 * -DGRANT_FREE     a hand-over leaves the mutex free
 * -DTOUCH          a release looks at the queue after the store that gives the mutex away */
#ifndef T
#define T 3
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif
#define NOBODY 7

mtype = { idle, armed, granted, retry, expired };

byte owner = NOBODY;
bool guard, woken, fair;
mtype wait[T] = idle;
byte queue[T], queued; /* queue[0] is the head */
byte inside, users = T;
bool freed;

#define QUEUED (queued > 0)

inline touch()
{
    assert(!freed)
}

inline take_guard()
{
    atomic { !guard -> touch(); guard = 1 }
}

/* The store that drops GUARD: the last touch. */
inline drop_guard()
{
    atomic {
        assert(guard);
        touch();
        assert(owner != NOBODY || !QUEUED || woken);
        guard = 0
    }
}

inline push_back(who)
{
    queue[queued] = who;
    queued++
}

inline push_front(who)
{
    i = queued;
    do
    :: i > 0 -> queue[i] = queue[i - 1]; i--
    :: else -> break
    od;
    queue[0] = who;
    queued++
}

inline unlink(who)
{
    i = 0;
    do
    :: i < queued && queue[i] != who -> i++
    :: else -> break
    od;
    if
    :: i < queued ->
        do
        :: i + 1 < queued -> queue[i] = queue[i + 1]; i++
        :: else -> break
        od;
        queued--;
        queue[queued] = 0
    :: else -> skip
    fi
}

inline enter()
{
    inside++;
    assert(inside == 1)
}

/* Pop waiters until one is claimed for `outcome`; heir: who, or NOBODY. */
inline claim(outcome)
{
    heir = NOBODY;
    do
    :: heir == NOBODY && QUEUED ->
        d_step { h = queue[0]; unlink(h) };
        atomic {
            if
#ifdef GRANT_DEAD
            :: outcome == granted -> wait[h] = outcome; heir = h
#endif
            :: wait[h] == armed -> wait[h] = outcome; heir = h
            :: else -> skip
            fi
        }
    :: else -> break
    od
}

inline acquire()
{
    back = 0;
    got = 0;
    gave_up = 0;
    do
    :: got || gave_up -> break
    :: else ->
        atomic {
            touch();
            if
#ifdef BARGE_GUARDED
            :: !back && owner == NOBODY -> owner = me; got = 1
#else
            :: !back && !guard && owner == NOBODY && (woken || !QUEUED) -> owner = me; got = 1
#endif
            :: else -> skip
            fi
        };
        if
        :: got -> skip
        :: else ->
            take_guard();
            if
#ifndef FORGET_WOKEN
            :: back -> woken = 0
#else
            :: back && owner == NOBODY -> woken = 0
#endif
            :: else -> skip
            fi;
            if
            :: owner == NOBODY -> owner = me; got = 1; drop_guard()
            :: else ->
                d_step {
                    wait[me] = armed;
                    if
                    :: back -> push_front(me)
                    :: else -> push_back(me)
                    fi
                };
                if
                :: back -> fair = 1; starving = 1 /* a millisecond has passed */
                :: starving = 0
                fi;
                drop_guard();
                if
                :: wait[me] != armed
                :: atomic { me == T - 1 && wait[me] == armed -> wait[me] = expired }
                fi;
                if
                :: wait[me] == granted -> got = 1
                :: wait[me] == retry -> back = 1
                :: wait[me] == expired ->
                    take_guard();
                    d_step {
                        h = queued;
                        unlink(me);
                        if
                        :: h != queued && starving -> fair = 0
                        :: else -> skip
                        fi
                    };
                    drop_guard();
                    gave_up = 1
                fi;
                d_step { wait[me] = idle; starving = 0 }
            fi
        fi
    od
}

inline release()
{
    inside--;
    atomic {
        touch();
        done = 0;
        if
#ifdef BLIND_RELEASE
        :: owner == me && !guard -> owner = NOBODY; done = 1
#else
        :: owner == me && !guard && (woken || !QUEUED) -> owner = NOBODY; done = 1
#endif
           freed = last
        :: else -> skip
        fi
    };
    if
    :: done -> skip
    :: else ->
        take_guard();
        assert(owner == me);
        if
        :: fair -> claim(granted); fair = 0
#ifdef GRANT_FREE
            ; owner = NOBODY
#else
            ; owner = heir
#endif
        :: else ->
            if
            :: woken -> skip
            :: else -> claim(retry); woken = (heir != NOBODY)
            fi;
            owner = NOBODY
        fi;
        atomic { drop_guard(); freed = last }
#ifdef TOUCH
        touch();
#endif
    fi
}

proctype task(byte me)
{
    byte n, i, h, heir;
    bool back, got, gave_up, starving, done, last, failed;

    do
    :: n < ROUNDS ->
        n++;
        acquire();
        if
        :: got ->
            enter();
            if
            :: n == ROUNDS && !failed -> users--; last = (users == 0)
            :: else -> skip
            fi;
            release()
        :: else -> failed = 1 /* keeps its claim on the mutex: then nobody frees it */
        fi
    :: else -> break
    od
}

init
{
    byte t;

    atomic {
        do
        :: t < T -> run task(t); t++
        :: else -> break
        od
    }
}
