/* SPDX-License-Identifier: MIT */
/* A client that moves money from one account to another under the locks of both: each reads both
 * and writes both, so without the locks money comes and goes.  It takes the locks in any order and
 * does without when that would be a deadlock; it dies at any byte, holding what it holds.  The two
 * writes are one request or one transaction: done or not done. */
#include <latchwork.h>
#include <latchwork/sim.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/sim/engine.h"
#include "tests/sim/latchkv_visit.h"

enum { NEVER = 8, OUT = 512, ROUNDS = 2 };

static bool is_locked[MODEL_KEYS]; /* as the clients know it */

void teller_start(void)
{
    memset(is_locked, 0, sizeof is_locked);
}

struct teller {
    struct visit *visit;
    unsigned step, fatal; /* which request is its last one */
    bool over;
    unsigned held;
};

/* Known before the server can know it. */
static void let_go(struct teller *teller, unsigned keys)
{
    for (unsigned key = 0; key < MODEL_KEYS; key++)
        if ((keys & teller->held) >> key & 1)
            is_locked[key] = false;
    teller->held &= ~keys;
}

/* Send requests; the last ones not to their end. */
static void ask(struct teller *teller, const char *format, ...)
{
    char out[OUT];
    size_t size;
    va_list args;

    va_start(args, format);
    size = (size_t)vsnprintf(out, sizeof out, format, args);
    va_end(args);
    LW_SIM_CHECK(size < sizeof out);
    if (teller->over)
        return;
    if (teller->step++ == teller->fatal) {
        size = sim_choose((unsigned)size + 1);
        let_go(teller, ~0u);
        teller->over = true;
    }
    if (lw_write_all(teller->visit->fd, out, size, LW_FOREVER) < 0) {
        LW_SIM_CHECK(teller->visit->rough);
        teller->over = true;
    }
}

/* Its first byte as a char, 0 when there is none; text is NULL or gets it all. */
static char answer(struct teller *teller, char *text, size_t room)
{
    const char *reply;
    int size;

    if (teller->over)
        return '\0';
    size = visit_read(teller->visit, &reply);
    if (size <= 0 || (size > 8 && memcmp(reply, "-ERR max", 8) == 0)) {
        LW_SIM_CHECK(teller->visit->rough);
        teller->over = true;
        return '\0';
    }
    if (text != NULL) {
        LW_SIM_CHECK((size_t)size < room);
        memcpy(text, reply, (size_t)size);
        text[size] = '\0';
    }
    return reply[0];
}

static const char names[] = "abc";

/* Whether it has it. */
static bool lock(struct teller *teller, unsigned key)
{
    bool in_order = teller->held < 1u << key;
    char text[160];

    ask(teller, in_order && sim_choose(2) == 0 ? "LOCK %c\r\n" : "LOCK %c 30\r\n", names[key]);
    switch (answer(teller, text, sizeof text)) {
    case '+':
        LW_SIM_CHECK(!is_locked[key] || teller->visit->rough);
        is_locked[key] = true;
        teller->held |= 1u << key;
        return true;
    case '-':
        LW_SIM_CHECK(strncmp(text, "-DEADLOCK ", 10) == 0 && teller->held != 0);
        return false;
    case '$': /* it took too long */
    default:
        return false;
    }
}

static long money_of(struct teller *teller, unsigned key)
{
    char text[32];
    const char *number;

    ask(teller, "GET %c\r\n", names[key]);
    if (answer(teller, text, sizeof text) == '\0')
        return 0;
    number = strchr(text, '\n');
    LW_SIM_CHECK(text[0] == '$' && number != NULL && text[1] != '-');
    return strtol(number + 1, NULL, 10);
}

static void unlock(struct teller *teller, unsigned key)
{
    let_go(teller, 1u << key);
    ask(teller, "UNLOCK %c\r\n", names[key]);
    LW_SIM_CHECK(answer(teller, NULL, 0) != '-');
}

static void transfer(struct teller *teller, unsigned from, unsigned to)
{
    long less = money_of(teller, from) - 7, more = money_of(teller, to) + 7;
    bool by_mset = sim_choose(2) == 0;

    if (by_mset)
        ask(teller, "MSET %c %ld %c %ld\r\n", names[from], less, names[to], more);
    else
        ask(teller, "MULTI\r\nSET %c %ld\r\nSET %c %ld\r\nEXEC\r\n", names[from], less, names[to],
            more);
    for (unsigned i = 0; i < (by_mset ? 1 : 4); i++)
        LW_SIM_CHECK(answer(teller, NULL, 0) != '-');
}

int teller_run(void *arg)
{
    struct visit *visit = arg;
    struct teller teller = {.visit = visit, .fatal = UINT32_MAX};

    if (sim_choose(2) == 1)
        teller.fatal = sim_choose(NEVER);
    if (visit_connect(visit) == 0) {
        for (unsigned i = 0; i < ROUNDS && !teller.over; i++) {
            unsigned from = sim_choose(MODEL_KEYS);
            unsigned to = (from + 1 + sim_choose(MODEL_KEYS - 1)) % MODEL_KEYS;

            if (!lock(&teller, from))
                continue;
            if (lock(&teller, to)) {
                transfer(&teller, from, to);
                unlock(&teller, to);
            }
            unlock(&teller, from);
        }
        let_go(&teller, ~0u);
        LW_SIM_CHECK(lw_close(visit->fd) == 0);
    }
    visit->done = true;
    return 0;
}

void *teller_run_as_guest(void *arg)
{
    (void)teller_run(arg);
    return NULL;
}
