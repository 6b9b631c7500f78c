/* SPDX-License-Identifier: MIT */
/* What is at the addresses of a report: module, function, line.  See symbols.c. */
#ifndef LW_LOCKSMITH_SYMBOLS_H
#define LW_LOCKSMITH_SYMBOLS_H

#include <latchwork/detector.h>

/* A place in the program.  Strings are empty, and the line is 0, where it is not known. */
struct lw_symbol {
    const void *address;
    uintptr_t module_offset;   /* from where the module lies in memory */
    uintptr_t function_offset;
    int line;
    char module[64], function[128], file[256]; /* cut off: names at the end, files at the start */
};

/* The places of one report, by address. */
struct lw_symbols {
    struct lw_symbol *all;
    size_t count;
};

/* Find all sites of the report.  0 or -ENOMEM; that only little could be found is no error. */
int lw_symbols_init(struct lw_symbols *symbols, const lw_report *report);

/* What is at a site of that report; NULL for the site that is not known. */
const struct lw_symbol *lw_symbols_at(const struct lw_symbols *symbols, const void *site);

void lw_symbols_fini(struct lw_symbols *symbols);

/* The module in which an address lies, by the last part of its path ("" for the program itself, in
 * whose place the name may be told), and where in it; false: in none.  Takes no lock, so that
 * anyone may ask, whoever waits for whom. */
bool lw_module_of(const void *address, const char **name, uintptr_t *offset);

/* Put a string in such a field. */
void lw_symbol_keep(char *field, size_t size, const char *string);
void lw_symbol_keep_file(struct lw_symbol *symbol, const char *path, int line);

/* debug_info.c, or no_debug_info.c where there was no libdw when this was built: add functions and
 * lines.  On a thread of its own, since this takes much stack. */
void lw_debug_info_read(struct lw_symbol *symbols, size_t count);

#endif
