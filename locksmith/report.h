/* SPDX-License-Identifier: MIT */
/* What a report says, in one format or another.  report.c has what they share; text_report.c,
 * json_report.c (no_json_report.c), dot_report.c and svg_report.c make the text. */
#ifndef LW_LOCKSMITH_REPORT_H
#define LW_LOCKSMITH_REPORT_H

#include "locksmith/symbols.h"
#include "locksmith/text.h"

/* A number for the places that it is about, whoever was there and when, and however many: of those
 * where members wait, and where they took what others of them wait for.  Places are known by module
 * and offset, so the next run of the same program has the same number.
 * Anyone; takes no lock, allocates nothing. */
uint64_t lw_report_signature(const lw_report *report);

/* Whether that member holds what another one waits for. */
bool lw_report_holds(const lw_report_member *member, const void *object);

/* Its members wait for each other, each for the next one. */
bool lw_report_is_circle(const lw_report *report);

/* The part of a path behind the last slash. */
const char *lw_report_base(const char *path);

/* "task 12 'name'", "'name' (0x7ffe1234)", "function (file:line)", "1.234 s"; names as
 * lw_text_add_name() has them. */
void lw_report_add_task(struct lw_text *text, lw_task task, const char *name);
void lw_report_add_object(struct lw_text *text, const void *object, const char *name);
void lw_report_add_site(struct lw_text *text, const struct lw_symbols *symbols, const void *site,
                        bool with_path);
void lw_report_add_time(struct lw_text *text, lw_nsec from, lw_nsec to);

/* Each: 0, or what cannot be helped (-ENOTSUP); that memory failed is said by the text. */
int lw_report_as_text(struct lw_text *text, const lw_report *report,
                      const struct lw_symbols *symbols);
int lw_report_as_json(struct lw_text *text, const lw_report *report,
                      const struct lw_symbols *symbols);
int lw_report_as_dot(struct lw_text *text, const lw_report *report,
                     const struct lw_symbols *symbols);
int lw_report_as_svg(struct lw_text *text, const lw_report *report,
                     const struct lw_symbols *symbols);

#endif
