# SPDX-License-Identifier: MIT
"""Every workload that Latchwork has in the catalogue of the benchmarks runs, in a small size, gives
the result it checks itself, and prints its figures: those the catalogue knows, in its units.

    smoke.py BENCH-LATCHWORK        prints TAP
"""

import os
import subprocess
import sys

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "tools", "bench"))

from runner import catalogue, programs  # noqa: E402

SLOW = {"sleepers"}     # seconds, whatever the size
SHRINK = 20
DIFFERENCES = {"more", "ages"}  # of two measurements: so short a run may find one below 0
MOST_BELOW = -1000      # in ns, however slow it is
LEAST = 1000            # below it is a depth, or a size that must stay as it is
LIMIT = 60


def size_of(workload):
    return max(workload.quick // SHRINK, LEAST) if workload.quick > LEAST else workload.quick


def runs():
    """(workload, workers), each program once."""
    seen = set()
    for workload in catalogue.WORKLOADS:
        if workload.kind != "task" or workload.program in SLOW | seen:
            continue
        seen.add(workload.program)
        yield from ((workload, workers) for workers in workload.workers_of(catalogue.OWN))


def fault(program, workload, workers):
    """What is wrong with this run, or None."""
    size = size_of(workload)
    try:
        done = subprocess.run([program, workload.program, str(workers), str(size)], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=LIMIT,
                              check=False)
    except subprocess.TimeoutExpired:
        return f"not done after {LIMIT} s"
    if done.returncode != 0:
        return f"{programs.ending(done.returncode)}: {done.stdout.strip()[-2000:]}"
    try:
        said = [programs.parse(line) for line in done.stdout.splitlines()]
    except (programs.Failed, ValueError) as wrong:
        return str(wrong)
    if {(r.figure, r.unit) for r in said} != {(f.name, f.unit) for f in workload.figures}:
        return f"other figures than those of the catalogue: {done.stdout.strip()}"
    if any((r.workload, r.system, r.workers, r.size) !=
           (workload.program, catalogue.OWN, workers, size) or
           r.value <= (MOST_BELOW if r.figure in DIFFERENCES else 0) for r in said):
        return f"not what was asked for: {done.stdout.strip()}"
    return None


def main():
    program = sys.argv[1]
    all_runs = list(runs())
    failed = 0
    print(f"1..{len(all_runs)}")
    for number, (workload, workers) in enumerate(all_runs, 1):
        wrong = fault(program, workload, workers)
        failed += wrong is not None
        print(f"{'ok' if wrong is None else 'not ok'} {number} - {workload.name} w{workers}",
              flush=True)
        if wrong is not None:
            print("\n".join("# " + line for line in wrong.splitlines()), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
