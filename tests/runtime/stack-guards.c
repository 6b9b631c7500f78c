/* SPDX-License-Identifier: MIT */
/* Guards of stacks, on kernels that make them in other ways or not at all. */
#include <sys/mman.h>

#include "runtime/os/os.h"
#include "tests/runtime/stacks.h"

TestSuite(stack_guards, .init = watchdog);

static long madvise_guards, mprotect_guards;

static int old_madvise(void *at, size_t size, int advice)
{
    if (advice != 102)
        return madvise(at, size, advice);
    madvise_guards++;
    errno = EINVAL;
    return -1;
}

static int lying_madvise(void *at, size_t size, int advice)
{
    madvise_guards += advice == 102;
    return advice == 102 ? 0 : madvise(at, size, advice);
}

static int counting_mprotect(void *at, size_t size, int protection)
{
    mprotect_guards++;
    return mprotect(at, size, protection);
}

static void guard_with(int (*advise)(void *, size_t, int))
{
    struct lw_stack_cache cache = {0};
    struct lw_stack_head *heads[STACKS_MAX];

    lw_sys.madvise = advise;
    lw_sys.mprotect = counting_mprotect;
    for (int i = 0; i < STACKS_MAX; i++)
        heads[i] = take(&cache, CLASS);
    for (int i = 0; i < STACKS_MAX; i++)
        cr_assert(is_guarded(lw_stack_bottom(heads[i], CLASS) - 8));
    cr_assert_eq(madvise_guards, 1, "asked again, though the answer was no");
    cr_assert_geq(mprotect_guards, STACKS_MAX);
    for (int i = 0; i < STACKS_MAX; i++)
        give(&cache, CLASS, heads[i]);
    lw_stack_drain(&cache);
    (void)lw_stack_trim(SIZE_MAX);
    cr_assert(is_guarded(lw_stack_bottom(heads[0], CLASS) - 8));
    sign(take(&cache, CLASS), CLASS, 1);
}

Test(stack_guards, an_old_kernel_gets_guards_by_mprotect)
{
    guard_with(old_madvise);
}

Test(stack_guards, an_emulator_that_only_says_yes_gets_guards_by_mprotect)
{
    guard_with(lying_madvise);
}

static int refusing_mprotect(void *at, size_t size, int protection)
{
    (void)at;
    (void)size;
    (void)protection;
    mprotect_guards++;
    errno = ENOMEM;
    return -1;
}

static long said;

static ssize_t listening_write(int fd, const void *buffer, size_t size)
{
    if (fd != STDERR_FILENO)
        return write(fd, buffer, size);
    said += strstr(buffer, "no more guard pages") != NULL;
    return (ssize_t)size;
}

Test(stack_guards, without_guards_stacks_work_and_it_is_said_once)
{
    struct lw_stack_cache cache = {0};

    lw_sys.madvise = old_madvise;
    lw_sys.mprotect = refusing_mprotect;
    lw_sys.write = listening_write;
    for (int i = 0; i < STACKS_MAX; i++)
        sign(take(&cache, CLASS), CLASS, (uint64_t)i);
    cr_assert_gt(mprotect_guards, 1);
    cr_assert_eq(said, 1);
}
