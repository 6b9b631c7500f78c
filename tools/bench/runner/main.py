# SPDX-License-Identifier: MIT
"""The command line: choose, build, run in turn, report."""

import argparse
import os
import platform
import resource
import sys
import time

from . import build, catalogue, report
from .measure import Bench, Missing
from .programs import Failed, call, cpus, tool

DESCRIPTION = """\
Runs the benchmarks of Latchwork and of its peers in turn, several rounds, and prints one line per
figure:

    workload system workers N value unit peak-RSS-KiB cas-pair-ns

and at the end one table with the ratios to the peers and to the bars.  One worker runs on the first
CPU, two on the first two; a load runs on the second.  What is not installed is shown as missing.
A machine with other work on it gives no figures worth reading."""

BUSY_LOAD = 0.5
TSV_HEADER = ("benchmark", "round", "workload", "system", "workers", "n", "value", "unit",
              "peak_rss_kib", "cas_pair_ns")


def arguments():
    parser = argparse.ArgumentParser(prog="tools/bench/run", description=DESCRIPTION,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", metavar="workload",
                        help="what to run, for instance: fib echo-64 parked (default: all)")
    parser.add_argument("--systems", metavar="A,B", help="only these systems (default: all)")
    parser.add_argument("--rounds", type=int, metavar="N", help="how often each runs (default: 3)")
    parser.add_argument("--quick", action="store_true",
                        help="one round of shrunk sizes: whether it works, not how fast")
    parser.add_argument("--list", action="store_true",
                        help="list the workloads and systems, and end")
    parser.add_argument("--build-dir", default=os.path.join(build.ROOT, "build-bench"),
                        metavar="DIR", help="the build (default: build-bench in the source root)")
    parser.add_argument("--output", metavar="PREFIX",
                        help="write PREFIX.tsv and PREFIX.md (default: results/TIME in the build)")
    parser.add_argument("--timeout", type=float, default=180, metavar="SECONDS",
                        help="for one run of one program (default: 180)")
    return parser.parse_args()


def listing():
    for workload in catalogue.WORKLOADS:
        extra = " (only when named)" if workload.extra else ""
        print(f"{workload.name:19} {workload.about}{extra}\n{'':19} {' '.join(workload.systems)}")
    print("systems:", " ".join(catalogue.SYSTEMS))


def choose_systems(text):
    if text is None:
        return catalogue.SYSTEMS
    chosen = tuple(text.split(","))
    for system in chosen:
        if system not in catalogue.SYSTEMS:
            raise SystemExit(f"no system is called {system!r}; --list shows them all")
    return chosen


def programs_for(workloads, systems):
    """The programs to build, in a fixed order."""
    names = list(build.HELPERS)
    for system in systems:
        if any(system in workload.systems for workload in workloads):
            names += catalogue.PROGRAMS[system]
    if catalogue.OWN in systems and any(w.kind in catalogue.SERVED for w in workloads):
        names += build.SERVERS
    return names


def allow_descriptors():
    """As many as may be: programs inherit the limit."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def first_line(*command):
    path = tool(command[0])
    if path is None:
        return None
    try:
        return call([path, *command[1:]], set(cpus()), 10).strip().splitlines()[0]
    except (Failed, IndexError):
        return None


def facts(options, rounds):
    """What the figures depend on."""
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        models = [line.split(":", 1)[1].strip() for line in info if line.startswith("model name")]
    found = [f"Latchwork {build.revision()}, {time.strftime('%Y-%m-%d %H:%M')}, rounds: {rounds}"
             f"{', quick: the figures mean nothing' if options.quick else ''}",
             f"{models[0] if models else platform.machine()}, {len(cpus())} CPUs, "
             f"Linux {platform.release()}, load {os.getloadavg()[0]:.2f} at the start"]
    versions = [first_line(*command) for command in (
        ("cc", "--version"), ("go", "version"), ("redis-server", "--version"),
        ("memcached", "--version"))]
    return found + [version for version in versions if version]


def turns(workload, systems, round_number):
    """Who runs in this round, every system and number of workers; each round another is first."""
    pairs = [(system, workers) for workers in workload.all_workers() for system in workload.systems
             if system in systems and workers in workload.workers_of(system)
             and (round_number == 0 or system not in workload.once)]
    shift = round_number % len(pairs) if pairs else 0
    return pairs[shift:] + pairs[:shift]


class Session:
    def __init__(self, bench, systems, rounds, tsv):
        self.bench, self.systems, self.rounds, self.tsv = bench, systems, rounds, tsv
        self.results = report.Results()
        self.failures = 0

    def run(self, workload):
        for number in range(self.rounds):
            for system, workers in turns(workload, self.systems, number):
                self._once(workload, system, workers, number)

    def _once(self, workload, system, workers, number):
        key = (workload.name, system, workers)
        if key in self.results.absent:
            return  # told before; a failure is not tried again
        try:
            readings = self.bench.measure(workload, system, workers)
        except (Missing, Failed) as reason:
            failed = isinstance(reason, Failed)
            self.failures += failed
            self.results.absent[key] = ("failed: " if failed else "") + str(reason)
            print(f"# {workload.name} {system} {workers} {self.results.absent[key]}", flush=True)
            return
        for reading in readings:
            self.results.add(workload, reading)
            print(reading.line(), flush=True)
            row = [workload.name, str(number + 1), *reading.line().split()]
            self.tsv.write("\t".join(row) + "\n")
        self.tsv.flush()


def outputs(options):
    prefix = options.output
    if prefix is None:
        prefix = os.path.join(options.build_dir, "results", time.strftime("%Y%m%d-%H%M%S"))
    os.makedirs(os.path.dirname(os.path.abspath(prefix)), exist_ok=True)
    return prefix + ".tsv", prefix + ".md"


def main():
    options = arguments()
    if options.list:
        listing()
        return 0

    workloads = catalogue.find(options.workloads)
    systems = choose_systems(options.systems)
    rounds = options.rounds or (1 if options.quick else 3)
    allow_descriptors()
    files, broken = build.build(options.build_dir, programs_for(workloads, systems), print)
    known = facts(options, rounds)
    for fact in known:
        print("# " + fact)
    if os.getloadavg()[0] > BUSY_LOAD:
        print(f"# the load is {os.getloadavg()[0]:.2f}: something else runs here", flush=True)

    tsv_path, markdown_path = outputs(options)
    with open(tsv_path, "w", encoding="utf-8") as tsv:
        tsv.write("\t".join(TSV_HEADER) + "\n")
        bench = Bench(files, broken, options.quick, options.timeout)
        session = Session(bench, systems, rounds, tsv)
        try:
            for workload in workloads:
                session.run(workload)
        except KeyboardInterrupt:
            print("# interrupted: the table has what there is", file=sys.stderr)
            session.failures += 1

    with open(markdown_path, "w", encoding="utf-8") as markdown:
        markdown.write(report.markdown(session.results, workloads, known))
    print(report.text(session.results, workloads))
    print(f"written to {tsv_path} and {markdown_path}")
    return 1 if session.failures else 0
