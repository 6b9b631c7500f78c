/* SPDX-License-Identifier: MIT */
/* How a thread of the program's ends before its function returns, and what goes with it: see
 * libc.c.
 *
 * pthread_exit() unwinds as libc's does, by the compiler's own unwinder: destructors of C++ run,
 * and in between, innermost first, what pthread_cleanup_push() has left on the thread's stack.  In
 * plain C that is a list of places to jump to, which libc keeps by real thread, and we by virtual
 * one.  libc's unwind buffer has room of its own for the link.
 *
 * thread_local objects of C++ are registered by __cxa_thread_atexit_impl(); those of a variable
 * that each virtual thread has for itself (locals.c) end with it. */
#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdlib.h>
#include <unistd.h>
#include <unwind.h>

#include "runtime/sim/libc.h"
#include "runtime/sim/locals.h"

/* ---- what is to be called on the way out */

static __pthread_unwind_buf_t **link_of(__pthread_unwind_buf_t *buffer)
{
    return (__pthread_unwind_buf_t **)(void *)&buffer->__pad[0];
}

LW_API void __pthread_register_cancel(__pthread_unwind_buf_t *buffer);
LW_API void __pthread_unregister_cancel(__pthread_unwind_buf_t *buffer);
LW_API void __pthread_unwind_next(__pthread_unwind_buf_t *buffer) __attribute__((noreturn));

LW_API void __pthread_register_cancel(__pthread_unwind_buf_t *buffer)
{
    typedef void note(__pthread_unwind_buf_t *);
    struct sim_thread *me;
    LIBC(note, __pthread_register_cancel);

    if (!is_virtual()) {
        libc___pthread_register_cancel(buffer);
        return;
    }
    me = sim_world->current;
    *link_of(buffer) = me->cleanups;
    me->cleanups = buffer;
}

LW_API void __pthread_unregister_cancel(__pthread_unwind_buf_t *buffer)
{
    typedef void note(__pthread_unwind_buf_t *);
    LIBC(note, __pthread_unregister_cancel);

    if (is_virtual())
        sim_world->current->cleanups = *link_of(buffer);
    else
        libc___pthread_unregister_cancel(buffer);
}

/* ---- the way out */

_Static_assert(sizeof(struct _Unwind_Exception) <= SIM_EXCEPTION_BYTES, "room for it");

typedef _Unwind_Reason_Code force(struct _Unwind_Exception *, _Unwind_Stop_Fn, void *);
typedef _Unwind_Word where(struct _Unwind_Context *);

static where *frame_of;

static __attribute__((noreturn)) void call_cleanup(struct sim_thread *me)
{
    __pthread_unwind_buf_t *buffer = me->cleanups;
    struct __jmp_buf_tag *jump = (void *)buffer->__cancel_jmp_buf;

    me->cleanups = *link_of(buffer);
    __asm__("" : "+r"(jump)); /* gcc takes it for a whole one: it ends before the mask */
    longjmp(jump, 1);
}

/* Before each frame: `frame` is the stack pointer there, and all that is below has been left. */
static _Unwind_Reason_Code go_on(int version, _Unwind_Action actions, _Unwind_Exception_Class kind,
                                 struct _Unwind_Exception *exception,
                                 struct _Unwind_Context *context, void *arg)
{
    struct sim_thread *me = arg;
    const char *frame = (const char *)(uintptr_t)frame_of(context);
    bool end = (actions & _UA_END_OF_STACK) != 0 || (me->root != NULL && frame > me->root);

    (void)version;
    (void)kind;
    (void)exception;
    if (me->cleanups != NULL && (end || frame > (const char *)me->cleanups))
        call_cleanup(me);
    if (end)
        sim_thread_end(me->result);
    return _URC_NO_REASON;
}

static void was_caught(_Unwind_Reason_Code reason, struct _Unwind_Exception *exception)
{
    (void)reason;
    (void)exception;
    sim_crash("pthread_exit() was caught by catch (...) and not thrown on");
}

static __attribute__((noreturn)) void unwind(struct sim_thread *me)
{
    struct _Unwind_Exception *exception = (void *)me->exception;
    void *unwinder = dlopen("libgcc_s.so.1", RTLD_NOW); /* as libc does */
    force *go = NULL;

    if (unwinder != NULL) {
        go = (force *)(uintptr_t)dlsym(unwinder, "_Unwind_ForcedUnwind");
        frame_of = (where *)(uintptr_t)dlsym(unwinder, "_Unwind_GetCFA");
    }
    exception->exception_class = 0;
    exception->exception_cleanup = was_caught;
    if (go != NULL && frame_of != NULL)
        (void)go(exception, go_on, me);
    if (me->cleanups != NULL) /* frames that it knows nothing of: none has anything to say */
        call_cleanup(me);
    sim_thread_end(me->result);
}

LW_API void __pthread_unwind_next(__pthread_unwind_buf_t *buffer)
{
    typedef void next(__pthread_unwind_buf_t *);
    LIBC(next, __pthread_unwind_next);

    if (!is_virtual())
        libc___pthread_unwind_next(buffer);
    unwind(sim_world->current);
}

/* The process's own thread: others go on, and with the last of them ends the process. */
static __attribute__((noreturn)) void outlive_others(void)
{
    for (unsigned i = 1; i < sim_world->count; i++)
        while (sim_world->threads[i].state != SIM_DONE)
            (void)sim_block(&sim_world->threads[i], INT64_MAX, "a thread's end");
    exit(EXIT_SUCCESS);
}

LW_API void pthread_exit(void *result)
{
    typedef void leave(void *);
    struct sim_thread *me;
    const char *here = __builtin_frame_address(0);
    LIBC(leave, pthread_exit);

    if (!is_virtual()) {
        libc_pthread_exit(result);
        abort();
    }
    me = sim_world->current;
    if (me->stack == NULL)
        outlive_others();
    if (!me->intercepted || here < me->stack || here >= me->stack + SIM_STACK_BYTES)
        refuse("pthread_exit() of the thread that runs the test, or of a task,");
    me->result = result;
    unwind(me);
}

/* ---- the process's end: of a test it would be one without a word */

static void end_process(const char *call, int status)
{
    if (is_virtual() && sim_is_test())
        sim_fail(LW_SIM_CRASHED, "the test called %s(%d)", call, status);
}

LW_API void exit(int status);
LW_API void _exit(int status);
LW_API void _Exit(int status);
LW_API void quick_exit(int status);

#define ENDS_PROCESS(name)                                                                         \
    void name(int status)                                                                          \
    {                                                                                              \
        typedef void end(int);                                                                     \
        LIBC(end, name);                                                                           \
                                                                                                   \
        end_process(#name, status);                                                                \
        libc_##name(status);                                                                       \
        __builtin_unreachable();                                                                   \
    }

ENDS_PROCESS(exit)
ENDS_PROCESS(_exit)
ENDS_PROCESS(_Exit)
ENDS_PROCESS(quick_exit)

/* ---- thread-local objects */

struct sim_end {
    struct sim_end *next;
    void (*end)(void *object);
    void *object;
};

LW_API int __cxa_thread_atexit_impl(void (*end)(void *object), void *object, void *module);

LW_API int __cxa_thread_atexit_impl(void (*end)(void *object), void *object, void *module)
{
    typedef int at_exit(void (*)(void *), void *, void *);
    struct sim_end *mine;
    LIBC(at_exit, __cxa_thread_atexit_impl);

    if (!is_virtual() || sim_world->current->stack == NULL || !sim_locals_have(object))
        return libc___cxa_thread_atexit_impl(end, object, module);
    mine = sim_alloc(sizeof *mine);
    if (mine == NULL)
        abort(); /* libc does */
    *mine = (struct sim_end){.next = sim_world->current->ends, .end = end, .object = object};
    sim_world->current->ends = mine;
    return 0;
}

void sim_locals_end(struct sim_thread *thread)
{
    while (thread->ends != NULL) {
        struct sim_end *end = thread->ends;

        thread->ends = end->next;
        end->end(end->object);
        sim_free(end);
    }
}
