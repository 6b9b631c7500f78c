/* SPDX-License-Identifier: MIT */
/* PING, ECHO, SELECT, HELLO and what else concerns the connection itself. */
#include "latchkv/commands.h"
#include "latchkv/config.h"
#include "latchkv/number.h"
#include "latchkv/server.h"

#include <errno.h>
#include <stdio.h>

void kv_run_ping(struct kv_client *client)
{
    if (client->argc > 2)
        kv_reply_arity(client);
    else if (client->argc == 2)
        kv_reply_bulk(&client->reply, client->argv[1].data, client->argv[1].size);
    else
        kv_reply_raw(&client->reply, "+PONG\r\n", 7);
}

void kv_run_echo(struct kv_client *client)
{
    kv_reply_bulk(&client->reply, client->argv[1].data, client->argv[1].size);
}

void kv_run_quit(struct kv_client *client)
{
    kv_reply_ok(&client->reply);
    client->closing = true;
}

/* "POST" and "Host:": a browser was made to send its request here.  What follows the headers is
 * what an attacker wrote, so not a byte of it is looked at. */
void kv_run_attack(struct kv_client *client)
{
    client->reply.broken = true;
    client->closing = true;
}

void kv_run_select(struct kv_client *client)
{
    int64_t number;

    if (!kv_arg_int(client, 1, &number))
        return;
    if (number < INT32_MIN || number > INT32_MAX) {
        kv_reply_error(&client->reply,
                       "ERR value is out of range, value must between -2147483648 and 2147483647");
        return;
    }
    if (number < 0 || number >= (int64_t)client->server->store.databases) {
        kv_reply_error(&client->reply, "ERR DB index is out of range");
        return;
    }
    client->database = (unsigned)number;
    kv_reply_ok(&client->reply);
}

static bool may_login(struct kv_client *client, const struct kv_arg *user)
{
    if (user->size == 7 && memcmp(user->data, "default", 7) == 0)
        return true; /* its password is not asked for */
    kv_reply_error(&client->reply, "WRONGPASS invalid username-password pair or user is disabled.");
    return false;
}

void kv_run_auth(struct kv_client *client)
{
    if (client->argc > 3)
        kv_reply_error(&client->reply, kv_error_syntax);
    else if (client->argc == 2)
        kv_reply_error(&client->reply,
                       "ERR AUTH <password> called without any password configured for the "
                       "default user. Are you sure your configuration is correct?");
    else if (may_login(client, &client->argv[1]))
        kv_reply_ok(&client->reply);
}

bool kv_client_rename(struct kv_client *client, const struct kv_arg *name)
{
    for (size_t i = 0; i < name->size; i++) {
        if (name->data[i] < '!' || name->data[i] > '~') {
            kv_reply_error(&client->reply,
                           "ERR Client names cannot contain spaces, newlines or "
                           "special characters.");
            return false;
        }
    }
    int err = kv_clients_name(&client->server->clients, client, name->data, name->size);
    if (err == -ENOMEM)
        kv_reply_error(&client->reply, kv_error_nomem);
    else if (err < 0)
        kv_client_told_to_end(client);
    return err == 0;
}

static void greet(struct kv_client *client)
{
    struct kv_reply *reply = &client->reply;

    kv_reply_map(reply, 7);
    kv_reply_text(reply, "server");
    kv_reply_text(reply, "redis"); /* clients take from this and the version what they may send */
    kv_reply_text(reply, "version");
    kv_reply_text(reply, KV_REDIS_VERSION);
    kv_reply_text(reply, "proto");
    kv_reply_int(reply, reply->protocol);
    kv_reply_text(reply, "id");
    kv_reply_int(reply, (int64_t)client->id);
    kv_reply_text(reply, "mode");
    kv_reply_text(reply, "standalone");
    kv_reply_text(reply, "role");
    kv_reply_text(reply, "master");
    kv_reply_text(reply, "modules");
    kv_reply_array(reply, 0);
}

/* HELLO [2 | 3 [AUTH user password] [SETNAME name]] */
void kv_run_hello(struct kv_client *client)
{
    struct kv_arg *argv = client->argv, *name = NULL;
    int64_t protocol = client->reply.protocol;

    if (client->argc > 1 && !kv_parse_int(argv[1].data, argv[1].size, &protocol)) {
        kv_reply_error(&client->reply, "ERR Protocol version is not an integer or out of range");
        return;
    }
    if (protocol != 2 && protocol != 3) {
        kv_reply_error(&client->reply, "NOPROTO unsupported protocol version");
        return;
    }
    for (unsigned i = 2; i < client->argc; i++) {
        if (kv_arg_is(&argv[i], "auth") && i + 2 < client->argc) {
            if (!may_login(client, &argv[i + 1]))
                return;
            i += 2;
        } else if (kv_arg_is(&argv[i], "setname") && i + 1 < client->argc) {
            name = &argv[++i];
        } else {
            kv_reply_errorf(&client->reply, "ERR Syntax error in HELLO option '%.*s'",
                            (int)(argv[i].size < 128 ? argv[i].size : 128), argv[i].data);
            return;
        }
    }
    if (name != NULL && !kv_client_rename(client, name))
        return;
    client->reply.protocol = (int)protocol;
    greet(client);
}

void kv_run_reset(struct kv_client *client)
{
    kv_transaction_end(client);
    kv_client_unlock(client);
    client->database = 0;
    client->reply.protocol = 2;
    if (kv_clients_name(&client->server->clients, client, NULL, 0) < 0)
        kv_client_told_to_end(client);
    kv_reply_status(&client->reply, "RESET");
}
