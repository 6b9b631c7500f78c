/* SPDX-License-Identifier: MIT */
/* lw_defaults: the process's, and those of each runtime that has set its own.
 *
 * The latter are in a block that hangs on the runtime and is freed with it; it comes with the first
 * set.  A block is read and written under its guard, bit 0 of its word; the one number that is read
 * often is a word as well.
 *
 * [D1] a runtime's block, filled -> who finds it: CAS release -> load acquire.
 * [D2] section to section: GUARD dropped by release -> taken by CAS acquire. */
#include "primitives/defaults.h"

#include <errno.h>
#include <float.h>

#include "primitives/number.h"
#include "runtime/fork.h"
#include "runtime/os/os.h"
#include "runtime/worker.h"

enum { GUARD = 1 };

#define OF_THE_LIBRARY                                                                             \
    {                                                                                              \
        .breaker = {.failures_max = 3, .trials_max = 5, .reset_after = 30 * LW_SEC},               \
        .throttle = {.rate_min = 0.01, .rate_max = 100, .window = 100, .ratio_high = 0.75,         \
                     .ratio_low = 0.25, .factor_up = 1.25, .factor_down = 0.75, .jitter = 0.2},    \
        .rate_limit_tokens = 1, .bounded_semaphore_bound = 1, .priority_semaphore_permits = 1,     \
        .priority = 0, .host = {LW_SEC, 100 * LW_MS, LW_FOREVER},                                  \
    }

struct block {
    uint64_t word;
    union lw_number tokens;
    lw_defaults values;
};

static const lw_defaults of_the_library = OF_THE_LIBRARY;
static struct block of_the_process = {.tokens = {1}, .values = OF_THE_LIBRARY};

static struct block *block_here(void)
{
    struct lw_worker *worker = lw_worker_here();
    struct block *own = NULL;

    if (worker != NULL)
        own = lw_load_acq(&worker->runtime->defaults); /* [D1] */
    return own != NULL ? own : &of_the_process;
}

void lw_get_defaults(lw_defaults *defaults)
{
    struct block *block = block_here();

    if (lw_forked()) {
        *defaults = of_the_library;
        return;
    }
    (void)lw_guard_take(&block->word, GUARD); /* [D2] */
    *defaults = block->values;
    lw_guard_drop(&block->word, GUARD); /* [D2] */
}

double lw_default_rate_limit_tokens(void)
{
    return lw_number_load(&block_here()->tokens.bits);
}

/* ---- set */

static bool is_duration(lw_nsec distance)
{
    return distance >= 0;
}

static bool is_count(int64_t number)
{
    return number >= 0 && number <= UINT32_MAX;
}

static bool are_sound(const lw_defaults *values)
{
    return lw_breaker_takes(&values->breaker) && lw_throttle_takes(&values->throttle) &&
           values->rate_limit_tokens > 0 && values->rate_limit_tokens <= DBL_MAX &&
           is_count(values->bounded_semaphore_bound) &&
           is_count(values->priority_semaphore_permits) && is_duration(values->host.force) &&
           is_duration(values->host.acquire) && is_duration(values->host.run);
}

static void fill(struct block *block, const lw_defaults *values)
{
    block->values = *values;
    lw_number_store(&block->tokens.bits, values->rate_limit_tokens);
}

/* Give the runtime a block of its own, with these values; 1: another task has just done so. */
static int give_own(struct lw_runtime *runtime, const lw_defaults *values)
{
    struct block *own = lw_sys.calloc(1, sizeof *own);
    void *none = NULL;

    if (own == NULL)
        return -ENOMEM;
    fill(own, values);
    if (lw_cas_rel(&runtime->defaults, &none, (void *)own)) /* [D1] */
        return 0;
    lw_sys.free(own);
    return 1;
}

int lw_set_defaults(const lw_defaults *defaults)
{
    struct lw_worker *worker = lw_worker_here();
    struct block *block = block_here();
    int err = 1;

    if (defaults == NULL || !are_sound(defaults))
        return -EINVAL;
    if (lw_forked())
        return -ECHILD;
    if (worker != NULL && block == &of_the_process)
        err = give_own(worker->runtime, defaults);
    if (err <= 0)
        return err;
    block = block_here();
    (void)lw_guard_take(&block->word, GUARD); /* [D2] */
    fill(block, defaults);
    lw_guard_drop(&block->word, GUARD); /* [D2] */
    return 0;
}
