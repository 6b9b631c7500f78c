# SPDX-License-Identifier: MIT
"""What is measured: the workloads, who takes part, how large, and where the bars lie.

A workload has one or more figures.  A bar is a number (for a machine whose CAS pair takes 12.6 ns),
or Times another system's figure of the same run, or CasPairs.  `published` are the peers' figures
on the machine the bars were set on; what a peer does here, divided by that, tells how this machine
compares on just this workload.
"""

from dataclasses import dataclass, field

CAS_PAIR = 12.6  # ns, on the machine that the bars were set on

OWN = "latchwork"
SERVED = ("kv", "kv_own", "bank")  # kinds in which latchkv is what serves
STACKFUL_RIVALS = ("boost", "go")  # whom to be ahead of in any case


@dataclass(frozen=True)
class Times:
    """A factor on a system's figure of the same run, with as many workers unless told otherwise."""

    factor: float
    system: str
    workers: int = 0


@dataclass(frozen=True)
class CasPairs:
    """A factor on the CAS pair of the same run."""

    factor: float


@dataclass(frozen=True)
class Figure:
    unit: str
    name: str = ""  # "" if the workload has just one
    more_is_better: bool = False
    scaled: bool = True  # by the CAS pair, since it follows the speed of the processor
    first: dict = field(default_factory=dict)  # workers: bar
    goal: dict = field(default_factory=dict)
    published: dict = field(default_factory=dict)  # system: {workers: value}


@dataclass(frozen=True)
class Workload:
    name: str
    program: str  # what the programs call it
    size: int
    quick: int
    systems: tuple
    figures: tuple
    about: str
    kind: str = "task"  # task: one program; the others: a server and a load
    workers: tuple = (1, 2)
    own_workers: tuple = ()  # what Latchwork runs with instead
    sizes: dict = field(default_factory=dict)  # system: a size of its own
    memory: dict = field(default_factory=dict)  # system: bytes that it needs at full size
    depth: int = 1  # requests in flight per client of a kv
    once: tuple = ()  # systems too slow for more than one round
    extra: bool = False  # only when asked for by name
    alone: bool = False  # one task that never waits

    def size_of(self, system, quick):
        return min(self.quick, self.sizes.get(system, self.quick)) if quick \
            else self.sizes.get(system, self.size)

    def all_workers(self):
        return sorted(set(self.workers) | set(self.own_workers))

    def workers_of(self, system):
        return self.own_workers if system == OWN and self.own_workers else self.workers


SPAWNERS = (OWN, "boost", "go", "tbb", "openmp")
SWITCHERS = (OWN, "boost", "go")
LOCKERS = (OWN, "boost", "go", "pthread")
MUTEXES = LOCKERS + ("nsync",)
RLOCKS = (OWN, "boost", "pthread")
SEMAPHORES = (OWN, "go", "pthread")
RWLOCKS = (OWN, "go", "pthread", "nsync")
SELECTORS = (OWN, "go")
ECHOERS = (OWN, "epoll", "libuv", "go")

MILLION = 1_000_000
GIB = 1 << 30


def sleepers(cpu_first, cpu_goal, late_first, late_goal, go_cpu, go_late):
    """Of a warm pass, and of the cold one before it, which touches all memory the first time."""
    both = lambda bar: {1: bar, 2: bar}
    return tuple(
        Figure(unit, name + suffix, scaled=unit == "s", first=both(first), goal=both(goal),
               published={"go": {1: go, 2: go}})
        for suffix in ("", "_cold")
        for name, unit, first, goal, go in (("cpu", "s", cpu_first, cpu_goal, go_cpu),
                                            ("p99", "us", late_first, late_goal, go_late)))


PARKED = (
    Figure("B", "bytes", scaled=False, first={1: 4500, 2: 4500}, goal={1: 4400, 2: 4400},
           published={"go": {1: 2696, 2: 2696}}),
    Figure("ns", "wake", first={1: 250, 2: 250}, goal={1: 120, 2: 120},
           published={"go": {1: 390, 2: 390}}),
)


def alone(name, systems, about, bar=CasPairs(1.15)):
    """What one task does alone; the bar of a lock is that of every lock nobody else wants."""
    return Workload(name, name, 20 * MILLION, 200_000, systems, (
        Figure("ns", goal={1: bar} if bar else {}),), about, workers=(1,), alone=True)


def deadlock(tasks, circles, few, goal):
    name = "deadlock%d" % tasks
    return Workload(name, name, circles, few, (OWN,), (
        Figure("us", "p50", goal={1: goal}), Figure("us", "p99", scaled=False)),
        "so many tasks close a circle of waits; until one of them gives way", workers=(1,))


def crowded(name, systems, about):
    return Workload(name, name, 5 * MILLION, 100_000, systems, (Figure("ns"),), about)


def echo(first, goal, published):
    return (
        Figure("ns", "cpu", first=first, goal=goal, published=published),
        Figure("us", "p99", scaled=False),
        Figure("1/s", "rate", more_is_better=True),
    )


def kv(set_published, get_published):
    """CPU of the server per request: what the clients' core allows does not matter to that."""
    bars = {"first": {1: Times(1.0, "redis"), 2: Times(1.0, "redis", 1)},
            "goal": {1: Times(0.8, "redis"), 2: Times(1.15, OWN, 1)}}
    return tuple(
        figure
        for command, published in (("set", set_published), ("get", get_published))
        for figure in (Figure("ns", command + "_cpu", published=published, **bars),
                       Figure("1/s", command + "_rate", more_is_better=True)))


WORKLOADS = (
    Workload("spawn_batch", "spawn_batch", MILLION, 50_000, SPAWNERS, (
        Figure("ns", first={1: 60, 2: 90}, goal={1: 35, 2: 45},
               published={"tbb": {1: 44, 2: 214}, "go": {1: 230, 2: 347}}),),
        "one task spawns 1,000 empty children and joins them all, again and again; per child"),
    Workload("spawn_all", "spawn_all", MILLION, 50_000, SPAWNERS, (
        Figure("ns", first={1: 150, 2: 250}, goal={1: 70, 2: 80},
               published={"go": {1: 622, 2: 406}}),),
        "one task spawns a million empty children, then waits for all; per child",
        sizes={"boost": 100_000}),
    Workload("spawn_all_join", "spawn_all_join", MILLION, 50_000, (OWN,), (
        Figure("ns", first={1: 150, 2: 250}, goal={1: 70, 2: 80}),),
        "as spawn_all, but each child is joined by its handle", extra=True),
    Workload("fib", "fib", 30, 20, SPAWNERS, (
        Figure("ns", first={1: 110, 2: 57}, goal={1: 50, 2: 26},
               published={"tbb": {1: 129, 2: 66}, "go": {1: 842, 2: 578}}),),
        "fib(30): left branch spawned, right called, joined, no cut-off; per spawn",
        sizes={"boost": 24}),
    Workload("skynet", "skynet", MILLION, 10_000, SPAWNERS, (
        Figure("ms", first={1: 72, 2: 39}, goal={1: 40, 2: 21},
               published={"tbb": {1: 60, 2: 30}, "go": {1: 1304, 2: 787}}),),
        "a tree of ten-way spawns with a million leaves, summed up",
        memory={"boost": 5 * GIB}, once=("boost",)),
    Workload("yield2", "yield2", 10 * MILLION, 200_000, SWITCHERS, (
        Figure("ns", first={1: 18}, goal={1: 8}, published={"go": {1: 73}}),),
        "two tasks that yield to each other; per yield", workers=(1,)),
    Workload("yield1000", "yield1000", 10 * MILLION, 200_000, SWITCHERS, (
        Figure("ns", first={1: 18, 2: 10}, goal={1: 10, 2: 5.5},
               published={"go": {1: 73, 2: 171}}),),
        "a thousand tasks that yield; per yield"),
    Workload("pingpong", "pingpong", MILLION, 20_000, LOCKERS, (
        Figure("ns", first={1: 120, 2: 134}, goal={1: 75, 2: 80},
               published={"go": {1: 340, 2: 351}}),),
        "one token over rendezvous channels between two tasks (pthread: semaphores); round trip",
        sizes={"pthread": 100_000}),
    Workload("chan", "chan", 10 * MILLION, 200_000, SWITCHERS, (
        Figure("ns", first={1: 30, 2: 35}, goal={1: 20, 2: 25},
               published={"boost": {1: 27, 2: 26}, "go": {1: 42, 2: 90}}),),
        "4 producers, 4 consumers, one channel of 128 messages of 8 bytes; per message"),
    Workload("select2", "select2", 5 * MILLION, 100_000, SELECTORS, (Figure("ns"),),
             "one task selects from two channels of 128, each with a producer; per message"),
    Workload("select4", "select4", 5 * MILLION, 100_000, SELECTORS, (Figure("ns"),),
             "the same from four channels"),
    Workload("select2_timeout", "select2_timeout", 5 * MILLION, 100_000, SELECTORS,
             (Figure("ns"),), "as select2, each time with a deadline, which does not pass"),
    Workload("mutex1", "mutex1", 50 * MILLION, MILLION, MUTEXES, (
        Figure("ns", first={1: 17}, goal={1: CasPairs(1.15)},
               published={"go": {1: 15.1}, "pthread": {1: 18.3}}),),
        "one task acquires and releases a mutex nobody else wants; per pair", workers=(1,),
        alone=True),
    alone("rlock1", RLOCKS, "the same with a reentrant lock"),
    alone("rlock_nested", RLOCKS, "the same by one who has the lock already"),
    alone("priority_lock1", (OWN,), "the same with a lock that goes by priority"),
    alone("priority_rlock1", (OWN,), "the same with a reentrant one"),
    alone("semaphore1", SEMAPHORES, "the same with a semaphore (go: a channel)"),
    alone("bounded_semaphore1", (OWN,), "the same with one whose permits are the task's"),
    alone("priority_semaphore1", (OWN,), "the same with one that goes by priority"),
    alone("rwlock_read1", RWLOCKS, "the same with a lock for readers and writers, to read"),
    alone("rwlock_write1", RWLOCKS, "the same, to write"),
    alone("rate_limit1", (OWN,), "one task takes tokens that are there; per acquire", bar=None),
    alone("once1", (OWN, "go", "pthread", "nsync"), "what was done once, again; per call",
          bar=None),
    alone("event1", (OWN,), "one task sets an event, waits for it, clears it; all three",
          bar=None),
    Workload("mutex64", "mutex64", 10 * MILLION, 200_000, MUTEXES, (
        Figure("ns", first={1: 18, 2: 25}, goal={1: 14, 2: 18},
               published={"go": {1: 17, 2: 57}, "pthread": {1: 18, 2: 72}}),),
        "64 tasks count under one mutex; per increment"),
    crowded("rlock64", RLOCKS, "the same under a reentrant lock (ours is strictly in order)"),
    crowded("priority_lock64", (OWN,), "the same under a lock that goes by priority"),
    crowded("semaphore64", SEMAPHORES, "the same under a semaphore of one permit"),
    crowded("rwlock_write64", RWLOCKS, "the same under a lock for readers and writers, to write"),
    crowded("rwlock95", RWLOCKS,
            "64 tasks on one small table; of a hundred operations 95 only read; per operation"),
    crowded("rwlock99", RWLOCKS, "the same; 99 only read"),
    crowded("rwlock95_readers", (OWN,), "rwlock95 in the mode that prefers readers, as pthread's"),
    crowded("rwlock99_readers", (OWN,), "rwlock99 in that mode"),
    Workload("condition", "condition", MILLION, 20_000, MUTEXES, (Figure("ns"),),
             "two tasks take turns, each waiting on a condition of its own; round trip",
             sizes={"pthread": 100_000, "nsync": 100_000}),
    Workload("barrier8", "barrier8", 200_000, 5_000, RLOCKS, (Figure("ns"),),
             "eight tasks meet, again and again; per meeting", sizes={"pthread": 20_000}),
    Workload("bare1", "bare1", 100, 5, (OWN,), (
        Figure("ns", "with"), Figure("ns", "without"),
        Figure("ns", "more", goal={1: 2})),
        "one task under one mutex, and the same where nothing is noted for the locksmith; "
        "per pair", workers=(1,)),
    deadlock(2, 20_000, 500, goal=5),
    deadlock(100, 200, 20, goal=50),
    deadlock(1000, 50, 5, goal=2000),
    Workload("deadlock2_other", "deadlock2_other", 500, 100, (OWN,), (
        Figure("us", "p50", goal={1: 50, 2: 50}), Figure("us", "p99", scaled=False)),
        "as deadlock2; who gives way is the one that waits already"),
    Workload("scan", "scan", 100_000, 5_000, (OWN,), (
        Figure("ns", "whole", goal={1: 50}), Figure("ns", "ages", goal={1: 5})),
        "a look for deadlocks at 100,000 tasks that wait; per task", workers=(1,)),
    Workload("transfers", "transfers", 40, 2, (OWN,), (
        Figure("ns", "on"), Figure("ns", "off"), Figure("x", "ratio", scaled=False)),
        "64 tasks transfer between 100 accounts, no deadlocks; with the detector on and off"),
    Workload("herd", "herd", 20, 1, (OWN,), (
        Figure("ns", "on"), Figure("ns", "off"),
        Figure("x", "ratio", scaled=False, goal={1: 1.05, 2: 1.05})),
        "10,000 tasks wait and go on at once, while the detector looks; with it on and off"),
    Workload("sleepers-100k", "sleepers", 100_000, 5_000, SWITCHERS,
             sleepers(0.4, 0.25, 1000, 300, 0.86, 1200),
             "100,000 tasks sleep 0.5 to 1.5 s each; CPU of the process, lateness"),
    Workload("sleepers-1m", "sleepers", MILLION, 20_000, SWITCHERS,
             sleepers(4.3, 2.3, 50_000, 2000, 7.1, 133_000),
             "the same with a million",
             memory={"boost": 10 * GIB, OWN: 5 * GIB, "go": 4 * GIB}, once=("boost",)),
    Workload("parked-100k", "parked", 100_000, 5_000, SWITCHERS, PARKED,
             "100,000 tasks wait for one event; memory of each, time to wake and end each"),
    Workload("parked-1m", "parked", MILLION, 20_000, SWITCHERS, PARKED,
             "the same with a million",
             memory={"boost": 10 * GIB, OWN: 5 * GIB, "go": 4 * GIB}, once=("boost",)),
    Workload("wake", "wake", 100_000, 5_000, LOCKERS, (
        Figure("us", "time", scaled=False, first={2: 14}, goal={2: 2},
               published={"boost": {2: 18.6}, "go": {2: 25}}),
        Figure("us", "cpu", scaled=False)),
        "a plain thread posts what a task waits for, and back; per round trip", workers=(2,)),
    Workload("echo-64", "echo", 64, 64, ECHOERS,
             echo({1: Times(1.10, "epoll")}, {1: Times(1.05, "epoll")},
                  {"epoll": {1: 3338}, "go": {1: 4226}}),
             "TCP echo of 64 bytes on 64 connections; CPU of the server per message", "echo", (1,)),
    Workload("echo-1000", "echo", 1000, 200, ECHOERS,
             echo({1: Times(1.10, "epoll")}, {1: Times(1.05, "epoll")},
                  {"epoll": {1: 3119}, "go": {1: 4644}}),
             "the same on 1,000 connections", "echo", (1,)),
    Workload("echo-10000", "echo", 10_000, 500, ECHOERS, echo({}, {}, {}),
             "the same on 10,000 connections (no bar was set)", "echo", (1,)),
    Workload("kv-p1", "kv", 300_000, 20_000, (OWN, "redis"),
             kv({"redis": {1: 5449}}, {"redis": {1: 5157}}),
             "redis-benchmark SET and GET, 50 clients, one request in flight each", "kv",
             (1,), (1, 2)),
    Workload("kv-p16", "kv", 2 * MILLION, 100_000, (OWN, "redis"),
             kv({"redis": {1: 662}}, {"redis": {1: 534}}),
             "the same with 16 requests in flight each", "kv", (1,), (1, 2), depth=16),
    Workload("kv_own-p1", "kv_own", 1, 1, (OWN, "redis", "memcached"),
             kv({"memcached": {1: 4169}}, {"memcached": {1: 4095}}),
             "SET and GET as above under our own load, which speaks memcached's protocol too",
             "kv_own", (1,), (1, 2)),
    Workload("kv_own-p16", "kv_own", 16, 16, (OWN, "redis", "memcached"),
             kv({"memcached": {1: 681}}, {"memcached": {1: 2471}}),
             "the same with 16 requests in flight (memcached sends each answer of GETs by itself)",
             "kv_own", (1,), (1, 2), depth=16),
    Workload("bank", "bank", 1, 1, (OWN,), (
        Figure("ns", "cpu_on"), Figure("ns", "cpu_off"),
        Figure("x", "cpu_ratio", scaled=False, goal={1: 1.01, 2: 1.01})),
        "the load of tools/run, in order: CPU of the server per transfer, detector on and off",
        "bank"),
)

# What a system needs: the programs of our build, and those of the system.
PROGRAMS = {
    OWN: ("bench-latchwork",), "boost": ("bench-boost",), "go": ("bench-go",),
    "tbb": ("bench-tbb",), "openmp": ("bench-openmp",), "pthread": ("bench-pthread",),
    "nsync": ("bench-nsync",),
    "epoll": ("bench-epoll",), "libuv": ("bench-libuv",), "redis": (), "memcached": (),
}
SYSTEMS = tuple(PROGRAMS)


def find(names):
    """The workloads of these names; a name without its last part (echo, parked) means them all."""
    if not names:
        return [workload for workload in WORKLOADS if not workload.extra]
    found = []
    for name in names:
        matches = [w for w in WORKLOADS if w.name == name or w.name.startswith(name + "-")]
        if not matches:
            raise SystemExit(f"no workload is called {name!r}; --list shows them all")
        found += [w for w in matches if w not in found]
    return found
