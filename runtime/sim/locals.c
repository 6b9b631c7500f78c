/* SPDX-License-Identifier: MIT */
/* The program's thread-local variables: each virtual thread has its own.
 *
 * All virtual threads run on one real one, so a __thread variable has one address for all of them.
 * What is there is exchanged whenever another one goes on, for each module of the process that has
 * such variables: the program, and libraries that were loaded when the schedule began; libstdc++
 * keeps there which exceptions are being handled.  Not those of libc, which belong to the real
 * thread (errno is exchanged in threads.c), nor this library's own.  A new thread begins with the
 * values that the program was linked with.  Virtual thread 0 has those of the thread that runs the
 * simulation, before, in and after it.
 *
 * A sanitizer keeps notes of its own on the real thread there, perhaps in the program itself: with
 * one in the process, the variables are shared. */
#include "runtime/sim/locals.h"

#include <dlfcn.h>
#include <link.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/sim/sanitizer.h"

enum { MODULES_MAX = 32 };

/* Kept from schedule to schedule. */
static struct locals {
    struct module {
        char *at;          /* the variables, of the OS thread that runs the simulation */
        const char *image; /* with which they begin, and zeros after it */
        size_t image_size, size;
    } modules[MODULES_MAX];
    unsigned count;
    size_t size; /* of all */
    char *store; /* of each virtual thread that does not run */
    size_t store_size;
} * locals;

bool sim_locals_init(void)
{
    locals = calloc(1, sizeof *locals);
    return locals != NULL;
}

#ifdef LW_ASAN
static bool have_sanitizer(void)
{
    return true;
}
#else
static bool have_sanitizer(void)
{
    static const char *const functions[] = {"__asan_init", "__tsan_init", "__msan_init",
                                            "__lsan_init"};

    for (unsigned i = 0; i < sizeof functions / sizeof *functions; i++)
        if (dlsym(RTLD_DEFAULT, functions[i]) != NULL)
            return true;
    return false;
}
#endif

/* Its variables are the real thread's. */
static bool is_real(const struct dl_phdr_info *info)
{
    static const char *const names[] = {"libc.so", "libpthread.so", "ld-linux"};
    const char *slash = strrchr(info->dlpi_name, '/');
    const char *name = slash != NULL ? slash + 1 : info->dlpi_name;
    uintptr_t here = (uintptr_t)sim_locals_init;

    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (strncmp(name, names[i], strlen(names[i])) == 0)
            return true;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        uintptr_t from = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;

        if (info->dlpi_phdr[i].p_type == PT_LOAD && here >= from &&
            here - from < info->dlpi_phdr[i].p_memsz)
            return true; /* this library */
    }
    return false;
}

static int add(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    (void)arg;
    if (info->dlpi_tls_data == NULL || is_real(info))
        return 0;
    for (unsigned i = 0; i < info->dlpi_phnum && locals->count < MODULES_MAX; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];

        if (header->p_type != PT_TLS || header->p_memsz == 0)
            continue;
        locals->modules[locals->count++] = (struct module){
            .at = info->dlpi_tls_data,
            .image = (const char *)(info->dlpi_addr + header->p_vaddr),
            .image_size = header->p_filesz,
            .size = header->p_memsz,
        };
        locals->size += header->p_memsz;
    }
    return 0;
}

void sim_locals_begin(void)
{
    locals->count = 0;
    locals->size = 0;
    if (!have_sanitizer())
        (void)dl_iterate_phdr(add, NULL);
    if (locals->size <= locals->store_size)
        return;
    free(locals->store);
    locals->store = calloc(SIM_THREADS_MAX, locals->size); /* what is not used is not touched */
    locals->store_size = locals->store != NULL ? locals->size : 0;
    if (locals->store == NULL)
        locals->count = 0;
}

void sim_locals_new(unsigned index)
{
    char *to;

    if (locals->count == 0)
        return;
    to = locals->store + index * locals->size;
    for (unsigned i = 0; i < locals->count; i++) {
        const struct module *module = &locals->modules[i];

        memcpy(to, module->image, module->image_size);
        memset(to + module->image_size, 0, module->size - module->image_size);
        to += module->size;
    }
}

void sim_locals_switch(unsigned from, unsigned to)
{
    char *leave, *come;

    if (locals->count == 0 || from == to)
        return;
    leave = locals->store + from * locals->size;
    come = locals->store + to * locals->size;
    for (unsigned i = 0; i < locals->count; i++) {
        const struct module *module = &locals->modules[i];

        memcpy(leave, module->at, module->size);
        memcpy(module->at, come, module->size);
        leave += module->size;
        come += module->size;
    }
}

bool sim_locals_have(const void *variable)
{
    for (unsigned i = 0; i < locals->count; i++)
        if ((uintptr_t)variable - (uintptr_t)locals->modules[i].at < locals->modules[i].size)
            return true;
    return false;
}
