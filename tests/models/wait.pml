/* SPDX-License-Identifier: MIT */
/* The wait word: who ends a wait (runtime/wait_word.h), the whole table: a waker, a timer and a
 * canceller, and a locksmith who claims the wait, looks, and puts it back or ends it by force.
 *
 * One task waits WAITS times for an object; each wait is in the object's queue until a waker or the
 * task takes it out.  What the task stores to begin its wait goes through a store buffer: others
 * see it later, unless a fence or a read-modify-write waits for that.  (The canceller's store is
 * itself a read-modify-write.)  GRAPH: the wait begins ARMED.  GUEST: the waiter is a plain thread
 * that looks at the word, and is not cancelled.
 *
 * Holds:
 * - a wait that ended was made runnable exactly once, unless the task ended it itself;
 * - what a waker gave away arrived: each grant is a wait that ended as granted;
 * - a cancel ends one wait, or is still due, and one that was withdrawn ends none;
 * - when nothing moves any more nobody waits who was cancelled, or whose time has passed, or for
 *   whom there is something; and no wait stays claimed.
 *
 * Mutants, each of which must fail:
 * -DNO_LIGHT     the task does not fence between its wait and the look at its requests
 * -DNO_LOOK      the task does not look at its requests when it begins to wait
 * -DKEEP         a canceller whose compare-and-swap failed does not give the requests back
 * -DONCE         ... and does not look again
 * -DBLIND_GRANT  a waker does not ask whether the wait has ended otherwise
 * -DDROP         a locksmith who puts a wait back forgets what became due meanwhile
 * -DEARLY_COUNT  the task notes how many requests it took before it has ended the wait (CANCELS=2)
 * -DCLAIM_BLIND  a task that begins to wait, is cancelled and finds its wait claimed does no more
 * -DSTEAL        a timer ends a wait that a waker delivers to */
#ifndef WAITS
#define WAITS 2
#endif
#ifndef CANCELS
#define CANCELS 1
#endif

mtype = { idle, armed, waiting, claimed, granting, ended };
mtype = { granted, timedout, cancelled, forced, none };

/* The word as others see it, and as the task has just stored it. */
mtype phase = idle, outcome = none;
byte seq;
bool timeout_due, cancel_due; /* with claimed */
bool buffered;                /* the publication is still in the task's store buffer */

byte fresh, taken;            /* requests in ctl; those that the one who ends the wait has taken */
bool queued;                  /* the task's node is in the object's queue */
byte runnable;                /* how often it was made so */
byte units = 1;               /* what the waker has to give */
byte got, delivered, withdrawn, requests, answered;
bool guard, late, overdue;    /* the time of the last wait has passed */
bool parked;

#define can_end (phase == armed || phase == waiting)
#define can_grant (can_end || phase == claimed)

inline make_ready()
{
#ifdef GUEST
    skip                                            /* it looks at the word */
#else
    atomic { assert(runnable == 0); runnable++ }
#endif
}

inline finish_as(how)
{
    phase = ended; outcome = how; timeout_due = 0; cancel_due = 0
}

active proctype task()
{
    byte n, count;
    bool own;

    do
    :: n < WAITS ->
        n++;
        atomic { !guard -> guard = 1 };
        buffered = 1;                               /* the word, the queue, the guard */
        own = 0;
#ifdef GRAPH
        atomic {                                    /* a read-modify-write: the buffer is empty */
            !buffered;
            if
            :: phase == armed -> phase = waiting
            :: else -> skip
            fi
        };
#endif
#ifndef NO_LIGHT
        !buffered;
#endif
#ifndef NO_LOOK
look:
        count = 0;
        if
        :: fresh > 0 && (buffered || phase != ended && phase != granting) ->
            atomic { count = fresh; fresh = 0 };
            if
            :: count > 0 ->
#ifdef EARLY_COUNT
                taken = count;
#endif
                atomic {
                    if
                    :: !buffered && phase == waiting -> finish_as(cancelled); own = 1
                    :: else -> skip
                    fi
                };
                if
                :: own -> taken = count
                :: else ->
                    fresh = fresh + count;
#ifdef EARLY_COUNT
                    taken = 0;
#endif
#ifndef CLAIM_BLIND
                    atomic {                        /* the locksmith does it */
                        if
                        :: phase == claimed -> cancel_due = 1
                        :: phase == waiting -> goto look
                        :: else -> skip
                        fi
                    }
#endif
                fi;
                count = 0
            :: else -> skip
            fi
        :: else -> skip
        fi;
#endif
        if
        :: own -> skip
        :: else ->
            parked = 1;
end_park:
#ifdef GUEST
            atomic { !buffered && phase == ended -> parked = 0 }
#else
            atomic { runnable > 0 -> parked = 0; runnable-- }
#endif
        fi;
        assert(phase == ended && runnable == 0);
        if
        :: outcome == granted -> got++; assert(got == delivered)
        :: outcome == cancelled -> assert(taken > 0); answered = answered + taken; taken = 0
        :: else -> skip
        fi;
        if
        :: outcome != granted ->
            atomic { !guard -> guard = 1 };
            queued = 0;
            guard = 0
        :: else -> skip
        fi;
        overdue = 0
    :: else -> break
    od;
    late = 1
}

/* The task's store buffer; a fence of its own would be to wait for it. */
active proctype buffer()
{
end:
    do
    :: atomic {
           buffered ->
#ifdef GRAPH
           phase = armed;
#else
           phase = waiting;
#endif
           outcome = none; seq++; queued = 1; guard = 0; buffered = 0
       }
    od
}

active proctype waker()
{
    bool mine;

    do
    :: units > 0 ->
        atomic { !guard -> guard = 1 };
        mine = 0;
        atomic {
            if
            :: queued ->
                queued = 0;
                if
#ifdef BLIND_GRANT
                :: true -> phase = granting; mine = 1
#else
                :: can_grant -> phase = granting; timeout_due = 0; cancel_due = 0; mine = 1
                :: else -> skip
#endif
                fi
            :: else -> skip
            fi
        };
        if
        :: mine -> delivered++; units--
        :: else -> skip
        fi;
        guard = 0;
        if
        :: mine ->
            atomic { assert(phase == granting); finish_as(granted) };
            make_ready()
        :: else -> break                            /* nobody waits: it comes no more */
        fi
    :: else -> break
    od
}

/* The time of a wait passes, and the wheel looks at it: again, if it was claimed or changed. */
active proctype timer()
{
    byte at;

    do
    :: atomic { can_end || phase == claimed -> overdue = 1; at = seq };
        atomic {
            if
            :: at == seq && can_end -> finish_as(timedout); make_ready()
            :: at == seq && phase == claimed -> timeout_due = 1
#ifdef STEAL
            :: at == seq && phase == granting -> finish_as(timedout); make_ready()
#endif
            :: else -> skip
            fi
        };
        break
    :: late -> break
    :: true -> break                                /* or it does not pass */
    od
}

/* After a request, or after requests were given back, and a heavy fence: end the wait there is. */
inline cancel_wait()
{
    do
    :: atomic { can_end -> at = seq };
        atomic { count = fresh; fresh = 0 };
        if
        :: count == 0 -> break
        :: else -> skip
        fi;
        atomic {
            if
            :: at == seq && can_end -> finish_as(cancelled); mine = 1
            :: else -> mine = 0
            fi
        };
        if
        :: mine -> taken = count; make_ready(); break
        :: else -> skip
        fi;
#ifndef KEEP
        fresh = fresh + count;
#endif
#ifdef ONCE
        break;
#endif
        skip
    :: atomic { phase == claimed -> cancel_due = 1 }; break
    :: atomic { !can_end && phase != claimed -> break }
    od
}

#ifndef GUEST                                       /* which is not cancelled */
active [CANCELS] proctype canceller()
{
    byte at, count;
    bool mine;

    atomic { fresh++; requests++ };                 /* and a heavy fence: */
    cancel_wait()
}

/* lw_uncancel() */
active proctype withdrawer()
{
    atomic {
        if
        :: fresh > 0 -> fresh--; withdrawn++
        :: true -> skip
        fi
    }
}
#endif

/* Claims a wait once, looks, and puts it back, or ends it by force. */
active proctype locksmith()
{
    bool mine;
    byte count, at;

    atomic {
        if
        :: phase == waiting -> phase = claimed; mine = 1
        :: true -> skip
        fi
    };
    if
    :: mine ->
        if
        :: atomic {                                 /* by force */
               if
               :: phase == claimed -> finish_as(forced); make_ready()
               :: else -> skip                      /* a waker came through */
               fi
           }
        :: do                                       /* back, with what became due */
           :: atomic { phase != claimed -> break }
           :: atomic { phase == claimed && !timeout_due && !cancel_due -> phase = waiting; break }
#ifdef DROP
           :: atomic { phase == claimed && (timeout_due || cancel_due) ->
                  timeout_due = 0; cancel_due = 0; phase = waiting; break }
#else
           :: atomic { phase == claimed && timeout_due -> finish_as(timedout); make_ready(); break }
           /* First the mark, then the look: what is given back after it is marked again. */
           :: atomic { phase == claimed && cancel_due && !timeout_due -> cancel_due = 0 };
               atomic { count = fresh; fresh = 0 };
               if
               :: count > 0 ->
                   atomic {
                       if
                       :: phase == claimed -> finish_as(cancelled); taken = count; make_ready();
                          mine = 0
                       :: else -> fresh = fresh + count
                       fi
                   };
                   if
                   :: mine -> cancel_wait()         /* it was too late: as any canceller */
                   :: else -> skip
                   fi;
                   break
               :: else -> skip                      /* it was withdrawn, or is in another's hands */
               fi
#endif
           od
        fi
    :: else -> skip
    fi
}

/* When nothing moves any more. */
active proctype monitor()
{
    timeout ->
        assert(!buffered);
        assert(got == delivered);
        if
        :: parked ->
            assert(phase == waiting);               /* nobody has it in hand */
            assert(fresh == 0);
            assert(!overdue)
        :: else -> assert(late)
        fi;
        assert(requests == answered + withdrawn + fresh)
}
