/* SPDX-License-Identifier: MIT */
#include "latchkv/link.h"

#include "latchkv/number.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

int kv_link_open(struct kv_link *link, const char *path, unsigned port, lw_nsec deadline)
{
    char service[8];
    int one = 1;

    link->out_size = link->in_start = link->in_end = 0;
    if (path != NULL) {
        link->fd = lw_connect_unix(path, deadline);
    } else {
        snprintf(service, sizeof service, "%u", port);
        link->fd = lw_connect_tcp("127.0.0.1", service, deadline);
        if (link->fd >= 0)
            (void)setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
    return link->fd < 0 ? link->fd : 0;
}

void kv_link_close(struct kv_link *link)
{
    if (link->fd >= 0)
        lw_close(link->fd);
    link->fd = -1;
}

int kv_link_put(struct kv_link *link, unsigned count, const char *const *words)
{
    char *at = link->out + link->out_size, *end = link->out + sizeof link->out;

    at += snprintf(at, (size_t)(end - at), "*%u\r\n", count);
    for (unsigned i = 0; i < count && at < end; i++)
        at += snprintf(at, (size_t)(end - at), "$%zu\r\n%s\r\n", strlen(words[i]), words[i]);
    if (at >= end)
        return -EMSGSIZE;
    link->out_size = (size_t)(at - link->out);
    return 0;
}

int kv_link_send(struct kv_link *link, lw_nsec deadline)
{
    int err = lw_write_all(link->fd, link->out, link->out_size, deadline);

    link->out_size = 0;
    return err;
}

static int fill(struct kv_link *link, lw_nsec deadline)
{
    if (link->in_start == link->in_end)
        link->in_start = link->in_end = 0;
    if (link->in_end == sizeof link->in) {
        memmove(link->in, link->in + link->in_start, link->in_end - link->in_start);
        link->in_end -= link->in_start;
        link->in_start = 0;
    }
    ssize_t n =
        lw_read(link->fd, link->in + link->in_end, sizeof link->in - link->in_end, deadline);
    if (n <= 0)
        return n < 0 ? (int)n : -EPIPE;
    link->in_end += (size_t)n;
    return 0;
}

/* The line at in_start, without its end, which is passed. */
static int read_line(struct kv_link *link, const char **line, size_t *size, lw_nsec deadline)
{
    for (;;) {
        size_t waiting = link->in_end - link->in_start;
        const char *begin = link->in + link->in_start;
        const char *end = waiting > 0 ? memchr(begin, '\n', waiting) : NULL;

        if (end != NULL && end > begin) {
            *line = begin;
            *size = (size_t)(end - begin) - 1;
            link->in_start += *size + 2;
            return 0;
        }
        if (waiting == sizeof link->in)
            return -EBADMSG;
        int err = fill(link, deadline);
        if (err < 0)
            return err;
    }
}

static int read_bulk(struct kv_link *link, struct kv_answer *answer, lw_nsec deadline)
{
    size_t kept = 0, left = (size_t)answer->number + 2;

    while (left > 0) {
        size_t waiting = link->in_end - link->in_start;
        size_t taken = waiting < left ? waiting : left;

        if (taken == 0) {
            int err = fill(link, deadline);

            if (err < 0)
                return err;
            continue;
        }
        for (size_t i = 0; i < taken && kept < sizeof answer->text - 1; i++)
            if (left - i > 2)
                answer->text[kept++] = link->in[link->in_start + i];
        link->in_start += taken;
        left -= taken;
    }
    answer->text[kept] = '\0';
    return 0;
}

int kv_link_read(struct kv_link *link, struct kv_answer *answer, lw_nsec deadline)
{
    const char *line;
    size_t size;
    int err = read_line(link, &line, &size, deadline);

    if (err < 0)
        return err;
    if (size == 0)
        return -EBADMSG;
    *answer = (struct kv_answer){.kind = line[0]};
    snprintf(answer->text, sizeof answer->text, "%.*s", (int)(size - 1), line + 1);
    if (strchr("+-", answer->kind) != NULL)
        return 0;
    if (strchr(":$*", answer->kind) == NULL || !kv_parse_int(line + 1, size - 1, &answer->number))
        return -EBADMSG;
    return answer->kind == '$' && answer->number >= 0 ? read_bulk(link, answer, deadline) : 0;
}
