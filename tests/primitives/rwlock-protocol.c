/* SPDX-License-Identifier: MIT */
/* What the functions of all locks do with an lw_rwlock, by its faces, and with an lw_rate_limit. */
#include "tests/primitives/faces.h"

TestSuite(rwlock_protocol, .init = watchdog);

/* ---- waiters that are sent away */

static int upgrade_and_tell(void *arg)
{
    lw_rwlock *rw = arg;
    int err;

    cr_assert_eq(lw_acquire(&rw->read, LW_FOREVER), 0);
    err = lw_rwlock_upgrade(rw, LW_FOREVER);
    cr_assert(lw_owned(&rw->read));
    cr_assert_eq(lw_release(&rw->read), 0);
    return err;
}

static int purge_faces(void *arg)
{
    lw_rwlock rw = LW_RWLOCK_INIT("purged", 0);
    lw_task writers[2], readers[2], upgrader;

    (void)arg;
    cr_assert_eq(lw_purge_waiters(&rw.write) | lw_purge_waiters(&rw.read), 0);
    cr_assert_eq(lw_acquire(&rw.write, LW_NOW), 0);
    for (int i = 0; i < 2; i++) {
        writers[i] = start_waiter(pass, &rw.write);
        readers[i] = start_waiter(pass, &rw.read);
    }
    cr_assert_eq(lw_purge_waiters(&rw.read), 2);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(join_status(readers[i]), -EPIPE);
    cr_assert(is_waiting(writers[0]) && is_waiting(writers[1]), "of the other face");
    cr_assert_eq(lw_purge_waiters(&rw.write), 2);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(join_status(writers[i]), -EPIPE);
    cr_assert(lw_owned(&rw.write));
    cr_assert_eq(lw_rwlock_downgrade(&rw), 0);
    upgrader = start_waiter(upgrade_and_tell, &rw);
    writers[0] = start_waiter(pass, &rw.write);
    readers[0] = start_waiter(pass, &rw.read);
    cr_assert_eq(lw_purge_waiters(&rw.write), 2);
    cr_assert_eq(join_status(readers[0]), 0, "it waited for writers that are gone");
    cr_assert_eq(join_status(upgrader), -EPIPE);
    cr_assert_eq(join_status(writers[0]), -EPIPE);
    cr_assert_eq(lw_rwlock_upgrade(&rw, LW_NOW), 0);
    cr_assert_eq(lw_release(&rw.write), 0);
    assert_free(&rw);
    return 0;
}

static int take_many(void *arg)
{
    return lw_rate_limit_acquire(arg, 5, LW_FOREVER);
}

static int purge_tokens(void *arg)
{
    lw_rate_limit limit;
    lw_task waiters[3];

    (void)arg;
    cr_assert_eq(lw_rate_limit_init(&limit, "frozen", 10, 10, 0), 0);
    cr_assert_eq(lw_rate_limit_set_rate(&limit, 0), 0);
    cr_assert_eq(lw_rate_limit_acquire(&limit, 10, LW_NOW), 0);
    cr_assert_eq(lw_purge_waiters(&limit.lock), 0);
    for (int i = 0; i < 3; i++)
        waiters[i] = start_waiter(take_many, &limit);
    cr_assert_eq(lw_lock_fini(&limit.lock), -EBUSY);
    cr_assert_eq(lw_purge_waiters(&limit.lock), 3);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(join_status(waiters[i]), -EPIPE);
    cr_assert_eq(lw_rate_limit_tokens(&limit), 0);
    waiters[0] = start_waiter(take_many, &limit);
    cr_assert_eq(lw_rate_limit_release(&limit, 5), 0);
    cr_assert_eq(join_status(waiters[0]), 0, "who comes next is not concerned");
    cr_assert_eq(lw_consistent(&limit.lock), -EPERM);
    cr_assert_eq(lw_transfer(&limit.lock, lw_self()), -EPERM);
    cr_assert_eq(lw_lock_fini(&limit.lock), 0);
    return 0;
}

Test(rwlock_protocol, waiters_are_sent_away_by_face)
{
    run_all(purge_faces, NULL);
    run_all(purge_tokens, NULL);
}

/* ---- the end of its memory */

static int finish(void *arg)
{
    lw_rwlock rw = LW_RWLOCK_INIT("ends", 0);
    lw_lock *faces[] = {&rw.write, &rw.read};
    lw_task waiter;

    (void)arg;
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(lw_lock_fini(faces[i]), 0);
        cr_assert_eq(lw_acquire(faces[i], LW_NOW), 0);
        waiter = start_waiter(pass, &rw.write);
        cr_assert_eq(lw_lock_fini(&rw.write), -EBUSY);
        cr_assert_eq(lw_lock_fini(&rw.read), -EBUSY);
        cr_assert_eq(lw_release(faces[i]), 0);
        cr_assert_eq(join_status(waiter), 0);
    }
    cr_assert_eq(lw_lock_fini(&rw.write), 0);
    assert_free(&rw);
    return 0;
}

/* Nobody has it, and nobody is in its queues; but one is on its way to it. */
static int finish_before_one_is_back(void *arg)
{
    lw_rwlock rw = LW_RWLOCK_INIT("ends", 0);
    lw_task waiter;

    (void)arg;
    cr_assert_eq(lw_acquire(&rw.write, LW_NOW), 0);
    waiter = start_waiter(pass, &rw.write);
    cr_assert_eq(lw_release(&rw.write), 0);
    cr_assert_null(rw.write._queue);
    cr_assert_eq(lw_lock_fini(&rw.write), -EBUSY);
    cr_assert_eq(join_status(waiter), 0);
    cr_assert_eq(lw_lock_fini(&rw.write), 0);
    return 0;
}

Test(rwlock_protocol, a_lock_that_is_used_does_not_end)
{
    run_with(1, finish_before_one_is_back, NULL);
    run_all(finish, NULL);
}

/* ---- a writer ended inside, and another knows */

static int end_inside(void *arg)
{
    return lw_acquire(arg, LW_FOREVER);
}

static void leave_marked(lw_rwlock *rw)
{
    lw_task ending;

    rw->write.data = LW_DATA_ROBUST;
    cr_assert_eq(lw_spawn(&ending, end_inside, &rw->write, NULL), 0);
    cr_assert_eq(join_status(ending), 0);
    cr_assert_eq(lw_acquire(&rw->read, LW_FOREVER), -EOWNERDEAD);
    cr_assert_eq(lw_acquire(&rw->write, LW_FOREVER), -EOWNERDEAD);
}

static int repair_it(void *arg)
{
    lw_rwlock rw = LW_RWLOCK_INIT("marked", 0);
    lw_task reader, writer;

    (void)arg;
    cr_assert_eq(lw_acquire_inconsistent(&rw.write, LW_NOW), 0, "nobody has marked it");
    cr_assert_eq(lw_release(&rw.write), 0);
    cr_assert_eq(lw_acquire_inconsistent(&rw.read, LW_NOW), 0);
    cr_assert_eq(lw_release(&rw.read), 0);
    leave_marked(&rw);
    cr_assert_eq(lw_acquire_inconsistent(&rw.read, LW_FOREVER), -EOWNERDEAD, "one who reads");
    cr_assert_eq(lw_consistent(&rw.write), -EPERM);
    cr_assert_eq(lw_consistent(&rw.read), -EPERM);
    cr_assert_eq(rw.read._word._value, LW_RW_READ);
    cr_assert_eq(lw_acquire_inconsistent(&rw.write, LW_FOREVER), 1);
    cr_assert(lw_owned(&rw.write));
    cr_assert(holds(&rw, LW_HOLD_EXCLUSIVE));
    reader = start_waiter(pass, &rw.read);
    writer = start_waiter(pass, &rw.write);
    cr_assert_eq(lw_rwlock_downgrade(&rw), -EOWNERDEAD);
    cr_assert_eq(lw_consistent(&rw.write), 0);
    cr_assert_eq(lw_consistent(&rw.write), -EINVAL);
    cr_assert_eq(lw_rwlock_downgrade(&rw), 0);
    cr_assert_eq(lw_consistent(&rw.write), -EPERM, "it only reads");
    cr_assert_eq(join_status(reader), 0);
    cr_assert_eq(lw_release(&rw.read), 0);
    cr_assert_eq(join_status(writer), 0);
    assert_free(&rw);
    return 0;
}

static int leave_it_unrepaired(void *arg)
{
    lw_rwlock rw = LW_RWLOCK_INIT("marked", 0);
    lw_task reader, writer;

    (void)arg;
    leave_marked(&rw);
    cr_assert_eq(lw_acquire_inconsistent(&rw.write, LW_FOREVER), 1);
    reader = start_waiter(pass, &rw.read);
    writer = start_waiter(pass, &rw.write);
    cr_assert_eq(lw_release(&rw.write), 0);
    cr_assert_eq(join_status(reader), -ENOTRECOVERABLE);
    cr_assert_eq(join_status(writer), -ENOTRECOVERABLE);
    cr_assert_eq(lw_acquire_inconsistent(&rw.write, LW_FOREVER), -ENOTRECOVERABLE);
    cr_assert_eq(lw_owner(&rw.write).id, 0);
    cr_assert_not(lw_owned(&rw.write));
    cr_assert_eq(caller()->nheld, 0);
    return 0;
}

Test(rwlock_protocol, one_who_knows_writes_and_repairs_it)
{
    run_all(repair_it, NULL);
    run_all(leave_it_unrepaired, NULL);
}

/* ---- a writer's hold is handed over */

struct handing {
    lw_rwlock rw;
    lw_event handed;
};

static int take_and_downgrade(void *arg)
{
    struct handing *handing = arg;

    cr_assert_eq(lw_event_wait(&handing->handed, LW_FOREVER), 0);
    cr_assert(lw_owned(&handing->rw.write));
    cr_assert_eq(lw_rwlock_downgrade(&handing->rw), 0);
    cr_assert(holds(&handing->rw, LW_HOLD_SHARED));
    return lw_release(&handing->rw.read);
}

static int take_and_release(void *arg)
{
    struct handing *handing = arg;

    cr_assert_eq(lw_event_wait(&handing->handed, LW_FOREVER), 0);
    return lw_release(&handing->rw.write);
}

static int hand_over(void *arg)
{
    struct handing handing = {.rw = LW_RWLOCK_INIT("handed over", 0)};
    lw_fn *const ways[] = {take_and_downgrade, take_and_release};
    lw_task other, reader;

    (void)arg;
    for (int i = 0; i < 2; i++) {
        lw_event_clear(&handing.handed);
        cr_assert_eq(lw_spawn(&other, ways[i], &handing, NULL), 0);
        cr_assert_eq(lw_acquire(&handing.rw.read, LW_NOW), 0);
        cr_assert_eq(lw_transfer(&handing.rw.read, other), -EPERM, "no reader's");
        cr_assert_eq(lw_transfer(&handing.rw.write, other), -EPERM);
        cr_assert_eq(lw_rwlock_upgrade(&handing.rw, LW_NOW), 0);
        reader = start_waiter(pass, &handing.rw.read);
        cr_assert_eq(lw_transfer(&handing.rw.write, other), 0);
        cr_assert_eq(lw_owner(&handing.rw.write).id, other.id);
        cr_assert_eq(lw_release(&handing.rw.write), -EPERM);
        cr_assert_eq(caller()->nheld, 0);
        lw_event_set(&handing.handed);
        cr_assert_eq(join_status(other), 0);
        cr_assert_eq(join_status(reader), 0);
        assert_free(&handing.rw);
    }
    return 0;
}

static int select_it(void *arg)
{
    lw_arm arm = lw_arm_acquire(arg);
    int index = lw_select(&arm, 1, LW_FOREVER);

    return index < 0 ? index : arm.result < 0 ? arm.result : lw_release(arg);
}

/* It may wait for it by an arm. */
static int hand_to_one_that_selects(void *arg)
{
    lw_rwlock rw = LW_RWLOCK_INIT("wanted", 0);
    lw_mutex mutex = LW_MUTEX_INIT("wanted");
    lw_lock *locks[] = {&rw.write, &mutex.lock};

    (void)arg;
    for (int i = 0; i < 2; i++) {
        lw_task waiter;

        cr_assert_eq(lw_acquire(locks[i], LW_NOW), 0);
        waiter = start_waiter(select_it, locks[i]);
        cr_assert_eq(lw_transfer(locks[i], waiter), -EBUSY);
        cr_assert_eq(lw_release(locks[i]), 0);
        cr_assert_eq(join_status(waiter), 0);
    }
    assert_free(&rw);
    return 0;
}

static int hand_to_one_that_waits_for_it(void *arg)
{
    lw_rwlock rw = LW_RWLOCK_INIT("wanted", 0);
    lw_lock *faces[] = {&rw.write, &rw.read};

    (void)arg;
    for (int i = 0; i < 2; i++) {
        lw_task waiter;

        cr_assert_eq(lw_acquire(&rw.write, LW_NOW), 0);
        waiter = start_waiter(pass, faces[i]);
        cr_assert_eq(lw_transfer(&rw.write, waiter), -EBUSY);
        cr_assert(lw_owned(&rw.write));
        cr_assert_eq(lw_release(&rw.write), 0);
        cr_assert_eq(join_status(waiter), 0);
    }
    assert_free(&rw);
    return 0;
}

Test(rwlock_protocol, a_writers_hold_can_be_handed_over)
{
    run_all(hand_over, NULL);
    run_all(hand_to_one_that_waits_for_it, NULL);
    run_all(hand_to_one_that_selects, NULL);
}

/* ---- several at once */

static int take_several(void *arg)
{
    lw_rwlock a = LW_RWLOCK_INIT("a", 0), b = LW_RWLOCK_INIT("b", 0);
    lw_lock *locks[] = {&b.read, &a.write}, *both[] = {&a.read, &a.write};

    (void)arg;
    cr_assert_eq(lw_acquire_all(locks, 2, LW_FOREVER), 0);
    cr_assert(lw_owned(&b.read) && lw_owned(&a.write));
    cr_assert_eq(lw_release_all(locks, 2), 0);
    cr_assert(lw_acquire_all(both, 2, LW_NOW) < 0, "both faces of one");
    assert_free(&a);
    assert_free(&b);
    return 0;
}

Test(rwlock_protocol, several_are_taken_by_their_faces)
{
    run_all(take_several, NULL);
}
