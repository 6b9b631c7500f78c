/* SPDX-License-Identifier: MIT */
/* What is read from a descriptor was written to it, and to no other: pipes, pairs of sockets and
 * TCP connections come and go as fast as they can, so numbers are in use again at once, and most
 * are closed from elsewhere, by whoever comes by, while somebody waits on them.
 *
 * Each stream has a serial number, and each of its records says that and its own.  The reader gets
 * all records, in order, and then waits in one last call, which the close ends with -EBADF: nothing
 * else may, whoever has the number by then.  (Only a call that has begun is safe against a close
 * from elsewhere; so the closer makes sure that it has.) */
#include "tests/torture/torture.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/record.h"
#include "runtime/wait.h"

enum { STREAMS = 1, READ, CLOSED, ENDED };
enum { BIN = 8, RECORDS_FEW = 16, RECORDS_MANY = 6000 };

struct record {
    uint64_t serial, number;
};

struct stream {
    uint64_t serial, records, random;
    int from, to;
    bool tcp;
    bool last; /* the reader's next wait is its last call */
};

static uint64_t serials;
static uint64_t bin[BIN]; /* descriptors plus 1 that anybody may take out and close */
static int listener;
static struct sockaddr_in address;
static lw_mutex connecting;

static void setup(void)
{
    socklen_t size = sizeof address;

    listener = lw_listen_tcp("127.0.0.1", "0", LW_FOREVER);
    CHECK(listener >= 0, "no listener: %d", listener);
    CHECK(getsockname(listener, (struct sockaddr *)&address, &size) == 0, "errno %d", errno);
}

/* Reset on close, or the ports would run out; so all has to be read by then. */
static void connect_pair(int ends[2])
{
    struct linger linger = {1, 0};
    int err;

    ends[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(ends[1] >= 0, "errno %d", errno);
    LW_WITH(&connecting.lock, LW_FOREVER, err) {
        err = lw_connect(ends[1], (struct sockaddr *)&address, sizeof address, LW_FOREVER);
        CHECK(err == 0, "a connect returned %d", err);
        ends[0] = lw_accept(listener, NULL, NULL, LW_FOREVER);
    }
    CHECK(ends[0] >= 0, "an accept returned %d", ends[0]);
    for (int i = 0; i < 2; i++)
        (void)setsockopt(ends[i], SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

static void open_stream(struct stream *stream, uint64_t kind)
{
    int ends[2];

    if (kind % 8 == 0)
        connect_pair(ends);
    else if (kind % 8 < 4)
        CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, "errno %d", errno);
    else
        CHECK(pipe2(ends, O_CLOEXEC) == 0, "errno %d", errno);
    stream->tcp = kind % 8 == 0;
    stream->from = ends[0];
    stream->to = ends[1];
}

static int reader(void *arg)
{
    struct stream *stream = arg;
    struct record record;
    ssize_t got;

    for (uint64_t i = 0; i < stream->records; i++) {
        int err;

        if (draw(&stream->random) % 4 == 0) {
            err = lw_poll(stream->from, POLLIN, draw_deadline(&stream->random));
            CHECK(err > 0 || err == -ETIMEDOUT, "a poll returned %d", err);
        }
        err = lw_read_all(stream->from, &record, sizeof record, LW_FOREVER);
        CHECK(err == 0, "stream %llu: a read returned %d", ull(stream->serial), err);
        CHECK(record.serial == stream->serial, "stream %llu has record %llu of stream %llu",
              ull(stream->serial), ull(record.number), ull(record.serial));
        CHECK(record.number == i, "stream %llu has record %llu in place of %llu",
              ull(stream->serial), ull(record.number), ull(i));
    }
    lw_store_rel(&stream->last, true);
    got = lw_read(stream->from, &record, sizeof record, LW_FOREVER);
    CHECK(got <= 0, "stream %llu has %lld bytes too many", ull(stream->serial), (long long)got);
    return (int)got;
}

/* The reader is in its last call, in the wait. */
static bool is_last(const struct stream *stream, lw_task task)
{
    return lw_load_acq(&stream->last) &&
           (lw_load_acq(&lw_record_cold(lw_record_of(task.id))->wait) & LW_PHASE_MASK) ==
               LW_PHASE_WAITING;
}

static void empty_bin(uint64_t slot)
{
    uint64_t found = lw_swap_acq_rel(&bin[slot], 0);

    if (found != 0)
        CHECK(lw_close((int)found - 1) == 0, "descriptor %d could not be closed", (int)found - 1);
}

/* End a stream whose reader waits; what the reader has to see. */
static int end_stream(struct actor *actor, struct stream *stream, lw_task task)
{
    uint64_t number = draw(&actor->random), slot = (number >> 8) % BIN, none = 0;

    while ((stream->tcp || number % 4 != 0) && !is_last(stream, task))
        give_way();
    if (number % 4 == 0) {
        CHECK(lw_close(stream->to) == 0, "a close failed");
        stream->to = -1;
        return 0;
    }
    if (!lw_cas_acq_rel(&bin[slot], &none, (uint64_t)stream->from + 1)) {
        CHECK(lw_close(stream->from) == 0, "a close failed");
    } else {
        for (uint64_t i = (number >> 16) % 4; i > 0; i--)
            give_way();
        empty_bin(slot);
    }
    stream->from = -1;
    return -EBADF;
}

static bool act(struct actor *actor)
{
    uint64_t number = draw(&actor->random);
    struct stream stream = {.random = number | 1};
    struct record record;
    lw_task task;
    int status = 0, wanted;

    stream.serial = lw_add_rlx(&serials, 1);
    stream.records = number % 64 == 0 ? (number >> 8) % RECORDS_MANY : number % RECORDS_FEW;
    open_stream(&stream, number >> 32);
    CHECK(lw_spawn(&task, reader, &stream, NULL) == 0, "no task");
    for (uint64_t i = 0; i < stream.records; i++) {
        record = (struct record){stream.serial - BROKEN(1, &actor->random, 1000), i};
        CHECK(lw_write_all(stream.to, &record, sizeof record, LW_FOREVER) == 0, "a write failed");
        count(actor, OPERATIONS, 1);
    }
    wanted = end_stream(actor, &stream, task);
    empty_bin(draw(&actor->random) % BIN);
    CHECK(lw_join(task, &status, LW_FOREVER) == 0, "the reader cannot be joined");
    CHECK(status == wanted || (wanted == 0 && status == -ECONNRESET),
          "stream %llu: the last read returned %d instead of %d", ull(stream.serial), status,
          wanted);
    if (stream.to >= 0)
        CHECK(lw_close(stream.to) == 0, "a close failed");
    if (stream.from >= 0)
        CHECK(lw_close(stream.from) == 0, "a close failed");
    count(actor, OPERATIONS, 1);
    count(actor, STREAMS, 1);
    count(actor, READ, stream.records);
    count(actor, status == -EBADF ? CLOSED : ENDED, 1);
    return !torture_over();
}

static void check(void)
{
    for (int i = 0; i < BIN; i++)
        CHECK(bin[i] == 0, "descriptor %llu was left in the bin", ull(bin[i] - 1));
    CHECK(lw_close(listener) == 0, "the listener cannot be closed");
}

static void report(void)
{
    (void)printf("%llu records of %llu streams read, %llu of them closed under a reader",
                 ull(torture_total(READ)), ull(torture_total(STREAMS)), ull(torture_total(CLOSED)));
}

const struct torture torture = {
    .name = "io",
    .tasks = 12,
    .guests = 3,
    .setup = setup,
    .act = act,
    .check = check,
    .report = report,
};
