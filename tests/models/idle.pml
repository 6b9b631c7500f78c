/* SPDX-License-Identifier: MIT */
/* How workers fall asleep and are woken: runtime/worker.c, the final stage, in which a sleeper has
 * no time limit.  W workers, G threads that push ITEMS each; the asymmetric fence makes the
 * accesses on both sides sequentially consistent, so the model is.
 *
 * Holds: when nothing moves any more, nothing is queued.
 *
 * Mutants, each of which must fail:
 * -DNO_RECHECK      a sleeper does not look again after it said that it sleeps
 * -DGIVE_UP         a waker that met nobody asleep does not look who fell asleep meanwhile
 * -DKEEP_SEARCHING  a searcher goes to sleep without saying that it searches no more */
#ifndef W
#define W 2
#endif
#ifndef G
#define G 2
#endif
#ifndef ITEMS
#define ITEMS 1
#endif

mtype = { awake, asleep, woken };

byte queue;
byte sleeping, searching;
mtype state[W] = awake;
bool bell[W];

/* Somebody pushed; make one who sleeps a searcher. */
inline wake_a_worker()
{
    do
    :: true ->
        atomic {
            if
            :: searching == 0 -> searching = 1
            :: else -> break
            fi
        };
        i = 0;
        do
        :: i < W ->
            atomic {
                if
                :: state[i] == asleep -> state[i] = woken; break
                :: else -> i++
                fi
            }
        :: else -> break
        od;
        if
        :: i < W -> sleeping--; bell[i] = 1; break
        :: else -> searching--
        fi;
#ifdef GIVE_UP
        break;
#endif
        i = 0;
        do
        :: i < W && state[i] != asleep -> i++
        :: else -> break
        od;
        if
        :: i == W -> break
        :: else -> skip
        fi
    od
}

inline maybe_wake()
{
    if
    :: sleeping != 0 ->
        if
        :: searching == 0 -> wake_a_worker()
        :: else -> skip
        fi
    :: else -> skip
    fi
}

proctype worker(byte me)
{
    byte i;
    bool searches;

look:
    if
    :: !searches && searching == 0 -> searching++; searches = 1 /* more than one may */
    :: else -> skip
    fi;
    atomic {
        if
        :: queue > 0 -> queue--
        :: else -> goto sleep
        fi
    };
    if
    :: searches ->
        searches = 0;
        atomic {
            searching--;
            if
            :: searching != 0 -> goto look
            :: else -> skip
            fi
        };
        if
        :: queue > 0 -> maybe_wake()
        :: else -> skip
        fi
    :: else -> skip
    fi;
    goto look;

sleep:
    state[me] = asleep;
    sleeping++;
#ifndef KEEP_SEARCHING
    if
    :: searches -> searches = 0; searching--
    :: else -> skip
    fi;
#endif
#ifndef NO_RECHECK
    if
    :: queue == 0 ->
#endif
end_sleep:
        atomic { bell[me] -> bell[me] = 0 }
#ifndef NO_RECHECK
    :: else -> skip
    fi;
#endif
    atomic {
        if
        :: state[me] == woken -> searches = 1; state[me] = awake; goto look
        :: else -> state[me] = awake
        fi
    };
    sleeping--;
    goto look
}

proctype pusher()
{
    byte i, n;

    do
    :: n < ITEMS -> n++; queue++; maybe_wake()
    :: else -> break
    od
}

proctype monitor()
{
    timeout -> assert(queue == 0)
}

init
{
    byte t;

    atomic {
        for (t : 0 .. W - 1) { run worker(t) }
        for (t : 1 .. G) { run pusher() }
        run monitor()
    }
}
