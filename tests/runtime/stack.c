/* SPDX-License-Identifier: MIT */
/* Laws of stacks: one owner at a time, whole and guarded; promises are kept; memory that is refused
 * loses nothing; memory that is given back is gone, and can be used again. */
#include "runtime/stack.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/os/os.h"
#include "tests/runtime/stacks.h"

TestSuite(stack, .init = watchdog);

/* ---- laws */

Test(stack, the_class_of_a_size_is_the_smallest_that_holds_it)
{
    cr_assert_eq(lw_stack_class(0), lw_stack_class(64 * 1024));
    int before = 0, extra = lw_stack_class(16384); /* sanitizers: some classes more */

    for (size_t bytes = 1; bytes < lw_stack_bytes(LW_STACK_CLASSES - 1);
         bytes = bytes * 3 / 2 + 1) {
        int class = lw_stack_class(bytes);

        cr_assert_geq(class, before);
        cr_assert_geq(lw_stack_bytes((unsigned)class), bytes);
        cr_assert(class == extra || class == LW_STACK_CLASSES - 1 ||
                  lw_stack_bytes((unsigned)(class - extra)) < 2 * bytes);
        before = class;
    }
    cr_assert_eq(lw_stack_class(lw_stack_bytes(LW_STACK_CLASSES - 1) + 1), -EINVAL);
    cr_assert_eq(lw_stack_class(SIZE_MAX), -EINVAL);
}

/* Two caches and three classes, at random: what is out is signed, and nobody else writes to it. */
static void mix(uint64_t seed)
{
    struct lw_stack_cache caches[2] = {0};
    static struct {
        struct lw_stack_head *head;
        unsigned class;
    } out[STACKS_MAX];
    size_t count = 0;

    for (long i = 0; i < rounds(4000); i++) {
        uint64_t random = random_draw(&seed);
        struct lw_stack_cache *cache = &caches[random & 1];

        if ((random & 6) != 0 ? count < STACKS_MAX && (random >> 8) % STACKS_MAX >= count
                              : count == 0) {
            unsigned class = (unsigned)(random >> 20) % 3 * 2;

            out[count].head = take(cache, class);
            out[count].class = class;
            sign(out[count].head, class, (uint64_t)count);
            count++;
        } else if (count > 0) {
            size_t which = (size_t)(random >> 32) % count;

            cr_assert(is_signed(out[which].head, out[which].class, which), "two owners of a stack");
            give(cache, out[which].class, out[which].head);
            out[which] = out[--count];
            if (which < count) {
                cr_assert(is_signed(out[which].head, out[which].class, count));
                sign(out[which].head, out[which].class, which);
            }
        }
        if (random >> 56 == 0)
            (void)lw_stack_trim(SIZE_MAX);
        if (random >> 56 == 1)
            lw_stack_drain(cache);
    }
    while (count-- > 0) {
        cr_assert(is_signed(out[count].head, out[count].class, count));
        give(&caches[0], out[count].class, out[count].head);
    }
    lw_stack_drain(&caches[0]);
    lw_stack_drain(&caches[1]);
}

Test(stack, a_stack_has_one_owner)
{
    size_t carved, idle;

    for (uint64_t seed = 1; seed <= 10; seed++) {
        mix(seed * UINT64_C(0x9e3779b97f4a7c15));
        lw_stack_counts(&carved, &idle);
        cr_assert_eq(carved, idle, "%zu stacks were lost", carved - idle);
    }
}

Test(stack, a_stack_lies_above_a_guard_and_is_found_by_any_address_in_it)
{
    struct lw_stack_cache cache = {0};

    for (unsigned class = 0; class < LW_STACK_CLASSES; class += 3) {
        struct lw_stack_head *head = take(&cache, class);
        char *bottom = lw_stack_bottom(head, class), *top = (char *)head;
        char *looks[] = {bottom - LW_STACK_GUARD_BYTES, bottom - 1, bottom, top - 1, top};
        struct lw_stack_place place;

        bottom[0] = top[-1] = 1;
        cr_assert(is_guarded(bottom - 8));
        cr_assert(is_guarded(bottom - LW_STACK_GUARD_BYTES));
        for (size_t i = 0; i < sizeof looks / sizeof *looks; i++) {
            cr_assert(lw_stack_find(looks[i], &place));
            cr_assert(place.bottom == bottom && place.top == top && place.class == class);
        }
        cr_assert(!lw_stack_find(&place, &place));
        cr_assert(!lw_stack_find(NULL, &place));
        give(&cache, class, head);
    }
    lw_stack_drain(&cache);
}

Test(stack, a_stack_keeps_its_number)
{
    struct lw_stack_cache cache = {0};
    struct lw_stack_head *heads[STACKS_MAX];
    bool seen[STACKS_MAX] = {false};

    for (int pass = 0; pass < 3; pass++) {
        memset(seen, 0, sizeof seen);
        for (int i = 0; i < STACKS_MAX; i++) {
            heads[i] = take(&cache, CLASS);
            cr_assert_lt(heads[i]->slot, STACKS_MAX + 64);
            cr_assert(heads[i]->slot >= STACKS_MAX || !seen[heads[i]->slot]);
            if (heads[i]->slot < STACKS_MAX)
                seen[heads[i]->slot] = true;
        }
        for (int i = 0; i < STACKS_MAX; i++)
            give(&cache, CLASS, heads[i]);
        lw_stack_drain(&cache);
        (void)lw_stack_trim(SIZE_MAX);
    }
}

Test(stack, trimmed_memory_is_gone_and_the_stack_can_be_used_again)
{
    struct lw_stack_cache cache = {0};
    struct lw_stack_head *heads[STACKS_MAX];

    for (int i = 0; i < STACKS_MAX; i++) {
        heads[i] = take(&cache, CLASS);
        sign(heads[i], CLASS, ~(uint64_t)i);
    }
    /* One in four stays out: what is trimmed are pieces between them. */
    for (int i = 0; i < STACKS_MAX; i++)
        if (i % 4 != 0)
            give(&cache, CLASS, heads[i]);
    lw_stack_drain(&cache);
    (void)lw_stack_trim(SIZE_MAX);
    cr_assert_eq(lw_stack_trim(SIZE_MAX), 0, "trimmed twice");
    for (int i = 0; i < STACKS_MAX; i++) {
        unsigned char resident[1];

        if (i % 4 == 0) {
            cr_assert(is_signed(heads[i], CLASS, ~(uint64_t)i), "a stack in use was trimmed");
            continue;
        }
        cr_assert_eq(mincore(lw_stack_bottom(heads[i], CLASS), 1, resident), 0);
        cr_assert_eq(resident[0] & 1, 0, "a page is still there");
    }
    for (int i = 0; i < STACKS_MAX; i++) {
        if (i % 4 == 0)
            give(&cache, CLASS, heads[i]);
        heads[i] = take(&cache, CLASS);
        cr_assert(heads[i]->fiber == NULL || i % 4 == 0);
        sign(heads[i], CLASS, (uint64_t)i);
    }
    for (int i = 0; i < STACKS_MAX; i++) {
        cr_assert(is_signed(heads[i], CLASS, (uint64_t)i));
        give(&cache, CLASS, heads[i]);
    }
    lw_stack_drain(&cache);
}

static int keeping_madvise(void *at, size_t size, int advice)
{
    if (advice != MADV_DONTNEED)
        return madvise(at, size, advice);
    errno = EINVAL; /* as for locked memory */
    return -1;
}

Test(stack, trimmed_in_vain_is_new_all_the_same)
{
    struct lw_stack_cache cache = {0};
    struct lw_stack_head *head = take(&cache, CLASS);

    lw_sys.madvise = keeping_madvise;
    sign(head, CLASS, 99);
    give(&cache, CLASS, head);
    lw_stack_drain(&cache);
    (void)lw_stack_trim(SIZE_MAX);
    for (int i = 0; i < 40; i++) {
        struct lw_stack_head *again = take(&cache, CLASS);

        cr_assert_eq(again->spare[0], 0);
        cr_assert_eq(again->slot == 0, again == head);
    }
}

/* ---- promises and memory that is refused */

static long mapped, map_budget;

static void *counting_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    if (map_budget-- <= 0) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    mapped++;
    return mmap(at, size, protection, flags, fd, offset);
}

Test(stack, a_million_promises_need_few_mappings)
{
    struct lw_stack_cache cache = {0};
    size_t carved, idle;

    map_budget = 1000;
    lw_sys.mmap = counting_mmap;
    for (int i = 0; i < 1000000; i++)
        cr_assert_eq(lw_stack_promise(&cache, CLASS), 0);
    cr_assert_leq(mapped, 24);
    lw_stack_counts(&carved, &idle);
    cr_assert_eq(carved, 0, "a promise is no stack");
    for (int i = 0; i < 1000000; i++)
        lw_stack_unpromise(&cache, CLASS);
    lw_stack_drain(&cache);
}

/* With so many mappings and then none: each promise that was given is a stack, and when some are
 * given back there are some again. */
static void run_out(int mappings)
{
    struct lw_stack_cache cache = {0};
    static struct lw_stack_head *heads[20000];
    size_t count = 0, half;
    unsigned class = 12; /* few to a mapping */

    map_budget = mappings;
    lw_sys.mmap = counting_mmap;
    while (count < 20000 && lw_stack_promise(&cache, class) == 0)
        count++;
    cr_assert(count > 0 && count < 20000);
    cr_assert_eq(lw_stack_promise(&cache, class), -ENOMEM);
    cr_assert_eq(lw_stack_promise(NULL, class), -ENOMEM);
    for (size_t i = 0; i < count; i++) {
        heads[i] = lw_stack_take(&cache, class);
        cr_assert_not_null(heads[i]);
        sign(heads[i], class, i);
    }
    cr_assert_null(lw_stack_take(&cache, class));

    half = count / 2;
    for (size_t i = half; i < count; i++)
        give(&cache, class, heads[i]);
    for (size_t i = half; i < count; i++)
        (void)take(&cache, class);
    for (size_t i = 0; i < half; i++)
        cr_assert(is_signed(heads[i], class, i));
    cr_assert_eq(lw_stack_promise(&cache, class), -ENOMEM);

    map_budget = 1000;
    cr_assert_eq(lw_stack_promise(&cache, class), 0, "it does not recover");
    cr_assert_eq(lw_stack_promise(NULL, class), 0);
    lw_stack_unpromise(NULL, class);
    cr_assert_not_null(lw_stack_take(&cache, class));
}

Test(stack, refused_memory_is_said_at_the_promise_and_loses_nothing)
{
    run_out(2);
}

Test(stack, refused_memory_loses_nothing_after_growth)
{
    run_out(4);
}

Test(stack, promises_that_were_given_back_are_all_there_again)
{
    struct lw_stack_cache cache = {0};
    size_t first = 0;

    map_budget = 3;
    lw_sys.mmap = counting_mmap;
    for (int round = 0; round < 4; round++) {
        size_t count = 0;

        while (lw_stack_promise(round % 2 == 0 ? &cache : NULL, CLASS) == 0)
            count++;
        cr_assert(round == 0 || count == first, "%zu promises, then %zu", first, count);
        first = count;
        while (count-- > 0)
            lw_stack_unpromise(round < 2 ? &cache : NULL, CLASS);
        lw_stack_drain(&cache);
    }
}

Test(stack, without_any_memory_there_is_no_promise)
{
    struct lw_stack_cache cache = {0};

    lw_sys.mmap = counting_mmap;
    for (map_budget = 0; map_budget < 2;) {
        long budget = map_budget;

        cr_assert(lw_stack_promise(&cache, CLASS) == (budget == 0 ? -ENOMEM : 0) || budget == 1);
        if (budget == 1)
            break;
        map_budget = budget + 1;
    }
    map_budget = 1000;
    cr_assert_not_null(take(&cache, CLASS));
}

/* ---- threads */

static uint64_t stop;

static void *hammer(void *arg)
{
    struct lw_stack_cache cache = {0};
    struct lw_stack_head *held[90];
    uint64_t seed = (uint64_t)(uintptr_t)arg * UINT64_C(0x9e3779b97f4a7c15);
    size_t count = 0;

    for (long i = 0; i < rounds(30000); i++) {
        uint64_t random = random_draw(&seed);

        if (count < 90 && (random & 127) >= count) {
            held[count] = take(&cache, CLASS);
            sign(held[count++], CLASS, (uint64_t)(uintptr_t)arg);
        } else if (count > 0) {
            cr_assert(is_signed(held[--count], CLASS, (uint64_t)(uintptr_t)arg), "two owners");
            give(&cache, CLASS, held[count]);
        }
        if (random >> 54 == 0)
            lw_stack_drain(&cache);
    }
    while (count > 0)
        give(&cache, CLASS, held[--count]);
    lw_stack_drain(&cache);
    return NULL;
}

static void *trimmer(void *arg)
{
    (void)arg;
    while (lw_load_acq(&stop) == 0)
        if (lw_stack_trim(SIZE_MAX) == 0)
            lw_sys.yield();
    return NULL;
}

Test(stack, threads_and_a_trimmer_share_the_depot)
{
    pthread_t threads[3], trim;
    size_t carved, idle;

    (void)pthread_create(&trim, NULL, trimmer, NULL);
    for (uintptr_t i = 0; i < 3; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, hammer, (void *)(i + 1)), 0);
    for (int i = 0; i < 3; i++)
        (void)pthread_join(threads[i], NULL);
    lw_store_rel(&stop, 1);
    (void)pthread_join(trim, NULL);
    lw_stack_counts(&carved, &idle);
    cr_assert_eq(carved, idle);
}

/* ---- the depot alone: what it counts is true, however many count at once */

enum { PROMISERS = 3, PROMISES = 4000000, CARVED = 12000, DRAINS = 200000 };

static unsigned small;

static void *promise_and_withdraw(void *arg)
{
    for (int i = 0; i < PROMISES; i++) {
        cr_assert_eq(lw_stack_promise(NULL, small), 0);
        lw_stack_unpromise(NULL, small);
    }
    return arg;
}

static void *count(void *arg)
{
    size_t carved, idle;

    while (lw_load_acq(&stop) == 0) {
        lw_stack_counts(&carved, &idle);
        cr_assert_leq(idle, carved);
    }
    return arg;
}

/* New ones as long as there are, and then the same few, each time from the depot. */
static void *take_and_drain(void *arg)
{
    struct lw_stack_cache cache = {0};
    struct lw_stack_head *chain = NULL, *head;

    for (int i = 0; i < CARVED; i++) {
        head = take(&cache, small);
        head->next = chain;
        chain = head;
    }
    while ((head = chain) != NULL) {
        chain = head->next;
        give(&cache, small, head);
    }
    for (int i = 0; i < DRAINS; i++) {
        give(&cache, small, take(&cache, small));
        lw_stack_drain(&cache);
    }
    return arg;
}

/* One that was not made cannot be withdrawn. */
static bool are_all_withdrawn(void)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        (void)close(STDERR_FILENO);
        lw_stack_unpromise(NULL, small);
        _exit(0);
    }
    return waitpid(child, &status, 0) == child && WIFSIGNALED(status);
}

Test(stack, the_depot_counts_right_under_contention)
{
    pthread_t threads[PROMISERS], taker, trim, counter;
    size_t carved, idle;

    small = (unsigned)lw_stack_class(1);
    (void)pthread_create(&trim, NULL, trimmer, NULL);
    (void)pthread_create(&counter, NULL, count, NULL);
    (void)pthread_create(&taker, NULL, take_and_drain, NULL);
    for (int i = 0; i < PROMISERS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, promise_and_withdraw, NULL), 0);
    for (int i = 0; i < PROMISERS; i++)
        (void)pthread_join(threads[i], NULL);
    (void)pthread_join(taker, NULL);
    lw_store_rel(&stop, 1);
    (void)pthread_join(trim, NULL);
    (void)pthread_join(counter, NULL);
    lw_stack_counts(&carved, &idle);
    cr_assert_eq(carved, idle);
    cr_assert(are_all_withdrawn());
}
