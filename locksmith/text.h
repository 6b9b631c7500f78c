/* SPDX-License-Identifier: MIT */
/* Text that grows in memory, to be written in one go.
 *
 * Once memory has failed the text stays as it is, and says so at the end: err is -ENOMEM, and who
 * builds it need not look in between. */
#ifndef LW_LOCKSMITH_TEXT_H
#define LW_LOCKSMITH_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* All zero: empty. */
struct lw_text {
    char *bytes; /* a string; NULL while there is nothing */
    size_t size, room;
    int err;
};

void lw_text_add(struct lw_text *text, const char *bytes, size_t size);

__attribute__((format(printf, 2, 3))) void lw_text_print(struct lw_text *text, const char *format,
                                                         ...);

/* Add a name as people may see it, on one line and without a doubt where it ends: control
 * characters and what is no UTF-8 become \xNN, and a quote and a backslash follow a backslash. */
void lw_text_add_name(struct lw_text *text, const char *name);

/* Add a name as UTF-8: what is none becomes U+FFFD, byte by byte. */
void lw_text_add_utf8(struct lw_text *text, const char *name);

/* Throw away what was added since it had this size. */
void lw_text_cut(struct lw_text *text, size_t size);

/* Write all of it.  0 or the error, also that of memory; never raises SIGPIPE. */
int lw_text_write(const struct lw_text *text, int fd);

void lw_text_fini(struct lw_text *text);

#endif
