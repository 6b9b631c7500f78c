/* SPDX-License-Identifier: MIT */
/* Built with -Djson=disabled: see json_report.c. */
#include <errno.h>

#include "locksmith/report.h"

int lw_report_as_json(struct lw_text *text, const lw_report *report,
                      const struct lw_symbols *symbols)
{
    (void)text;
    (void)report;
    (void)symbols;
    return -ENOTSUP;
}
