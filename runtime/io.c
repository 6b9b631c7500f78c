/* SPDX-License-Identifier: MIT */
/* The calls on descriptors.  Each is a try, the system call once and non-blocking, in one loop:
 * enter the descriptor, count its edges, try, and where that would block, wait for the next edge.
 *
 * Non-blocking.  Sockets are read and written with MSG_DONTWAIT, whatever their flags.  What was
 * not born here and is no socket has its O_NONBLOCK looked at in each call: it may have been closed
 * and its number used again behind our back.  What kind it is, is remembered as a guess: ENOTSOCK
 * corrects it.
 *
 * SIGPIPE.  Sockets: MSG_NOSIGNAL.  Others: the table's writev_quiet.
 *
 * A public function passes its caller's address on as the site of the wait, and nothing that was
 * loaded from the thread is used after a wait. */
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>

#include "runtime/descriptor.h"
#include "runtime/os/os.h"
#include "runtime/worker.h"

#define SITE __builtin_return_address(0)

/* The kernel moves no more than this at once, so a transfer of it was not cut short. */
#define TRANSFER_MAX 0x7ffff000

/* ---- what a descriptor from elsewhere is */

static void set_kind(struct lw_io_call *call, enum lw_kind kind)
{
    uint64_t state = lw_descriptor_take(call->descriptor),
             bits = (uint64_t)kind << LW_FD_KIND_SHIFT;

    (void)lw_descriptor_drop(call->descriptor, state, bits - (state & LW_FD_KIND_MASK));
    call->state = (call->state & ~LW_FD_KIND_MASK) | bits;
}

static int get_option(int fd, int name)
{
    int value = 0;
    socklen_t size = sizeof value;
    int err = (int)lw_io_result(lw_sys.getsockopt(fd, SOL_SOCKET, name, &value, &size));

    return err < 0 ? err : value;
}

static int find_kind(struct lw_io_call *call)
{
    int type = get_option(call->fd, SO_TYPE), domain;
    enum lw_kind kind = LW_KIND_SOCKET;

    if (type < 0 && type != -ENOTSOCK)
        return type;
    if (type < 0) {
        kind = LW_KIND_OTHER;
    } else if (type == SOCK_STREAM) {
        domain = get_option(call->fd, SO_DOMAIN);
        kind = (domain == AF_INET || domain == AF_INET6) &&
                       get_option(call->fd, SO_PROTOCOL) == IPPROTO_TCP
                   ? LW_KIND_TCP
                   : LW_KIND_STREAM;
    }
    set_kind(call, kind);
    return 0;
}

static int set_nonblocking(int fd)
{
    int flags = (int)lw_io_result(lw_sys.fcntl(fd, F_GETFL, 0));

    if (flags < 0 || (flags & O_NONBLOCK))
        return flags < 0 ? flags : 0;
    return (int)lw_io_result(lw_sys.fcntl(fd, F_SETFL, flags | O_NONBLOCK));
}

/* Before the first try on a descriptor that was not born here. */
static int prepare(struct lw_io_call *call)
{
    bool first = lw_fd_kind(call->state) == LW_KIND_UNKNOWN;
    int err = first ? find_kind(call) : 0;

    if (err == 0 && (first || call->by_flag || lw_fd_kind(call->state) == LW_KIND_OTHER))
        err = set_nonblocking(call->fd);
    return err;
}

static bool is_socket(const struct lw_io_call *call)
{
    return lw_fd_kind(call->state) >= LW_KIND_SOCKET;
}

/* ENOTSOCK: the guess was wrong.  LW_ONCE_MORE, or an error. */
static ssize_t guess_again(struct lw_io_call *call)
{
    int err = find_kind(call);

    if (err == 0 &&
        is_socket(call)) /* changed hands once more: the caller cannot know what it has there */
        err = -ENOTSOCK;
    if (err == 0)
        err = prepare(call);
    return err < 0 ? err : LW_ONCE_MORE;
}

/* ---- the loop */

static bool has_hints(uint64_t state)
{
    return (state & (LW_FD_BORN | LW_FD_CAREFUL)) == LW_FD_BORN && lw_fd_kind(state) == LW_KIND_TCP;
}

/* What was not moved of `want` cannot be moved before the next edge. */
static void note_short(struct lw_io_call *call, ssize_t moved, size_t want)
{
    if (moved > 0 && (size_t)moved < want && moved < TRANSFER_MAX &&
        has_hints(lw_load_rlx(&call->descriptor->state))) /* [I2] */
        lw_store_rlx(&call->descriptor->sides[call->side].drained, call->seen);
}

/* The last transfer left nothing, and nothing has come since.  Who cannot wait for an edge, be it
 * for lack of time or of a poller, had better try. */
static bool is_drained(const struct lw_io_call *call)
{
    return has_hints(call->state) &&
           lw_load_rlx(&call->descriptor->sides[call->side].drained) == call->seen &&
           call->deadline > LW_NOW && !lw_record_is_guest(call->me);
}

ssize_t lw_io_run(struct lw_io_call *call, lw_io_try *try, void *arg)
{
    ssize_t result = lw_wait_enter(&call->me, call->deadline);
    bool moved = true;

    if (lw_unlikely(result < 0))
        return result;
    result = lw_descriptor_enter(call->fd, &call->descriptor, &call->state);
    if (lw_unlikely(result < 0))
        return result;
    if (lw_unlikely(!(call->state & LW_FD_BORN)) && call->side != LW_SIDE_WATCH)
        result = prepare(call);
    while (lw_likely(result == 0)) {
        call->seen = lw_load_acq(&call->descriptor->sides[call->side].edges); /* [I2] */
        result = is_drained(call) ? -EAGAIN : try(call, arg);
        if (lw_likely(result != -EAGAIN && result != LW_ONCE_MORE))
            break;
        if (result == LW_ONCE_MORE) {
            result = 0;
            continue;
        }
        result = lw_io_wait(call);
        moved = result == 0;
    }
    lw_descriptor_leave(call->descriptor, call->fd, call->side, moved);
    return result;
}

/* ---- read and write */

struct bytes {
    void *buffer;
    size_t size;
};

static ssize_t read_some(struct lw_io_call *call, void *arg)
{
    struct bytes *bytes = arg;
    ssize_t count;

    do { /* of nothing: as read(2), a datagram is not taken for it */
        count = lw_io_result(is_socket(call) && bytes->size > 0
                                 ? lw_sys.recv(call->fd, bytes->buffer, bytes->size, MSG_DONTWAIT)
                                 : lw_sys.read(call->fd, bytes->buffer, bytes->size));
    } while (lw_unlikely(count == -EINTR));
    note_short(call, count, bytes->size);
    return lw_unlikely(count == -ENOTSOCK) ? guess_again(call) : count;
}

static ssize_t write_some(struct lw_io_call *call, void *arg)
{
    struct bytes *bytes = arg;
    struct iovec part = {.iov_base = bytes->buffer, .iov_len = bytes->size};
    ssize_t count;

    do {
        count = lw_io_result(is_socket(call) ? lw_sys.send(call->fd, bytes->buffer, bytes->size,
                                                           MSG_DONTWAIT | MSG_NOSIGNAL)
                                             : lw_sys.writev_quiet(call->fd, &part, 1));
    } while (lw_unlikely(count == -EINTR));
    note_short(call, count, bytes->size);
    return lw_unlikely(count == -ENOTSOCK) ? guess_again(call) : count;
}

/* Until all is moved: 0.  Stays inside the descriptor from the first byte to the last, so that the
 * rest never goes to who got the number after it. */
static ssize_t move_all(struct lw_io_call *call, struct bytes *bytes, lw_io_try *move_some, int end)
{
    while (bytes->size > 0) {
        ssize_t count = is_drained(call) ? -EAGAIN : move_some(call, bytes);

        if (count <= 0)
            return count < 0 ? count : end;
        bytes->buffer = (char *)bytes->buffer + count;
        bytes->size -= (size_t)count;
    }
    return 0;
}

static ssize_t read_all(struct lw_io_call *call, void *arg)
{
    return move_all(call, arg, read_some, -ENODATA);
}

static ssize_t write_all(struct lw_io_call *call, void *arg)
{
    return move_all(call, arg, write_some, -EIO);
}

ssize_t lw_read(int fd, void *buffer, size_t size, lw_nsec deadline)
{
    struct lw_io_call call = lw_io_reading(fd, deadline, SITE);
    struct bytes bytes = {.buffer = buffer, .size = size};

    return lw_io_run(&call, read_some, &bytes);
}

/* write(2) only reads from the buffer. */
static void *writable(const void *buffer)
{
    return (void *)(uintptr_t)buffer;
}

ssize_t lw_write(int fd, const void *buffer, size_t size, lw_nsec deadline)
{
    struct lw_io_call call = lw_io_writing(fd, deadline, SITE);
    struct bytes bytes = {.buffer = writable(buffer), .size = size};

    return lw_io_run(&call, write_some, &bytes);
}

int lw_read_all(int fd, void *buffer, size_t size, lw_nsec deadline)
{
    struct lw_io_call call = lw_io_reading(fd, deadline, SITE);
    struct bytes bytes = {.buffer = buffer, .size = size};

    return (int)lw_io_run(&call, read_all, &bytes);
}

int lw_write_all(int fd, const void *buffer, size_t size, lw_nsec deadline)
{
    struct lw_io_call call = lw_io_writing(fd, deadline, SITE);
    struct bytes bytes = {.buffer = writable(buffer), .size = size};

    return (int)lw_io_run(&call, write_all, &bytes);
}

/* ---- messages */

struct parcel {
    struct msghdr *message;
    int flags;
};

static size_t size_of(const struct msghdr *message)
{
    size_t size = 0;

    for (size_t i = 0; i < message->msg_iovlen; i++)
        size += message->msg_iov[i].iov_len;
    return size;
}

static ssize_t receive(struct lw_io_call *call, void *arg)
{
    struct parcel *parcel = arg;
    ssize_t count;

    do {
        count = lw_io_result(lw_sys.recvmsg(call->fd, parcel->message,
                                            parcel->flags | MSG_DONTWAIT | MSG_CMSG_CLOEXEC));
    } while (lw_unlikely(count == -EINTR));
    /* With flags, or room for more than bytes, a short one may have other reasons. */
    if (parcel->flags == 0 && parcel->message->msg_control == NULL)
        note_short(call, count, size_of(parcel->message));
    return count;
}

/* MSG_WAITALL, which MSG_DONTWAIT takes the force of: piece by piece, on a stream.  What was moved
 * is returned, whatever ends the call after the first piece. */
struct whole {
    struct msghdr *message; /* the caller's: gets what the kernel says about the last piece */
    struct msghdr asked;    /* as the caller has passed it */
    int flags;
    size_t moved;
};

/* Step over what is there already.  The rest of a part that was begun comes by itself, in `begun`:
 * the caller's parts are not written to. */
static void step_over(struct msghdr *message, size_t moved, struct iovec *begun)
{
    while (message->msg_iovlen > 0 && moved >= message->msg_iov->iov_len) {
        moved -= message->msg_iov->iov_len;
        message->msg_iov++;
        message->msg_iovlen--;
    }
    if (moved == 0)
        return;
    begun->iov_base = (char *)message->msg_iov->iov_base + moved;
    begun->iov_len = message->msg_iov->iov_len - moved;
    message->msg_iov = begun;
    message->msg_iovlen = 1;
}

static ssize_t receive_whole(struct lw_io_call *call, void *arg)
{
    struct whole *whole = arg;
    bool is_stream = lw_fd_kind(call->state) >= LW_KIND_STREAM;
    size_t size = size_of(&whole->asked);

    if (is_stream && (call->state & LW_FD_BORN) == 0) /* the number may be another socket's now */
        is_stream = get_option(call->fd, SO_TYPE) == SOCK_STREAM;
    if (is_stream && (whole->flags & MSG_PEEK)) /* what was seen would be seen again */
        return -EINVAL;
    for (;;) {
        struct msghdr rest = whole->asked;
        struct parcel parcel = {.message = &rest, .flags = whole->flags};
        struct iovec begun;
        ssize_t count = whole->moved > 0 ? lw_io_look(call, NULL) : 0;

        if (count < 0)
            return count;
        if (count & POLLERR) /* said once, and not by a call that has moved something */
            break;
        step_over(&rest, whole->moved, &begun);
        count = receive(call, &parcel);
        if (count < 0)
            return count;
        whole->message->msg_namelen = rest.msg_namelen;
        whole->message->msg_controllen = rest.msg_controllen;
        whole->message->msg_flags = rest.msg_flags;
        whole->moved += (size_t)count;
        /* Ancillary data belongs to the bytes before it: the next piece would overwrite it. */
        if (!is_stream || count == 0 || whole->moved >= size || rest.msg_controllen > 0 ||
            (rest.msg_flags & MSG_CTRUNC))
            break;
    }
    return (ssize_t)whole->moved;
}

/* Into the queue of a unix socket that we are not connected to: no event of ours tells when there
 * is room, but each attempt in vain makes one, since what it had allocated is freed. */
static bool is_for_other_queue(const struct msghdr *message)
{
    const struct sockaddr *to = message->msg_name;

    return to != NULL && message->msg_namelen >= sizeof to->sa_family && to->sa_family == AF_UNIX;
}

static ssize_t transmit(struct lw_io_call *call, void *arg)
{
    struct parcel *parcel = arg;
    ssize_t count;

    do {
        count = lw_io_result(
            lw_sys.sendmsg(call->fd, parcel->message, parcel->flags | MSG_DONTWAIT | MSG_NOSIGNAL));
    } while (lw_unlikely(count == -EINTR));
    if (lw_unlikely(count == -EAGAIN && is_for_other_queue(parcel->message))) {
        int err = lw_io_pause(call);

        return err < 0 ? err : LW_ONCE_MORE;
    }
    if (parcel->flags == 0 && parcel->message->msg_control == NULL)
        note_short(call, count, size_of(parcel->message));
    return count;
}

/* A caller who passes MSG_DONTWAIT has said when. */
static lw_nsec deadline_of(int flags, lw_nsec deadline)
{
    return flags & MSG_DONTWAIT ? LW_NOW : deadline;
}

ssize_t lw_recvmsg(int fd, struct msghdr *message, int flags, lw_nsec deadline)
{
    struct lw_io_call call = lw_io_reading(fd, deadline_of(flags, deadline), SITE);
    struct parcel parcel = {.message = message, .flags = flags};
    struct whole whole = {.message = message, .flags = flags};
    ssize_t result;

    if ((flags & MSG_WAITALL) == 0 || (flags & (MSG_OOB | MSG_ERRQUEUE)))
        return lw_io_run(&call, receive, &parcel);
    whole.asked = *message;
    result = lw_io_run(&call, receive_whole, &whole);
    if (result >= 0 || whole.moved == 0)
        return result;
    if (result == -ECANCELED) /* for the next wait to say */
        lw_cancel_restore(call.me);
    else if (result == -EDEADLK)
        lw_wait_restore(call.me, LW_FORCED);
    return (ssize_t)whole.moved;
}

ssize_t lw_sendmsg(int fd, const struct msghdr *message, int flags, lw_nsec deadline)
{
    struct lw_io_call call = lw_io_writing(fd, deadline_of(flags, deadline), SITE);
    struct parcel parcel = {.message = writable(message), .flags = flags};

    return lw_io_run(&call, transmit, &parcel);
}

/* ---- readv and writev: messages where they can be */

static ssize_t read_parts(struct lw_io_call *call, void *arg)
{
    struct parcel parcel = {.message = arg};
    ssize_t count;

    if (is_socket(call) && size_of(parcel.message) > 0) {
        count = receive(call, &parcel);
        return lw_unlikely(count == -ENOTSOCK) ? guess_again(call) : count;
    }
    do {
        count = lw_io_result(
            lw_sys.readv(call->fd, parcel.message->msg_iov, (int)parcel.message->msg_iovlen));
    } while (lw_unlikely(count == -EINTR));
    return count;
}

static ssize_t write_parts(struct lw_io_call *call, void *arg)
{
    struct parcel parcel = {.message = arg};
    ssize_t count;

    /* Of nothing: as writev(2), which does not send an empty datagram; write(2) does. */
    if (is_socket(call) && size_of(parcel.message) > 0) {
        count = transmit(call, &parcel);
        return lw_unlikely(count == -ENOTSOCK) ? guess_again(call) : count;
    }
    do {
        count = lw_io_result(lw_sys.writev_quiet(call->fd, parcel.message->msg_iov,
                                                 (int)parcel.message->msg_iovlen));
    } while (lw_unlikely(count == -EINTR));
    return count;
}

ssize_t lw_readv(int fd, const struct iovec *parts, int count, lw_nsec deadline)
{
    struct lw_io_call call = lw_io_reading(fd, deadline, SITE);
    struct msghdr message = {.msg_iov = writable(parts), .msg_iovlen = (size_t)count};

    if (count < 0 || count > IOV_MAX)
        return -EINVAL;
    return lw_io_run(&call, read_parts, &message);
}

ssize_t lw_writev(int fd, const struct iovec *parts, int count, lw_nsec deadline)
{
    struct lw_io_call call = lw_io_writing(fd, deadline, SITE);
    struct msghdr message = {.msg_iov = writable(parts), .msg_iovlen = (size_t)count};

    if (count < 0 || count > IOV_MAX)
        return -EINVAL;
    return lw_io_run(&call, write_parts, &message);
}
