/* SPDX-License-Identifier: MIT */
/* Functions and lines by libdw, the reader of ELF and DWARF of elfutils.
 *
 * It is loaded when the first report is written, and only used if it is there: a server is not to
 * depend on it, with libelf and what these need to decompress, for a few lines that it may never
 * write; nor is a program under another licence than the LGPL.  Without it, or without debugging
 * information, reports have functions from the dynamic symbols and offsets, which addr2line(1)
 * takes.  What is used of its interface is checked against its own header when this is built.
 *
 * Separate debugging information is found by its build id, where distributions put it; nothing is
 * fetched from a debuginfod.
 *
 * libdw allocates with malloc(3), and maps files, without our table of the system (os.h): it is a
 * guest here, on a thread of its own.  And when memory runs out it ends the process, by its own
 * handler or a failed assertion.  So it is not asked unless there is much more left than it takes
 * (HEADROOM), and its handler comes back here instead, where what it had is given up, for good: it
 * cannot be freed. */
#include <dlfcn.h>
#include <elfutils/libdwfl.h>
#include <setjmp.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "locksmith/symbols.h"
#include "runtime/os/os.h"

#define LIBRARY "libdw.so.1"
#define HEADROOM ((size_t)256 << 20) /* bytes: many times what it takes but for huge programs */

/* The functions we use, and the fields that they are called through. */
#define FUNCTIONS(of)                                                                              \
    of(dwarf_haspc) of(dwarf_getsrc_die) of(dwarf_linesrc) of(dwarf_lineno)                        \
    of(dwarf_new_oom_handler) of(dwfl_addrmodule) of(dwfl_begin) of(dwfl_build_id_find_debuginfo)  \
    of(dwfl_end) of(dwfl_linux_proc_find_elf) of(dwfl_linux_proc_report) of(dwfl_lineinfo)         \
    of(dwfl_module_addrinfo) of(dwfl_module_getdwarf) of(dwfl_module_getsrc)                       \
    of(dwfl_module_nextcu) of(dwfl_report_end)
#define FIELD(name) __typeof__(name) *name;

struct libdw {
    FUNCTIONS(FIELD)
};

static _Thread_local sigjmp_buf *out_of_memory;

static __attribute__((noreturn)) void leave(void)
{
    siglongjmp(*out_of_memory, 1);
}

/* A function out of the library; memcpy, since ISO C has no cast from what dlsym returns. */
static bool load(void *library, const char *name, void *field)
{
    void *function = dlsym(library, name);

    memcpy(field, &function, sizeof function);
    return function != NULL;
}

/* Whether a limit, or a system that does not overcommit, would let us have so much. */
static bool has_headroom(void)
{
    void *memory = lw_sys.mmap(NULL, HEADROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                               -1, 0);

    return memory != MAP_FAILED && lw_sys.munmap(memory, HEADROOM) == 0;
}

/* It stays loaded: what is opened again each time is only counted. */
static bool open_library(struct libdw *libdw)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    bool good = library != NULL;

#define LOAD(name) good = good && load(library, #name, &libdw->name);
    FUNCTIONS(LOAD)
#undef LOAD
    return good;
}

/* By the line table of the unit that has the address, which libdw knows by an index that not all
 * compilers write; else by looking at each unit. */
static void find_line(const struct libdw *libdw, Dwfl_Module *module, struct lw_symbol *symbol)
{
    Dwarf_Addr address = (uintptr_t)symbol->address - 1, bias;
    Dwfl_Line *found = libdw->dwfl_module_getsrc(module, address);
    Dwarf_Line *line;
    Dwarf_Die *unit = NULL;
    const char *path;
    int number = 0;

    if (found != NULL) {
        path = libdw->dwfl_lineinfo(found, NULL, &number, NULL, NULL, NULL);
        if (path != NULL)
            lw_symbol_keep_file(symbol, path, number);
        return;
    }
    while ((unit = libdw->dwfl_module_nextcu(module, unit, &bias)) != NULL) {
        if (libdw->dwarf_haspc(unit, address - bias) != 1)
            continue;
        line = libdw->dwarf_getsrc_die(unit, address - bias);
        path = line != NULL ? libdw->dwarf_linesrc(line, NULL, NULL) : NULL;
        if (path != NULL && libdw->dwarf_lineno(line, &number) == 0)
            lw_symbol_keep_file(symbol, path, number);
        return;
    }
}

static void read_one(const struct libdw *libdw, Dwfl *dwfl, struct lw_symbol *symbol)
{
    Dwarf_Addr address = (uintptr_t)symbol->address - 1;
    Dwfl_Module *module = libdw->dwfl_addrmodule(dwfl, address);
    Dwarf_Addr bias;
    Dwarf *dwarf;
    GElf_Off offset;
    GElf_Sym sym;
    const char *name;

    if (module == NULL)
        return;
    name = libdw->dwfl_module_addrinfo(module, address, &offset, &sym, NULL, NULL, NULL);
    if (name != NULL) {
        lw_symbol_keep(symbol->function, sizeof symbol->function, name);
        symbol->function_offset = (uintptr_t)offset + 1;
    }
    dwarf = libdw->dwfl_module_getdwarf(module, &bias);
    if (dwarf == NULL)
        return;
    (void)libdw->dwarf_new_oom_handler(dwarf, leave);
    find_line(libdw, module, symbol);
}

void lw_debug_info_read(struct lw_symbol *symbols, size_t count)
{
    struct libdw libdw;
    Dwfl_Callbacks callbacks = {0};
    sigjmp_buf back;
    Dwfl *dwfl;

    if (!has_headroom() || !open_library(&libdw))
        return;
    callbacks.find_elf = libdw.dwfl_linux_proc_find_elf;
    callbacks.find_debuginfo = libdw.dwfl_build_id_find_debuginfo;
    out_of_memory = &back;
    if (sigsetjmp(back, 0) != 0)
        return;
    dwfl = libdw.dwfl_begin(&callbacks);
    if (dwfl == NULL)
        return;
    if (libdw.dwfl_linux_proc_report(dwfl, getpid()) == 0 &&
        libdw.dwfl_report_end(dwfl, NULL, NULL) == 0)
        for (size_t i = 0; i < count; i++)
            read_one(&libdw, dwfl, &symbols[i]);
    libdw.dwfl_end(dwfl);
}
