/* SPDX-License-Identifier: MIT */
#include "tests/corpus/stage.h"

#include <pthread.h>
#include <string.h>

#include "runtime/wait.h"

struct stage stage;

/* What was told in this performance. */
static struct {
    int told[VERDICTS];
    int forced; /* of them broken by a wait that failed */
    uint32_t members, victim;
    size_t count, wrong; /* members; of them who hold something else than by our notes */
    unsigned level;
    lw_task ended; /* with a lock */
} heard;

/* ---- locks */

lw_lock *lock_of(int number)
{
    switch (number) {
    case NESTED:
    case NESTED_2:
        return &stage.nested[number - NESTED].lock;
    case RANKED:
        return &stage.ranked.lock;
    case PERMITS:
        return &stage.permits.lock;
    default:
        if (number < NESTED)
            return &stage.mutexes[number].lock;
        return number % 2 == READ % 2 ? &stage.rw[(number - READ) / 2].read
                                      : &stage.rw[(number - READ) / 2].write;
    }
}

static bool is_read(int number)
{
    return number >= READ && number < PERMITS && number % 2 == READ % 2;
}

static bool is_alone(int number)
{
    return number != PERMITS && !is_read(number);
}

static bool nests(int number)
{
    return number == NESTED || number == NESTED_2;
}

void note_taken(struct player *me, int number)
{
    struct inside *inside = &stage.inside[number];

    HOLDS(me->holds < HOLDS_MAX);
    me->held[me->holds++] = number;
    me->taken[number]++;
    if (is_alone(number)) { /* plain: they are what the lock guards */
        HOLDS(nests(number) || inside->writers == 0);
        SAYS(number < READ || stage.inside[number - 1].readers == 0, "%d read", number);
        inside->writers++;
        inside->sections++;
        return;
    }
    HOLDS(number == PERMITS || stage.inside[number + 1].writers == 0);
    HOLDS(__atomic_add_fetch(&inside->readers, 1, __ATOMIC_RELAXED) <= 3 || number != PERMITS);
    (void)__atomic_add_fetch(&inside->sections, 1, __ATOMIC_RELAXED);
}

void note_dropped(struct player *me, int number)
{
    int at = me->holds - 1;

    while (at >= 0 && me->held[at] != number)
        at--;
    SAYS(at >= 0, "%d is not held", number);
    memmove(&me->held[at], &me->held[at + 1], (size_t)(--me->holds - at) * sizeof me->held[0]);
    if (is_alone(number))
        stage.inside[number].writers--;
    else
        (void)__atomic_sub_fetch(&stage.inside[number].readers, 1, __ATOMIC_RELAXED);
}

/* What it held it still holds. */
static void check_holds(const struct player *me)
{
    for (int i = 0; i < me->holds; i++)
        SAYS(me->held[i] == PERMITS || lw_owned(lock_of(me->held[i])), "%d", me->held[i]);
}

int note(struct player *me, int err)
{
    me->refused += err == -EDEADLK;
    check_holds(me);
    return err;
}

int take_by(struct player *me, int number, lw_nsec deadline)
{
    int err;

    if (!me->again)
        me->had = me->holds;
    err = lw_acquire(lock_of(number), deadline);
    if (err == 0)
        note_taken(me, number);
    return note(me, err);
}

int take(struct player *me, int number)
{
    return take_by(me, number, LW_FOREVER);
}

void drop(struct player *me, int number)
{
    note_dropped(me, number);
    HOLDS(lw_release(lock_of(number)) == 0);
}

int be_refused(struct player *me, int number)
{
    HOLDS(lw_acquire(lock_of(number), LW_FOREVER) == -EDEADLK);
    check_holds(me);
    return 0;
}

/* ---- other waits */

int wait_on(struct player *me, int condition, int mutex)
{
    int err;

    note_dropped(me, mutex);
    err = lw_condition_wait(&stage.conditions[condition], lock_of(mutex), LW_FOREVER);
    note_taken(me, mutex);
    return note(me, err);
}

int send_to(int channel)
{
    int item = 1;

    return lw_channel_send(&stage.channels[channel], &item, LW_FOREVER);
}

int receive_from(int channel)
{
    int item;

    return lw_channel_receive(&stage.channels[channel], &item, LW_FOREVER);
}

int join(struct player *me, int other)
{
    int err;

    if (!me->again)
        me->had = me->holds;
    err = lw_join(stage.players[other].task, NULL, LW_FOREVER);
    stage.players[other].joined |= err == 0;
    return note(me, err);
}

/* ---- in which order */

static bool waits(const struct player *player)
{
    uint64_t id = __atomic_load_n(&player->task.id, __ATOMIC_ACQUIRE);
    struct lw_record *record = id != 0 ? lw_record_of(id) : NULL;

    return record != NULL &&
           (lw_load_acq(&lw_record_cold(record)->wait) & LW_PHASE_MASK) == LW_PHASE_WAITING;
}

static int players_of(const struct kernel *kernel)
{
    int count = 0;

    while (count < PLAYERS_MAX && kernel->roles[count] != NULL)
        count++;
    return count;
}

void meet(struct player *me)
{
    int step = me->step++, all = players_of(stage.kernel);

    if (me->again)
        return;
    HOLDS(step < STEPS);
    (void)__atomic_add_fetch(&stage.meeting[step], 1, __ATOMIC_ACQ_REL);
    AWAIT(__atomic_load_n(&stage.meeting[step], __ATOMIC_ACQUIRE) == all);
}

void until_waits(struct player *me, int other)
{
    if (!me->again)
        AWAIT(waits(&stage.players[other]));
}

/* ---- players */

static void play(struct player *me)
{
    long laps = stage.kernel->laps != 0 ? stage.kernel->laps : 1;
    int err;

    do {
        err = me->role(me);
        while (me->holds > 0)
            drop(me, me->held[me->holds - 1]);
        HOLDS(lw_record_cold(lw_current())->nheld == 0 || stage.kernel->abandons ||
              stage.kernel->hands_over);
        me->again = true;
        if (err == -EDEADLK)
            err = lw_backoff(LW_FOREVER);
        else
            laps--;
    } while (err == 0 && laps > 0);
    me->status = err;
}

static void tell_who(struct player *me)
{
    HOLDS(lw_thread_attach() == 0); /* a plain thread has no number before that */
    __atomic_store_n(&me->task.id, lw_self().id, __ATOMIC_RELEASE);
}

int play_child(void *arg)
{
    struct player *me = arg;

    tell_who(me);
    play(me);
    return 0;
}

static int play_role(void *arg)
{
    struct player *me = arg;

    tell_who(me);
    (void)__atomic_add_fetch(&stage.begun, 1, __ATOMIC_ACQ_REL);
    AWAIT(__atomic_load_n(&stage.known, __ATOMIC_ACQUIRE));
    play(me);
    if (__atomic_add_fetch(&stage.ended, 1, __ATOMIC_ACQ_REL) == stage.all)
        lw_event_set(&stage.over);
    return 0;
}

static void *play_as_thread(void *arg)
{
    (void)play_role(arg);
    return NULL;
}

/* ---- what is told */

static void keep_members(const lw_report *report)
{
    heard.count = report->member_count;
    heard.level = report->step_count != 0 ? report->steps[0].level : 0;
    heard.wrong = report->unforceable;
    for (size_t i = 0; i < report->member_count; i++) {
        const lw_report_member *member = &report->members[i];

        for (int j = 0; j < PLAYERS_MAX; j++) {
            const struct player *player = &stage.players[j];

            if (__atomic_load_n(&player->task.id, __ATOMIC_ACQUIRE) != member->task.id)
                continue;
            heard.members |= PLAYER(j);
            heard.victim |= i == report->victim ? PLAYER(j) : 0;
            heard.wrong += player->had > 0 && member->hold_count == 0;
        }
    }
}

static void keep_report(const lw_report *report, void *arg)
{
    (void)arg;
    if (report->verdict == LW_VERDICT_DEADLOCK && heard.told[LW_VERDICT_DEADLOCK] == 0)
        keep_members(report);
    if (report->verdict == LW_VERDICT_ABANDONED)
        heard.ended = report->members[0].task;
    (void)__atomic_add_fetch(&corpus_outcome->told[report->verdict % VERDICTS], 1,
                             __ATOMIC_RELAXED);
    (void)__atomic_add_fetch(&heard.told[report->verdict % VERDICTS], 1, __ATOMIC_RELEASE);
    if (report->victim < report->member_count) /* last: it is waited for */
        (void)__atomic_add_fetch(&heard.forced, 1, __ATOMIC_RELEASE);
}

static int told(enum lw_verdict verdict)
{
    return __atomic_load_n(&heard.told[verdict], __ATOMIC_ACQUIRE);
}

static bool look(void)
{
    return lw_detector_scan() >= 0;
}

/* While clean programs run. */
static int look_on(void *arg)
{
    for (unsigned looks = 0; !lw_event_is_set(&stage.over); looks++) {
        (void)look();
        if (looks % 8 == 0)
            (void)!lw_sleep(lw_in(100 * LW_US));
        else
            lw_yield();
    }
    (void)arg;
    return 0;
}

/* ---- a performance */

bool choose_threads(const struct kernel *kernel, unsigned way, uint32_t *threads)
{
    static const uint32_t few[] = {0, UINT32_MAX, 0x55555555, 0xaaaaaaaa};
    uint32_t may = (PLAYER(players_of(kernel)) - 1) & ~kernel->tasks & ~kernel->children;
    unsigned ways = players_of(kernel) <= 3 ? PLAYER(players_of(kernel)) : 4;

    if (way >= ways)
        return false;
    *threads = (players_of(kernel) <= 3 ? way : few[way]) & may;
    return way == 0 || *threads != 0;
}

static void set_up(const struct kernel *kernel)
{
    memset(&stage, 0, sizeof stage);
    memset(&heard, 0, sizeof heard);
    for (int i = A; i <= H; i++)
        stage.mutexes[i] = (lw_mutex)LW_MUTEX_INIT("mutex");
    for (int i = 0; i < 2; i++) {
        stage.nested[i] = (lw_rlock)LW_RLOCK_INIT("nested");
        stage.conditions[i] = (lw_condition)LW_CONDITION_INIT("condition");
        stage.channels[i] = (lw_channel)LW_RENDEZVOUS_INIT("rendezvous", int);
        stage.events[i] = (lw_event)LW_EVENT_INIT("event");
        stage.once[i] = (lw_once)LW_ONCE_INIT("once");
    }
    for (int i = 0; i < 4; i++)
        stage.rw[i] = (lw_rwlock)LW_RWLOCK_INIT("rw", i < 2 ? 0 : LW_RWLOCK_PREFER_WRITERS);
    stage.ranked = (lw_priority_lock)LW_PRIORITY_LOCK_INIT("ranked");
    stage.permits = (lw_bounded_semaphore)LW_BOUNDED_SEMAPHORE_INIT("permits", 3);
    stage.channels[2] = (lw_channel)LW_CHANNEL_INIT("of one", stage.one);
    stage.channels[3] = (lw_channel)LW_CHANNEL_INIT("of two", stage.two);
    stage.latch = (lw_latch)LW_LATCH_INIT("latch", 2);
    stage.signal = (lw_semaphore)LW_SEMAPHORE_INIT("signal", 0);
    stage.over = (lw_event)LW_EVENT_INIT("over");
    stage.kernel = kernel;
    for (int i = 0; i < players_of(kernel); i++) {
        stage.players[i].index = i;
        stage.players[i].role = kernel->roles[i];
        stage.all += (kernel->children & PLAYER(i)) == 0;
    }
}

static void begin(uint32_t threads, pthread_t *started)
{
    for (int i = 0; i < players_of(stage.kernel); i++) {
        struct player *player = &stage.players[i];
        lw_task task;

        if (stage.kernel->children & PLAYER(i))
            continue;
        if (threads & PLAYER(i))
            HOLDS(pthread_create(&started[i], NULL, play_as_thread, player) == 0);
        else
            HOLDS(lw_spawn(&task, play_role, player, NULL) == 0);
    }
    AWAIT(__atomic_load_n(&stage.begun, __ATOMIC_ACQUIRE) == stage.all);
    __atomic_store_n(&stage.known, true, __ATOMIC_RELEASE);
}

static void see_off(uint32_t threads, const pthread_t *started)
{
    for (int i = 0; i < players_of(stage.kernel); i++) {
        if (stage.kernel->children & PLAYER(i))
            continue;
        if (threads & PLAYER(i))
            HOLDS(pthread_join(started[i], NULL) == 0);
        else if (!stage.players[i].joined)
            HOLDS(lw_join(stage.players[i].task, NULL, LW_FOREVER) == 0);
    }
}

/* Those who stay wait, the others have gone, and however often one looks nothing is told. */
static void look_at_those_who_stay(void)
{
    int stay = __builtin_popcount(stage.kernel->members);

    AWAIT(__atomic_load_n(&stage.ended, __ATOMIC_ACQUIRE) == stage.all - stay);
    for (int i = 0; i < PLAYERS_MAX; i++)
        if (stage.kernel->members & PLAYER(i))
            AWAIT(waits(&stage.players[i]));
    for (int looks = 0; looks < 20; looks++) {
        AWAIT(look());
        lw_yield();
    }
    HOLDS(told(LW_VERDICT_DEADLOCK) == 0 && told(LW_VERDICT_TIMED_DEADLOCK) == 0);
    while (told(LW_VERDICT_LONG_WAIT) == 0)
        HOLDS(lw_sleep(lw_in(LW_MS)) == 0);
    for (int i = 0; i < PLAYERS_MAX; i++)
        if (stage.kernel->members & PLAYER(i))
            (void)lw_cancel(stage.players[i].task);
}

static void check_story(void)
{
    const struct kernel *kernel = stage.kernel;
    int deadlocks = told(LW_VERDICT_DEADLOCK), refused = 0;

    for (int i = 0; i < PLAYERS_MAX; i++)
        refused += stage.players[i].refused;
    HOLDS(told(LW_VERDICT_ABANDONED) == kernel->abandons);
    HOLDS(!kernel->abandons || heard.ended.id == stage.players[0].task.id);
    if (kernel->says != DEADLOCK && kernel->says != REORDERED) {
        SAYS(deadlocks == 0 && refused == 0, "%d verdicts, %d refused", deadlocks, refused);
        HOLDS(kernel->timed || told(LW_VERDICT_TIMED_DEADLOCK) == 0);
        return;
    }
    HOLDS(deadlocks != 0 && told(LW_VERDICT_TIMED_DEADLOCK) == 0);
    SAYS(heard.members == kernel->members, "%x", heard.members);
    HOLDS(heard.count == (size_t)__builtin_popcount(kernel->members) && heard.wrong == 0);
    if (kernel->says == REORDERED) {
        HOLDS(heard.level == 1 && heard.victim == 0 && deadlocks == 1 && refused == 0);
        return;
    }
    HOLDS(heard.level == 2);
    SAYS((heard.victim & kernel->victims) != 0, "%x", heard.victim);
    SAYS(heard.forced == refused, "%d were forced, %d refused", heard.forced, refused);
}

static void check_rest(void)
{
    for (int i = 0; i < LOCKS; i++) {
        const struct inside *inside = &stage.inside[i];
        long sections = 0;

        for (int j = 0; j < PLAYERS_MAX; j++)
            sections += stage.players[j].taken[i];
        SAYS(inside->writers == 0 && inside->readers == 0, "somebody is in %d", i);
        SAYS(inside->sections == sections, "%d: %ld, not %ld", i, inside->sections, sections);
        SAYS(!lw_locked(lock_of(i)) || stage.kernel->says == OWNER, "%d", i);
    }
    for (int i = 0; i < players_of(stage.kernel); i++)
        SAYS(stage.players[i].status == 0 ||
                  (stage.kernel->says == NOT_SEEN && stage.players[i].status == -ECANCELED) ||
                  (stage.kernel->timed && stage.players[i].status == -ETIMEDOUT),
              "player %d ended with %d", i, stage.players[i].status);
}

void perform(const struct kernel *kernel, uint32_t threads)
{
    pthread_t started[PLAYERS_MAX];
    lw_detector_options options;
    lw_task looking;
    int err;

    set_up(kernel);
    lw_detector_get(&options);
    options.on_report = keep_report;
    options.long_wait = kernel->says == NOT_SEEN ? 20 * LW_MS : 0;
    HOLDS(lw_detector_set(&options) == 0);
    if (kernel->says == CLEAN || kernel->says == CANNOT)
        HOLDS(lw_spawn(&looking, look_on, NULL, NULL) == 0);
    begin(threads, started);
    if (kernel->says == NOT_SEEN)
        look_at_those_who_stay();
    err = lw_event_wait(&stage.over, corpus_patience());
    SAYS(err == 0, "missed: it was not broken");
    see_off(threads, started);
    if (kernel->says == CLEAN || kernel->says == CANNOT)
        HOLDS(lw_join(looking, NULL, LW_FOREVER) == 0);
    if (kernel->says == DEADLOCK) { /* the detector's thread may be about to tell */
        int refused = 0;

        for (int i = 0; i < PLAYERS_MAX; i++)
            refused += stage.players[i].refused;
        AWAIT(__atomic_load_n(&heard.forced, __ATOMIC_ACQUIRE) >= refused);
    }
    AWAIT(kernel->says != REORDERED || told(LW_VERDICT_DEADLOCK) > 0);
    AWAIT(!kernel->abandons || told(LW_VERDICT_ABANDONED) > 0);
    check_story();
    check_rest();
    corpus_outcome->runs++;
}
