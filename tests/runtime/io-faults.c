/* SPDX-License-Identifier: MIT */
/* Laws of I/O where the system is short of something, or interrupts: signals are not seen, what has
 * run out is waited for or reported, and nothing is lost.  The faults are put into the table of
 * system calls before the runtime starts. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "tests/runtime/io_support.h"

static struct lw_sys real;

static void init(void)
{
    watchdog();
    real = lw_sys;
}

TestSuite(io_faults, .init = init);

/* ---- interrupted: two of three calls, in no regular order */

static bool interrupted(void)
{
    static uint32_t calls;
    uint64_t seed = lw_add_rlx(&calls, 1);

    errno = EINTR;
    (void)draw(&seed);
    return draw(&seed) % 3 != 0;
}

static ssize_t cut_read(int fd, void *buffer, size_t size)
{
    return interrupted() ? -1 : real.read(fd, buffer, size);
}

static ssize_t cut_recv(int fd, void *buffer, size_t size, int flags)
{
    return interrupted() ? -1 : real.recv(fd, buffer, size, flags);
}

static ssize_t cut_send(int fd, const void *buffer, size_t size, int flags)
{
    return interrupted() ? -1 : real.send(fd, buffer, size, flags);
}

static ssize_t cut_readv(int fd, const struct iovec *parts, int count)
{
    return interrupted() ? -1 : real.readv(fd, parts, count);
}

static ssize_t cut_writev(int fd, const struct iovec *parts, int count)
{
    return interrupted() ? -1 : real.writev_quiet(fd, parts, count);
}

static ssize_t cut_recvmsg(int fd, struct msghdr *message, int flags)
{
    return interrupted() ? -1 : real.recvmsg(fd, message, flags);
}

static ssize_t cut_sendmsg(int fd, const struct msghdr *message, int flags)
{
    return interrupted() ? -1 : real.sendmsg(fd, message, flags);
}

static int cut_accept(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
    return interrupted() ? -1 : real.accept4(fd, address, size, flags);
}

/* An interrupted connect goes on. */
static int cut_connect(int fd, const struct sockaddr *address, socklen_t size)
{
    bool cut = interrupted();
    int err = real.connect(fd, address, size);

    if (cut)
        errno = EINTR;
    return cut ? -1 : err;
}

static int cut_epoll_wait(int epoll, struct epoll_event *events, int max, int64_t timeout)
{
    return interrupted() ? -EINTR : real.epoll_wait(epoll, events, max, timeout);
}

static int cut_poll(struct pollfd *fds, unsigned count, int64_t timeout)
{
    return interrupted() ? -1 : real.poll(fds, count, timeout);
}

/* An interrupted close has closed. */
static int cut_close(int fd)
{
    int err = real.close(fd);

    return err == 0 && interrupted() ? -1 : err;
}

static int answer(void *arg)
{
    int fd = *(int *)arg;
    char text[16];
    struct iovec part = {text, sizeof text};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t count;

    while ((count = lw_recvmsg(fd, &message, 0, LW_FOREVER)) > 0) {
        part.iov_len = (size_t)count;
        cr_assert_eq(lw_sendmsg(fd, &message, 0, LW_FOREVER), count);
        part.iov_len = sizeof text;
    }
    return (int)count;
}

static int all_calls(void *arg)
{
    char text[16] = "";
    int fds[2], pipes[2];
    lw_task task;

    (void)arg;
    for (long i = rounds(100); i > 0; i--) {
        tcp_pair(fds);
        cr_assert_eq(pipe(pipes), 0);
        task = start(answer, &fds[1]);
        cr_assert_eq(lw_write(fds[0], "question", 8, LW_FOREVER), 8);
        cr_assert_eq(lw_read_all(fds[0], text, 8, LW_FOREVER), 0);
        cr_assert_eq(lw_write(pipes[1], text, 8, LW_FOREVER), 8);
        cr_assert_eq(lw_poll(pipes[0], POLLIN, LW_FOREVER), POLLIN);
        cr_assert_eq(lw_readv(pipes[0], &(struct iovec){text, 4}, 1, LW_FOREVER), 4);
        cr_assert_eq(lw_read(pipes[0], text + 4, 9, LW_FOREVER), 4);
        cr_assert_str_eq(text, "question");
        cr_assert_eq(shutdown(fds[0], SHUT_WR), 0);
        end_of(task);
        cr_assert_eq(lw_read(fds[0], text, 1, lw_in(50 * LW_US)), -ETIMEDOUT);
        close_both(fds);
        close_both(pipes);
    }
    return 0;
}

static void *guest_calls(void *arg)
{
    char byte;
    int fds[2];

    (void)arg;
    pair(fds);
    cr_assert_eq(lw_read(fds[0], &byte, 1, lw_in(2 * LW_MS)), -ETIMEDOUT);
    cr_assert_eq(lw_write(fds[1], "x", 1, LW_FOREVER), 1);
    cr_assert_eq(lw_read(fds[0], &byte, 1, LW_FOREVER), 1);
    close_both(fds);
    return NULL;
}

Test(io_faults, interruptions_are_not_seen)
{
    lw_sys.read = cut_read;
    lw_sys.recv = cut_recv;
    lw_sys.send = cut_send;
    lw_sys.readv = cut_readv;
    lw_sys.writev_quiet = cut_writev;
    lw_sys.recvmsg = cut_recvmsg;
    lw_sys.sendmsg = cut_sendmsg;
    lw_sys.accept4 = cut_accept;
    lw_sys.connect = cut_connect;
    lw_sys.epoll_wait = cut_epoll_wait;
    lw_sys.poll = cut_poll;
    lw_sys.close = cut_close;
    run_all(all_calls, NULL);
    (void)guest_calls(NULL);
}

/* ---- accept */

static int accept_errors[64];
static uint32_t accept_calls, accept_errors_count;

static int failing_accept(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
    uint32_t call = lw_add_rlx(&accept_calls, 1);

    if (call < accept_errors_count) {
        errno = accept_errors[call];
        return -1;
    }
    return real.accept4(fd, address, size, flags);
}

static int take_one(void *arg)
{
    int fd = lw_accept(*(int *)arg, NULL, NULL, LW_FOREVER);

    cr_assert_geq(fd, 0, "accept: %d", fd);
    cr_assert_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    return lw_close(fd);
}

static int accepts(void *arg)
{
    int listener = lw_listen_tcp(NULL, "0", LW_FOREVER), fd;
    char port[8];
    lw_task task;

    (void)arg;
    accept_calls = 0;
    task = start(take_one, &listener);
    fd = lw_connect_tcp("127.0.0.1", port_of(listener, port), LW_FOREVER);
    cr_assert_geq(fd, 0);
    end_of(task);
    cr_assert_gt(accept_calls, accept_errors_count);
    cr_assert_eq(lw_close(fd), 0);
    cr_assert_eq(lw_close(listener), 0);
    return 0;
}

Test(io_faults, a_connection_that_was_given_up_is_passed_over)
{
    const int lost[] = {ECONNABORTED, EPROTO, ENETDOWN, EHOSTUNREACH, ENONET, ECONNABORTED, EINTR};

    memcpy(accept_errors, lost, sizeof lost);
    accept_errors_count = sizeof lost / sizeof lost[0];
    lw_sys.accept4 = failing_accept;
    run_all(accepts, NULL);
}

Test(io_faults, an_accept_that_finds_no_room_tries_again)
{
    const int full[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM, EMFILE};

    memcpy(accept_errors, full, sizeof full);
    accept_errors_count = sizeof full / sizeof full[0];
    lw_sys.accept4 = failing_accept;
    run_all(accepts, NULL);
}

static int always_full(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
    (void)fd, (void)address, (void)size, (void)flags;
    (void)lw_add_rlx(&accept_calls, 1);
    errno = EMFILE;
    return -1;
}

static int accept_in_vain(void *arg)
{
    return lw_accept(*(int *)arg, NULL, NULL, LW_FOREVER);
}

/* It ends by its deadline, by a cancel, by a close, and does not spin meanwhile. */
static int no_room(void *arg)
{
    int listener = lw_listen_tcp(NULL, "0", LW_FOREVER), status = 0;
    lw_task task;

    (void)arg;
    cr_assert_eq(lw_accept(listener, NULL, NULL, LW_NOW), -ETIMEDOUT);
    accept_calls = 0;
    cr_assert_eq(lw_accept(listener, NULL, NULL, lw_in(20 * LW_MS)), -ETIMEDOUT);
    cr_assert_leq(accept_calls, 6, "pauses of 1, 2, 4, 8, ... ms");
    for (int i = 0; i < 2; i++) {
        accept_calls = 0;
        task = start(accept_in_vain, &listener);
        while (lw_load_acq(&accept_calls) < 3)
            cr_assert_eq(lw_sleep(lw_in(LW_MS)), 0);
        cr_assert_eq(i == 0 ? lw_cancel(task) : lw_close(listener), 0);
        cr_assert_eq(lw_join(task, &status, LW_FOREVER), 0);
        cr_assert_eq(status, i == 0 ? -ECANCELED : -EBADF);
    }
    return 0;
}

Test(io_faults, an_accept_without_room_waits_and_can_be_ended)
{
    lw_sys.accept4 = always_full;
    run_all(no_room, NULL);
}

/* For real: there is no descriptor left until one is closed, when the pauses have grown to 100 ms.
 * Returns how long it then took to accept. */
static lw_nsec time_to_accept(int listener, const char *port)
{
    int fd = lw_connect_tcp("127.0.0.1", port, LW_FOREVER), spare, lowest;
    struct rlimit limit;
    rlim_t usual;
    lw_nsec closed_at;
    lw_task task;

    cr_assert_geq(fd, 0);
    spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    lowest = dup(spare);
    cr_assert_eq(close(lowest), 0);
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    usual = limit.rlim_cur;
    limit.rlim_cur = (rlim_t)lowest;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    cr_assert_eq(lw_accept(listener, NULL, NULL, lw_in(5 * LW_MS)), -ETIMEDOUT);
    lw_store_rel(&accept_calls, 0);
    task = start(take_one, &listener);
    while (lw_load_acq(&accept_calls) < 8)
        cr_assert_eq(lw_sleep(lw_in(LW_MS)), 0);
    closed_at = lw_now();
    cr_assert_eq(lw_close(spare), 0);
    end_of(task);
    closed_at = lw_now() - closed_at;
    limit.rlim_cur = usual;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    cr_assert_eq(lw_close(fd), 0);
    return closed_at;
}

/* On a machine that stands still for a while one of them may take long, but hardly all. */
static int last_descriptor(void *arg)
{
    int listener = lw_listen_tcp(NULL, "0", LW_FOREVER);
    lw_nsec best = LW_FOREVER;
    char port[8];

    (void)arg;
    (void)port_of(listener, port);
    for (int i = 0; i < 5 && best > 40 * LW_MS; i++) {
        lw_nsec time = time_to_accept(listener, port);

        best = time < best ? time : best;
    }
    cr_assert_leq(best, 40 * LW_MS, "a close ends the pause; it took %ld us", (long)(best / LW_US));
    return lw_close(listener);
}

Test(io_faults, an_accept_goes_on_when_a_descriptor_is_free_again)
{
    accept_errors_count = 0;
    lw_sys.accept4 = failing_accept;
    run_with(1, last_descriptor, NULL);
    run_with(2, last_descriptor, NULL);
}

/* ---- no memory, no room in epoll */

static uint32_t ctl_fails;

static int failing_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    uint32_t left = lw_load_rlx(&ctl_fails);

    if (left > 0) {
        lw_store_rlx(&ctl_fails, left - 1);
        errno = left % 2 ? ENOSPC : ENOMEM;
        return -1;
    }
    return real.epoll_ctl(epoll, operation, fd, event);
}

static int no_watch(void *arg)
{
    char byte;
    int fds[2];

    (void)arg;
    for (int born = 0; born < 2; born++) {
        if (born)
            tcp_pair(fds);
        else
            pair(fds);
        ctl_fails = 2;
        /* The one that was accepted: connecting may have registered the other. */
        cr_assert_eq(lw_read(fds[1], &byte, 1, LW_FOREVER), -ENOMEM);
        cr_assert_eq(lw_poll(fds[1], POLLIN, LW_FOREVER), -ENOSPC);
        cr_assert_eq(lw_read(fds[1], &byte, 1, lw_in(LW_MS)), -ETIMEDOUT);
        cr_assert_eq(lw_write(fds[0], "x", 1, LW_FOREVER), 1);
        cr_assert_eq(lw_read(fds[1], &byte, 1, LW_FOREVER), 1);
        close_both(fds);
    }
    return 0;
}

Test(io_faults, where_epoll_has_no_room_the_caller_is_told_and_may_come_again)
{
    lw_sys.epoll_ctl = failing_ctl;
    run_with(1, no_watch, NULL);
}

static bool no_memory;

static void *failing_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    if (no_memory) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return real.mmap(at, size, protection, flags, fd, offset);
}

Test(io_faults, without_memory_for_its_record_a_descriptor_is_untouched)
{
    const int beyond = 1 << LW_FD_CHUNK_BITS; /* the first number of the second chunk */
    struct rlimit limit;
    char byte = 0;
    int fds[2];

    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur <= (rlim_t)beyond)
        cr_skip_test("only %d descriptors", (int)limit.rlim_cur);
    cr_assert_eq(lw_thread_attach(), 0);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    cr_assert_eq(dup2(fds[0], beyond), beyond);
    cr_assert_eq(lw_write(fds[1], "x", 1, LW_FOREVER), 1);
    lw_sys.mmap = failing_mmap;
    no_memory = true;
    cr_assert_eq(lw_read(beyond, &byte, 1, LW_FOREVER), -ENOMEM);
    cr_assert_eq(fcntl(beyond, F_GETFL) & O_NONBLOCK, 0);
    no_memory = false;
    cr_assert_eq(lw_read(beyond, &byte, 1, LW_FOREVER), 1);
    cr_assert_eq(byte, 'x');
    cr_assert_eq(lw_close(beyond), 0);
    no_memory = true;
    cr_assert_eq(lw_close(beyond * 2), -EBADF);
    close_both(fds);
}

/* ---- a call that is not to be had */

/* From now on epoll_pwait2 is refused to this process as by a container that does not know it.
 * False: filters are not to be had here. */
static bool forbid_pwait2(int err)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_epoll_pwait2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)err),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof filter / sizeof filter[0], .filter = filter};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        return false;
    return syscall(SYS_epoll_pwait2, -1, NULL, 0, NULL, NULL, 0) == -1 && errno == err;
}

static void check_without_pwait2(int err)
{
    struct epoll_event event = {.events = EPOLLIN};
    int epoll = epoll_create1(EPOLL_CLOEXEC), fds[2];

    cr_assert_eq(pipe(fds), 0);
    cr_assert_eq(epoll_ctl(epoll, EPOLL_CTL_ADD, fds[0], &event), 0);
    if (!forbid_pwait2(err))
        cr_skip_test("no system call filters");
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(lw_sys.epoll_wait(epoll, &event, 1, LW_MS), i, "try %d", i);
        cr_assert_eq(write(fds[1], "x", 1), 1);
    }
    cr_assert_eq(lw_sys.epoll_wait(-1, &event, 1, 0), -EBADF, "its errors are still seen");
    run_with(2, all_calls, NULL);
}

Test(io_faults, where_epoll_pwait2_is_forbidden_the_older_call_does)
{
    check_without_pwait2(EPERM);
}

Test(io_faults, where_epoll_pwait2_is_unknown_the_older_call_does)
{
    check_without_pwait2(ENOSYS);
}
