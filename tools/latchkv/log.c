/* SPDX-License-Identifier: MIT */
#include "latchkv/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* One write per line, so that lines of several tasks do not mix. */
void kv_log(const char *format, ...)
{
    char line[512];
    struct timespec now;
    struct tm parts;
    va_list args;

    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &parts);
    size_t size = strftime(line, sizeof line, "%Y-%m-%d %H:%M:%S", &parts);
    size += (size_t)snprintf(line + size, sizeof line - size, ".%03ld ", now.tv_nsec / 1000000);

    va_start(args, format);
    int more = vsnprintf(line + size, sizeof line - size, format, args);
    va_end(args);
    if (more > 0)
        size += (size_t)more;
    if (size > sizeof line - 1)
        size = sizeof line - 1;
    line[size++] = '\n';
    if (write(STDERR_FILENO, line, size) < 0)
        return; /* there is nobody to tell */
}
