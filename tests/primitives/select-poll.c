/* SPDX-License-Identifier: MIT */
/* The laws of lw_select() for arms that poll a descriptor, in tasks and in plain threads. */
#include "tests/primitives/crowd.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "primitives/permits.h"
#include "runtime/os/os.h"

TestSuite(select_poll, .init = watchdog);

struct polling {
    int fds[2], other[2];
    int index, result;
};

/* A socket may be said to be ready when there is nothing to read, as in simulation it is. */
static bool is_empty_socket(int fd)
{
    return recv(fd, &(char){0}, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static int select_descriptors(void *arg)
{
    struct polling *polling = arg;
    int fds[2] = {polling->other[0], polling->fds[0]};
    lw_arm arms[2] = {lw_arm_poll(fds[0], POLLIN), lw_arm_poll(fds[1], POLLIN)};

    do
        polling->index = lw_select(arms, 2, LW_FOREVER);
    while (polling->index >= 0 && arms[polling->index].result == POLLIN &&
           is_empty_socket(fds[polling->index]));
    polling->result = polling->index >= 0 ? arms[polling->index].result : 0;
    return 0;
}

static void open_both(struct polling *polling, bool sockets)
{
    if (sockets) { /* which can be written to while they cannot be read from */
        cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, polling->fds), 0);
        cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, polling->other), 0);
    } else {
        cr_assert_eq(pipe(polling->fds), 0);
        cr_assert_eq(pipe(polling->other), 0);
    }
}

static void close_both(struct polling *polling)
{
    for (int i = 0; i < 2; i++) {
        (void)lw_close(polling->fds[i]);
        (void)lw_close(polling->other[i]);
    }
}

static int wait_for_descriptors(void *arg)
{
    struct polling polling;
    lw_task task;
    long calls;

    open_both(&polling, arg != NULL);
    task = start_waiter(select_descriptors, &polling);
    calls = sys_calls(SYS_EPOLL_CTL);
    for (int i = 0; i < 100; i++)
        lw_yield();
    cr_assert(sys_calls(SYS_EPOLL_CTL) - calls <= 4, "it is armed once");
    cr_assert_eq(lw_write_all(polling.fds[1], "x", 1, LW_FOREVER), 0);
    cr_assert_eq(join_status(task), 0);
    cr_assert_eq(polling.index, 1);
    cr_assert_eq(polling.result, POLLIN);
    cr_assert_eq(lw_read_all(polling.fds[0], &(char){0}, 1, LW_FOREVER), 0);
    task = start_waiter(select_descriptors, &polling);
    cr_assert_eq(lw_close(polling.other[0]), 0);
    cr_assert_eq(join_status(task), 0);
    cr_assert_eq(polling.index, 0);
    cr_assert_eq(polling.result, -EBADF);
    close_both(&polling);
    return 0;
}

Test(select_poll, a_descriptor_is_an_arm)
{
    sys_watch();
    run_all(wait_for_descriptors, NULL);
    run_all(wait_for_descriptors, &(int){1});
}

/* An edge wakes one who polls: one whose select is over passes it on. */
static int poll_alone(void *arg)
{
    return lw_poll(*(int *)arg, POLLIN, LW_FOREVER) == POLLIN ? 0 : -1;
}

static int pass_an_edge_on(void *arg)
{
    struct polling polling;
    lw_task select, poll;

    (void)arg;
    open_both(&polling, false);
    select = start_waiter(select_descriptors, &polling);
    poll = start_waiter(poll_alone, &polling.other[0]);
    cr_assert_eq(lw_write_all(polling.other[1], "x", 1, LW_FOREVER), 0);
    cr_assert_eq(lw_write_all(polling.fds[1], "x", 1, LW_FOREVER), 0);
    cr_assert_eq(join_status(poll), 0);
    cr_assert_eq(join_status(select), 0);
    close_both(&polling);
    return 0;
}

Test(select_poll, an_edge_is_passed_on)
{
    run_all(pass_an_edge_on, NULL);
}

static void *write_one(void *arg)
{
    struct polling *polling = arg;

    cr_assert_eq(write(polling->fds[1], "x", 1), 1);
    return NULL;
}

/* A plain thread waits for a descriptor and an event at once, and a runtime is nowhere. */
Test(select_poll, a_plain_thread_can_select_a_descriptor)
{
    struct polling polling;
    lw_event event = LW_EVENT_INIT("either");
    pthread_t thread;
    lw_arm arms[2];

    open_both(&polling, false);
    arms[0] = lw_arm_event(&event, NULL);
    arms[1] = lw_arm_poll(polling.fds[0], POLLIN);
    cr_assert_eq(lw_select(arms, 2, lw_in(1 * LW_MS)), -ETIMEDOUT);
    cr_assert_eq(pthread_create(&thread, NULL, write_one, &polling), 0);
    cr_assert_eq(lw_select(arms, 2, LW_FOREVER), 1);
    cr_assert_eq(arms[1].result, POLLIN);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    close_both(&polling);
}

/* ---- its place among others */

static struct line {
    lw_semaphore permit;
    int fds[2];
    int looks, next, place[2];
} line;
static int (*real_poll)(struct pollfd *fds, unsigned count, int64_t timeout);

static int poll_and_count(struct pollfd *fds, unsigned count, int64_t timeout)
{
    (void)__atomic_add_fetch(&line.looks, 1, __ATOMIC_SEQ_CST);
    return real_poll(fds, count, timeout);
}

static void *select_the_permit(void *arg)
{
    lw_arm arms[2] = {lw_arm_acquire(&line.permit.lock), lw_arm_poll(line.fds[0], POLLIN)};

    (void)arg;
    cr_assert_eq(lw_select(arms, 2, LW_FOREVER), 0);
    cr_assert_eq(arms[0].result, 0);
    line.place[0] = line.next++;
    cr_assert_eq(lw_semaphore_release(&line.permit, 1), 0);
    return NULL;
}

static void *acquire_the_permit(void *arg)
{
    (void)arg;
    cr_assert_eq(lw_semaphore_acquire(&line.permit, 1, LW_FOREVER), 0);
    line.place[1] = line.next++;
    cr_assert_eq(lw_semaphore_release(&line.permit, 1), 0);
    return NULL;
}

static void *last_in_line(void)
{
    lw_lock *lock = &line.permit.lock;
    uint64_t word = lw_permits_take_guard(lock);
    void *last = lock->_queue;

    lw_permits_drop_guard(LW_PERMITS_FREE, lock, word);
    return last;
}

/* It looks at the descriptor again and again, and waits on for the permit. */
Test(select_poll, a_plain_thread_keeps_its_place_while_it_looks_at_a_descriptor)
{
    pthread_t selects, acquires;
    void *first;
    int looks;

    line.permit = (lw_semaphore)LW_SEMAPHORE_INIT("permit", 1);
    cr_assert_eq(pipe(line.fds), 0);
    real_poll = lw_sys.poll;
    lw_sys.poll = poll_and_count;
    cr_assert_eq(lw_semaphore_acquire(&line.permit, 1, LW_NOW), 0);
    cr_assert_eq(pthread_create(&selects, NULL, select_the_permit, NULL), 0);
    AWAIT((first = last_in_line()) != NULL);
    cr_assert_eq(pthread_create(&acquires, NULL, acquire_the_permit, NULL), 0);
    AWAIT(last_in_line() != first);
    looks = __atomic_load_n(&line.looks, __ATOMIC_SEQ_CST);
    AWAIT(__atomic_load_n(&line.looks, __ATOMIC_SEQ_CST) >= looks + 3);
    cr_assert_eq(lw_semaphore_release(&line.permit, 1), 0);
    cr_assert_eq(pthread_join(selects, NULL), 0);
    cr_assert_eq(pthread_join(acquires, NULL), 0);
    cr_assert_lt(line.place[0], line.place[1]);
    lw_sys.poll = real_poll;
    (void)close(line.fds[0]);
    (void)close(line.fds[1]);
}
