/* SPDX-License-Identifier: MIT */
/* Reports as text on the standard error.  See printer.c. */
#ifndef LW_LOCKSMITH_PRINTER_H
#define LW_LOCKSMITH_PRINTER_H

#include <latchwork/detector.h>

/* Have it printed before long.  Anyone who may decide; waits for nothing. */
void lw_printer_print(const lw_report *report);

/* Until all that was to be printed is, or until then.  Whether it is. */
bool lw_printer_await(lw_nsec deadline);

/* In the child of a fork, while it has one thread. */
void lw_printer_forked(void);

#endif
