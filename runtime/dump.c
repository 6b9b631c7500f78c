/* SPDX-License-Identifier: MIT */
/* One line per task: name, state, wait, since when, where it was spawned.  A look at records that
 * may change meanwhile: a line may be out of date, never wild. */
#include <latchwork/runtime.h>

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "runtime/os/os.h"
#include "runtime/wait.h"
#include "runtime/worker.h"

#define SITE_MASK ((UINT64_C(1) << 48) - 1)

/* "function+0x12 (program)" or "0x1234". */
static void name_site(char *text, size_t size, uint64_t site)
{
    void *address = (void *)(uintptr_t)(site & SITE_MASK);
    Dl_info info;

    if (address == NULL)
        (void)snprintf(text, size, "nowhere");
    else if (dladdr(address, &info) != 0 && info.dli_sname != NULL)
        (void)snprintf(text, size, "%s+0x%lx", info.dli_sname,
                       (unsigned long)((char *)address - (char *)info.dli_saddr));
    else if (dladdr(address, &info) != 0 && info.dli_fname != NULL)
        (void)snprintf(text, size, "%s+0x%lx",
                       strrchr(info.dli_fname, '/') != NULL ? strrchr(info.dli_fname, '/') + 1
                                                            : info.dli_fname,
                       (unsigned long)((char *)address - (char *)info.dli_fbase));
    else
        (void)snprintf(text, size, "%p", address);
}

static void describe_state(char *text, size_t size, const struct lw_record *record,
                           const struct lw_cold *cold)
{
    uint64_t wait = lw_load_acq(&cold->wait);
    uint64_t phase = wait & LW_PHASE_MASK;
    char site[160];

    if (phase < LW_PHASE_ARMED || phase > LW_PHASE_CLAIMED) {
        bool ran = (lw_load_rlx(&record->place) & LW_PLACE_STACK) != 0;
        uint32_t busy = lw_busy_ms(lw_load_rlx(&cold->id), (uint32_t)(lw_sys.now() / LW_MS));

        if (ran && busy != 0) {
            (void)snprintf(text, size, "has run for %u.%03u s without a pause", busy / 1000,
                           busy % 1000);
            return;
        }
        (void)snprintf(text, size, lw_record_is_guest(record) ? "a plain thread, not waiting"
                                   : lw_record_is_done(record) ? "ended, not joined"
                                   : !ran                     ? "not started"
                                                              : "ready or running");
        return;
    }
    uint8_t kind = lw_load_rlx(&cold->kind);
    const char *name = lw_load_rlx(&cold->object_name);
    uint32_t age = (uint32_t)(lw_sys.now() / LW_MS) - lw_load_rlx(&cold->since);

    name_site(site, sizeof site, (uintptr_t)lw_load_rlx(&cold->site));
    (void)snprintf(text, size, "waits for %s%s%s%s since %u.%03u s at %s",
                   kind < LW_WAIT_KINDS ? lw_wait_kind_names[kind] : "?", name != NULL ? " '" : "",
                   name != NULL ? name : "", name != NULL ? "'" : "", age / 1000, age % 1000, site);
}

/* All of it, or the error. */
static int write_line(int fd, const char *line, size_t size)
{
    while (size > 0) {
        ssize_t written = lw_sys.write(fd, line, size);

        if (written < 0 && errno != EINTR)
            return -errno;
        if (written > 0) {
            line += written;
            size -= (size_t)written;
        }
    }
    return 0;
}

int lw_dump_record(int fd, struct lw_record *record)
{
    const struct lw_cold *cold = lw_record_cold(record);
    uint64_t place = lw_load_rlx(&record->place);
    const char *name = (place & LW_PLACE_OPTIONS) != 0 ? lw_load_rlx(&cold->name) : NULL;
    char line[512], state[320], site[160];
    int size;

    describe_state(state, sizeof state, record, cold);
    name_site(site, sizeof site, lw_load_rlx(&record->site));
    size = snprintf(line, sizeof line, "task %u%s%s%s: %s; spawned at %s\n", lw_record_slot(record),
                    name != NULL ? " '" : "", name != NULL ? name : "", name != NULL ? "'" : "",
                    state, site);
    if (size > (int)sizeof line - 1)
        size = (int)sizeof line - 1;
    return write_line(fd, line, (size_t)size);
}

int lw_dump(int fd)
{
    uint32_t used = lw_records_used();
    int err = fd < 0 ? -EBADF : 0;

    for (uint32_t slot = 0; err == 0 && slot < used; slot++)
        if ((lw_load_acq(&lw_records[slot].ctl) & LW_LIVE) != 0)
            err = lw_dump_record(fd, &lw_records[slot]);
    return err;
}
