/* SPDX-License-Identifier: MIT */
/* A report as a picture: the drawing of dot_report.c, made by graphviz's dot(1), where that is.  It
 * reads from one file in memory and writes to another; so nothing of it is seen before all of it is
 * there, and no pipe can be full.  Of what the program has open, and of its signals, the child gets
 * nothing. */
#include <errno.h>
#include <fcntl.h>
#include <latchwork/sim.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "locksmith/report.h"

extern char **environ;

static int set_up(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes, int from,
                  int to)
{
    sigset_t none, all;
    int err = posix_spawn_file_actions_adddup2(actions, from, STDIN_FILENO);

    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    if (err == 0)
        err = posix_spawn_file_actions_adddup2(actions, to, STDOUT_FILENO);
    if (err == 0)
        err = posix_spawn_file_actions_addopen(actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    if (err == 0)
        err = posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1);
    if (err == 0)
        err = posix_spawnattr_setsigmask(attributes, &none);
    if (err == 0)
        err = posix_spawnattr_setsigdefault(attributes, &all);
    if (err == 0)
        err = posix_spawnattr_setflags(attributes,
                                       POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    return err;
}

static int start(pid_t *child, int from, int to)
{
    static char dot[] = "dot", svg[] = "-Tsvg";
    char *arguments[] = {dot, svg, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int err = posix_spawn_file_actions_init(&actions);

    if (err != 0)
        return -err;
    err = posix_spawnattr_init(&attributes);
    if (err == 0) {
        err = set_up(&actions, &attributes, from, to);
        if (err == 0)
            err = posix_spawnp(child, dot, &actions, &attributes, arguments, environ);
        (void)posix_spawnattr_destroy(&attributes);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    return -err;
}

/* A program that reaps whatever child there is may have reaped it: then what it wrote tells. */
static int await(pid_t child)
{
    int status = 0;

    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return errno == ECHILD ? 0 : -errno;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -ENOTSUP;
}

static int read_all(struct lw_text *text, int fd)
{
    char bytes[4096];
    ssize_t size;
    off_t at = 0;

    while ((size = pread(fd, bytes, sizeof bytes, at)) > 0) {
        lw_text_add(text, bytes, (size_t)size);
        at += size;
    }
    if (size < 0)
        return -errno;
    return at == 0 ? -ENOTSUP : 0;
}

static int draw(struct lw_text *text, const struct lw_text *drawing, int from, int to)
{
    pid_t child;
    int err = lw_text_write(drawing, from);

    if (err == 0 && lseek(from, 0, SEEK_SET) < 0)
        err = -errno;
    if (err == 0)
        err = start(&child, from, to);
    if (err == -ENOENT) /* there is no dot */
        err = -ENOTSUP;
    if (err == 0)
        err = await(child);
    return err < 0 ? err : read_all(text, to);
}

int lw_report_as_svg(struct lw_text *text, const lw_report *report,
                     const struct lw_symbols *symbols)
{
    int from, to, err;
    struct lw_text drawing = {0};

    if (lw_sim_active()) /* a process would not be simulated */
        return -ENOTSUP;
    err = lw_report_as_dot(&drawing, report, symbols);
    from = memfd_create("latchwork-dot", MFD_CLOEXEC);
    to = memfd_create("latchwork-svg", MFD_CLOEXEC);
    if (err == 0 && (from < 0 || to < 0))
        err = -errno;
    if (err == 0)
        err = draw(text, &drawing, from, to);
    if (from >= 0)
        (void)close(from);
    if (to >= 0)
        (void)close(to);
    lw_text_fini(&drawing);
    return err;
}
