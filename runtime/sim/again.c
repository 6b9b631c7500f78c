/* SPDX-License-Identifier: MIT */
/* A schedule once more, in a process that has seen none before it.
 *
 * What schedules leave behind in the program (static variables, what pthread_once() has done, locks
 * that were held where one failed, a heap that is locked for good) is there in all that come after
 * them.  So whether a failure comes back by itself, and which of its choices it needs, is not
 * asked here: before the first schedule a child is forked, the keeper, which does nothing but fork
 * another one for each schedule that it is told to run.  That one tells how it ended.  The end of
 * the run, or of the parent, is the end of file for which the keeper ends.
 *
 * Children are made by _Fork(): no handlers of the program's run, and the library's does not make
 * a child that has lost its threads of it.  A lock of libc's that another real thread had just
 * then is never released: so each child has its time, and with the first that needs more the
 * keeper ends, too, and nothing more is asked. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/sim/world.h"

enum { CHILD_SECONDS = 10 };

struct request {
    enum sim_strategy strategy;
    uint64_t number;
    size_t count; /* choices, that follow */
};

/* Not itself static: what is there is put back before each schedule. */
static struct keeper {
    int fd; /* the way to it; -1: there is none */
} * keeper;

bool sim_again_init(void)
{
    keeper = malloc(sizeof *keeper);
    if (keeper != NULL)
        keeper->fd = -1;
    return keeper != NULL;
}

/* All of it, by the real calls: nobody is in a schedule. */
static bool get(int fd, void *to, size_t size)
{
    char *at = to;

    while (size > 0) {
        ssize_t count = read(fd, at, size);

        if (count == 0 || (count < 0 && errno != EINTR))
            return false;
        at += count > 0 ? count : 0;
        size -= count > 0 ? (size_t)count : 0;
    }
    return true;
}

static bool put(int fd, const void *from, size_t size)
{
    const char *at = from;

    while (size > 0) {
        ssize_t count = send(fd, at, size, MSG_NOSIGNAL);

        if (count < 0 && errno != EINTR)
            return false;
        at += count > 0 ? count : 0;
        size -= count > 0 ? (size_t)count : 0;
    }
    return true;
}

static bool ends_well(pid_t child)
{
    int status = 1;

    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    return status == 0;
}

/* ---- in the children */

/* What the test prints was printed once already. */
static void be_silent(void)
{
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);

    if (nowhere < 0)
        return;
    (void)dup2(nowhere, STDOUT_FILENO);
    (void)dup2(nowhere, STDERR_FILENO);
}

static void have_time(void)
{
    sigset_t mask;

    (void)sigemptyset(&mask);
    (void)sigaddset(&mask, SIGALRM);
    (void)signal(SIGALRM, SIG_DFL);
    (void)pthread_sigmask(SIG_UNBLOCK, &mask, NULL);
    (void)alarm(CHILD_SECONDS);
}

static bool run_in_child(int fd, const struct request *request, const struct sim_choices *list,
                         sim_rerun *rerun)
{
    struct sim_outcome outcome;
    pid_t child = _Fork();

    if (child < 0)
        return false;
    if (child == 0) {
        have_time();
        memset(&outcome, 0, sizeof outcome);
        rerun(request->strategy, request->number, list, &outcome);
        _exit(put(fd, &outcome, sizeof outcome) ? 0 : 1);
    }
    return ends_well(child);
}

static void keep(int fd, sim_rerun *rerun)
{
    struct request request;
    struct sim_choices list = {0};

    (void)signal(SIGCHLD, SIG_DFL);
    be_silent();
    while (get(fd, &request, sizeof request)) {
        list.list = realloc(list.list, (request.count + 1) * sizeof *list.list);
        list.count = list.room = request.count;
        if (list.list == NULL || !get(fd, list.list, request.count * sizeof *list.list) ||
            !run_in_child(fd, &request, &list, rerun))
            break;
    }
    _exit(0);
}

/* ---- in the parent */

/* A child's child: the test's own wait(2) must not find one more to wait for. */
void sim_again_begin(sim_rerun *rerun)
{
    int ends[2];
    pid_t child;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return;
    child = _Fork();
    if (child == 0) {
        (void)close(ends[0]);
        if (_Fork() == 0)
            keep(ends[1], rerun);
        _exit(0);
    }
    (void)close(ends[1]); /* where there is no keeper, what is asked finds the end of file */
    keeper->fd = ends[0];
    if (child > 0)
        (void)ends_well(child);
}

void sim_again_end(void)
{
    if (keeper->fd < 0)
        return;
    (void)close(keeper->fd);
    keeper->fd = -1;
}

bool sim_again_can(void)
{
    return keeper->fd >= 0;
}

bool sim_again(enum sim_strategy strategy, uint64_t number, const struct sim_choices *list,
               struct sim_outcome *outcome)
{
    struct request request = {strategy, number, list != NULL ? list->count : 0};

    if (keeper->fd < 0)
        return false;
    if (put(keeper->fd, &request, sizeof request) &&
        (request.count == 0 || put(keeper->fd, list->list, request.count * sizeof *list->list)) &&
        get(keeper->fd, outcome, sizeof *outcome))
        return true;
    sim_again_end();
    return false;
}
