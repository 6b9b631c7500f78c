/* SPDX-License-Identifier: MIT */
/* Why lw_event_set() of a set event is more than a look at it: primitives/event.c.
 *
 * One makes work and sets the event, which is set; the other clears it, looks for work, and waits
 * if there is none.  The maker's plain stores go through a store buffer, which an atomic
 * read-modify-write empties first: as much weakness as the machine has that this runs on.
 *
 * Holds: nobody waits for ever.  Mutant, which must fail:
 * -DLOOK  a set that finds the event set does nothing */
bool set = 1, made, buffered;

active proctype maker()
{
    buffered = 1; /* made = 1 */
    if
#ifdef LOOK
    :: set -> skip
#endif
    :: atomic { !buffered -> set = 1 }
    fi
}

active proctype store_buffer()
{
    atomic { buffered -> buffered = 0; made = 1 }
}

active proctype finder()
{
    set = 0;
    if
    :: made -> skip
    :: else -> set /* the wait */
    fi
}
