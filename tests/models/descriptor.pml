/* SPDX-License-Identifier: MIT */
/* The descriptor word: calls that enter, wait for an edge and leave, a close, and a number that is
 * used again as soon as it is closed (runtime/descriptor.c, readiness.c).
 *
 * R readers each make one call, which tries until there is something, or until it is told that the
 * descriptor is closed.  One event comes for the old file, unless it is closed before.  One may
 * close it; another may then get the same number for a new file, which always has something to
 * read.
 *
 * Holds: the number is closed once, and only while nobody is inside but who came in after the new
 * life had begun; a closer has no waiter left behind; an event of the old file is no edge of the
 * new one; when nothing moves any more no call is inside.
 *
 * Mutants, each of which must fail:
 * -DNO_COUNT      a call waits though an edge came since its try
 * -DNO_SECOND     no look at the waiters after close(2)
 * -DLIFE_LATER    the new life begins after close(2)
 * -DNO_TAG        an event does not say of which life it is
 * -DLEAVE_ALONE   who leaves last does not close
 * -DCLOSE_INSIDE  a close does not ask who is inside */
#ifndef R
#define R 2
#endif

/* The state word. */
bool guard, closing, born;
byte life, inside;
byte edges;
bool queued[R], woken[R];

byte file = 1;                  /* the kernel: what the number means, 0: nothing */
bool ready;                     /* the old file has something to read */
bool event, sent;               /* ... and that was reported */
byte event_life;
bool registered;
byte reg_life;
byte closes;
bool kept;                      /* nobody closes it */
bool old_inside[R];             /* in a call that entered in the old life */

#define take atomic { !guard -> guard = 1 }

inline edge()
{
    d_step {
        edges++;
        j = 0;
        do
        :: j < R ->
            if
            :: queued[j] -> queued[j] = 0; woken[j] = 1
            :: else -> skip
            fi;
            j++
        :: else -> break
        od;
        j = 0
    }
}

/* close(2), after which the number may be somebody else's at once. */
inline close_number()
{
    atomic {
        assert(file == 1);
        assert(!old_inside[0] && !old_inside[R - 1]);
        file = 0; registered = 0; closes++; assert(closes == 1)
    }
}

/* CLOSING, and nobody is inside. */
inline end_life()
{
    take;
    registered = 0;
    edge();
#ifndef LIFE_LATER
    d_step { life++; closing = 0; born = 0; guard = 0 };
#else
    guard = 0;
#endif
    close_number();
#ifdef LIFE_LATER
    take;
    d_step { life++; closing = 0; born = 0; guard = 0 };
#endif
#ifndef NO_SECOND
    take;
    edge();
    guard = 0
#endif
}

inline leave()
{
    atomic {
        inside--;
        old_inside[me] = 0;
        last = (closing && inside == 0)
    };
#ifdef LEAVE_ALONE
    last = 0;
#endif
    if
    :: last -> end_life()
    :: else -> skip
    fi
}

active [R] proctype reader()
{
    byte me = _pid, my_life, seen, j;
    bool in, last, over;

    atomic {                                        /* enter */
        if
        :: closing -> over = 1
        :: else -> inside++; my_life = life; in = 1; old_inside[me] = (life == 0)
        fi
    };
    do
    :: over -> break
    :: else ->
        seen = edges;
        if
        :: file == 0 -> over = 1                    /* EBADF */
        :: file == 1 && ready -> over = 1
        :: file == 2 -> over = 1
        :: file == 1 && !ready ->                   /* EAGAIN: lw_io_wait() */
            take;                                   /* arm() */
            guard = 0;
            atomic {                                /* epoll_ctl: what is ready is reported */
                if
                :: file == 1 -> registered = 1; reg_life = my_life;
                    if
                    :: ready && !sent -> event = 1; event_life = my_life; sent = 1
                    :: else -> skip
                    fi
                :: else -> skip
                fi
            };
            take;
            if
            :: closing || life != my_life -> over = 1; guard = 0
#ifndef NO_COUNT
            :: !closing && life == my_life && edges != seen -> guard = 0
            :: !closing && life == my_life && edges == seen ->
#else
            :: !closing && life == my_life ->
#endif
                queued[me] = 1;
                guard = 0;
                atomic { woken[me] -> woken[me] = 0 }
            fi
        fi
    od;
    if
    :: in -> leave()
    :: else -> skip
    fi;
    assert(!queued[me])
}

/* A byte comes for the old file, and the poller reports it. */
active proctype world()
{
    atomic {
        if
        :: file == 1 && registered -> ready = 1; event = 1; event_life = reg_life; sent = 1
        :: file == 1 && !registered -> ready = 1
        :: file != 1 -> skip
        fi
    }
}

active proctype poller()
{
    byte j;

end:
    do
    :: atomic { event -> event = 0 };
        take;
        if
#ifdef NO_TAG
        :: true -> assert(life == event_life || file != 2); edge()
#else
        :: life == event_life -> edge()
        :: else -> skip
#endif
        fi;
        guard = 0
    od
}

active proctype closer()
{
    byte j, me;
    bool last;

    if
    :: true -> skip
    :: true -> kept = 1; goto no_close
    fi;
    take;
    edge();
    atomic { closing = 1; inside++; guard = 0 };
    atomic { inside--; last = (inside == 0) };
#ifdef CLOSE_INSIDE
    last = 1;
#endif
    if
    :: last -> end_life()
    :: else -> skip
    fi;
no_close:
    skip
}

/* Gets the same number: lw_descriptor_birth(). */
active proctype opener()
{
    byte j;

    if
    :: true -> skip
    :: true -> goto no_open
    fi;
end:
    atomic { file == 0 -> file = 2 };
    take;
    edge();
    d_step { life++; born = 1; guard = 0 };
no_open:
    skip
}

active proctype monitor()
{
    timeout ->
        assert(inside == 0 && !guard);
        assert(kept || closes == 1);
        assert(file != 2 || born)
}
