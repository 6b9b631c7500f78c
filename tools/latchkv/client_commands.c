/* SPDX-License-Identifier: MIT */
/* CLIENT ID, LIST, INFO, SETNAME, GETNAME. */
#include "latchkv/commands.h"
#include "latchkv/memory.h"
#include "latchkv/number.h"
#include "latchkv/server.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

void kv_run_client_id(struct kv_client *client)
{
    kv_reply_int(&client->reply, (int64_t)client->id);
}

void kv_run_client_getname(struct kv_client *client)
{
    if (client->name != NULL)
        kv_reply_text(&client->reply, client->name);
    else
        kv_reply_null(&client->reply);
}

void kv_run_client_setname(struct kv_client *client)
{
    if (kv_client_rename(client, &client->argv[2]))
        kv_reply_ok(&client->reply);
}

enum { ADDRESS_MAX = 128 };

typedef int get_address(int fd, struct sockaddr *address, socklen_t *size);

/* "127.0.0.1:7379", "[::1]:7379" or "/path:0". */
static void print_address(int fd, get_address *get, const char *unixsocket, char *text)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    } address = {.any = {.sa_family = AF_UNSPEC}};
    socklen_t size = sizeof address;
    char host[INET6_ADDRSTRLEN];

    (void)get(fd, &address.any, &size);
    switch (address.any.sa_family) {
    case AF_INET:
        inet_ntop(AF_INET, &address.in.sin_addr, host, sizeof host);
        snprintf(text, ADDRESS_MAX, "%s:%u", host, ntohs(address.in.sin_port));
        break;
    case AF_INET6:
        inet_ntop(AF_INET6, &address.in6.sin6_addr, host, sizeof host);
        snprintf(text, ADDRESS_MAX, "[%s]:%u", host, ntohs(address.in6.sin6_port));
        break;
    case AF_UNIX:
        snprintf(text, ADDRESS_MAX, "%s:0", unixsocket != NULL ? unixsocket : "");
        break;
    default:
        snprintf(text, ADDRESS_MAX, "?:0"); /* gone meanwhile */
        break;
    }
}

/* The line of a client as Redis has it; what is not known here is 0.  With the registry's lock. */
static size_t print_client(const struct kv_client *client, char *line, size_t size)
{
    const char *unixsocket = client->server->config.unixsocket;
    const struct kv_face *face = &client->face;
    const struct kv_command *command = atomic_load_explicit(&face->command, memory_order_relaxed);
    int queued = atomic_load_explicit(&face->queued, memory_order_relaxed);
    bool waiting = atomic_load_explicit(&face->waiting, memory_order_relaxed);
    int64_t now = kv_coarse_ms();
    char there[ADDRESS_MAX], here[ADDRESS_MAX];

    print_address(client->fd, getpeername, unixsocket, there);
    print_address(client->fd, getsockname, unixsocket, here);
    int length = snprintf(
        line, size,
        "id=%" PRIu64 " addr=%s laddr=%s fd=%d name=%.128s age=%" PRId64 " idle=%" PRId64
        " flags=%s db=%u sub=0 psub=0 ssub=0 multi=%d qbuf=%zu qbuf-free=%zu argv-mem=0 "
        "multi-mem=0 rbs=%zu rbp=0 obl=0 oll=0 omem=0 tot-mem=%zu events=r cmd=%s user=default "
        "redir=-1 resp=%d\n",
        client->id, there, here, client->fd, client->name != NULL ? client->name : "",
        (now - client->born) / 1000,
        (now - atomic_load_explicit(&face->active, memory_order_relaxed)) / 1000,
        waiting       ? "b"
        : queued >= 0 ? "x"
                      : "N",
        atomic_load_explicit(&face->database, memory_order_relaxed), queued,
        atomic_load_explicit(&face->input_size, memory_order_relaxed),
        atomic_load_explicit(&face->input_room, memory_order_relaxed),
        atomic_load_explicit(&face->reply_room, memory_order_relaxed),
        sizeof *client + atomic_load_explicit(&face->input_size, memory_order_relaxed) +
            atomic_load_explicit(&face->input_room, memory_order_relaxed) +
            atomic_load_explicit(&face->reply_room, memory_order_relaxed),
        command != NULL ? command->name : "NULL",
        atomic_load_explicit(&face->protocol, memory_order_relaxed));
    return (size_t)length < size ? (size_t)length : size - 1;
}

/* Which clients LIST shows. */
struct filter {
    unsigned first_id; /* index of the first id, in their hash and sorted; 0: all */
    bool none;         /* of a type that no client is */
};

static int compare_ids(const void *left, const void *right)
{
    const struct kv_arg *a = left, *b = right;

    return (a->hash > b->hash) - (a->hash < b->hash);
}

static bool read_filter(struct kv_client *client, struct filter *filter)
{
    static const char *const other_types[] = {"master", "replica", "slave", "pubsub"};
    struct kv_arg *argv = client->argv;
    int64_t id;

    if (client->argc == 2)
        return true;
    if (client->argc == 4 && kv_arg_is(&argv[2], "type")) {
        for (unsigned i = 0; i < sizeof other_types / sizeof *other_types; i++)
            filter->none |= kv_arg_is(&argv[3], other_types[i]);
        if (filter->none || kv_arg_is(&argv[3], "normal"))
            return true;
        kv_reply_errorf(&client->reply, "ERR Unknown client type '%.*s'",
                        (int)(argv[3].size < 128 ? argv[3].size : 128), argv[3].data);
        return false;
    }
    if (client->argc > 3 && kv_arg_is(&argv[2], "id")) {
        filter->first_id = 3;
        for (unsigned i = 3; i < client->argc; i++) {
            if (!kv_parse_int(argv[i].data, argv[i].size, &id)) {
                kv_reply_error(&client->reply, "ERR Invalid client ID");
                return false;
            }
            argv[i].hash = (uint64_t)id;
        }
        qsort(argv + 3, client->argc - 3, sizeof *argv, compare_ids);
        return true;
    }
    kv_reply_error(&client->reply, kv_error_syntax);
    return false;
}

static bool passes(const struct kv_client *client, const struct filter *filter,
                   const struct kv_client *shown)
{
    struct kv_arg wanted = {.hash = shown->id};

    if (filter->none || filter->first_id == 0)
        return !filter->none;
    return bsearch(&wanted, client->argv + filter->first_id, client->argc - filter->first_id,
                   sizeof wanted, compare_ids) != NULL;
}

void kv_run_client_list(struct kv_client *client)
{
    struct kv_clients *clients = &client->server->clients;
    struct filter filter = {0};
    struct kv_reply lines;
    char line[1024];
    int err;

    if (!read_filter(client, &filter))
        return;
    kv_reply_init(&lines, client->reply.limit);
    kv_client_publish(client);
    LW_WITH(&clients->mutex.lock, LW_FOREVER, err) {
        for (struct kv_client *shown = clients->first; shown != NULL; shown = shown->next)
            if (passes(client, &filter, shown))
                kv_reply_raw(&lines, line, print_client(shown, line, sizeof line));
    }
    if (err < 0)
        kv_client_told_to_end(client);
    else if (lines.broken)
        kv_reply_error(&client->reply, kv_error_nomem);
    else
        kv_reply_verbatim(&client->reply, lines.data, lines.size);
    kv_reply_fini(&lines);
}

void kv_run_client_info(struct kv_client *client)
{
    char line[1024];

    kv_client_publish(client);
    size_t size = print_client(client, line, sizeof line);
    kv_reply_verbatim(&client->reply, line, size);
}

void kv_run_client_help(struct kv_client *client)
{
    static const char *const lines[] = {
        "GETNAME",
        "    Return the name of the current connection.",
        "ID",
        "    Return the ID of the current connection.",
        "INFO",
        "    Return information about the current client connection.",
        "LIST [options ...]",
        "    Return information about client connections. Options:",
        "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
        "      Return clients of specified type.",
        "    * ID <clientid> [<clientid> ...]",
        "      Return clients of specified ids.",
        "SETNAME <name>",
        "    Assign the name <name> to the current connection.",
        NULL,
    };

    kv_reply_help(client, lines);
}
