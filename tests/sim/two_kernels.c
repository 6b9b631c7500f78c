/* SPDX-License-Identifier: MIT */
/* See two_kernels.h. */
#include "tests/sim/two_kernels.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/differential.h"

int differential_loud;
struct place places[PLACES];
struct lw_sys tables[KERNELS];
unsigned unix_made;
char report[4096];

static const struct more_calls sim_calls = {sim_pipe2, sim_socketpair, sim_shutdown,
                                            sim_getsockname};
const struct more_calls *const more[KERNELS] = {&real_calls, &sim_calls};

static uint64_t state;
static const char *unix_folder;

void begin(uint64_t seed, const char *folder)
{
    state = seed;
    unix_folder = folder;
    real_kernel_fill(&tables[REAL]);
    sim_kernel_fill(&tables[SIM]);
    report[0] = '\0';
}

const char *name_of(const struct place *place)
{
    static const char *const names[] = {"nothing", "counter", "pipe", "unix",
                                        "tcp",     "packets", "udp",  "epoll"};

    return names[place->kind];
}

unsigned draw(unsigned count)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(state >> 33) % count;
}

bool often(unsigned one_in)
{
    return draw(one_in) == 0;
}

bool differ(const char *format, ...)
{
    va_list list;

    va_start(list, format);
    (void)vsnprintf(report, sizeof report, format, list);
    va_end(list);
    return false;
}

long value_of(long result)
{
    return result >= 0 ? result : -errno;
}

bool same(const char *what, const struct place *place, const long results[KERNELS])
{
    if (differential_loud)
        fprintf(stderr, "%s of %s %d: %ld %ld\n", what, name_of(place), (int)(place - places),
                results[REAL], results[SIM]);
    return results[REAL] == results[SIM] ||
           differ("%s of %s %d: real %ld (%s), simulated %ld (%s)", what, name_of(place),
                  (int)(place - places), results[REAL],
                  results[REAL] < 0 ? strerror((int)-results[REAL]) : "", results[SIM],
                  results[SIM] < 0 ? strerror((int)-results[SIM]) : "");
}

/* Without it small segments wait for an answer to the one before (Nagle): 40 ms of real time. */
static void send_at_once(const struct place *place)
{
    int one = 1;

    for (unsigned k = 0; k < KERNELS; k++)
        (void)tables[k].setsockopt(place->fds[k], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

bool made(const char *what, struct place *place, enum kind kind, const long results[KERNELS])
{
    long signs[KERNELS] = {results[REAL] < 0 ? results[REAL] : 0,
                           results[SIM] < 0 ? results[SIM] : 0};

    *place = (struct place){.kind = kind, .fds = {(int)results[REAL], (int)results[SIM]}};
    if (!same(what, place, signs))
        return false;
    if (results[REAL] < 0)
        place->kind = NOTHING;
    else if (kind == TCP)
        send_at_once(place);
    return true;
}

socklen_t unix_name(unsigned number, struct sockaddr_un *name)
{
    *name = (struct sockaddr_un){.sun_family = AF_UNIX};
    (void)snprintf(name->sun_path, sizeof name->sun_path, "%s/%u", unix_folder, number);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name->sun_path) + 1);
}

struct place *any_place(void)
{
    return &places[draw(PLACES)];
}

struct place *free_place(void)
{
    for (unsigned i = 0; i < PLACES; i++)
        if (places[i].kind == NOTHING)
            return &places[i];
    return NULL;
}

bool is_socket(const struct place *place)
{
    return place->kind >= STREAM && place->kind <= UDP;
}

bool is_inet(const struct place *place)
{
    return place->kind == TCP || place->kind == UDP;
}

socklen_t address_of(const struct place *goal, unsigned kernel, struct sockaddr_storage *address)
{
    socklen_t size = sizeof *address;

    memset(address, 0, sizeof *address);
    if (!is_inet(goal))
        return unix_name(goal->number, (struct sockaddr_un *)address);
    if (more[kernel]->name(goal->fds[kernel], (struct sockaddr *)address, &size) < 0)
        return 0;
    return size;
}
