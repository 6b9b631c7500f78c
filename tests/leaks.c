/* SPDX-License-Identifier: MIT */
/* LeakSanitizer in the tests.  What it finds at exit, after the test's result, would fail nothing,
 * and the search takes seconds where there were many stacks: so it looks when a test asks. */
#include "tests/support.h"

#include "runtime/os/sanitizer.h"

#ifdef LW_ASAN
#include <sanitizer/lsan_interface.h>

const char *__lsan_default_options(void);
const char *__lsan_default_options(void)
{
    return "leak_check_at_exit=0";
}
#endif

void assert_no_leaks(void)
{
#ifdef LW_ASAN
    cr_assert_eq(__lsan_do_recoverable_leak_check(), 0, "LeakSanitizer found leaks");
#endif
}
