/* SPDX-License-Identifier: MIT */
/* The laws of lw_bounded_semaphore.  Rows R262 to R271. */
#include "tests/primitives/bounded.h"

TestSuite(bounded_semaphore, .init = watchdog);

/* ---- never more than the bound */

enum { BOUND = 3 };

struct shared {
    lw_bounded_semaphore semaphore;
    int inside, most;
};

static void act_inside(struct member *member)
{
    struct shared *shared = member->crowd->object;

    for (int i = 0; i < 60; i++) {
        uint32_t permits = 1 + (uint32_t)(random_draw(&member->random) % BOUND);
        int err = lw_bounded_semaphore_acquire(&shared->semaphore, permits,
                                               random_deadline(member));

        if (err < 0) {
            cr_assert(is_interruption(err), "%d", err);
            continue;
        }
        cr_assert_leq(__atomic_add_fetch(&shared->inside, (int)permits, __ATOMIC_ACQ_REL),
                      shared->most);
        maybe_yield(member);
        cr_assert_geq(__atomic_sub_fetch(&shared->inside, (int)permits, __ATOMIC_ACQ_REL), 0);
        cr_assert_eq(lw_bounded_semaphore_release(&shared->semaphore, permits), 0);
    }
    cr_assert_eq(holds_of_caller(), 0);
}

static int crowds(void *arg)
{
    (void)arg;
    for (uint64_t seed = 1; seed <= (uint64_t)rounds(30); seed++) {
        struct shared shared = {.semaphore = LW_BOUNDED_SEMAPHORE_INIT("crowd", BOUND),
                                .most = BOUND};
        struct crowd crowd = {.tasks = 12,
                              .threads = 2,
                              .cancels = true,
                              .act = act_inside,
                              .object = &shared,
                              .seed = seed};

        crowd_run(&crowd);
        assert_idle(&shared.semaphore, BOUND);
    }
    return 0;
}

Test(bounded_semaphore, permits_are_conserved_when_waits_end_early)
{
    run_all(crowds, NULL);
}

/* R271: while the bound goes up and down, never more are inside than the largest of them. */
static void act_and_move(struct member *member)
{
    struct shared *shared = member->crowd->object;

    if (member->index != 0) {
        act_inside(member);
        return;
    }
    for (int i = 0; i < 200; i++) {
        int64_t bound = (int64_t)(random_draw(&member->random) % (uint64_t)(shared->most + 1));

        cr_assert_eq(lw_bounded_semaphore_set_bound(&shared->semaphore, bound), 0);
        maybe_yield(member);
    }
    cr_assert_eq(lw_bounded_semaphore_set_bound(&shared->semaphore, shared->most), 0);
}

static int moving_crowds(void *arg)
{
    (void)arg;
    for (uint64_t seed = 1; seed <= (uint64_t)rounds(30); seed++) {
        struct shared shared = {.semaphore = LW_BOUNDED_SEMAPHORE_INIT("moving", BOUND), .most = 5};
        struct crowd crowd = {
            .tasks = 10, .threads = 1, .act = act_and_move, .object = &shared, .seed = seed};

        crowd_run(&crowd);
        assert_idle(&shared.semaphore, 5);
    }
    return 0;
}

Test(bounded_semaphore, no_more_are_inside_than_the_largest_bound)
{
    run_all(moving_crowds, NULL);
}

/* ---- whose they are */

static int take_and_keep(void *arg)
{
    lw_bounded_semaphore *semaphore = arg;

    cr_assert_eq(lw_bounded_semaphore_release(semaphore, 1), -EPERM, "it has none");
    return 0;
}

static int own_permits(void *arg)
{
    lw_bounded_semaphore semaphore = LW_BOUNDED_SEMAPHORE_INIT("owned", 5);
    lw_task other;

    (void)arg;
    cr_assert_eq(lw_bounded_semaphore_release(&semaphore, 1), -EPERM, "R264");
    cr_assert_eq(lw_bounded_semaphore_acquire(&semaphore, 2, LW_NOW), 0);
    cr_assert_eq(lw_bounded_semaphore_acquire(&semaphore, 1, LW_NOW), 0);
    cr_assert_eq(lw_bounded_semaphore_acquire(&semaphore, 3, LW_NOW), -ETIMEDOUT);
    cr_assert_eq(held(&semaphore), 3);
    cr_assert_eq(lw_spawn(&other, take_and_keep, &semaphore, NULL), 0);
    cr_assert_eq(join_status(other), 0);
    cr_assert_eq(lw_bounded_semaphore_release(&semaphore, 4), -EPERM, "R264: more than it has");
    cr_assert_eq(held(&semaphore), 3);
    cr_assert_eq(lw_bounded_semaphore_release(&semaphore, 3), 0, "of two acquires at once");
    cr_assert_eq(lw_bounded_semaphore_release(&semaphore, 1), -EPERM, "R264");
    cr_assert_eq(holds_of_caller(), 0);
    assert_idle(&semaphore, 5);
    return 0;
}

Test(bounded_semaphore, permits_belong_to_who_acquired_them)
{
    run_all(own_permits, NULL);
}

Test(bounded_semaphore, a_plain_thread_owns_permits_like_a_task)
{
    lw_bounded_semaphore semaphore = LW_BOUNDED_SEMAPHORE_INIT(NULL, 2);

    cr_assert_eq(lw_bounded_semaphore_release(&semaphore, 1), -EPERM);
    cr_assert_eq(lw_bounded_semaphore_acquire(&semaphore, 2, LW_NOW), 0);
    cr_assert_eq(lw_bounded_semaphore_release(&semaphore, 1), 0);
    cr_assert_eq(lw_bounded_semaphore_release(&semaphore, 1), 0);
    cr_assert_eq(lw_bounded_semaphore_release(&semaphore, 1), -EPERM);
    assert_idle(&semaphore, 2);
}

/* Very many at once, between locks, and given back in parts. */
static int own_many(void *arg)
{
    lw_bounded_semaphore semaphore = LW_BOUNDED_SEMAPHORE_INIT("many", UINT32_MAX);
    lw_mutex before = {0}, after = {0};
    uint32_t left = 100000;

    (void)arg;
    cr_assert_eq(lw_mutex_acquire(&before, LW_NOW), 0);
    cr_assert_eq(lw_bounded_semaphore_acquire(&semaphore, left, LW_NOW), 0);
    cr_assert_eq(lw_mutex_acquire(&after, LW_NOW), 0);
    for (uint32_t part = 1; part < left; left -= part, part = part * 3 + 1) {
        cr_assert_eq(lw_bounded_semaphore_release(&semaphore, left + 1), -EPERM);
        cr_assert_eq(lw_bounded_semaphore_release(&semaphore, part), 0);
        cr_assert_eq(held(&semaphore), left - part);
    }
    cr_assert_eq(lw_bounded_semaphore_release(&semaphore, left), 0);
    cr_assert_eq(holds_of_caller(), 2, "the locks");
    cr_assert_eq(lw_mutex_release(&before), 0);
    cr_assert_eq(lw_mutex_release(&after), 0);
    cr_assert_eq(holds_of_caller(), 0);
    return 0;
}

Test(bounded_semaphore, a_task_may_have_very_many)
{
    run_all(own_many, NULL);
}

/* As many as one entry of the holds can say, and one less and one more. */
static int own_an_entry(void *arg)
{
    lw_bounded_semaphore semaphore = LW_BOUNDED_SEMAPHORE_INIT("entry", UINT32_MAX);

    (void)arg;
    for (uint32_t units = LW_HOLD_UNITS_MAX - 1; units <= LW_HOLD_UNITS_MAX + 1; units++) {
        cr_assert_eq(lw_bounded_semaphore_acquire(&semaphore, units, LW_NOW), 0);
        cr_assert_eq(holds_of_caller(), units > LW_HOLD_UNITS_MAX ? 2 : 1);
        cr_assert_eq(lw_bounded_semaphore_release(&semaphore, units + 1), -EPERM);
        cr_assert_eq(lw_bounded_semaphore_release(&semaphore, units), 0);
        cr_assert_eq(holds_of_caller(), 0);
        assert_idle(&semaphore, UINT32_MAX);
    }
    return 0;
}

Test(bounded_semaphore, an_entry_of_the_holds_says_so_many_and_no_more)
{
    run_all(own_an_entry, NULL);
}

static int use_zeroed(void *arg)
{
    lw_bounded_semaphore semaphore = {0};
    lw_bounded_semaphore gate = LW_BOUNDED_SEMAPHORE_INIT("codes", 1);

    (void)arg;
    cr_assert_eq(lw_bounded_semaphore_acquire(&semaphore, 1, LW_FOREVER), -EINVAL);
    cr_assert_eq(lw_bounded_semaphore_release(&semaphore, 1), -EINVAL);
    cr_assert_eq(lw_bounded_semaphore_set_bound(&semaphore, 1), -EINVAL);
    cr_assert_eq(lw_bounded_semaphore_acquire(&gate, 0, LW_FOREVER), -EINVAL);
    cr_assert_eq(lw_bounded_semaphore_release(&gate, 0), -EINVAL);
    cr_assert_eq(lw_bounded_semaphore_set_bound(&gate, -1), -EINVAL, "R265");
    cr_assert_eq(lw_bounded_semaphore_set_bound(&gate, INT64_C(1) << 32), -EINVAL);
    cr_assert_eq(lw_bounded_semaphore_bound(&gate), 1, "R265: the old one stays");
    cr_assert_eq(lw_owner(&gate.lock).id, 0);
    assert_idle(&gate, 1);
    return 0;
}

Test(bounded_semaphore, misuse_has_its_code_and_changes_nothing)
{
    run_all(use_zeroed, NULL);
}

/* ---- the bound */

struct entry {
    lw_bounded_semaphore *semaphore;
    int *count;
    bool inside;
    lw_event leave;
};

static int enter(void *arg)
{
    struct entry *entry = arg;
    int err = lw_bounded_semaphore_acquire(entry->semaphore, 1, LW_FOREVER);

    if (err < 0)
        return err;
    entry->inside = true;
    (void)__atomic_add_fetch(entry->count, 1, __ATOMIC_RELEASE);
    cr_assert_eq(lw_event_wait(&entry->leave, LW_FOREVER), 0);
    return lw_bounded_semaphore_release(entry->semaphore, 1);
}

struct gate {
    lw_bounded_semaphore semaphore;
    struct entry entries[5];
    lw_task tasks[5];
    int count, waiting; /* entries 0 .. waiting - 1 have come, `count` have been let in */
};

static void come(struct gate *gate)
{
    struct entry *entry = &gate->entries[gate->waiting];

    *entry = (struct entry){.semaphore = &gate->semaphore, .count = &gate->count};
    gate->tasks[gate->waiting++] = start_waiter(enter, entry);
}

static void await_inside(struct gate *gate, int count)
{
    AWAIT(__atomic_load_n(&gate->count, __ATOMIC_ACQUIRE) >= count);
    for (int i = 0; i < 10; i++)
        lw_yield();
    cr_assert_eq(__atomic_load_n(&gate->count, __ATOMIC_ACQUIRE), count);
    for (int i = 0; i < count; i++)
        cr_assert(gate->entries[i].inside, "R263, R266: those who came first");
}

static void all_leave(struct gate *gate)
{
    for (int i = 0; i < gate->waiting; i++)
        lw_event_set(&gate->entries[i].leave);
    for (int i = 0; i < gate->waiting; i++)
        cr_assert_eq(join_status(gate->tasks[i]), 0, "R269");
    cr_assert_eq(lw_bounded_semaphore_release(&gate->semaphore, 1), -EPERM, "R269: one more");
}

static int raise_it(void *arg)
{
    struct gate gate = {.semaphore = LW_BOUNDED_SEMAPHORE_INIT("raised", 1)};

    (void)arg;
    for (int i = 0; i < 5; i++)
        come(&gate);
    await_inside(&gate, 1);
    cr_assert_eq(lw_bounded_semaphore_set_bound(&gate.semaphore, 3), 0);
    await_inside(&gate, 3); /* R266: exactly two more */
    cr_assert(is_waiting(gate.tasks[3]) && is_waiting(gate.tasks[4]));
    all_leave(&gate);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(lw_bounded_semaphore_acquire(&gate.semaphore, 1, LW_NOW), 0, "R267");
    cr_assert_eq(lw_bounded_semaphore_acquire(&gate.semaphore, 1, LW_NOW), -ETIMEDOUT, "R267");
    cr_assert_eq(lw_bounded_semaphore_release(&gate.semaphore, 3), 0);
    assert_idle(&gate.semaphore, 3);
    return 0;
}

Test(bounded_semaphore, raising_the_bound_lets_in_as_many_in_order)
{
    run_all(raise_it, NULL);
}

static int lower_it(void *arg)
{
    struct gate gate = {.semaphore = LW_BOUNDED_SEMAPHORE_INIT("lowered", 3)};

    (void)arg;
    for (int i = 0; i < 5; i++)
        come(&gate);
    await_inside(&gate, 3);
    cr_assert_eq(lw_bounded_semaphore_set_bound(&gate.semaphore, 1), 0);
    await_inside(&gate, 3); /* R268: nothing is taken away, nobody is woken */
    cr_assert_eq(held(&gate.semaphore), 3);
    for (int i = 0; i < 2; i++) { /* R268: until held < bound */
        lw_event_set(&gate.entries[i].leave);
        cr_assert_eq(join_status(gate.tasks[i]), 0);
        await_inside(&gate, 3);
        cr_assert_eq(lw_bounded_semaphore_acquire(&gate.semaphore, 1, LW_NOW), -ETIMEDOUT);
    }
    lw_event_set(&gate.entries[2].leave);
    cr_assert_eq(join_status(gate.tasks[2]), 0);
    await_inside(&gate, 4);
    for (int i = 3; i < 5; i++) {
        lw_event_set(&gate.entries[i].leave);
        cr_assert_eq(join_status(gate.tasks[i]), 0);
    }
    assert_idle(&gate.semaphore, 1);
    return 0;
}

Test(bounded_semaphore, lowering_the_bound_takes_nothing_away)
{
    run_all(lower_it, NULL);
}

static int close_and_open(void *arg)
{
    struct gate gate = {.semaphore = LW_BOUNDED_SEMAPHORE_INIT("gate", 0)};

    (void)arg;
    for (int i = 0; i < 3; i++)
        come(&gate);
    cr_assert(lw_bounded_semaphore_locked(&gate.semaphore), "R270");
    await_inside(&gate, 0);
    cr_assert_eq(lw_bounded_semaphore_set_bound(&gate.semaphore, 2), 0);
    await_inside(&gate, 2); /* R270 */
    cr_assert_eq(lw_bounded_semaphore_set_bound(&gate.semaphore, 3), 0);
    await_inside(&gate, 3);
    all_leave(&gate);
    assert_idle(&gate.semaphore, 3);
    return 0;
}

Test(bounded_semaphore, a_bound_of_none_is_a_closed_gate)
{
    run_all(close_and_open, NULL);
}

/* ---- what others see */

static int look_at_the_head(void *arg)
{
    struct gate gate = {.semaphore = LW_BOUNDED_SEMAPHORE_INIT("looked at", 0)};
    struct lw_cold *cold[2];

    (void)arg;
    for (int i = 0; i < 2; i++) {
        come(&gate);
        cold[i] = lw_record_cold(lw_record_of(gate.tasks[i].id));
        cr_assert_eq(cold[i]->kind, LW_WAIT_UNITS);
        cr_assert_eq(cold[i]->units, 1);
    }
    cr_assert(cold[0]->owner == 0 && cold[1]->owner == 0);
    cr_assert_eq(lw_bounded_semaphore_set_bound(&gate.semaphore, 1), 0);
    await_inside(&gate, 1);
    cr_assert_eq(cold[1]->owner, 1, "the head says how many there are in all");
    cr_assert_eq(lw_bounded_semaphore_set_bound(&gate.semaphore, 2), 0);
    all_leave(&gate);
    return 0;
}

Test(bounded_semaphore, the_head_waiter_says_the_bound)
{
    run_all(look_at_the_head, NULL);
}
