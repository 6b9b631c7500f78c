/* SPDX-License-Identifier: MIT */
/* In liblatchwork, which has no simulator: what to say to who asks for one, and LW_SIM=<seed>,
 * which runs the program anew with liblatchwork-sim loaded before everything else. */
#include <dlfcn.h>
#include <errno.h>
#include <latchwork/sim.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/os/sanitizer.h"

#define SIM_LIBRARY "liblatchwork-sim.so.0.1"

int lw_sim_run(const lw_sim_options *options, lw_fn *test, void *arg, lw_sim_result *result)
{
    (void)options;
    (void)test;
    (void)arg;
    (void)result;
    (void)fprintf(stderr, "latchwork: lw_sim_run(): link with latchwork-sim, not with latchwork\n");
    return -ENOTSUP;
}

bool lw_sim_active(void)
{
    return false;
}

void lw_sim_point(void)
{
}

void lw_sim_check_failed(const char *text, const char *file, int line)
{
    (void)fprintf(stderr, "latchwork: check failed: %s: %s:%d\n", text, file, line);
    abort();
}

/* Beside this library if it is there, else wherever libraries are. */
static const char *library_path(char *path, size_t size)
{
    Dl_info info;
    const char *slash;

    if (dladdr((void *)(uintptr_t)lw_sim_run, &info) == 0 || info.dli_fname == NULL ||
        (slash = strrchr(info.dli_fname, '/')) == NULL)
        return SIM_LIBRARY;
    (void)snprintf(path, size, "%.*s/" SIM_LIBRARY, (int)(slash - info.dli_fname), info.dli_fname);
    return access(path, R_OK) == 0 ? path : SIM_LIBRARY;
}

/* ASan finds the library's public data twice, as it should be here. */
static void allow_twins(void)
{
#ifdef LW_ASAN
    const char *options = getenv("ASAN_OPTIONS");
    char text[4096];

    (void)snprintf(text, sizeof text, "%s:detect_odr_violation=0", options != NULL ? options : "");
    (void)setenv("ASAN_OPTIONS", text, 1);
#endif
}

__attribute__((constructor)) static void run_simulated(int argc, char **argv)
{
    char path[4096], preload[8192];
    const char *seed = secure_getenv("LW_SIM"), *before = secure_getenv("LD_PRELOAD");

    (void)argc;
    if (seed == NULL || *seed == '\0' || dlsym(RTLD_DEFAULT, "lw_sim_is_here") != NULL)
        return;
    if (getenv("LW_SIM_PROGRAM") != NULL) {
        (void)fprintf(stderr, "latchwork: LW_SIM: there is no " SIM_LIBRARY
                              ", or the program has "
                              "the library in itself: link it with latchwork-sim\n");
        _exit(EXIT_FAILURE);
    }
    (void)snprintf(preload, sizeof preload, "%s%s%s", library_path(path, sizeof path),
                   before != NULL ? ":" : "", before != NULL ? before : "");
    (void)setenv("LD_PRELOAD", preload, 1);
    (void)setenv("LW_SIM_PROGRAM", "1", 1);
    allow_twins();
    (void)execv("/proc/self/exe", argv);
    (void)fprintf(stderr, "latchwork: LW_SIM: cannot run the program anew: %s\n", strerror(errno));
    _exit(EXIT_FAILURE);
}
