/* SPDX-License-Identifier: MIT */
/* The task of a connection: read what there is, run all complete requests in it, send all replies.
 * So a batch of pipelined requests costs one read and one write, and while the task waits in either
 * nobody else notices: a slow client is slow for itself.
 *
 * Told to stop (-ECANCELED, at one of its waits), it sends the replies of what it has done, for a
 * moment only, and ends. */
#include "latchkv/command.h"
#include "latchkv/log.h"
#include "latchkv/memory.h"
#include "latchkv/server.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

enum {
    INPUT_USUAL = 4 * 1024,  /* the first buffer */
    INPUT_KEPT = 64 * 1024,  /* a larger one is given back when it is empty */
    FLUSH_AT = 64 * 1024,    /* replies go out when they are so many, within a batch too */
    LINGER_MAX = 1024 * 1024 /* bytes of a broken client that are read away */
};

static const lw_nsec LINGER = 500 * LW_MS;     /* for a broken client to read its error */
static const lw_nsec LAST_WORDS = 200 * LW_MS; /* for replies, once told to stop */

static lw_nsec idle_deadline(const struct kv_client *client)
{
    uint64_t timeout = client->server->config.timeout;

    return timeout == 0 ? LW_FOREVER : lw_in((lw_nsec)timeout * LW_SEC);
}

/* Send what is left, until the deadline; without one as long as the client takes some of it now and
 * then: who reads is not idle. */
static int send_rest(struct kv_client *client, size_t *sent, const lw_nsec *deadline)
{
    while (*sent < client->reply.size) {
        ssize_t n = lw_write(client->fd, client->reply.data + *sent, client->reply.size - *sent,
                             deadline != NULL ? *deadline : idle_deadline(client));
        if (n < 0)
            return (int)n;
        *sent += (size_t)n;
    }
    return 0;
}

int kv_client_flush(struct kv_client *client)
{
    size_t sent = 0;

    if (client->reply.broken)
        return -ENOBUFS;
    if (client->cut)
        return -EPIPE;
    if (client->reply.size == 0)
        return 0;
    int err = send_rest(client, &sent, NULL);
    if (err == -ECANCELED) {
        lw_nsec deadline = lw_in(LAST_WORDS);

        LW_SHIELD()
            (void)send_rest(client, &sent, &deadline);
    }
    client->cut = sent < client->reply.size;
    client->closing |= err < 0;
    kv_reply_clear(&client->reply);
    return err;
}

static bool resize_input(struct kv_input *input, size_t capacity)
{
    char *data = kv_resize(input->data, input->capacity, capacity);

    if (data == NULL)
        return false;
    input->data = data;
    input->capacity = capacity;
    return true;
}

/* Make room to read into, for all of the request if its size is known.  0 or why not. */
static int prepare(struct kv_client *client)
{
    struct kv_input *input = &client->input;
    size_t waiting = input->end - input->start;
    size_t wanted = kv_parser_wants(&client->parser);

    if (waiting == 0) {
        input->start = input->end = 0;
        if (input->capacity > INPUT_KEPT) {
            kv_free(input->data, input->capacity);
            *input = (struct kv_input){0};
        }
    }
    if (input->end < input->capacity && input->start + wanted <= input->capacity)
        return 0;
    if (waiting >= client->server->config.query_max || wanted > client->server->config.query_max)
        return -EMSGSIZE;
    if (input->start > 0) {
        memmove(input->data, input->data + input->start, waiting);
        input->start = 0;
        input->end = waiting;
    }
    size_t capacity = input->capacity != 0 ? input->capacity : INPUT_USUAL;
    if (input->end > capacity / 2)
        capacity *= 2;
    if (capacity < wanted)
        capacity = wanted;
    if (capacity > input->capacity && !resize_input(input, capacity))
        return -ENOMEM;
    return 0;
}

int kv_client_receive(struct kv_client *client, lw_nsec deadline)
{
    struct kv_input *input = &client->input;
    int err = prepare(client);

    if (err < 0)
        return err;
    ssize_t n =
        lw_read(client->fd, input->data + input->end, input->capacity - input->end, deadline);
    if (n <= 0)
        return n < 0 ? (int)n : -EPIPE;
    input->end += (size_t)n;
    return 0;
}

/* Wait until the client may have another command run, with --rate; what has run is answered first.
 * 0, or why the connection must end. */
static int await_turn(struct kv_client *client)
{
    int err = lw_rate_limit_acquire(&client->limit, 1, LW_NOW);

    if (err != -ETIMEDOUT)
        return err;
    err = kv_client_flush(client);
    return err < 0 ? err : lw_rate_limit_acquire(&client->limit, 1, LW_FOREVER);
}

/* 0, or why the connection must end at once. */
static int run_request(struct kv_client *client)
{
    _Atomic(uint64_t) *commands = &client->face.commands;

    client->argv = client->parser.args;
    client->argc = client->parser.argc;
    client->input.start += client->parser.at;
    if (client->argc > 0) {
        int err = client->server->config.rate != 0 ? await_turn(client) : 0;

        if (err < 0)
            return err;
        atomic_store_explicit(commands, atomic_load_explicit(commands, memory_order_relaxed) + 1,
                              memory_order_relaxed);
        kv_command_execute(client);
    }
    kv_parser_reset(&client->parser);
    return client->reply.broken ? -ENOBUFS : 0; /* nothing that follows could be answered */
}

/* Run all complete requests.  0, or why the connection must end at once. */
static int run_requests(struct kv_client *client)
{
    struct kv_input *input = &client->input;
    int err = 0;

    while (err == 0 && !client->closing) {
        switch (kv_parser_next(&client->parser, input->data + input->start,
                               input->end - input->start)) {
        case KV_PARSE_MORE:
            return 0;
        case KV_PARSE_REQUEST:
            err = run_request(client);
            break;
        case KV_PARSE_BROKEN:
            kv_reply_errorf(&client->reply, "ERR %s", client->parser.error);
            client->closing = client->hostile = true;
            break;
        case KV_PARSE_NOMEM:
            return -ENOMEM;
        }
        if (err == 0 && client->reply.size >= FLUSH_AT)
            err = kv_client_flush(client);
    }
    return err;
}

/* Closing a socket with unread bytes in it throws away what the peer has not read yet, which would
 * be the error it should see: end our half, then read a little. */
static void linger(struct kv_client *client)
{
    lw_nsec deadline = lw_in(LINGER);
    size_t size = 0;
    ssize_t n = 1;

    shutdown(client->fd, SHUT_WR);
    while (n > 0 && size < LINGER_MAX) {
        n = lw_read(client->fd, client->input.data, client->input.capacity, deadline);
        size += n > 0 ? (size_t)n : 0;
    }
}

void kv_client_log_end(const struct kv_client *client, int err)
{
    if (err == -EMSGSIZE || err == -ENOBUFS || err == -ENOMEM)
        kv_log("client %llu closed: %s", (unsigned long long)client->id, strerror(-err));
}

static void serve(struct kv_client *client)
{
    int err = 0;

    while (err == 0 && !client->closing) {
        err = kv_client_receive(client, idle_deadline(client));
        if (err < 0)
            break;
        err = run_requests(client);
        if (client->closing) /* others need not wait until it has read its last reply */
            kv_client_unlock(client);
        kv_client_publish(client);
        /* All who have requests read them first, then all reply: a client that waits for several
         * connections is woken once for many replies, and is busy while the others come. */
        lw_yield();
        if (err == 0)
            err = kv_client_flush(client);
    }
    if (err == 0 && client->hostile)
        linger(client);
    kv_client_log_end(client, err);
}

int kv_connection_run(void *arg)
{
    struct kv_client *client = arg;
    int fd = client->fd;

    client->task = lw_self();
    atomic_store_explicit(&client->face.task, client->task.id, memory_order_relaxed);
    serve(client);
    kv_client_free(client); /* leaves the registry, in which others use the descriptor */
    lw_close(fd);
    return 0;
}
