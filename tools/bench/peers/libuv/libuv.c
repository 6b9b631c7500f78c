/* SPDX-License-Identifier: MIT */
/* The echo server as libuv has it: callbacks on one loop; a write is tried at once, and queued
 * only if the socket is full. */
#include "bench.h"
#include "server.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum { BUFFER_BYTES = 64 * 1024 };

struct answer {
    uv_write_t request;
    char data[];
};

static void must(int result, const char *what)
{
    if (result < 0)
        bench_fail("%s: %s", what, uv_strerror(result));
}

static void closed(uv_handle_t *handle)
{
    free(handle);
}

static void hang_up(uv_stream_t *stream)
{
    if (!uv_is_closing((uv_handle_t *)stream))
        uv_close((uv_handle_t *)stream, closed);
}

static void answered(uv_write_t *request, int status)
{
    if (status < 0)
        hang_up(request->handle);
    free(request->data);
}

/* What could not be sent at once. */
static void send_later(uv_stream_t *stream, const char *data, size_t size)
{
    struct answer *answer = malloc(sizeof *answer + size);

    if (answer == NULL)
        bench_fail("out of memory");
    memcpy(answer->data, data, size);
    answer->request.data = answer;
    uv_buf_t rest = uv_buf_init(answer->data, (unsigned)size);
    must(uv_write(&answer->request, stream, &rest, 1, answered), "uv_write");
}

/* One buffer for all: what is read is sent, or copied, before the next read. */
static void lend_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    static char data[BUFFER_BYTES];

    (void)handle;
    (void)suggested;
    *buffer = uv_buf_init(data, sizeof data);
}

static void got_some(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer)
{
    if (got == 0)
        return;
    if (got < 0) {
        hang_up(stream);
        return;
    }

    uv_buf_t answer = uv_buf_init(buffer->base, (unsigned)got);
    int sent = uv_try_write(stream, &answer, 1);
    if (sent < 0 && sent != UV_EAGAIN)
        hang_up(stream);
    else if (sent < 0)
        send_later(stream, buffer->base, (size_t)got);
    else if (sent < got)
        send_later(stream, buffer->base + sent, (size_t)(got - sent));
}

static void connected(uv_stream_t *listener, int status)
{
    uv_tcp_t *connection = malloc(sizeof *connection);

    must(status, "accept");
    if (connection == NULL)
        bench_fail("out of memory");
    must(uv_tcp_init(listener->loop, connection), "uv_tcp_init");
    must(uv_accept(listener, (uv_stream_t *)connection), "uv_accept");
    must(uv_tcp_nodelay(connection, 1), "uv_tcp_nodelay");
    must(uv_read_start((uv_stream_t *)connection, lend_buffer, got_some), "uv_read_start");
}

static void echo(struct bench *bench)
{
    uv_loop_t loop;
    uv_tcp_t listener;

    bench_allow_descriptors();
    must(uv_loop_init(&loop), "uv_loop_init");
    must(uv_tcp_init(&loop, &listener), "uv_tcp_init");
    must(uv_tcp_open(&listener, bench_listen(bench->n)), "uv_tcp_open");
    must(uv_listen((uv_stream_t *)&listener, BENCH_BACKLOG, connected), "uv_listen");
    must(uv_run(&loop, UV_RUN_DEFAULT), "uv_run");
}

int main(int argc, char **argv)
{
    static const struct bench_workload workloads[] = { { "echo", echo }, { NULL, NULL } };

    return bench_main(argc, argv, "libuv", workloads);
}
