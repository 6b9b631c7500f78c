/* SPDX-License-Identifier: MIT */
/* The detector tells of a deadlock twice: before a victim is chosen, which is when it is written
 * down, so that whoever gave way finds it; and after that, which is when others may see it.
 *
 * The callbacks may not wait.  So the list is guarded by a mutex of threads, which nobody holds for
 * longer than it takes to copy an entry, and never while a task could be switched. */
#include "latchkv/deadlocks.h"

#include "latchkv/clients.h"
#include "latchkv/clock.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct {
    pthread_mutex_t mutex;
    uint64_t told;  /* so many, whose numbers are 1 .. told */
    lw_nsec choice; /* of the next one a victim was chosen; the moment of its report; or 0 */
    struct kv_deadlock ring[KV_DEADLOCKS_KEPT];
} list = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static struct kv_deadlock *entry(uint64_t number)
{
    return &list.ring[number % KV_DEADLOCKS_KEPT];
}

static bool has_victim(const lw_report *report)
{
    return report->victim < report->member_count;
}

/* Who gave way comes first. */
static void write_down(struct kv_deadlock *deadlock, const lw_report *report)
{
    size_t count = report->member_count, first = has_victim(report) ? report->victim : 0;

    memset(deadlock, 0, sizeof *deadlock);
    deadlock->number = list.told + 1;
    deadlock->members_in_all = count;
    if (count > KV_DEADLOCK_MEMBERS)
        count = KV_DEADLOCK_MEMBERS;
    deadlock->member_count = count;
    deadlock->at_ms = kv_clock_read_us() / 1000;
    for (size_t i = 0; i < count; i++) {
        const lw_report_member *from = &report->members[(first + i) % report->member_count];
        struct kv_deadlock_member *member = &deadlock->members[i];

        member->task = from->task;
        member->holds = from->hold_count;
        if (from->since != 0)
            member->waited_ms = (report->at - from->since) / LW_MS;
        if (from->object_name != NULL)
            snprintf(member->waits_for, sizeof member->waits_for, "%s", from->object_name);
    }
}

static void conclude(struct kv_deadlock *deadlock, const lw_report *report)
{
    deadlock->verdict = report->verdict;
    deadlock->unforceable = report->unforceable;
    deadlock->broken = has_victim(report);
}

static size_t choose_victim(const lw_report *report, void *arg)
{
    struct kv_deadlock *deadlock;

    (void)arg;
    pthread_mutex_lock(&list.mutex);
    deadlock = entry(list.told + 1);
    write_down(deadlock, report);
    conclude(deadlock, report);
    list.choice = report->at;
    pthread_mutex_unlock(&list.mutex);
    return report->victim;
}

static void tell(const lw_report *report, void *arg)
{
    (void)arg;
    if (report->verdict == LW_VERDICT_TIMED_DEADLOCK) /* a LOCK with a timeout: as was asked for */
        return;
    pthread_mutex_lock(&list.mutex);
    struct kv_deadlock *deadlock = entry(list.told + 1);

    if (list.choice != report->at) /* nobody was asked */
        write_down(deadlock, report);
    conclude(deadlock, report);
    list.told++;
    list.choice = 0;
    pthread_mutex_unlock(&list.mutex);
    if (report->count == 0)
        (void)lw_report_write(report, LW_REPORT_TEXT, STDERR_FILENO);
}

int kv_deadlocks_start(bool look)
{
    lw_detector_options options = {.mode = look ? LW_DETECTOR_FORCE : LW_DETECTOR_OFF,
                                   .on_report = tell,
                                   .choose_victim = choose_victim};

    return lw_detector_set(&options);
}

size_t kv_deadlocks_last(struct kv_deadlock *last, size_t max)
{
    size_t count = 0;

    if (max > KV_DEADLOCKS_KEPT - 1) /* one may be just written */
        max = KV_DEADLOCKS_KEPT - 1;
    pthread_mutex_lock(&list.mutex);
    while (count < max && count < list.told) {
        last[count] = *entry(list.told - count);
        count++;
    }
    pthread_mutex_unlock(&list.mutex);
    return count;
}

static bool gave_way(const struct kv_deadlock *deadlock, lw_task task)
{
    return deadlock->broken && deadlock->members[0].task.id == task.id;
}

bool kv_deadlocks_mine(struct kv_deadlock *mine)
{
    lw_task self = lw_self();
    bool found = false;
    uint64_t newest;

    pthread_mutex_lock(&list.mutex);
    newest = list.told + (list.choice != 0 ? 1 : 0);
    for (uint64_t back = 0; back < KV_DEADLOCKS_KEPT && back < newest && !found; back++) {
        const struct kv_deadlock *deadlock = entry(newest - back);

        found = gave_way(deadlock, self);
        if (found)
            *mine = *deadlock;
    }
    pthread_mutex_unlock(&list.mutex);
    return found;
}

static void remember_names(const struct kv_deadlock *deadlock)
{
    struct kv_deadlock *kept = entry(deadlock->number);

    pthread_mutex_lock(&list.mutex);
    for (size_t i = 0; i < deadlock->member_count; i++)
        if (kept->number == deadlock->number &&
            kept->members[i].task.id == deadlock->members[i].task.id)
            kept->members[i].client = deadlock->members[i].client;
    pthread_mutex_unlock(&list.mutex);
}

int kv_deadlock_name(struct kv_deadlock *deadlock, struct kv_clients *clients)
{
    int err = 0;

    for (size_t i = 0; i < deadlock->member_count && err == 0; i++)
        if (deadlock->members[i].client == 0)
            err = kv_clients_of_task(clients, deadlock->members[i].task,
                                     &deadlock->members[i].client);
    remember_names(deadlock);
    return err;
}

void kv_deadlock_tell(const struct kv_deadlock *deadlock, char *text, size_t size)
{
    size_t used = 0, count = deadlock->member_count;
    const char *between = "";

    text[0] = '\0';
    for (size_t i = 0; i < count && used < size; i++, between = ", which") {
        const struct kv_deadlock_member *member = &deadlock->members[i];
        const struct kv_deadlock_member *next = &deadlock->members[(i + 1) % count];
        bool open = i + 1 == count && count < deadlock->members_in_all;
        int more;

        if (i == 0)
            used += (size_t)snprintf(text, size, "client %llu", (unsigned long long)member->client);
        if (used >= size)
            break;
        if (open)
            more = snprintf(text + used, size - used, "%s waits for '%s', %zu clients in all",
                            between, member->waits_for, deadlock->members_in_all);
        else
            more = snprintf(text + used, size - used, "%s waits for '%s' of client %llu", between,
                            member->waits_for, (unsigned long long)next->client);
        used += (size_t)more;
    }
}
