/* SPDX-License-Identifier: MIT */
/* Stacks as the suites use them: taken, given back, signed at both ends. */
#ifndef LW_TESTS_RUNTIME_STACKS_H
#define LW_TESTS_RUNTIME_STACKS_H

#include "runtime/stack.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/support.h"

enum { CLASS = 2, STACKS_MAX = 400 };

/* The kernel cannot read there. */
static inline bool is_guarded(const char *address)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    bool refused = write(fd, address, 8) < 0 && errno == EFAULT;

    (void)close(fd);
    return refused;
}

static inline struct lw_stack_head *take(struct lw_stack_cache *cache, unsigned class)
{
    struct lw_stack_head *head;

    cr_assert_eq(lw_stack_promise(cache, class), 0);
    head = lw_stack_take(cache, class);
    cr_assert_not_null(head, "a promised stack was not there");
    return head;
}

static inline void give(struct lw_stack_cache *cache, unsigned class, struct lw_stack_head *head)
{
    lw_stack_give(cache, class, head);
    lw_stack_unpromise(cache, class);
}

/* Sign both ends of a stack, or see that the signature is still there. */
static inline void sign(struct lw_stack_head *head, unsigned class, uint64_t name)
{
    head->spare[0] = name;
    memcpy(lw_stack_bottom(head, class), &name, sizeof name);
}

static inline bool is_signed(const struct lw_stack_head *head, unsigned class, uint64_t name)
{
    return head->spare[0] == name && memcmp(lw_stack_bottom(head, class), &name, sizeof name) == 0;
}

#endif
