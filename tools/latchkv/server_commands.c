/* SPDX-License-Identifier: MIT */
/* TIME, CONFIG. */
#include "latchkv/commands.h"
#include "latchkv/glob.h"
#include "latchkv/number.h"
#include "latchkv/server.h"

#include <string.h>

void kv_run_time(struct kv_client *client)
{
    int64_t us = kv_clock_read_us();
    char text[KV_NUMBER_MAX];

    kv_reply_array(&client->reply, 2);
    kv_reply_bulk(&client->reply, text, kv_format_int(text, us / 1000000));
    kv_reply_bulk(&client->reply, text, kv_format_int(text, us % 1000000));
}

/* The first argument that asks for this parameter, or NULL. */
static const struct kv_arg *asked_by(const struct kv_client *client, const char *name)
{
    for (unsigned i = 2; i < client->argc; i++) {
        const struct kv_arg *arg = &client->argv[i];

        if (kv_glob_match(arg->data, arg->size, name, strlen(name), true))
            return arg;
    }
    return NULL;
}

struct matching {
    struct kv_client *client;
    size_t count;
};

static void count_parameter(const char *name, const char *value, void *arg)
{
    struct matching *matching = arg;

    (void)value;
    matching->count += asked_by(matching->client, name) != NULL;
}

static void show_parameter(const char *name, const char *value, void *arg)
{
    struct matching *matching = arg;
    struct kv_reply *reply = &matching->client->reply;
    const struct kv_arg *asked = asked_by(matching->client, name);

    if (asked == NULL)
        return;
    if (kv_arg_is(asked, name)) /* no pattern: in the letters it was asked for */
        kv_reply_bulk(reply, asked->data, asked->size);
    else
        kv_reply_text(reply, name);
    kv_reply_text(reply, value);
}

void kv_run_config_get(struct kv_client *client)
{
    struct matching matching = {client, 0};

    kv_config_each(&client->server->config, count_parameter, &matching);
    kv_reply_map(&client->reply, matching.count);
    kv_config_each(&client->server->config, show_parameter, &matching);
}

void kv_run_config_help(struct kv_client *client)
{
    static const char *const lines[] = {
        "GET <pattern>",
        "    Return parameters matching the glob-like <pattern> and their values.",
        NULL,
    };

    kv_reply_help(client, lines);
}
