/* SPDX-License-Identifier: MIT */
/* The words ctl and peer: the end of a task against those who join, detach and cancel it, over
 * LIVES lives of one slot (runtime/ctl.h, peer.h, join.c, task.c).
 *
 * The task of each life ends; two others have a handle of the first life, and each does one of:
 * join (the second one's wait may end otherwise), detach, cancel, all in as many steps as the code
 * has.  As soon as the record is given back it is spawned anew, so whoever is late meets another
 * life.
 *
 * Holds: a record is given back once in each life; a join that succeeds has the status of its own
 * life; nothing is done to a later life; a joiner whose wait nobody ends otherwise does not wait
 * for ever; a task that was neither joined nor detached is left for them.
 *
 * Mutants, each of which must fail:
 * -DBLIND_END      the end makes DONE of whatever was there (by a swap)
 * -DREAP_TWICE     who finds DONE does not compete for the record by ending the life
 * -DNO_GENERATION  a request is made without comparing the generation
 * -DFORGET         an expired joiner does not take its claim back
 * -DANY_WAIT       the end claims the joiner's wait without asking which one it is */
#ifndef LIVES
#define LIVES 2
#endif

mtype = { none, done, detached, joiner, done_for };

byte life = 1, ended_life;   /* ctl: the generation; LIVE as long as the record is not free */
byte requests;               /* in ctl */
mtype peer = none;
byte peer_life = 1;          /* NONE carries the generation */
byte peer_who, peer_wait;    /* of a joiner: who, in which wait */
byte status;
byte freed;                  /* lives that were given back */

byte wait_seq[2];
bool waiting[2], granted[2];
bool detached_ok, joined_ok;

/* End that life: exactly one of all who try does. */
inline end_life(which, won)
{
    atomic {
        if
        :: life == which -> life++; requests = 0; won = 1
        :: else -> won = 0
        fi
    }
}

/* The record goes to a free list, and is taken from it by the next spawn. */
inline put(which)
{
    atomic {
        freed++;
        assert(freed == which);
        if
        :: which < LIVES -> peer = none; peer_life = which + 1; peer_who = 0; peer_wait = 0
        :: else -> skip
        fi
    }
}

/* The tasks of all lives, one after the other. */
active proctype task()
{
    byte mine = 1;
    mtype was;
    byte who, in_wait;
    bool won;

end:
    do
    :: mine <= LIVES && life == mine && freed == mine - 1 ->
        status = mine;
#ifdef BLIND_END
        atomic {
            was = peer; who = peer_who; in_wait = peer_wait;
            if
            :: peer == joiner -> peer = done_for
            :: else -> peer = done
            fi
        };
#else
        atomic {
            was = peer; who = peer_who; in_wait = peer_wait;
            if
            :: peer == joiner -> peer = done_for
            :: peer == none -> peer = done
            :: else -> skip
            fi
        };
#endif
        if
        :: was == detached ->
            life = mine + 1;                        /* a store */
            put(mine)
        :: was == joiner ->
            atomic {
                if
#ifdef ANY_WAIT
                :: waiting[who] -> assert(!granted[who]); waiting[who] = 0; granted[who] = 1
#else
                :: waiting[who] && wait_seq[who] == in_wait -> waiting[who] = 0; granted[who] = 1
#endif
                :: else -> skip
                fi
            }
        :: else -> skip
        fi;
        mine++
    od
}

/* Who found DONE, or DONE(him). */
inline reap(ok)
{
    value = status;
#ifdef REAP_TWICE
    atomic { ok = (life == 1) };
    if
    :: ok -> life = 2
    :: else -> skip
    fi;
#else
    end_life(1, ok);
#endif
    if
    :: ok -> put(1)
    :: else -> skip
    fi
}

inline join()
{
    if
    :: life != 1 -> skip                            /* -ESRCH */
    :: else ->
        atomic { was = peer; was_life = peer_life };
        if
        :: life != 1 || was == detached || was == done_for || was == joiner -> skip
        :: was == done -> reap(ok)
        :: else ->
            d_step { wait_seq[n]++; waiting[n] = 1; granted[n] = 0 };
            atomic {
                was = peer;
                if
                :: peer == none && peer_life == 1 ->
                    peer = joiner; peer_who = n; peer_wait = wait_seq[n]; claimed = 1
                :: else -> claimed = 0
                fi
            };
            if
            :: !claimed ->
                waiting[n] = 0;                     /* lw_wait_abort() */
                if
                :: was == done -> reap(ok)
                :: else -> skip
                fi
            :: else ->
                if
                :: granted[n] -> skip
                :: atomic { n == 1 && waiting[n] -> waiting[n] = 0 };   /* it ended otherwise */
                    expired = 1
                fi;
                if
                :: expired ->
#ifdef FORGET
                    claimed = 1;
#else
                    atomic {
                        if
                        :: peer == joiner && peer_who == n && peer_wait == wait_seq[n] ->
                            peer = none; peer_life = 1; claimed = 0
                        :: else -> skip
                        fi
                    }
#endif
                :: else -> skip
                fi;
                if
                :: expired && !claimed -> skip      /* told so */
                :: else -> assert(peer == done_for && peer_who == n); reap(ok); assert(ok)
                fi;
                granted[n] = 0
            fi
        fi
    fi;
    if
    :: ok -> assert(value == 1 && !joined_ok && !detached_ok); joined_ok = 1
    :: else -> skip
    fi
}

inline detach()
{
    if
    :: life != 1 -> skip
    :: else ->
        atomic { was = peer };
        if
        :: life != 1 || was == detached || was == done_for || was == joiner -> skip
        :: else ->
            atomic {
                was = peer;
                if
                :: peer == none && peer_life == 1 -> peer = detached; detached_ok = 1
                :: else -> skip
                fi
            };
            if
            :: was == done -> reap(ok)
            :: else -> skip
            fi
        fi
    fi
}

inline cancel()
{
    if
    :: life != 1 -> skip
    :: else ->
        atomic {
            if
#ifdef NO_GENERATION
            :: true -> assert(life == 1); requests++
#else
            :: life == 1 -> requests++
#endif
            :: life != 1 -> skip
            fi
        }
    fi
}

proctype other(byte n)
{
    mtype was;
    byte was_life, value;
    bool ok, claimed, expired;

    if
    :: true -> join()
    :: true -> detach()
    :: true -> cancel()
    fi;
    /* Its next wait, which nobody of then may end. */
    d_step { wait_seq[n]++; waiting[n] = 1 };
    atomic { assert(!granted[n]); waiting[n] = 0 }
}

active proctype monitor()
{
    timeout ->
        assert(!waiting[0] && !waiting[1]);
        assert(freed == life - 1);
        assert(freed >= 1 || peer == done)          /* nobody came for it */
}

init
{
    atomic { run other(0); run other(1) }
}
