/* SPDX-License-Identifier: MIT */
/* An operation that was not sent whole cannot have happened, so it is not in the history; one that
 * was sent and not answered may have.
 *
 * Ends: a client leaves, with or without QUIT; dies with part of a request sent; stops reading and
 * then dies; breaks the protocol.  What it is told then, and that nothing follows, is checked here;
 * that the server forgets all about it, by who runs the clients. */
#include "tests/sim/latchkv_visit.h"

#include <errno.h>
#include <latchwork.h>
#include <latchwork/sim.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "latchkv/clock.h"
#include "runtime/sim/engine.h"

enum ending { LEAVES, QUITS, DIES, DEAF, HOSTILE, ENDINGS };
enum { BATCH_MAX = 3, OUT_MAX = BATCH_MAX * MODEL_WIRE + 32, REFUSED_TRIES = 20 };

static unsigned stamp;

void visit_start_time(void)
{
    stamp = 0;
}

unsigned visit_stamp(void)
{
    return ++stamp;
}

int64_t visit_ms(void)
{
    return kv_clock_read_us() / 1000;
}

/* ---- drawing */

static void draw_command(const struct visit *visit, struct model_command *command, unsigned verbs)
{
    static const int lives[] = {1, 3, 20, 1000}, timeouts[] = {-1, 0, 5, 100};
    static const enum model_verb often[] = {MODEL_INCR, MODEL_MSET, MODEL_MGET,  MODEL_LOCK,
                                            MODEL_LOCK, MODEL_LOCK, MODEL_WATCH, MODEL_UNLOCK};
    unsigned more = verbs == MODEL_VERBS ? sizeof often / sizeof *often : 3;
    unsigned verb = sim_choose(verbs + more);

    command->verb = verb < verbs ? (enum model_verb)verb : often[verb - verbs];
    command->key = sim_choose(MODEL_KEYS + 1) % MODEL_KEYS; /* the first one more often */
    command->ms = command->verb == MODEL_LOCK ? timeouts[sim_choose(4)] : lives[sim_choose(4)];
    if (command->verb == MODEL_LOCK && command->key != 0 && command->ms < 0)
        command->ms = 50; /* who waits for two in a circle waits for ever: nobody finds it yet */
    if (command->verb == MODEL_APPEND || command->verb == MODEL_SETNX)
        (void)snprintf(command->text, sizeof command->text, "%u", visit->number + 1);
    else if (sim_choose(8) == 7)
        (void)snprintf(command->text, sizeof command->text, "x%u", visit->number);
    else /* a number that nobody else has, for INCR */
        (void)snprintf(command->text, sizeof command->text, "%u%u0", visit->number + 1,
                       visit->history->count);
}

static void draw_op(const struct visit *visit, struct model_op *op)
{
    unsigned form = sim_choose(8);

    memset(op, 0, sizeof *op);
    op->form = form < 6 ? MODEL_PLAIN : form == 6 || sim_choose(3) < 2 ? MODEL_EXEC : MODEL_DISCARD;
    op->count = op->form == MODEL_PLAIN ? 1 : sim_choose(MODEL_QUEUE + 1);
    op->replies = op->form == MODEL_PLAIN ? 1 : op->count + 2;
    for (unsigned i = 0; i < op->count; i++)
        draw_command(visit, &op->commands[i],
                     op->form == MODEL_PLAIN ? MODEL_VERBS : MODEL_QUEUED_VERBS);
}

static void pause_a_little(void)
{
    static const int ms[] = {0, 0, 1, 4, 25};
    int wait = ms[sim_choose(sizeof ms / sizeof *ms)];

    if (wait > 0)
        (void)!lw_sleep(lw_in(wait * LW_MS));
}

/* ---- the connection */

static bool is_out_of_files(int err)
{
    return err == -EMFILE || err == -ENFILE;
}

int visit_connect(struct visit *visit)
{
    int fd = -EMFILE;

    for (unsigned i = 0; is_out_of_files(fd) && i < REFUSED_TRIES; i++)
        fd = visit->on_unix ? lw_connect_unix(VISIT_PATH, LW_FOREVER)
                            : lw_connect_tcp("127.0.0.1", VISIT_PORT, LW_FOREVER);
    visit->fd = fd;
    visit->start = visit->end = 0;
    LW_SIM_CHECK(fd >= 0 || visit->rough || is_out_of_files(fd));
    return fd < 0 ? fd : 0;
}

/* Of the reply that begins there; 0: it is not all there. */
static size_t reply_size(const char *data, size_t size)
{
    const char *end = memchr(data, '\n', size);
    size_t all = end != NULL ? (size_t)(end - data) + 1 : 0;
    long count;

    if (all == 0)
        return 0;
    LW_SIM_CHECK(all >= 3 && end[-1] == '\r' && strchr("+-:$*", data[0]) != NULL);
    count = data[0] == '*' || data[0] == '$' ? strtol(data + 1, NULL, 10) : -1;
    if (data[0] == '$' && count >= 0) {
        all += (size_t)count + 2;
        return all <= size ? all : 0;
    }
    for (long i = 0; i < count; i++) {
        size_t one = reply_size(data + all, size - all);

        if (one == 0)
            return 0;
        all += one;
    }
    return all;
}

int visit_read(struct visit *visit, const char **reply)
{
    size_t size;

    while ((size = reply_size(visit->in + visit->start, visit->end - visit->start)) == 0) {
        ssize_t count;

        if (visit->start > 0) {
            memmove(visit->in, visit->in + visit->start, visit->end - visit->start);
            visit->end -= visit->start;
            visit->start = 0;
        }
        LW_SIM_CHECK(visit->end < sizeof visit->in);
        count =
            lw_read(visit->fd, visit->in + visit->end, sizeof visit->in - visit->end, LW_FOREVER);
        if (count <= 0) {
            LW_SIM_CHECK(visit->end == 0 || visit->rough); /* no part of a reply */
            return (int)count;
        }
        visit->end += (size_t)count;
    }
    *reply = visit->in + visit->start;
    visit->start += size;
    return (int)size;
}

/* ---- operations */

/* False: the connection is over. */
static bool read_op(struct visit *visit, struct model_op *op)
{
    static const char full[] = "-ERR max number of clients";
    const char *reply;

    for (unsigned i = 0; i < op->replies; i++) {
        int size = visit_read(visit, &reply);

        LW_SIM_CHECK(size > 0 || visit->rough); /* nobody else ends it */
        if (size <= 0) {
            op->size = 0;
            return false;
        }
        if ((size_t)size > sizeof full && memcmp(reply, full, sizeof full - 1) == 0) {
            visit->history->count = 0; /* turned away: none of it has happened */
            return false;
        }
        LW_SIM_CHECK(op->size + (size_t)size <= sizeof op->reply);
        memcpy(op->reply + op->size, reply, (size_t)size);
        op->size += (size_t)size;
    }
    op->answered = visit_stamp();
    op->answered_ms = visit_ms();
    return true;
}

static bool read_answers(struct visit *visit)
{
    struct model_history *history = visit->history;

    while (visit->answered < history->count)
        if (!read_op(visit, &history->ops[visit->answered++]))
            return false;
    return true;
}

struct batch {
    size_t size, ends[BATCH_MAX + 1]; /* of each operation's bytes */
    unsigned first, count;
    char out[OUT_MAX];
};

static void draw_batch(struct visit *visit, struct batch *batch, unsigned count)
{
    struct model_history *history = visit->history;

    batch->size = 0;
    batch->count = count;
    batch->first = history->count;
    for (unsigned i = 0; i < count; i++) {
        struct model_op *op = &history->ops[history->count];

        draw_op(visit, op);
        batch->size += model_wire(op, sim_choose(3) == 2, batch->out + batch->size);
        batch->ends[i] = batch->size;
        history->count++;
    }
}

/* The end as an operation, and what asks for it if that is said. */
static void add_end(struct visit *visit, struct batch *batch, enum ending ending)
{
    static const char *const broken[] = {"*1\r\n:1\r\n", "*1234567\r\n", "*1\r\n$-7\r\n"};
    struct model_op *op = &visit->history->ops[visit->history->count++];
    const char *text;

    memset(op, 0, sizeof *op);
    op->form = MODEL_END;
    if (ending != QUITS && ending != HOSTILE)
        return;
    text = ending == QUITS ? "QUIT\r\n" : broken[sim_choose(3)];
    op->prefix = ending == QUITS ? "+OK\r\n" : "-ERR Protocol error: ";
    op->replies = 1;
    memcpy(batch->out + batch->size, text, strlen(text));
    batch->size += strlen(text);
    batch->ends[batch->count++] = batch->size;
}

static bool send_batch(struct visit *visit, struct batch *batch)
{
    unsigned asked = visit_stamp();
    int64_t ms = visit_ms();

    for (unsigned i = batch->first; i < visit->history->count; i++) {
        visit->history->ops[i].asked = asked;
        visit->history->ops[i].asked_ms = ms;
    }
    int err = lw_write_all(visit->fd, batch->out, batch->size, LW_FOREVER);

    LW_SIM_CHECK(err == 0 || visit->rough);
    return err == 0;
}

/* Send only part of the batch, and forget what was not sent whole. */
static void die(struct visit *visit, struct batch *batch)
{
    unsigned whole = 0;

    batch->size = sim_choose((unsigned)batch->size + 1);
    while (whole < batch->count && batch->ends[whole] <= batch->size + 2) /* may lack its "\r\n" */
        whole++;
    visit->history->count = batch->first + whole;
    (void)send_batch(visit, batch);
    pause_a_little();
}

/* Nothing comes behind the last reply but the end. */
static void expect_end(struct visit *visit)
{
    const char *reply;
    int size = visit_read(visit, &reply);

    LW_SIM_CHECK(size == 0 || (size < 0 && visit->rough));
}

/* True: its end is in the history. */
static bool converse(struct visit *visit, enum ending ending)
{
    /* One who reads nothing leaves all of it to be guessed at. */
    unsigned batches = ending == DEAF ? 1 : 1 + sim_choose(3), fatal = sim_choose(batches);
    struct batch batch;
    bool ended = false, well = true;

    for (unsigned i = 0; i < batches && well; i++) {
        draw_batch(visit, &batch, 1 + sim_choose(BATCH_MAX));
        if (ending == DIES && i == fatal) {
            die(visit, &batch);
            break;
        }
        if (i + 1 == batches && (ending == QUITS || ending == HOSTILE)) {
            add_end(visit, &batch, ending);
            ended = true;
        }
        well = send_batch(visit, &batch) && (ending == DEAF || read_answers(visit));
        if (well && ended)
            expect_end(visit);
        pause_a_little();
    }
    return ended;
}

static void swap_replies(struct model_history *history)
{
    struct model_op *ops = history->ops, second = ops[1];

    if (history->count < 2 || ops[0].answered == 0 || ops[1].answered == 0)
        return;
    memcpy(ops[1].reply, ops[0].reply, sizeof second.reply);
    memcpy(ops[0].reply, second.reply, sizeof second.reply);
    ops[1].size = ops[0].size;
    ops[0].size = second.size;
}

int visit_run(void *arg)
{
    struct visit *visit = arg;
    struct model_history *history = visit->history;
    enum ending ending = (enum ending)sim_choose(ENDINGS);
    struct batch none = {0};

    pause_a_little();
    if (visit_connect(visit) == 0) {
        bool ended = converse(visit, ending);

        if (!ended && history->count > 0)
            add_end(visit, &none, LEAVES);
        if (!ended && history->count > 0)
            history->ops[history->count - 1].asked = visit_stamp();
        LW_SIM_CHECK(lw_close(visit->fd) == 0);
    }
    if (planted == PLANTED_SWAPPED_REPLY)
        swap_replies(history);
    visit->done = true;
    return 0;
}

void *visit_run_as_guest(void *arg)
{
    (void)visit_run(arg);
    return NULL;
}
