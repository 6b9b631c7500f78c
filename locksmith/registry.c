/* SPDX-License-Identifier: MIT */
/* Reading the registry: see registry.h. */
#include "locksmith/registry.h"

/* Waits that say it; of others it is that of a wait before. */
static bool has_owner(uint8_t kind)
{
    return kind == LW_WAIT_LOCK || kind == LW_WAIT_SHARED || kind == LW_WAIT_UPGRADE ||
           kind == LW_WAIT_UNITS || kind == LW_WAIT_ONCE;
}

/* Relaxed, and of whatever life: whether it means anything is asked afterwards. */
static void copy(const struct lw_record *record, const struct lw_cold *cold,
                 struct lw_waiter *waiter)
{
    uint32_t copied;

    waiter->kind = lw_load_rlx(&cold->kind);
    waiter->object = lw_load_rlx(&cold->object);
    waiter->owner = has_owner(waiter->kind) ? lw_load_rlx(&cold->owner) : 0;
    waiter->target = waiter->kind == LW_WAIT_JOIN ? lw_load_rlx(&cold->target) : 0;
    waiter->object_name = lw_load_rlx(&cold->object_name);
    waiter->site = lw_load_rlx(&cold->site);
    waiter->deadline = lw_load_rlx(&cold->deadline);
    waiter->since = lw_load_rlx(&cold->since);
    waiter->units = waiter->kind == LW_WAIT_UNITS ? lw_load_rlx(&cold->units) : 0;
    waiter->guest = lw_record_is_guest(record);
    waiter->nheld = lw_load_rlx(&cold->nheld);
    waiter->holds_lost = lw_load_rlx(&cold->holds_lost);
    waiter->shields = lw_load_rlx(&cold->shields);
    copied = lw_hold_copy(cold, waiter->held, LW_REGISTRY_HOLDS);
    if (waiter->nheld < copied) /* it was handed some */
        waiter->nheld = copied;
}

enum lw_registry_look lw_registry_look(uint32_t slot, struct lw_waiter *waiter)
{
    const struct lw_record *record = &lw_records[slot];
    const struct lw_cold *cold = lw_record_cold(record);
    uint64_t ctl = lw_load_acq(&record->ctl);

    if ((ctl & LW_LIVE) == 0)
        return LW_REGISTRY_IDLE;
    waiter->wait = lw_load_acq(&cold->wait); /* [G1] */
    if (!lw_wait_is_blocked(waiter->wait))
        return LW_REGISTRY_IDLE;
    waiter->task = (lw_task){lw_record_id(record)};
    copy(record, cold, waiter);
    lw_fence_acq(); /* [W5] */
    return lw_recheck(!lw_wait_is_still(waiter->wait, lw_load_rlx(&cold->wait)))
               ? LW_REGISTRY_CHANGED
               : LW_REGISTRY_WAITS;
}

uint32_t lw_registry_walk(bool (*visit)(const struct lw_waiter *waiter, void *arg), void *arg)
{
    uint32_t slots = lw_registry_slots(), visited = 0;
    struct lw_waiter waiter;

    for (uint32_t slot = 0; slot < slots; slot++) {
        if (lw_registry_look(slot, &waiter) != LW_REGISTRY_WAITS)
            continue;
        visited++;
        if (!visit(&waiter, arg))
            break;
    }
    return visited;
}
