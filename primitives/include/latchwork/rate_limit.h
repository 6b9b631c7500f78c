/* SPDX-License-Identifier: MIT */
/* An lw_rate_limit is a bucket of tokens that fills by itself, at so many a second, up to its
 * capacity: over any time t, capacity + rate * t tokens can be taken, and no more.  It is full at
 * the beginning.
 *
 *     static lw_rate_limit mails;
 *
 *     err = lw_rate_limit_init(&mails, "mails", 10.0, 50.0, 0);   // 10 a second, 50 at once
 *     ...
 *     err = lw_rate_limit_acquire(&mails, 1.0, lw_in(LW_SEC));
 *
 * Waiters are served strictly in order, and one that wants much holds back those behind it, and who
 * comes by, until it has it.  A limit that is LW_RATE_LIMIT_UNFAIR serves the newest one first, and
 * who comes by may take what others wait for.
 *
 * Tokens are nobody's, and no wait for them is part of a deadlock: time ends it.  As a lock
 * (lw_acquire(), LW_WITH on its member lock) a limit takes the default amount, one token, and gives
 * it back at the end.
 *
 * The algorithm is the token bucket (Turner, 1986), filled when it is looked at; whoever waits
 * first sleeps until it will be full enough, and nobody else keeps the time.  Amounts are doubles:
 * what is granted is right to a relative 1e-15 for each grant, and no grant comes more than that
 * too early. */
#ifndef LATCHWORK_RATE_LIMIT_H
#define LATCHWORK_RATE_LIMIT_H

#include <latchwork/mutex.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LW_RATE_LIMIT_UNFAIR 1u

typedef struct lw_rate_limit {
    lw_lock lock;

    /* What fills the bucket instead of the rate; may be set between init and first use.  Called
     * before every acquire, release and set_rate, and when one that waits looks again, by one
     * caller at a time (under a mutex): there were so many tokens so many nanoseconds ago, and it
     * returns how many there are now, which the capacity bounds; negative or NaN: as many.  It may
     * read the limit, but not use it, and may not wait.  One that waits still looks when the rate
     * says so. */
    double (*refill)(const struct lw_rate_limit *limit, double tokens, lw_nsec elapsed);

    double _rate, _capacity, _tokens, _default;
    lw_nsec _at;
    lw_mutex _refilling;
} lw_rate_limit;

LW_API extern const lw_lock_kind lw_rate_limit_kind;

/* Make a full bucket.  capacity 0: as much as a second brings.  flags: 0 or LW_RATE_LIMIT_UNFAIR.
 * Returns 0; -EINVAL: a number that is negative, infinite or NaN; other flags.
 * Anyone.  Never switches. */
LW_API LW_MUST_CHECK int lw_rate_limit_init(lw_rate_limit *limit, const char *name,
                                            double tokens_per_second, double capacity,
                                            uint32_t flags);

/* Take so many tokens, all at once or none; more than the capacity: once it is raised.
 * Returns 0; -EINVAL: none, fewer or NaN of them were asked for, or a zeroed limit.  Of a limit
 * with a refill, with LW_NOW, also -ETIMEDOUT while somebody else is in it, and -EDEADLK in it.
 * Anyone.  May switch task.  Cancellation point. */
LW_API LW_MUST_CHECK int lw_rate_limit_acquire(lw_rate_limit *limit, double tokens,
                                               lw_nsec deadline);

/* Add so many tokens, up to the capacity, and serve who waits.  Returns 0; -EINVAL as above;
 * -EDEADLK: in the limit's own refill.
 * Anyone, whether it acquired or not.  Never switches, but to wait for somebody in a refill. */
LW_API int lw_rate_limit_release(lw_rate_limit *limit, double tokens);

/* Whether an acquire of the default amount now would wait.  Anyone; a snapshot. */
LW_API bool lw_rate_limit_locked(const lw_rate_limit *limit);

/* Change the rate, from now on; 0: nothing comes by itself.  A rate above the capacity raises that
 * to it, a lower one leaves it as it is.
 * Returns 0; -EINVAL: negative, infinite or NaN, or a zeroed limit.
 * Anyone.  Never switches, but to wait for somebody in a refill. */
LW_API int lw_rate_limit_set_rate(lw_rate_limit *limit, double tokens_per_second);

/* The present numbers.  tokens is at most the capacity; with a refill: as it left them.
 * Anyone; snapshots. */
LW_API double lw_rate_limit_rate(const lw_rate_limit *limit);
LW_API double lw_rate_limit_capacity(const lw_rate_limit *limit);
LW_API double lw_rate_limit_tokens(const lw_rate_limit *limit);

#ifdef __cplusplus
}
#endif
#endif
