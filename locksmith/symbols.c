/* SPDX-License-Identifier: MIT */
/* Places in the program, for who reads a report.
 *
 * First, for all addresses, the module and the offset in it: glibc's _dl_find_object() answers
 * without a lock.  Then the names, which take locks of the dynamic linker, much stack (that of a
 * task has 64 KiB) and time: on a thread of its own.  A deadlock may be about those very locks,
 * when a library waits for something while it is loaded; and a report has to come all the same.
 * So its thread is waited for PATIENCE only.  It works on a copy, and who comes last frees that:
 *
 *     state   AT_WORK -> DONE     the thread; the report takes the names and joins it
 *             AT_WORK -> LEFT     the report goes without them; the thread frees all
 *
 * [Y1] what the thread has found -> the report:  swap to DONE (release) -> load (acquire); and the
 *      report's reads of its own copy -> the thread's free:  compare-and-swap to LEFT, swap.
 *
 * Names come from the dynamic symbols (dladdr), and from all others and the debugging information
 * where libdw is (debug_info.c).  A site is where a call returns to, which may be the next line, or
 * the next function: what is looked up is the byte before it.
 *
 * In simulation, and after fork, where threads are not what they were, there are no names. */
#include "locksmith/symbols.h"

#include <dlfcn.h>
#include <errno.h>
#include <latchwork/sim.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

#include "locksmith/apart.h"
#include "runtime/atomic.h"
#include "runtime/fork.h"
#include "runtime/os/os.h"

#define PATIENCE (3 * LW_SEC)

enum { AT_WORK, DONE, LEFT };

struct job {
    uint32_t state; /* [Y1] */
    size_t count;
    struct lw_symbol symbols[];
};

/* ---- what may be asked of each address */

bool lw_module_of(const void *address, const char **name, uintptr_t *offset)
{
    struct dl_find_object found;
    const char *slash;

    if (_dl_find_object((void *)(uintptr_t)address, &found) != 0)
        return false;
    slash = strrchr(found.dlfo_link_map->l_name, '/');
    *name = slash != NULL ? slash + 1 : found.dlfo_link_map->l_name;
    *offset = (uintptr_t)address - (uintptr_t)found.dlfo_map_start;
    return true;
}

void lw_symbol_keep(char *field, size_t size, const char *string)
{
    size_t length = strnlen(string, size - 1);

    memcpy(field, string, length);
    field[length] = '\0';
}

void lw_symbol_keep_file(struct lw_symbol *symbol, const char *path, int line)
{
    size_t length = strlen(path), room = sizeof symbol->file - 1;

    lw_symbol_keep(symbol->file, sizeof symbol->file, length > room ? path + length - room : path);
    symbol->line = line;
}

static void find_module(struct lw_symbol *symbol)
{
    const char *name;

    if (lw_module_of(symbol->address, &name, &symbol->module_offset))
        lw_symbol_keep(symbol->module, sizeof symbol->module,
                       *name != '\0' ? name : program_invocation_short_name);
}

/* ---- names, on the thread */

static void find_function(struct lw_symbol *symbol)
{
    Dl_info info;

    if (dladdr((const char *)symbol->address - 1, &info) == 0 || info.dli_sname == NULL)
        return;
    lw_symbol_keep(symbol->function, sizeof symbol->function, info.dli_sname);
    symbol->function_offset = (uintptr_t)symbol->address - (uintptr_t)info.dli_saddr;
}

static void *find_names(void *arg)
{
    struct job *job = arg;

    for (size_t i = 0; i < job->count; i++)
        find_function(&job->symbols[i]);
    lw_debug_info_read(job->symbols, job->count);
    if (lw_swap_acq_rel(&job->state, DONE) == LEFT) /* [Y1] */
        lw_sys.free(job);
    else
        lw_sys.futex_wake(&job->state, 1);
    return NULL;
}

/* Whether the thread has ended; else the job is the thread's. */
static bool await(struct job *job)
{
    int64_t deadline = lw_sys.now() + PATIENCE;
    uint32_t state;

    while ((state = lw_load_acq(&job->state)) == AT_WORK && lw_sys.now() < deadline) /* [Y1] */
        lw_sys.futex_wait(&job->state, AT_WORK, deadline);
    return state == DONE || !lw_cas_acq_rel(&job->state, &state, LEFT);
}

static void name_all(struct lw_symbols *symbols)
{
    size_t size = symbols->count * sizeof *symbols->all;
    struct job *job = lw_sys.calloc(1, sizeof *job + size);
    pthread_t thread;

    if (job == NULL)
        return;
    job->count = symbols->count;
    memcpy(job->symbols, symbols->all, size);
    if (lw_start_apart(&thread, find_names, job) != 0) {
        lw_sys.free(job);
        return;
    }
    if (!await(job)) {
        (void)pthread_detach(thread);
        return;
    }
    (void)lw_sys.thread_join(thread, NULL);
    memcpy(symbols->all, job->symbols, size);
    lw_sys.free(job);
}

/* ---- the places of a report */

static int compare(const void *left, const void *right)
{
    uintptr_t a = (uintptr_t)((const struct lw_symbol *)left)->address;
    uintptr_t b = (uintptr_t)((const struct lw_symbol *)right)->address;

    return (a > b) - (a < b);
}

static void add(struct lw_symbols *symbols, const void *site)
{
    if (site != NULL)
        symbols->all[symbols->count++].address = site;
}

/* Each once, by address. */
static void sort(struct lw_symbols *symbols)
{
    size_t count = 0;

    qsort(symbols->all, symbols->count, sizeof *symbols->all, compare);
    for (size_t i = 0; i < symbols->count; i++)
        if (count == 0 || symbols->all[i].address != symbols->all[count - 1].address)
            symbols->all[count++] = symbols->all[i];
    symbols->count = count;
}

int lw_symbols_init(struct lw_symbols *symbols, const lw_report *report)
{
    size_t count = 0;

    *symbols = (struct lw_symbols){0};
    for (size_t i = 0; i < report->member_count; i++)
        count += 2 + report->members[i].hold_count + report->members[i].stack_depth;
    if (count == 0)
        return 0;
    symbols->all = lw_sys.calloc(count, sizeof *symbols->all);
    if (symbols->all == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < report->member_count; i++) {
        const lw_report_member *member = &report->members[i];

        add(symbols, member->wait_site);
        add(symbols, member->spawn_site);
        for (size_t j = 0; j < member->hold_count; j++)
            add(symbols, member->holds[j].site);
        for (size_t j = 0; j < member->stack_depth; j++)
            add(symbols, member->stack[j]);
    }
    sort(symbols);
    for (size_t i = 0; i < symbols->count; i++)
        find_module(&symbols->all[i]);
    if (symbols->count != 0 && !lw_forked() && !lw_sim_active())
        name_all(symbols);
    return 0;
}

const struct lw_symbol *lw_symbols_at(const struct lw_symbols *symbols, const void *site)
{
    struct lw_symbol wanted;

    wanted.address = site;
    if (site == NULL || symbols->count == 0)
        return NULL;
    return bsearch(&wanted, symbols->all, symbols->count, sizeof *symbols->all, compare);
}

void lw_symbols_fini(struct lw_symbols *symbols)
{
    lw_sys.free(symbols->all);
    *symbols = (struct lw_symbols){0};
}
