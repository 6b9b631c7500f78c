/* SPDX-License-Identifier: MIT */
/* A transaction as a scope of one's own kind: left with a success it is committed, left with an
 * error, or by a return, it is rolled back; the body does neither. */
#include <errno.h>
#include <latchwork.h>
#include <stdio.h>

typedef struct transaction {
    lw_scope scope; /* first */
    int *accounts, saved[2];
} transaction;

static int begin(lw_scope *scope, lw_nsec deadline)
{
    transaction *at = (transaction *)(void *)scope;

    (void)deadline; /* nothing to wait for */
    at->saved[0] = at->accounts[0];
    at->saved[1] = at->accounts[1];
    return 0;
}

static int end(lw_scope *scope, int status)
{
    transaction *at = (transaction *)(void *)scope;

    if (status < 0) {
        at->accounts[0] = at->saved[0];
        at->accounts[1] = at->saved[1];
    }
    return status;
}

static const lw_scope_kind transaction_kind = { "transaction", begin, end, false };

static int transfer(int *accounts, int amount)
{
    transaction at = { .scope = { &transaction_kind }, .accounts = accounts };
    int err;

    LW_SCOPE(&at.scope, LW_FOREVER, err) {
        accounts[1] += amount;
        accounts[0] -= amount;
        if (accounts[0] < 0)
            err = -ERANGE;
    }
    return err;
}

int main(void)
{
    int accounts[2] = { 100, 0 }, first = transfer(accounts, 70), second = transfer(accounts, 70);

    printf("%s, then %s: %d and %d\n", first == 0 ? "committed" : "rolled back",
           second == 0 ? "committed" : "rolled back", accounts[0], accounts[1]);
    return 0;
}

/* It prints
 *
 *     committed, then rolled back: 30 and 70
 */
