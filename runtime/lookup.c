/* SPDX-License-Identifier: MIT */
/* Names to addresses.  A lookup runs on a helper thread and owns all it uses, since its caller may
 * leave before it ends; numeric addresses need none. */
#include "runtime/lookup.h"

#include <errno.h>
#include <latchwork/io.h>
#include <stddef.h>
#include <string.h>

#include "runtime/helpers.h"
#include "runtime/os/os.h"
#include "runtime/thread.h"

struct lookup {
    struct lw_job job;
    const char *host, *service; /* in text, or NULL */
    struct addrinfo hints;
    struct addrinfo *found;
    int err;
    char text[];
};

static int error_of(int value)
{
    switch (value) {
    case 0:
        return 0;
    case EAI_NONAME:
    case EAI_NODATA:
    case EAI_ADDRFAMILY:
    case EAI_SERVICE:
        return -ENOENT;
    case EAI_AGAIN:
        return -EAGAIN;
    case EAI_MEMORY:
        return -ENOMEM;
    case EAI_FAMILY:
        return -EAFNOSUPPORT;
    case EAI_SOCKTYPE:
    case EAI_BADFLAGS:
        return -EINVAL;
    case EAI_SYSTEM:
        value = lw_errno_get(lw_errno_offset);
        return value > 0 ? -value : -EIO;
    default:
        return -EIO;
    }
}

static int ask(const char *host, const char *service, const struct addrinfo *hints,
               struct addrinfo **found)
{
    *found = NULL;
    return error_of(lw_sys.getaddrinfo(host, service, hints, found));
}

static struct lookup *lookup_of(struct lw_job *job)
{
    return (struct lookup *)(void *)((char *)job - offsetof(struct lookup, job));
}

static void lookup_work(struct lw_job *job)
{
    struct lookup *lookup = lookup_of(job);

    lookup->err = ask(lookup->host, lookup->service, &lookup->hints, &lookup->found);
}

static void lookup_drop(struct lw_job *job)
{
    struct lookup *lookup = lookup_of(job);

    if (lookup->found != NULL)
        freeaddrinfo(lookup->found);
    lw_sys.free(lookup);
}

/* Copy a string (or NULL) to *at, and step over it. */
static const char *keep(const char *string, char **at)
{
    char *copy = *at;

    if (string == NULL)
        return NULL;
    *at += strlen(string) + 1;
    return strcpy(copy, string);
}

static struct lookup *lookup_new(const char *host, const char *service,
                                 const struct addrinfo *hints)
{
    size_t size = sizeof(struct lookup);
    struct lookup *lookup;
    char *at;

    size += host != NULL ? strlen(host) + 1 : 0;
    size += service != NULL ? strlen(service) + 1 : 0;
    lookup = lw_sys.calloc(1, size);
    if (lookup == NULL)
        return NULL;
    at = lookup->text;
    lookup->job.work = lookup_work;
    lookup->job.drop = lookup_drop;
    lookup->host = keep(host, &at);
    lookup->service = keep(service, &at);
    lookup->hints = *hints;
    return lookup;
}

int lw_lookup(const char *host, const char *service, const struct addrinfo *hints,
              struct addrinfo **found, lw_nsec deadline, const void *site)
{
    struct addrinfo numeric = *hints;
    struct lookup *lookup;
    int err;

    numeric.ai_flags |= AI_NUMERICHOST | AI_NUMERICSERV;
    err = ask(host, service, &numeric, found);
    if (err != -ENOENT || numeric.ai_flags == hints->ai_flags)
        return err;

    lookup = lookup_new(host, service, hints);
    if (lookup == NULL)
        return -ENOMEM;
    err = lw_job_run(&lookup->job, deadline, site);
    if (err < 0)
        return err; /* the job is no longer ours */
    err = lookup->err;
    *found = lookup->found;
    lookup->found = NULL;
    lookup_drop(&lookup->job);
    return err;
}

int lw_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                   struct addrinfo **found, lw_nsec deadline)
{
    /* What getaddrinfo(3) takes NULL for. */
    struct addrinfo wanted = {.ai_flags = AI_V4MAPPED | AI_ADDRCONFIG};

    if (hints != NULL)
        wanted = (struct addrinfo){.ai_flags = hints->ai_flags,
                                   .ai_family = hints->ai_family,
                                   .ai_socktype = hints->ai_socktype,
                                   .ai_protocol = hints->ai_protocol};
    *found = NULL;
    return lw_lookup(host, service, &wanted, found, deadline, __builtin_return_address(0));
}
