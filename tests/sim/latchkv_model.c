/* SPDX-License-Identifier: MIT */
/* The model: what is asked for, what it does to the store, what it is answered.
 *
 * Times to live: a key expires at a moment between two bounds, and an operation happens at one
 * between its question and its answer.  Where that does not say whether the key was there, both
 * are ways of the operation.
 *
 * LOCK may be in vain for as many reasons as there are orders of who waits: the answer says which
 * it was, and the model says whether it may have been. */
#include "tests/sim/latchkv_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct text {
    size_t size;
    char data[MODEL_REPLY];
};

/* ---- requests */

static const char *const names[MODEL_VERBS] = {
    [MODEL_GET] = "GET",         [MODEL_SET] = "SET",      [MODEL_INCR] = "INCR",
    [MODEL_APPEND] = "APPEND",   [MODEL_DEL] = "DEL",      [MODEL_GETSET] = "GETSET",
    [MODEL_SETNX] = "SETNX",     [MODEL_SETPX] = "PSETEX", [MODEL_PEXPIRE] = "PEXPIRE",
    [MODEL_PERSIST] = "PERSIST", [MODEL_MSET] = "MSET",    [MODEL_MGET] = "MGET",
    [MODEL_PTTL] = "PTTL",       [MODEL_PING] = "PING",    [MODEL_WATCH] = "WATCH",
    [MODEL_UNWATCH] = "UNWATCH", [MODEL_LOCK] = "LOCK",    [MODEL_UNLOCK] = "UNLOCK",
};

static const char *const key_names[] = {"a", "b", "c"};

enum { WORDS_MAX = 5, NUMBER_SIZE = 16 };

static unsigned words_of(const struct model_command *command, const char **words, char *number)
{
    unsigned count = 0;

    (void)snprintf(number, NUMBER_SIZE, "%d", command->ms);
    words[count++] = names[command->verb];
    switch (command->verb) {
    case MODEL_PING:
    case MODEL_UNWATCH:
        return count;
    case MODEL_MGET:
        for (unsigned key = 0; key < MODEL_KEYS; key++)
            words[count++] = key_names[key];
        return count;
    default:
        words[count++] = key_names[command->key];
        break;
    }
    switch (command->verb) {
    case MODEL_MSET:
        words[count++] = command->text;
        words[count++] = key_names[(command->key + 1) % MODEL_KEYS];
        words[count++] = command->text;
        break;
    case MODEL_SET:
    case MODEL_APPEND:
    case MODEL_GETSET:
    case MODEL_SETNX:
        words[count++] = command->text;
        break;
    case MODEL_SETPX:
        words[count++] = number;
        words[count++] = command->text;
        break;
    case MODEL_PEXPIRE:
        words[count++] = number;
        break;
    case MODEL_LOCK:
        if (command->ms >= 0)
            words[count++] = number;
        break;
    default:
        break;
    }
    return count;
}

static size_t wire_words(char *wire, size_t room, const char *const *words, unsigned count,
                         bool plainly)
{
    size_t size = plainly ? 0 : (size_t)snprintf(wire, room, "*%u\r\n", count);

    for (unsigned i = 0; i < count; i++)
        size += (size_t)(plainly ? snprintf(wire + size, room - size, "%s%s", words[i],
                                            i + 1 < count ? " " : "\r\n")
                                 : snprintf(wire + size, room - size, "$%zu\r\n%s\r\n",
                                            strlen(words[i]), words[i]));
    return size;
}

size_t model_wire(const struct model_op *op, bool plainly, char *wire)
{
    static const char *const begin[] = {"MULTI"}, *const exec[] = {"EXEC"},
                             *const discard[] = {"DISCARD"};
    const char *words[WORDS_MAX];
    char number[NUMBER_SIZE];
    size_t size = 0;

    if (op->form != MODEL_PLAIN)
        size = wire_words(wire, MODEL_WIRE, begin, 1, plainly);
    for (unsigned i = 0; i < op->count; i++) {
        unsigned count = words_of(&op->commands[i], words, number);

        size += wire_words(wire + size, MODEL_WIRE - size, words, count, plainly);
    }
    if (op->form != MODEL_PLAIN)
        size += wire_words(wire + size, MODEL_WIRE - size, op->form == MODEL_EXEC ? exec : discard,
                           1, plainly);
    if (size >= MODEL_WIRE)
        abort();
    return size;
}

/* ---- replies */

static void say(struct text *out, const char *data, size_t size)
{
    if (size > sizeof out->data - out->size)
        abort(); /* MODEL_REPLY is too small */
    memcpy(out->data + out->size, data, size);
    out->size += size;
}

static void say_line(struct text *out, const char *line)
{
    say(out, line, strlen(line));
    say(out, "\r\n", 2);
}

static void say_number(struct text *out, char kind, int64_t number)
{
    char line[NUMBER_SIZE + 8];

    (void)snprintf(line, sizeof line, "%c%lld", kind, (long long)number);
    say_line(out, line);
}

static void say_value(struct text *out, const struct model_key *key)
{
    say_number(out, '$', key->there ? key->size : -1);
    if (!key->there)
        return;
    say(out, key->text, key->size);
    say(out, "\r\n", 2);
}

/* ---- the model */

static void note_change(struct model_state *state, unsigned key)
{
    for (unsigned i = 0; i < MODEL_HISTORIES; i++)
        if ((state->watched[i] >> key & 1) != 0)
            state->changed[i] = 1;
}

static void drop(struct model_state *state, unsigned key)
{
    memset(&state->keys[key], 0, sizeof state->keys[key]);
    note_change(state, key);
}

static void put(struct model_state *state, unsigned at, const char *value, size_t size)
{
    struct model_key *key = &state->keys[at];

    if (size > sizeof key->text)
        abort(); /* MODEL_VALUE is too small */
    memset(key->text, 0, sizeof key->text);
    memcpy(key->text, value, size);
    key->size = (unsigned char)size;
    key->there = true;
    note_change(state, at);
}

static void keep(struct model_key *key)
{
    key->timed = false;
    key->from = key->to = 0;
}

static void set(struct model_state *state, unsigned at, const char *value)
{
    keep(&state->keys[at]);
    put(state, at, value, strlen(value));
}

static void expire(struct model_state *state, unsigned at, const struct model_op *op, int ms)
{
    struct model_key *key = &state->keys[at];

    key->timed = true;
    key->from = op->asked_ms + ms;
    key->to = op->answered_ms + ms;
    note_change(state, at);
}

static void increment(struct model_state *state, unsigned at, struct text *out)
{
    struct model_key *key = &state->keys[at];
    char text[NUMBER_SIZE + 8] = "0", *end;
    long long number;

    if (key->there)
        (void)snprintf(text, sizeof text, "%.*s", key->size, key->text);
    number = strtoll(text, &end, 10);
    if (*end != '\0' || (text[0] == '0' && text[1] != '\0')) { /* latchkv reads no leading zeros */
        say_line(out, "-ERR value is not an integer or out of range");
        return;
    }
    put(state, at, text, (size_t)snprintf(text, sizeof text, "%lld", number + 1));
    say_number(out, ':', number + 1);
}

static bool reply_is(const struct model_op *op, const char *line)
{
    size_t size = strlen(line);

    return op->size >= size && memcmp(op->reply, line, size) == 0;
}

/* A reply that is a matter of time; it says what was said, if that may be. */
static bool tell_time(const struct model_key *key, const struct model_op *op, struct text *out)
{
    long long ms;

    if (!key->there || !key->timed) {
        say_line(out, key->there ? ":-1" : ":-2");
        return true;
    }
    if (op->answered == 0)
        return true;
    if (op->reply[0] != ':')
        return false;
    ms = strtoll(op->reply + 1, NULL, 10);
    say_number(out, ':', ms);
    return ms > 0 && ms >= key->from - op->answered_ms && ms <= key->to - op->asked_ms;
}

static bool lock(struct model_state *state, int client, const struct model_op *op, unsigned way,
                 struct text *out)
{
    const struct model_command *command = &op->commands[0];
    int32_t *owner = &state->owners[command->key];
    bool holds = false;

    for (unsigned key = 0; key < MODEL_KEYS; key++)
        holds |= state->owners[key] == client;
    if (*owner == client) {
        say_line(out, "-ERR this client holds the lock already");
        return (way & MODEL_IN_VAIN) == 0;
    }
    if (op->answered == 0 ? (way & MODEL_IN_VAIN) == 0 : reply_is(op, "+OK")) {
        if (*owner != MODEL_NOBODY)
            return false;
        *owner = client;
        say_line(out, "+OK");
        return true;
    }
    say(out, op->reply, op->size);
    if (op->answered == 0)
        return true;
    if (*owner == MODEL_NOBODY)
        return false;
    return reply_is(op, "$-1\r\n") ? command->ms >= 0
                                   : reply_is(op, "-DEADLOCK ") && command->ms != 0 && holds;
}

static void unlock(struct model_state *state, int client, unsigned key, struct text *out)
{
    if (state->owners[key] == client) {
        state->owners[key] = MODEL_NOBODY;
        say_line(out, "+OK");
    } else {
        say_line(out, "-ERR this client does not hold the lock");
    }
}

/* False: it cannot be answered as it was. */
static bool run_command(struct model_state *state, unsigned client, const struct model_op *op,
                        const struct model_command *command, struct text *out)
{
    struct model_key *key = &state->keys[command->key];
    bool there = key->there;
    char longer[MODEL_VALUE + sizeof command->text];

    switch (command->verb) {
    case MODEL_GET:
        say_value(out, key);
        break;
    case MODEL_MGET:
        say_number(out, '*', MODEL_KEYS);
        for (unsigned i = 0; i < MODEL_KEYS; i++)
            say_value(out, &state->keys[i]);
        break;
    case MODEL_MSET:
        set(state, (command->key + 1) % MODEL_KEYS, command->text);
        set(state, command->key, command->text);
        say_line(out, "+OK");
        break;
    case MODEL_GETSET:
        say_value(out, key);
        set(state, command->key, command->text);
        break;
    case MODEL_SET:
    case MODEL_SETPX:
        set(state, command->key, command->text);
        if (command->verb == MODEL_SETPX)
            expire(state, command->key, op, command->ms);
        say_line(out, "+OK");
        break;
    case MODEL_SETNX:
        if (!there)
            set(state, command->key, command->text);
        say_number(out, ':', !there);
        break;
    case MODEL_INCR:
        increment(state, command->key, out);
        break;
    case MODEL_APPEND:
        (void)snprintf(longer, sizeof longer, "%.*s%s", key->size, key->text, command->text);
        put(state, command->key, longer, strlen(longer));
        say_number(out, ':', key->size);
        break;
    case MODEL_DEL:
        if (there)
            drop(state, command->key);
        say_number(out, ':', there);
        break;
    case MODEL_PEXPIRE:
        if (there)
            expire(state, command->key, op, command->ms);
        say_number(out, ':', there);
        break;
    case MODEL_PERSIST:
        say_number(out, ':', key->timed);
        if (key->timed) {
            keep(key);
            note_change(state, command->key);
        }
        break;
    case MODEL_PTTL:
        return tell_time(key, op, out);
    case MODEL_PING:
        say_line(out, "+PONG");
        break;
    case MODEL_WATCH:
        state->watched[client] |= (unsigned char)(1u << command->key);
        say_line(out, "+OK");
        break;
    case MODEL_UNWATCH:
        state->watched[client] = state->changed[client] = 0;
        say_line(out, "+OK");
        break;
    case MODEL_UNLOCK:
        unlock(state, (int)client, command->key, out);
        break;
    case MODEL_LOCK: /* has ways of its own */
    case MODEL_VERBS:
        abort();
    }
    return true;
}

static unsigned keys_of(const struct model_state *state, unsigned client, const struct model_op *op)
{
    unsigned keys = op->form == MODEL_EXEC ? state->watched[client] : 0;

    if (op->form == MODEL_DISCARD)
        return 0;
    for (unsigned i = 0; i < op->count; i++) {
        unsigned key = op->commands[i].key;

        switch (op->commands[i].verb) {
        case MODEL_PING:
        case MODEL_UNWATCH:
        case MODEL_LOCK:
        case MODEL_UNLOCK:
            break;
        case MODEL_MGET:
            keys |= (1u << MODEL_KEYS) - 1;
            break;
        case MODEL_MSET:
            keys |= 1u << (key + 1) % MODEL_KEYS | 1u << key;
            break;
        default:
            keys |= 1u << key;
            break;
        }
    }
    return keys;
}

/* Which of the keys it looks at have expired?  False: it cannot be that way. */
static bool pass_time(struct model_state *state, unsigned client, const struct model_op *op,
                      unsigned way)
{
    unsigned keys = keys_of(state, client, op);

    for (unsigned i = 0; i < MODEL_KEYS; i++) {
        struct model_key *key = &state->keys[i];
        bool gone = (way >> i & 1) != 0;

        if ((keys >> i & 1) == 0 || !key->timed) {
            if (gone)
                return false;
            continue;
        }
        if (gone ? op->answered_ms < key->from : op->asked_ms >= key->to)
            return false;
        if (gone)
            drop(state, i);
        else if (key->from <= op->asked_ms)
            key->from = op->asked_ms + 1; /* it was there then */
    }
    return true;
}

static void end_client(struct model_state *state, unsigned client)
{
    for (unsigned key = 0; key < MODEL_KEYS; key++)
        if (state->owners[key] == (int)client)
            state->owners[key] = MODEL_NOBODY;
    state->watched[client] = state->changed[client] = 0;
}

static bool run_transaction(struct model_state *state, unsigned client, const struct model_op *op,
                            struct text *out)
{
    bool changed = state->changed[client] != 0, right = true;

    say_line(out, "+OK");
    for (unsigned i = 0; i < op->count; i++)
        say_line(out, "+QUEUED");
    state->watched[client] = state->changed[client] = 0;
    if (op->form == MODEL_DISCARD) {
        say_line(out, "+OK");
        return true;
    }
    say_number(out, '*', changed ? -1 : (int)op->count);
    for (unsigned i = 0; i < op->count && !changed; i++)
        right &= run_command(state, client, op, &op->commands[i], out);
    return right;
}

bool model_run(struct model_state *state, unsigned client, const struct model_op *op, unsigned way)
{
    struct text out = {.size = 0};
    bool locks = op->form == MODEL_PLAIN && op->commands[0].verb == MODEL_LOCK;

    if ((way & MODEL_IN_VAIN) != 0 && (!locks || op->answered != 0))
        return false;
    if (op->form == MODEL_END) {
        end_client(state, client);
        return way == 0 && (op->size == 0 || reply_is(op, op->prefix));
    }
    if (!pass_time(state, client, op, way))
        return false;
    if (op->form != MODEL_PLAIN) {
        if (!run_transaction(state, client, op, &out))
            return false;
    } else if (locks) {
        if (!lock(state, (int)client, op, way, &out))
            return false;
    } else if (!run_command(state, client, op, &op->commands[0], &out)) {
        return false;
    }
    return op->answered == 0 ||
           (out.size == op->size && memcmp(out.data, op->reply, out.size) == 0);
}

bool model_only_asks(const struct model_op *op)
{
    if (op->answered != 0 || op->form == MODEL_END || op->form == MODEL_DISCARD)
        return false;
    for (unsigned i = 0; i < op->count; i++)
        switch (op->commands[i].verb) {
        case MODEL_GET:
        case MODEL_MGET:
        case MODEL_PTTL:
        case MODEL_PING:
            break;
        default:
            return false;
        }
    return op->form == MODEL_PLAIN; /* EXEC ends watches */
}
