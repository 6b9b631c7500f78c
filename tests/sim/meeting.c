/* SPDX-License-Identifier: MIT */
/* Threads that meet where they hardly ever do.  What each worker has of its own keeps it away from
 * the depots; a worker's next task, and its poller, are nearly always left to the worker itself.
 * Here all go there at once: nothing is given out twice, and nothing is lost. */
#include "tests/sim/explore.h"

#include <fcntl.h>
#include <pthread.h>

#include "runtime/os/os.h"
#include "runtime/sim/kernel.h"
#include "runtime/stack.h"
#include "runtime/worker.h"

TestSuite(meeting, .init = watchdog);

enum { THREADS = 3, ROUNDS = 4, OWNERS = 1024, STACKS = 12, PIPES = 6, LOOKS = 20, CHUNK = 128 };

static struct {
    uint8_t owners[OWNERS];
    unsigned class;
    lw_channel channel;
    lw_semaphore finished, arrived;
    lw_runtime *runtime;
    int pipes[PIPES][2], listener;
    int runs;
    bool done;
    int trimmed;
} it;

static void set_up(void)
{
    memset(&it, 0, sizeof it);
    it.finished = (lw_semaphore)LW_SEMAPHORE_INIT("finished", 0);
    it.arrived = (lw_semaphore)LW_SEMAPHORE_INIT("arrived", 0);
}

static void own(uint64_t number)
{
    LW_SIM_CHECK(number < OWNERS && it.owners[number]++ == 0);
}

static void disown(uint64_t number)
{
    LW_SIM_CHECK(--it.owners[number] == 0);
}

typedef void *thread_fn(void *arg);

/* `many` threads that do the one, and one that does the other. */
static void meet(thread_fn *one, unsigned many, thread_fn *other)
{
    pthread_t threads[THREADS + 1];

    for (unsigned i = 0; i <= many; i++)
        LW_SIM_CHECK(pthread_create(&threads[i], NULL, i < many ? one : other, NULL) == 0);
    for (unsigned i = 0; i <= many; i++)
        LW_SIM_CHECK(pthread_join(threads[i], NULL) == 0);
}

/* ---- records */

static bool is_marked(const struct lw_record *record)
{
    return lw_load_sc(&lw_cold_used[lw_record_slot(record) / LW_COLD_PAGE]) != 0;
}

static void *take_records(void *arg)
{
    struct lw_record_cache cache = {0};

    LW_SIM_CHECK(lw_records_init() == 0);
    for (int i = 0; i < ROUNDS; i++) {
        struct lw_record *record = lw_record_take(&cache);

        LW_SIM_CHECK(record != NULL);
        own(lw_record_slot(record));
        lw_record_begin(record);
        lw_sim_point();
        /* Until it is given back: else who looks at all waits would pass it by. */
        LW_SIM_CHECK(is_marked(record));
        disown(lw_record_slot(record));
        lw_record_give(&cache, record);
        lw_record_drain(&cache);
    }
    return arg;
}

static void *trim_records(void *arg)
{
    LW_SIM_CHECK(lw_records_init() == 0);
    for (int i = 0; i < 2; i++)
        (void)lw_record_trim();
    return arg;
}

/* All that there were are still there, each once. */
static void take_all(uint32_t used)
{
    struct lw_record_cache cache = {0};
    struct lw_record *taken = NULL, *next;

    for (uint32_t i = 0; i < used; i++) {
        struct lw_record *record = lw_record_take(&cache);

        LW_SIM_CHECK(record != NULL);
        own(lw_record_slot(record));
        lw_store_rlx(&record->next, taken);
        taken = record;
    }
    LW_SIM_CHECK(lw_records_used() == used);
    LW_SIM_CHECK(cache.count == 0);
    for (; taken != NULL; taken = next) {
        next = lw_load_rlx(&taken->next);
        lw_record_put(&cache, taken);
    }
    lw_record_drain(&cache);
}

static void count_records(void)
{
    take_all(lw_records_used());
}

static int share_records(void *arg)
{
    (void)arg;
    set_up();
    meet(take_records, 2, trim_records);
    count_records();
    return 0;
}

Test(meeting, at_the_depot_of_records)
{
    sim_plain(share_records, NULL);
}

/* Who trims has put back before what he had, as mostly all have: he finds whole chunks. */
static void *take_and_trim(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        (void)take_records(NULL);
        (void)lw_record_trim();
    }
    return arg;
}

static int trim_at_once(void *arg)
{
    (void)arg;
    set_up();
    meet(take_and_trim, THREADS, trim_records);
    count_records();
    return 0;
}

Test(meeting, of_those_who_trim)
{
    sim_plain(trim_at_once, NULL);
}

static void *trim_once(void *arg)
{
    (void)lw_record_trim();
    lw_store_rel(&it.trimmed, 1);
    return arg;
}

/* What it took of a chunk just emptied is not touched by who has emptied it. */
static void *take_one(void *arg)
{
    struct lw_record_cache cache = {0};
    struct lw_record *record = lw_record_take(&cache);

    LW_SIM_CHECK(record != NULL);
    lw_record_begin(record);
    LW_AWAIT(lw_load_acq(&it.trimmed) != 0);
    LW_SIM_CHECK(is_marked(record));
    LW_SIM_CHECK(lw_load_rlx(&lw_record_cold(record)->id) == lw_record_id(record));
    lw_record_give(&cache, record);
    lw_record_drain(&cache);
    return arg;
}

/* All are idle. */
static int trim_a_chunk(void *arg)
{
    (void)arg;
    set_up();
    LW_SIM_CHECK(lw_records_init() == 0);
    take_all(CHUNK);
    memset(it.owners, 0, sizeof it.owners);
    meet(take_one, 1, trim_once);
    count_records();
    return 0;
}

Test(meeting, of_one_who_trims_and_one_who_takes_it)
{
    sim_plain_every(trim_a_chunk, NULL, 1, 100);
}

/* ---- records of plain threads */

static void *be_a_guest(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        struct lw_record *record = lw_guest_record_take();

        LW_SIM_CHECK(record != NULL);
        own(lw_record_slot(record));
        lw_sim_point();
        disown(lw_record_slot(record));
        lw_guest_record_give(record);
    }
    return arg;
}

static void *drain_guests(void *arg)
{
    for (int i = 0; i < ROUNDS; i++)
        lw_guest_records_drain();
    return arg;
}

static int share_guests(void *arg)
{
    (void)arg;
    set_up();
    LW_SIM_CHECK(lw_records_init() == 0);
    meet(be_a_guest, 2, drain_guests);
    lw_guest_records_drain();
    count_records();
    return 0;
}

Test(meeting, at_the_records_of_guests)
{
    sim_plain(share_guests, NULL);
}

/* ---- stacks: of a large class, of which few are mapped at a time */

static void *take_stacks(void *arg)
{
    struct lw_stack_cache cache = {0};
    struct lw_stack_head *heads[STACKS];

    for (int i = 0; i < STACKS; i++) {
        LW_SIM_CHECK(lw_stack_promise(NULL, it.class) == 0);
        heads[i] = lw_stack_take(&cache, it.class);
        LW_SIM_CHECK(heads[i] != NULL);
        own(heads[i]->slot);
    }
    for (int i = STACKS; i-- > 0;) {
        disown(heads[i]->slot);
        lw_stack_give(&cache, it.class, heads[i]);
        lw_stack_unpromise(NULL, it.class);
    }
    lw_stack_drain(&cache);
    return arg;
}

static int share_stacks(void *arg)
{
    size_t carved, idle;

    (void)arg;
    set_up();
    it.class = (unsigned)lw_stack_class((size_t)8 << 20);
    meet(take_stacks, 2, take_stacks);
    lw_stack_counts(&carved, &idle);
    LW_SIM_CHECK(carved == idle);
    return 0;
}

Test(meeting, at_the_depot_of_stacks)
{
    sim_plain(share_stacks, NULL);
}

/* ---- the task that a worker runs next, and who comes to take it */

static int run_when_given(void *arg)
{
    int item;

    (void)arg;
    while (lw_channel_receive(&it.channel, &item, LW_FOREVER) == 0)
        LW_SIM_CHECK(it.runs++ == item);
    return 0;
}

static int look_around(void *arg)
{
    (void)arg;
    for (int i = 0; i < 50 && !it.done; i++) {
        for (int looks = 0; looks < 4; looks++)
            (void)lw_look_around(lw_worker_here(), lw_sys.now());
        lw_yield();
    }
    return 0;
}

static int wake_and_let_run(void *arg)
{
    lw_task task, thief;
    bool give = *(bool *)arg;

    set_up();
    lw_channel_init(&it.channel, "channel", NULL, sizeof(int), 0);
    thief = start(look_around, NULL);
    task = start(run_when_given, NULL);
    for (int i = 0; i < 2 * ROUNDS; i++) {
        UNTIL(it.runs == i && is_waiting(task));
        LW_SIM_CHECK(lw_channel_send(&it.channel, &i, LW_FOREVER) == 0);
        for (unsigned n = sim_choose(8); n > 0; n--)
            lw_sim_point();
        if (give)
            lw_give_away(lw_worker_here());
    }
    lw_channel_close(&it.channel);
    LW_SIM_CHECK(end_of(task) == 0);
    LW_SIM_CHECK(it.runs == 2 * ROUNDS);
    it.done = true;
    return end_of(thief);
}

Test(meeting, at_a_workers_next_task)
{
    bool give = false;

    sim_settings->workers = 2;
    sim_all(wake_and_let_run, &give);
}

Test(meeting, at_the_next_task_of_who_gives_all_away)
{
    bool give = true;

    sim_settings->workers = 2;
    sim_all(wake_and_let_run, &give);
}

/* ---- two who look for another's events */

static void *look_for_events(void *arg)
{
    for (int i = 0; i < LOOKS; i++) {
        (void)lw_poller_look(&it.runtime->workers[0]->poller);
        lw_sim_point();
    }
    LW_SIM_CHECK(lw_semaphore_release(&it.finished, 1) == 0);
    return arg;
}

static int read_all(void *arg)
{
    char byte;

    while (lw_read(it.pipes[(uintptr_t)arg][0], &byte, 1, LW_FOREVER) == 1)
        LW_SIM_CHECK(lw_semaphore_release(&it.arrived, 1) == 0);
    return 0;
}

/* The worker itself looks at times, but hardly while the task goes on that writes. */
static int write_to_all(void *arg)
{
    pthread_t threads[2];
    lw_task readers[PIPES];

    (void)arg;
    set_up();
    it.runtime = lw_runtime_here();
    for (uintptr_t i = 0; i < PIPES; i++) {
        LW_SIM_CHECK(sim_pipe2(it.pipes[i], O_NONBLOCK | O_CLOEXEC) == 0);
        readers[i] = start_waiting(read_all, (void *)i);
    }
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(pthread_create(&threads[i], NULL, look_for_events, NULL) == 0);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < PIPES; i++)
            LW_SIM_CHECK(lw_sys.write(it.pipes[i][1], "x", 1) == 1);
        LW_SIM_CHECK(lw_semaphore_acquire(&it.arrived, PIPES, LW_FOREVER) == 0);
    }
    for (int i = 0; i < PIPES; i++)
        LW_SIM_CHECK(lw_close(it.pipes[i][1]) == 0);
    for (int i = 0; i < PIPES; i++)
        LW_SIM_CHECK(end_of(readers[i]) == 0);
    LW_SIM_CHECK(lw_semaphore_acquire(&it.finished, 2, LW_FOREVER) == 0);
    for (int i = 0; i < 2; i++)
        LW_SIM_CHECK(pthread_join(threads[i], NULL) == 0);
    for (int i = 0; i < PIPES; i++)
        LW_SIM_CHECK(lw_close(it.pipes[i][0]) == 0);
    return 0;
}

Test(meeting, at_a_poller)
{
    sim_settings->workers = 1;
    sim_settings->own_weather = true;
    sim_all(write_to_all, NULL);
}

/* ---- who waits for a descriptor to be free, and who frees one */

static int no_room(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
    (void)fd, (void)address, (void)size, (void)flags;
    errno = EMFILE;
    return -1;
}

static int accept_in_vain(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        lw_nsec deadline = lw_in((1 + sim_choose(4)) * LW_MS);

        LW_SIM_CHECK(lw_accept(it.listener, NULL, NULL, deadline) == -ETIMEDOUT);
    }
    return 0;
}

static int pause_and_close(void *arg)
{
    lw_task tasks[THREADS];
    int fds[2];

    (void)arg;
    set_up();
    lw_sys.accept4 = no_room;
    it.listener = lw_listen_tcp("127.0.0.1", "0", LW_FOREVER);
    LW_SIM_CHECK(it.listener >= 0);
    for (int i = 0; i < THREADS; i++)
        tasks[i] = start(accept_in_vain, NULL);
    for (int i = 0; i < ROUNDS; i++) {
        LW_SIM_CHECK(sim_pipe2(fds, O_NONBLOCK | O_CLOEXEC) == 0);
        LW_SIM_CHECK(lw_close(fds[0]) == 0 && lw_close(fds[1]) == 0);
        if (sim_choose(2) == 1)
            LW_SIM_CHECK(lw_sleep(lw_in(LW_MS)) == 0);
    }
    for (int i = 0; i < THREADS; i++)
        LW_SIM_CHECK(end_of(tasks[i]) == 0);
    return lw_close(it.listener);
}

Test(meeting, at_the_queue_for_free_descriptors)
{
    sim_settings->own_weather = true;
    sim_all(pause_and_close, NULL);
}
