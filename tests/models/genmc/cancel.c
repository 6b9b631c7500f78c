/* SPDX-License-Identifier: MIT */
/* A cancel against more than the one wait of wait.c, whose driver this is.
 *
 * AGAIN: a wait that ended otherwise is followed by one that only the cancel can end.  Holds: it
 * does.  SHIELDED: the wait is in a shield.  Holds: the cancel does not end it, and is still due.
 *
 * holds: -DSHIELDED
 * holds: -DWAKER -DAGAIN
 * fails: -DWAKER -DAGAIN -DNO_LIGHT
 * fails: -DSHIELDED -DWEAK_LOAD
 */
#include "wait.c"
