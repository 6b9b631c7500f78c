/* SPDX-License-Identifier: MIT */
/* The word of a group: `running`, with the group's own unit, which the first waiter takes away and
 * the last child brings back (runtime/group.c).
 *
 * CHILDREN end; the owner waits for them, perhaps in vain the first time (a deadline), and another
 * waits, too.  When both have been told that nobody runs, the group's memory is gone.
 *
 * Holds: nobody touches the group after that; who waits without a deadline is woken; running and
 * WAITED are in the end what they were without children.
 *
 * Mutants, each of which must fail:
 * -DTOUCH      the last child wakes the waiters before it drops the guard
 * -DLEAVE_SET  a waiter that leaves in vain gives the unit back though others wait
 * -DNO_UNIT    a waiter does not take the unit away
 * -DCLAIM_ALL  the last child does not ask who still waits
 *
 * (That who leaves in vain gives the unit back at all is for lw_group_running(): the last child
 * would.) */
#ifndef CHILDREN
#define CHILDREN 2
#endif

short running = CHILDREN;
bool guard, waited;
bool queued[2], granted[2], claimed[2];
bool timed[2];              /* its wait has ended in vain */
byte users = 2;             /* who may still use the group */

inline touch()
{
    assert(users > 0)
}

inline take_guard()
{
    atomic { !guard -> touch(); guard = 1 }
}

inline drop_guard()
{
    atomic { touch(); assert(guard); guard = 0 }
}

active [CHILDREN] proctype child()
{
    bool last;

    atomic {                                        /* count_out() */
        if
        :: running != 0 -> touch(); running--
        :: running == 0 && !guard -> touch(); waited = 0; guard = 1; last = 1
        fi
    };
    if
    :: last ->
        d_step {
            claimed[0] = queued[0] && !timed[0];
            claimed[1] = queued[1] && !timed[1];
#ifdef CLAIM_ALL
            claimed[0] = queued[0];
#endif
            queued[0] = 0;
            queued[1] = 0
        };
#ifndef TOUCH
        drop_guard();
#endif
        if
        :: claimed[0] -> granted[0] = 1
        :: else -> skip
        fi;
        if
        :: claimed[1] -> granted[1] = 1
        :: else -> skip
        fi;
#ifdef TOUCH
        drop_guard();
#endif
    :: else -> skip
    fi
}

#define is_over (running == 0 && !waited && !guard)

/* One wait: told: nobody runs. */
inline wait_group(in_vain)
{
    told = 0;
    if
    :: atomic { is_over -> touch(); told = 1 }
    :: atomic { !is_over -> touch() };
        take_guard();
        atomic {
            if
            :: waited -> queued[me] = 1
            :: !waited && running == 0 -> told = 1
            :: !waited && running != 0 ->
#ifndef NO_UNIT
                running--;
#endif
                waited = 1; queued[me] = 1
            fi
        };
        drop_guard();
        if
        :: told -> skip
        :: else ->
            if
            :: granted[me] -> told = 1
            :: atomic { in_vain && !claimed[me] -> timed[me] = 1 };
                take_guard();
                if
                :: queued[me] ->
                    queued[me] = 0;
#ifdef LEAVE_SET
                    atomic { running++; waited = 0 }
#else
                    atomic {
                        if
                        :: !queued[0] && !queued[1] -> running++; waited = 0
                        :: else -> skip
                        fi
                    }
#endif
                :: else -> skip                     /* the last child has taken it out */
                fi;
                drop_guard();
                assert(!granted[me]);
                timed[me] = 0
            fi;
            granted[me] = 0;
            claimed[me] = 0
        fi
    fi
}

active [2] proctype waiter()
{
    byte me = _pid - CHILDREN;
    bool told;

    if
    :: me == 0 -> wait_group(true)
    :: else -> skip
    fi;
    if
    :: told -> skip
    :: else -> wait_group(false)
    fi;
    assert(told);
    users--
}

active proctype monitor()
{
    timeout -> assert(users == 0 && running == 0 && !waited && !guard)
}
