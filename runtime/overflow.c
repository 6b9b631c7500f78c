/* SPDX-License-Identifier: MIT */
/* The report of a stack overflow: a handler of SIGSEGV and SIGBUS, on a signal stack per worker.
 *
 * A fault is an overflow if its address lies in the guard below the stack of the task that runs on
 * this thread.  Then a line goes to stderr, made of nothing but async-signal-safe calls; then a
 * second one with names from dladdr(), which is not safe, but by then nothing can be lost.  Then
 * the action that was there before ours is restored, and the handler returns: the fault happens
 * again, and the program dies as it would have without us, with the true registers in its core.
 *
 * All other faults go to the action that was there before, as if we were not here: with its mask,
 * SA_NODEFER and SA_RESETHAND.  (It runs on our signal stack, whatever its SA_ONSTACK says.)
 *
 * [O1] the previous actions -> the handler: installed (release) -> load (acquire). */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/arch/context.h"
#include "runtime/fiber.h"
#include "runtime/os/os.h"
#include "runtime/stack.h"
#include "runtime/thread.h"

#define SITE_MASK ((UINT64_C(1) << 48) - 1)

enum { ALTSTACK_BYTES_MIN = 64 * 1024, TEXT_MAX = 512 };

static const int signals[] = {SIGSEGV, SIGBUS};
enum { SIGNALS = 2 };

static struct sigaction previous[SIGNALS];
static uint64_t init_guard;
static uint32_t installed; /* [O1] */

/* ---- text without stdio */

struct text {
    size_t size;
    char bytes[TEXT_MAX];
};

static void put(struct text *text, const char *string)
{
    while (*string != '\0' && text->size < TEXT_MAX)
        text->bytes[text->size++] = *string++;
}

static void put_number(struct text *text, uint64_t number, unsigned base)
{
    char digits[24];
    size_t i = sizeof digits - 1;

    digits[i] = '\0';
    do
        digits[--i] = "0123456789abcdef"[number % base];
    while ((number /= base) != 0);
    if (base == 16)
        put(text, "0x");
    put(text, &digits[i]);
}

static void put_out(const struct text *text)
{
    (void)!lw_sys.write(STDERR_FILENO, text->bytes, text->size);
}

/* "function+0x12", "program+0x1234" (as addr2line takes it), or the plain address. */
static void put_place(struct text *text, uintptr_t address)
{
    Dl_info info;
    const char *slash;

    if (dladdr((void *)address, &info) == 0 || info.dli_fname == NULL) {
        put_number(text, address, 16);
    } else if (info.dli_sname != NULL) {
        put(text, info.dli_sname);
        put(text, "+");
        put_number(text, address - (uintptr_t)info.dli_saddr, 16);
    } else {
        slash = strrchr(info.dli_fname, '/');
        put(text, slash != NULL ? slash + 1 : info.dli_fname);
        put(text, "+");
        put_number(text, address - (uintptr_t)info.dli_fbase, 16);
    }
}

/* ---- the report */

static void report(const struct lw_record *record, unsigned class, uintptr_t pc)
{
    uintptr_t site = (uintptr_t)(lw_load_rlx(&record->site) & SITE_MASK);
    struct text text = {0};

    put(&text, "latchwork: task ");
    put_number(&text, lw_record_slot(record), 10);
    if ((lw_load_rlx(&record->place) & LW_PLACE_OPTIONS) != 0 &&
        lw_record_cold(record)->name != NULL) {
        put(&text, " '");
        put(&text, lw_record_cold(record)->name);
        put(&text, "'");
    }
    put(&text, " overflowed its ");
    put_number(&text, lw_stack_bytes(class) / 1024, 10);
    put(&text, " KiB stack at ");
    put_number(&text, pc, 16);
    put(&text, ", spawned at ");
    put_number(&text, site, 16);
    put(&text, "\n");
    put_out(&text);

    text.size = 0;
    put(&text, "latchwork: that is in ");
    put_place(&text, pc);
    put(&text, ", spawned at ");
    put_place(&text, site);
    put(&text, "\n");
    put_out(&text);
}

/* The fault is one of this thread's task running off the end of its stack. */
static bool is_overflow(const siginfo_t *info, struct lw_record **record, unsigned *class)
{
    struct lw_thread *thread = lw_thread_self();
    struct lw_stack_place place;

    if (info->si_code <= 0 || thread == NULL || lw_load_rlx(&thread->current) == NULL)
        return false; /* sent by somebody; or not a task's */
    if (lw_record_is_guest(lw_load_rlx(&thread->current)) || !lw_stack_find(info->si_addr, &place))
        return false;
    *record = lw_load_rlx(&thread->current);
    *class = place.class;
    return (char *)info->si_addr < place.bottom &&
           place.top == (char *)lw_record_stack(lw_load_rlx(&thread->current));
}

/* ---- handing on */

static void pass_on(int number, const struct sigaction *action, siginfo_t *info, void *context)
{
    struct sigaction reset = {.sa_handler = SIG_DFL};
    sigset_t mask;

    if ((action->sa_flags & SA_SIGINFO) == 0 &&
        (action->sa_handler == SIG_DFL || action->sa_handler == SIG_IGN)) {
        if (info->si_code <= 0 && action->sa_handler == SIG_IGN)
            return; /* somebody sent it: ignored, as was asked for */
        (void)lw_sys.sigaction(number, &reset, NULL);
        if (info->si_code <= 0)
            (void)raise(number); /* a fault comes again by itself */
        return;
    }
    mask = action->sa_mask;
    if ((action->sa_flags & SA_NODEFER) == 0)
        (void)sigaddset(&mask, number);
    if ((action->sa_flags & SA_RESETHAND) != 0)
        (void)lw_sys.sigaction(number, &reset, NULL);
    /* Our own handler runs with the interrupted code's mask (SA_NODEFER, nothing in sa_mask). */
    (void)lw_sys.thread_sigmask(SIG_BLOCK, &mask, NULL);
    if ((action->sa_flags & SA_SIGINFO) != 0)
        action->sa_sigaction(number, info, context);
    else
        action->sa_handler(number);
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    int saved = errno, index = number == signals[0] ? 0 : 1;
    struct lw_record *record;
    unsigned class;

    if (lw_load_acq(&installed) == 0) /* [O1] in the instant between the two actions: once more */
        return;
    if (is_overflow(info, &record, &class)) {
        (void)lw_sys.sigaction(number, &previous[index], NULL);
        report(record, class, lw_context_pc(context));
    } else {
        pass_on(number, &previous[index], info, context);
    }
    errno = saved;
}

int lw_overflow_init(void)
{
    struct sigaction ours = {.sa_sigaction = on_fault,
                             .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};

    lw_guard_take(&init_guard, 1);
    if (lw_load_rlx(&installed) == 0) {
        for (int i = 0; i < SIGNALS; i++)
            (void)lw_sys.sigaction(signals[i], &ours, &previous[i]);
        lw_store_rel(&installed, 1); /* [O1] */
    }
    lw_guard_drop(&init_guard, 1);
    return 0;
}

/* ---- signal stacks */

static size_t altstack_bytes(void)
{
    long least = sysconf(_SC_MINSIGSTKSZ);
    size_t bytes = least > 0 ? 2 * (size_t)least : 0;

    return bytes > ALTSTACK_BYTES_MIN ? bytes : ALTSTACK_BYTES_MIN;
}

int lw_overflow_thread_enter(void **altstack)
{
    stack_t stack = {.ss_size = altstack_bytes()}, before;

    *altstack = NULL;
    if (lw_sys.sigaltstack(NULL, &before) == 0 && (before.ss_flags & SS_DISABLE) == 0)
        return 0; /* a sanitizer's */
    stack.ss_sp = lw_sys.mmap(NULL, stack.ss_size, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack.ss_sp == MAP_FAILED)
        return -ENOMEM;
    if (lw_sys.sigaltstack(&stack, NULL) != 0) {
        (void)lw_sys.munmap(stack.ss_sp, stack.ss_size);
        return -ENOMEM;
    }
    *altstack = stack.ss_sp;
    return 0;
}

void lw_overflow_thread_leave(void *altstack)
{
    stack_t none = {.ss_flags = SS_DISABLE};

    if (altstack == NULL)
        return;
    (void)lw_sys.sigaltstack(&none, NULL);
    (void)lw_sys.munmap(altstack, altstack_bytes());
}
