/* SPDX-License-Identifier: MIT */
/* Requests to let go of a lock: from a locksmith, or the detector, to the lock's owner.  The
 * owner's side is <latchwork/force.h>, the protocol in request.c.
 *
 * A locksmith that means to force a lock claims it first, so that no other does at the same time,
 * then asks its owner, waits (force.c), and gives it back.  The detector asks and looks from time
 * to time:
 *
 *     err = lw_request_claim(lock, NULL, &request, NULL);
 *     if (err == 0) {
 *         err = lw_request_post(request, owner, NULL, lw_in(grace), lw_in(grace_max), NULL);
 *         ...                                     // later, as often as one likes
 *         lw_request_look(request, &news);        // news.answered, news.ended; or its time is up
 *         ...
 *         lw_request_give(request);
 *     }
 *
 * That the lock was let go of the detector sees by its own means.  Nothing here reads the lock. */
#ifndef LW_LOCKSMITH_REQUEST_H
#define LW_LOCKSMITH_REQUEST_H

#include <latchwork/force.h>

#include "runtime/record.h"

enum { LW_REQUESTS = 64, LW_REQUEST_TEXT = 128 };

struct lw_request;

/* Claim the lock for `smith` (NULL: the detector).  0; -EALREADY: it is claimed, *other says by
 * whom; -EAGAIN: LW_REQUESTS locks are; -ECHILD.  A smith that is told is kept (lw_smith_keep())
 * until the caller lets it go.  `other` may be NULL. */
int lw_request_claim(lw_lock *lock, lw_locksmith *smith, struct lw_request **request,
                     lw_locksmith **other);

/* Room for a text that goes with it, and outlives it: of LW_REQUEST_TEXT bytes. */
char *lw_request_text(struct lw_request *request);

/* Ask the owner.  until: the end of the grace; at_most: whatever it says.  It may be asked by a
 * smith, whose own task then is told of news, by the end of its present or next wait: -EDEADLK.
 * 0; -ESRCH: it has ended; -EALREADY: it is asked for another lock, *other as above. */
int lw_request_post(struct lw_request *request, uint64_t owner, const void *info, lw_nsec until,
                    lw_nsec at_most, lw_locksmith **other);

/* What has become of it. */
struct lw_request_news {
    lw_nsec until;   /* the end of the grace, as it is now */
    intptr_t value;
    lw_answer answer;
    int status;      /* ended: of the owner */
    bool answered;   /* since the last look, if it is LATER; and else for good */
    bool extended;   /* LATER was answered at some time, whatever has been since */
    bool ended;      /* the owner has; if the detector asks: with the lock */
};
void lw_request_look(struct lw_request *request, struct lw_request_news *news);

/* Nobody is asked any more, and no wait is ended for it; *news is the last there is, so that no
 * answer that was in time is missed.  Then the lock's claim is given back.  The first is part of
 * the second. */
void lw_request_close(struct lw_request *request, struct lw_request_news *news);
void lw_request_give(struct lw_request *request);

#endif
