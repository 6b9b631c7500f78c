/* SPDX-License-Identifier: MIT */
/* A bug for UndefinedBehaviorSanitizer: see meson.build. */
#include <stdint.h>

#include "tests/support.h"

TestSuite(bug, .init = watchdog);

static int overflow(void *number)
{
    *(volatile int *)number += 1;
    return 0;
}

Test(bug, a_signed_overflow_in_a_task)
{
    int number = INT32_MAX;

    run_with(1, overflow, &number);
}
