/* SPDX-License-Identifier: MIT */
/* Leaving a stack: runtime/sched.c.  A task is queued by whoever wins its wait, maybe before it has
 * left its stack; sp[t] is 0 as long as it stands on it, and is stored by the switch after it has
 * left.  W workers run T tasks, which park and wake each other; a plain thread wakes WAKES times.
 *
 * Holds: a task is in the queue at most once, and on one CPU at most; and the only way to come to
 * rest is that all tasks are parked and the workers wait on their own stacks.
 *
 * Mutants, each of which must fail:
 * -DSPIN   a worker waits for a task's stack while it stands on its own task's
 * -DEARLY  sp is stored before the stack is left
 * -DTWICE  a wake does not decide by a compare-and-swap */
#ifndef W
#define W 2
#endif
#ifndef T
#define T 3
#endif
#ifndef WAKES
#define WAKES 3
#endif
#define NOBODY 15

bool waiting[T];            /* the wait word: somebody may win it */
bool sp[T];                 /* not 0: it has left its stack */
byte on_cpu[T];             /* workers that stand on its stack */
byte queued[T];
chan queue = [T] of { byte };

inline put(t)
{
    queued[t]++;
    assert(queued[t] == 1);
    queue!t
}

/* One step: the win and the queueing are two in the code, but nobody else may do the second. */
inline wake(t)
{
#ifdef TWICE
    if
    :: waiting[t] -> atomic { waiting[t] = 0; put(t) }
    :: else -> skip
    fi
#else
    atomic {
        if
        :: waiting[t] -> waiting[t] = 0; put(t)
        :: else -> skip
        fi
    }
#endif
}

inline take(t)
{
    atomic { queue?t; queued[t]-- }
}

inline stand_on(t)
{
    atomic { on_cpu[t]++; assert(on_cpu[t] == 1) }
}

/* The switch from `old` is over: publish, last. */
inline leave(t)
{
#ifdef EARLY
    sp[t] = 1;
    on_cpu[t]--
#else
    on_cpu[t]--;
    sp[t] = 1
#endif
}

proctype worker()
{
    byte me = NOBODY, to, k;

end_idle:                               /* on the worker's own stack: waiting is harmless */
    take(to);
    if
    :: sp[to] -> sp[to] = 0; me = to; stand_on(me)
    :: else -> atomic { put(to) }; goto end_idle
    fi;

on_task:
    if
    :: select (k : 0 .. T - 1);            /* wake another */
       if
       :: k != me -> wake(k)
       :: else -> skip
       fi;
       goto on_task
    :: waiting[me] = 1                     /* park: from here on others may queue it */
    fi;
pick:
    if
    :: atomic { nempty(queue) -> queue?to; queued[to]-- }
       if
       :: to == me -> goto on_task             /* woken before it left */
       :: else -> skip
       fi;
#ifdef SPIN
       sp[to]
#else
       if
       :: sp[to] -> skip
       :: else ->                          /* back with it, and another; or away from here */
          atomic { put(to) };
          if
          :: goto pick
          :: goto go_idle
          fi
       fi
#endif
    :: empty(queue) -> goto go_idle
    fi;
    sp[to] = 0;
    k = me;
    me = to;
    leave(k);
    stand_on(me);
    goto on_task;

go_idle:
    k = me;
    me = NOBODY;
    leave(k);
    goto end_idle
}

proctype guest()
{
    byte k, n;

    do
    :: n < WAKES -> n++; select (k : 0 .. T - 1); wake(k)
    :: else -> break
    od
}

init
{
    byte t;

    atomic {
        for (t : 0 .. T - 1) { sp[t] = 1; put(t) }
        for (t : 1 .. W) { run worker() }
        run guest()
    }
}
