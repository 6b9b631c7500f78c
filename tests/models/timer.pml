/* SPDX-License-Identifier: MIT */
/* [W4] Lazy timers: runtime/timer_node.h.  A task waits WAITS times, each time with a deadline and
 * perhaps ended otherwise; its one node stays linked and is looked at by an expiry.
 *
 * Time: 0 to WAITS.  Deadlines only grow: the n-th wait is until n, and the expiry of time t takes
 * out a node that is due at t.  The task's stores of the wait word and the expiry's of timer_when
 * go through store buffers of one entry each.
 *
 * Holds: no wait ends by a timeout before its time; and when nothing moves any more and time is up,
 * no wait with a deadline is left.
 *
 * Mutants, each of which must fail:
 * -DNO_LIGHT  the task does not fence between its wait and the look at its node
 * -DNO_HEAVY  the expiry does not fence between its store and the second look at the wait
 * -DNO_LOOK   ... does not look a second time
 * -DSTALE     ... ends a wait by the deadline of the one before */
#ifndef WAITS
#define WAITS 3
#endif
#define NONE 9

byte now;
byte wait, deadline;        /* number of the wait there is, 0: none; as memory has it */
byte own_wait;              /* in the task's store buffer; 0: empty */
byte when = NONE;           /* when the node is due, as memory has it */
bool none_buffered;         /* NONE is in the expiry's store buffer */
bool linked, guard, running, done;
byte linked_at;
bool resumed, others; /* the wait is ended otherwise */

active proctype task()
{
    byte n;

    do
    :: n < WAITS ->
        n++;
        own_wait = n;                               /* deadline n */
#ifndef NO_LIGHT
        own_wait == 0;
#endif
        if
        :: when <= n -> skip                        /* linked early enough */
        :: else ->
            atomic { !guard && own_wait == 0 -> guard = 1 };
            d_step { linked = 1; linked_at = n; when = n };
            guard = 0
        fi;
        if
        :: n < WAITS -> atomic { own_wait == 0 -> others = 1 }
        :: others = 0
        fi;
        if
        :: atomic { others && own_wait == 0 && wait == n -> wait = 0 }
        :: atomic { resumed -> resumed = 0 }
        fi
    :: else -> break
    od;
    done = 1
}

active proctype task_buffer()
{
end:
    do
    :: atomic { own_wait != 0 -> wait = own_wait; deadline = own_wait; own_wait = 0 }
    od
}

active proctype expiry_buffer()
{
end:
    do
    :: atomic { none_buffered -> none_buffered = 0; when = NONE }
    od
}

active proctype clock()
{
    do
    :: now < WAITS -> now++
    :: else -> break
    od
}

active proctype expiry()
{
    byte seen, due;

end:
    do
    :: atomic { linked && linked_at <= now && !guard -> guard = 1; linked = 0 };
        seen = wait;
        due = deadline;
        none_buffered = 1;
        if
        :: seen != 0 && due <= now ->
            atomic {                                /* a read-modify-write: the buffer is empty */
                !none_buffered;
                if
#ifdef STALE
                :: wait != 0 ->
#else
                :: wait == seen ->
#endif
                    assert(wait <= now);
                    wait = 0;
                    resumed = 1;
                    seen = NONE
                :: else -> skip
                fi
            }
        :: else -> skip
        fi;
        if
        :: seen == NONE -> skip
        :: else ->
#ifndef NO_HEAVY
            !none_buffered;
#endif
#ifndef NO_LOOK
            seen = wait;
            if
            :: seen != 0 -> !none_buffered; d_step { linked = 1; linked_at = seen; when = seen }
            :: else -> skip
            fi
#endif
        fi;
        atomic { !none_buffered -> guard = 0 }
    od
}

active proctype monitor()
{
    timeout -> assert(done && now == WAITS)
}
