/* SPDX-License-Identifier: MIT */
#include "tests/sim/cell.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

uint64_t cell_setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text != NULL && *text != '\0' ? strtoull(text, NULL, 0) : otherwise;
}

double cell_seconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void cell_log(const char *strategy, uint64_t schedules, double seconds, bool failed, uint64_t seed)
{
    const char *path = getenv("LW_SIM_LOG");
    FILE *file = path != NULL && *path != '\0' ? fopen(path, "a") : NULL;

    if (file == NULL)
        return;
    (void)fprintf(file, "%s %llu %.3f %d %llu\n", strategy, (unsigned long long)schedules, seconds,
                  failed, (unsigned long long)seed);
    (void)fclose(file);
}
