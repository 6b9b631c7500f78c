/* SPDX-License-Identifier: MIT */
/* The laws of text in memory: it is what was added, however long, and stays what it was when memory
 * fails.  How names are made harmless is proved by tests/locksmith/formats. */
#include "locksmith/text.h"

#include <errno.h>

#include "runtime/os/os.h"
#include "tests/support.h"

TestSuite(text, .init = watchdog);

static void assert_is(const struct lw_text *text, const char *wanted, size_t size)
{
    cr_assert_eq(text->err, 0);
    cr_assert_eq(text->size, size);
    cr_assert_lt(text->size, text->room); /* and the byte behind it */
    cr_assert_eq(text->bytes[size], '\0');
    cr_assert_arr_eq(text->bytes, wanted, size);
}

Test(text, grows_by_any_size)
{
    enum { SIZE_MAX_ADDED = 2100 };
    char added[SIZE_MAX_ADDED + 1];

    for (size_t i = 0; i < sizeof added; i++)
        added[i] = (char)('a' + i % 23);
    for (size_t first = 0; first <= SIZE_MAX_ADDED; first++) {
        struct lw_text text = {0};

        lw_text_add(&text, added, first);
        assert_is(&text, added, first);
        lw_text_print(&text, "%.*s", (int)(SIZE_MAX_ADDED - first), added + first);
        assert_is(&text, added, SIZE_MAX_ADDED);
        lw_text_cut(&text, first);
        assert_is(&text, added, first);
        lw_text_cut(&text, first + 1);
        assert_is(&text, added, first);
        lw_text_fini(&text);
    }
    assert_no_leaks();
}

Test(text, stays_what_it_was_when_memory_fails)
{
    struct lw_text text = {0};

    sys_watch();
    lw_text_print(&text, "%d", 1);
    sys_fail(SYS_CALLOC, 1, false);
    lw_text_print(&text, "%2000d", 2);
    cr_assert(sys_failed());
    cr_assert_eq(text.err, -ENOMEM);
    lw_text_print(&text, "%d", 3); /* for which there would be room: no gap */
    cr_assert_str_eq(text.bytes, "1");
    cr_assert_eq(lw_text_write(&text, 2), -ENOMEM);
    lw_text_fini(&text);
    cr_assert_eq(count_resources().blocks, 0);
}
