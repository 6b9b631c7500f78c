/* SPDX-License-Identifier: MIT */
/* The taking side of the injection stack.  See inject.h. */
#include "runtime/inject.h"

static struct lw_record *reversed(struct lw_record *chain)
{
    struct lw_record *out = NULL;

    while (chain != NULL) {
        struct lw_record *next = lw_load_rlx(&chain->next);

        lw_store_rlx(&chain->next, out);
        out = chain;
        chain = next;
    }
    return out;
}

unsigned lw_inject_take(struct lw_inject *inject, struct lw_record **taken, unsigned max)
{
    uint32_t nobody = 0;
    unsigned count = 0;
    struct lw_record *out;

    if (lw_inject_is_empty(inject) || !lw_cas_acq(&inject->taking, &nobody, 1)) /* [I2] */
        return 0;
    out = lw_load_rlx(&inject->out);
    while (count < max) {
        if (out == NULL)
            out = reversed(lw_swap_acq(&inject->in, NULL)); /* [I1] */
        if (out == NULL)
            break;
        taken[count++] = out;
        out = lw_load_rlx(&out->next);
    }
    lw_store_rlx(&inject->out, out);
    lw_store_rel(&inject->taking, 0); /* [I2] */
    return count;
}
