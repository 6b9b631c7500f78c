/* SPDX-License-Identifier: MIT */
/* COMMAND: what the rows of the table say, in the form that Redis 7.0 gives it. */
#include "latchkv/commands.h"
#include "latchkv/glob.h"
#include "latchkv/server.h"

#include <string.h>

/* Words separated by blanks, as a set of status replies (kind '+') or bulk strings ('$'). */
static void reply_words(struct kv_client *client, char kind, const char *words)
{
    size_t count = 0;

    for (const char *at = words; *at != '\0'; at += strspn(at, " "), count++)
        at += strcspn(at, " ");
    kv_reply_set(&client->reply, count);
    for (const char *at = words; *at != '\0'; at += strspn(at, " ")) {
        size_t size = strcspn(at, " ");

        if (kind == '$') {
            kv_reply_bulk(&client->reply, at, size);
        } else {
            kv_reply_raw(&client->reply, &kind, 1);
            kv_reply_raw(&client->reply, at, size);
            kv_reply_raw(&client->reply, "\r\n", 2);
        }
        at += size;
    }
}

/* The names of the bits that are set, as a set of status replies. */
static void reply_bits(struct kv_client *client, unsigned bits, const char *const *names)
{
    kv_reply_set(&client->reply, (size_t)__builtin_popcount(bits));
    for (; bits != 0; bits &= bits - 1)
        kv_reply_status(&client->reply, names[__builtin_ctz(bits)]);
}

static const char *const flag_names[] = {
    "write",   "readonly", "denyoom",      "admin", "noscript", "blocking",
    "loading", "stale",    "skip_slowlog", "fast",  "no_auth",  "allow_busy",
};

static const char *const category_names[] = {
    "@keyspace", "@read",     "@write",     "@string",     "@admin",       "@fast",
    "@slow",     "@blocking", "@dangerous", "@connection", "@transaction",
};

/* Those that follow from the flags, too. */
static unsigned categories_of(const struct kv_command *command)
{
    unsigned categories = command->categories;

    if (command->flags & KV_WRITE)
        categories |= KV_WRITES;
    if (command->flags & KV_READONLY)
        categories |= KV_READS;
    if (command->flags & KV_ADMIN)
        categories |= KV_ADMINS | KV_DANGEROUS;
    if (command->flags & KV_BLOCKING)
        categories |= KV_BLOCKS;
    return categories | (command->flags & KV_FAST ? KV_FASTS : KV_SLOWS);
}

static void reply_key_specs(struct kv_client *client, const struct kv_command *command)
{
    struct kv_reply *reply = &client->reply;
    int last = command->keys.last;

    if (command->keys.first == 0) {
        kv_reply_set(reply, 0);
        return;
    }
    kv_reply_set(reply, 1);
    kv_reply_map(reply, 3);
    kv_reply_text(reply, "flags");
    reply_words(client, '+', command->keys.access);
    kv_reply_text(reply, "begin_search");
    kv_reply_map(reply, 2);
    kv_reply_text(reply, "type");
    kv_reply_text(reply, "index");
    kv_reply_text(reply, "spec");
    kv_reply_map(reply, 1);
    kv_reply_text(reply, "index");
    kv_reply_int(reply, command->keys.first);
    kv_reply_text(reply, "find_keys");
    kv_reply_map(reply, 2);
    kv_reply_text(reply, "type");
    kv_reply_text(reply, "range");
    kv_reply_text(reply, "spec");
    kv_reply_map(reply, 3);
    kv_reply_text(reply, "lastkey");
    kv_reply_int(reply, last < 0 ? last : last - command->keys.first);
    kv_reply_text(reply, "keystep");
    kv_reply_int(reply, command->keys.step);
    kv_reply_text(reply, "limit");
    kv_reply_int(reply, 0);
}

static size_t count_rows(const struct kv_command *rows)
{
    size_t count = 0;

    for (; rows != NULL && rows->name != NULL; rows++)
        count += !(rows->flags & KV_UNLISTED);
    return count;
}

static void reply_info(struct kv_client *client, const struct kv_command *command)
{
    struct kv_reply *reply = &client->reply;
    const struct kv_command *sub = command->subcommands;

    kv_reply_array(reply, 10);
    kv_reply_text(reply, command->name);
    kv_reply_int(reply, command->arity);
    reply_bits(client, command->flags & KV_SHOWN, flag_names);
    kv_reply_int(reply, command->keys.first);
    kv_reply_int(reply, command->keys.last);
    kv_reply_int(reply, command->keys.step);
    reply_bits(client, categories_of(command), category_names);
    reply_words(client, '$', command->tips);
    reply_key_specs(client, command);
    kv_reply_set(reply, count_rows(sub));
    for (; sub != NULL && sub->name != NULL; sub++)
        reply_info(client, sub);
}

/* Shows each listed command to show(). */
static void each_command(struct kv_client *client,
                         void (*show)(struct kv_client *client, const struct kv_command *command))
{
    for (const struct kv_command *command = kv_commands; command->name != NULL; command++)
        if (!(command->flags & KV_UNLISTED))
            show(client, command);
}

void kv_run_command(struct kv_client *client)
{
    kv_reply_array(&client->reply, count_rows(kv_commands));
    each_command(client, reply_info);
}

void kv_run_command_count(struct kv_client *client)
{
    kv_reply_int(&client->reply, (int64_t)count_rows(kv_commands));
}

static const struct kv_command *find_named(const char *name, size_t size)
{
    const struct kv_command *container;
    const char *bar = memchr(name, '|', size);
    size_t first = bar != NULL ? (size_t)(bar - name) : size;
    struct kv_arg argv[] = {
        {.data = name, .size = first},
        {.data = bar != NULL ? bar + 1 : name, .size = bar != NULL ? size - first - 1 : 0},
    };
    const struct kv_command *command = kv_command_find(argv, bar != NULL ? 2 : 1, &container);

    if (command == NULL || command->flags & KV_UNLISTED || (bar != NULL && container == NULL))
        return NULL;
    return command;
}

void kv_run_command_info(struct kv_client *client)
{
    if (client->argc == 2) {
        kv_run_command(client);
        return;
    }
    kv_reply_array(&client->reply, client->argc - 2);
    for (unsigned i = 2; i < client->argc; i++) {
        const struct kv_command *command = find_named(client->argv[i].data, client->argv[i].size);

        if (command != NULL)
            reply_info(client, command);
        else
            kv_reply_null(&client->reply);
    }
}

static void reply_docs(struct kv_client *client, const struct kv_command *command)
{
    const struct kv_command *sub = command->subcommands;
    struct kv_reply *reply = &client->reply;

    kv_reply_text(reply, command->name);
    kv_reply_map(reply, sub != NULL ? 5 : 4);
    kv_reply_text(reply, "summary");
    kv_reply_text(reply, command->summary);
    kv_reply_text(reply, "since");
    kv_reply_text(reply, command->since);
    kv_reply_text(reply, "group");
    kv_reply_text(reply, command->group);
    kv_reply_text(reply, "complexity");
    kv_reply_text(reply, command->complexity);
    if (sub == NULL)
        return;
    kv_reply_text(reply, "subcommands");
    kv_reply_map(reply, count_rows(sub));
    for (; sub->name != NULL; sub++)
        reply_docs(client, sub);
}

void kv_run_command_docs(struct kv_client *client)
{
    size_t found = 0;

    if (client->argc == 2) {
        kv_reply_map(&client->reply, count_rows(kv_commands));
        each_command(client, reply_docs);
        return;
    }
    for (unsigned i = 2; i < client->argc; i++)
        found += find_named(client->argv[i].data, client->argv[i].size) != NULL;
    kv_reply_map(&client->reply, found);
    for (unsigned i = 2; i < client->argc; i++) {
        const struct kv_command *command = find_named(client->argv[i].data, client->argv[i].size);

        if (command != NULL)
            reply_docs(client, command);
    }
}

/* Which commands LIST shows. */
struct list_filter {
    const struct kv_arg *pattern; /* NULL: any name */
    unsigned categories;          /* one of them */
};

static unsigned category_named(const struct kv_arg *name)
{
    for (unsigned i = 0; i < sizeof category_names / sizeof *category_names; i++)
        if (kv_arg_is(name, category_names[i] + 1))
            return 1u << i;
    return 0;
}

/* [FILTERBY MODULE name | ACLCAT category | PATTERN glob]; there are no modules here. */
static bool read_list_filter(struct kv_client *client, struct list_filter *filter)
{
    const struct kv_arg *argv = client->argv;

    *filter = (struct list_filter){NULL, ~0u};
    if (client->argc == 2)
        return true;
    if (client->argc == 5 && kv_arg_is(&argv[2], "filterby")) {
        if (kv_arg_is(&argv[3], "pattern")) {
            filter->pattern = &argv[4];
            return true;
        }
        if (kv_arg_is(&argv[3], "aclcat")) {
            filter->categories = category_named(&argv[4]);
            return true;
        }
        if (kv_arg_is(&argv[3], "module")) {
            filter->categories = 0;
            return true;
        }
    }
    kv_reply_error(&client->reply, kv_error_syntax);
    return false;
}

/* Reply the names of those that pass, subcommands too; how many. */
static size_t list_rows(struct kv_client *client, const struct kv_command *rows,
                        const struct list_filter *filter)
{
    const struct kv_arg *pattern = filter->pattern;
    size_t count = 0;

    for (; rows != NULL && rows->name != NULL; rows++) {
        if (rows->flags & KV_UNLISTED)
            continue;
        if ((categories_of(rows) & filter->categories) != 0 &&
            (pattern == NULL ||
             kv_glob_match(pattern->data, pattern->size, rows->name, strlen(rows->name), true))) {
            kv_reply_text(&client->reply, rows->name);
            count++;
        }
        count += list_rows(client, rows->subcommands, filter);
    }
    return count;
}

void kv_run_command_list(struct kv_client *client)
{
    struct list_filter filter;

    if (!read_list_filter(client, &filter))
        return;
    size_t opened = kv_reply_gap_open(&client->reply);
    size_t count = list_rows(client, kv_commands, &filter);
    kv_reply_array_close(&client->reply, opened, count);
}

/* What the request does with its keys.  SET reads them only when it is asked to GET. */
static const char *access_of(const struct kv_command *command, const struct kv_arg *argv,
                             unsigned argc)
{
    if (strstr(command->keys.access, "variable_flags") == NULL)
        return command->keys.access;
    for (unsigned i = 3; i < argc; i++)
        if (kv_arg_is(&argv[i], "get"))
            return "RW access update";
    return "OW update";
}

static void reply_keys(struct kv_client *client, bool with_flags)
{
    const struct kv_command *container;
    const struct kv_arg *argv = client->argv + 2;
    unsigned argc = client->argc - 2;
    const struct kv_command *command = kv_command_find(argv, argc, &container);
    struct kv_reply *reply = &client->reply;

    if (command == NULL) {
        kv_reply_error(reply, "ERR Invalid command specified");
    } else if (command->keys.first == 0) {
        kv_reply_error(reply, "ERR The command has no key arguments");
    } else if (!kv_command_accepts(command, argc)) {
        kv_reply_error(reply, "ERR Invalid number of arguments specified for command");
    } else {
        struct kv_key_range keys = kv_command_keys(command, argc);

        kv_reply_array(reply, (keys.last - keys.first) / keys.step + 1);
        for (unsigned i = keys.first; i <= keys.last; i += keys.step) {
            if (with_flags)
                kv_reply_array(reply, 2);
            kv_reply_bulk(reply, argv[i].data, argv[i].size);
            if (with_flags)
                reply_words(client, '+', access_of(command, argv, argc));
        }
    }
}

void kv_run_command_getkeys(struct kv_client *client)
{
    reply_keys(client, false);
}

void kv_run_command_getkeysandflags(struct kv_client *client)
{
    reply_keys(client, true);
}

void kv_run_command_help(struct kv_client *client)
{
    static const char *const lines[] = {
        "(no subcommand)",
        "    Return details about all commands.",
        "COUNT",
        "    Return the total number of commands in this server.",
        "LIST [FILTERBY (MODULE <module-name>|ACLCAT <category>|PATTERN <pattern>)]",
        "    Return a list of all commands in this server.",
        "INFO [<command-name> ...]",
        "    Return details about multiple commands.",
        "DOCS [<command-name> ...]",
        "    Return documentation details about multiple commands.",
        "GETKEYS <full-command>",
        "    Return the keys from a full command.",
        "GETKEYSANDFLAGS <full-command>",
        "    Return the keys and the access flags from a full command.",
        NULL,
    };

    kv_reply_help(client, lines);
}
