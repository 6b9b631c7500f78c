/* SPDX-License-Identifier: MIT */
/* Lines for whoever runs the server: on stderr, with the time. */
#ifndef LATCHKV_LOG_H
#define LATCHKV_LOG_H

void kv_log(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
