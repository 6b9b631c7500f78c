/* SPDX-License-Identifier: MIT */
#include "latchkv/config.h"

#include "latchkv/number.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum kind { NUMBER, BYTES, SWITCH, TEXT, BINDS };

struct option {
    const char *name;
    enum kind kind;
    size_t offset;
    uint64_t least, most;
    const char *value, *help;
};

#define AT(field) offsetof(struct kv_config, field)

static const struct option options[] = {
    {"port", NUMBER, AT(port), 0, 65535, "N", "TCP port; 0: none (7379)"},
    {"bind", BINDS, 0, 0, 0, "ADDR",
     "listen there, IPv4 or IPv6; may be given again; -ADDR: if there is such\n"
     "an address; *: everywhere (127.0.0.1, -::1)"},
    {"unixsocket", TEXT, AT(unixsocket), 0, 0, "PATH", "listen on a unix socket as well"},
    {"workers", NUMBER, AT(workers), 0, 1024, "N",
     "threads that run connections; 0: one per usable CPU (0)"},
    {"databases", NUMBER, AT(databases), 1, 1024, "N", "for SELECT (16)"},
    {"maxclients", NUMBER, AT(maxclients), 1, 1000000, "N", "connections at one time (10000)"},
    {"maxlocks", NUMBER, AT(maxlocks), 1, 1000000, "N", "locks that one client may hold (1024)"},
    {"locksmith", SWITCH, AT(locksmith), 0, 1, "yes|no",
     "break deadlocks of clients that LOCK in conflicting order (yes)"},
    {"maxmemory", BYTES, AT(maxmemory), 0, INT64_MAX, "BYTES",
     "refuse to store more; 0: no limit (0)"},
    {"rate", NUMBER, AT(rate), 0, 1000000000, "N",
     "commands a second that a client may send, as many at once; more of them\n"
     "wait; 0: no limit (0)"},
    {"timeout", NUMBER, AT(timeout), 0, INT32_MAX, "SEC",
     "close clients idle for so long; 0: never (0)"},
    {"tcp-keepalive", NUMBER, AT(keepalive), 0, INT32_MAX, "SEC",
     "ask silent peers whether they live; 0: never (300)"},
    {"proto-max-bulk-len", BYTES, AT(bulk_max), 1024, UINT64_C(1) << 30, "BYTES",
     "longest argument or value (512mb)"},
    {"client-query-buffer-limit", BYTES, AT(query_max), 64 * 1024, UINT64_C(1) << 40, "BYTES",
     "longest request (1gb)"},
    {"client-output-buffer-limit", BYTES, AT(reply_max), 0, UINT64_C(1) << 40, "BYTES",
     "most that waits to be sent to a client; 0: no limit (1gb)"},
};

enum { OPTIONS = sizeof options / sizeof *options };

static const struct kv_config defaults = {
    .binds = {"127.0.0.1", "-::1"},
    .port = 7379,
    .databases = 16,
    .maxclients = 10000,
    .maxlocks = 1024,
    .locksmith = 1,
    .keepalive = 300,
    .bulk_max = UINT64_C(512) << 20,
    .query_max = UINT64_C(1) << 30,
    .reply_max = UINT64_C(1) << 30,
};

static const char help_head[] =
    "usage: latchkv [--option value]...\n"
    "A key-value server that speaks the Redis protocol, with a lock per key that clients hold\n"
    "across requests.\n\n";

static const char help_tail[] =
    "  --help, --version\n"
    "BYTES may end in k, m, g (thousands) or kb, mb, gb (1024s).\n\n"
    "Commands: those of Redis for strings, keys, transactions and connections (COMMAND lists\n"
    "them), and\n"
    "  LOCK key [timeout-ms]  hold the lock of that name (which guards what the clients agree\n"
    "                         on, no commands) until UNLOCK or the end of the connection; waits\n"
    "                         its turn for timeout-ms, without one for ever, with 0 not at all.\n"
    "                         OK, or null when the time is over; an error when this client holds\n"
    "                         it already, or --maxlocks others. In a transaction it does not\n"
    "                         wait.\n"
    "  UNLOCK key             OK, or an error when this client does not hold it.\n"
    "  LOCKS                  for each lock that is held: key, db, owner (a client id), for how\n"
    "                         many milliseconds (held-ms), and how many clients wait (waiters).\n"
    "  DEADLOCKS [count]      the last ones, the newest first (10): of clients that wait for each\n"
    "                         other's locks one gives way. Its LOCK is answered by an error that\n"
    "                         begins with DEADLOCK and tells who waits for whom: UNLOCK, then try\n"
    "                         again.\n"
    "\nSIGTERM and SIGINT stop it.\n";

static void print_help(void)
{
    fputs(help_head, stdout);
    for (unsigned i = 0; i < OPTIONS; i++) {
        const char *line = options[i].help;
        char name[48];

        snprintf(name, sizeof name, "--%s %s", options[i].name, options[i].value);
        for (const char *text = name; line != NULL; text = "") {
            size_t size = strcspn(line, "\n");

            printf("  %-35s %.*s\n", text, (int)size, line);
            line = line[size] == '\n' ? line + size + 1 : NULL;
        }
    }
    fputs(help_tail, stdout);
}

static uint64_t *number_of(const struct kv_config *config, const struct option *option)
{
    return (uint64_t *)(uintptr_t)((const char *)config + option->offset);
}

/* NULL, or what is wrong with the value. */
static const char *set_option(struct kv_config *config, const struct option *option,
                              const char *value)
{
    uint64_t number = 0;

    switch (option->kind) {
    case BINDS:
        if (config->bind_count == KV_BINDS_MAX)
            return "too many addresses";
        config->binds[config->bind_count++] = value;
        return NULL;
    case TEXT:
        *(const char **)((char *)config + option->offset) = value;
        return *value != '\0' ? NULL : "empty";
    case NUMBER:
        if (!kv_parse_cursor(value, strlen(value), &number))
            return "not a number";
        break;
    case BYTES:
        if (!kv_parse_bytes(value, &number))
            return "not a number of bytes";
        break;
    case SWITCH:
        number = strcmp(value, "yes") == 0;
        if (number == 0 && strcmp(value, "no") != 0)
            return "neither yes nor no";
        break;
    }
    if (number < option->least || number > option->most)
        return "out of range";
    *number_of(config, option) = number;
    return NULL;
}

static const struct option *find(const char *name, size_t size)
{
    for (unsigned i = 0; i < OPTIONS; i++)
        if (strncmp(options[i].name, name, size) == 0 && options[i].name[size] == '\0')
            return &options[i];
    return NULL;
}

static enum kv_start wrong(const char *argument, const char *why)
{
    fprintf(stderr, "latchkv: %s: %s (--help tells more)\n", argument, why);
    return KV_START_WRONG;
}

enum kv_start kv_config_read(struct kv_config *config, int argc, char **argv)
{
    *config = defaults;
    for (int i = 1; i < argc; i++) {
        const char *argument = argv[i];

        if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0) {
            print_help();
            return KV_START_DONE;
        }
        if (strcmp(argument, "--version") == 0) {
            printf("latchkv %s (speaks as Redis %s)\n", KV_VERSION, KV_REDIS_VERSION);
            return KV_START_DONE;
        }
        size_t size = strncmp(argument, "--", 2) == 0 ? strcspn(argument + 2, "=") : 0;
        const struct option *option = size > 0 ? find(argument + 2, size) : NULL;
        if (option == NULL)
            return wrong(argument, "unknown option");
        const char *value = argument[2 + size] == '=' ? argument + 3 + size : argv[++i];
        if (value == NULL)
            return wrong(argument, "needs a value");
        const char *error = set_option(config, option, value);
        if (error != NULL)
            return wrong(argument, error);
    }
    if (config->bind_count == 0)
        config->bind_count = 2;
    if (config->port == 0 && config->unixsocket == NULL)
        return wrong("--port 0", "then there must be a --unixsocket");
    return KV_START_SERVE;
}

static void show_binds(const struct kv_config *config, kv_config_show *show, void *arg)
{
    char text[1024];
    size_t size = 0;

    text[0] = '\0';
    for (unsigned i = 0; i < config->bind_count && size < sizeof text; i++)
        size += (size_t)snprintf(text + size, sizeof text - size, "%s%s", i > 0 ? " " : "",
                                 config->binds[i]);
    show("bind", text, arg);
}

void kv_config_each(const struct kv_config *config, kv_config_show *show, void *arg)
{
    char text[64];

    for (unsigned i = 0; i < OPTIONS; i++) {
        const struct option *option = &options[i];

        const char *set = NULL;

        switch (option->kind) {
        case BINDS:
            show_binds(config, show, arg);
            break;
        case TEXT:
            set = *(const char *const *)((const char *)config + option->offset);
            show(option->name, set != NULL ? set : "", arg);
            break;
        case SWITCH:
            show(option->name, *number_of(config, option) != 0 ? "yes" : "no", arg);
            break;
        case NUMBER:
        case BYTES:
            snprintf(text, sizeof text, "%" PRIu64, *number_of(config, option));
            if (option->offset == AT(reply_max))
                snprintf(text, sizeof text, "normal %" PRIu64 " 0 0", config->reply_max);
            show(option->name, text, arg);
            break;
        }
    }
    show("maxmemory-policy", "noeviction", arg);
    show("save", "", arg);
    show("appendonly", "no", arg);
}
