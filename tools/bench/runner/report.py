# SPDX-License-Identifier: MIT
"""Makes one table of all readings, and says how far Latchwork is from the peers and from the bars.

Every ratio is arranged so that below 1 is good.  "scaled" is the figure at a CAS pair of 12.6 ns.
A bar that is a number is compared in two ways: with the scaled figure; and, where peers have a
published figure, with the bar times what those peers do here per what was published (their
geometric mean), which is the truer one on another kind of processor.
"""

import math
import statistics
from collections import defaultdict

from . import catalogue
from .catalogue import OWN, CasPairs, Times

KINDS = (("tasks", ("task",)), ("echo", ("echo",)), ("key-value servers", catalogue.SERVED))
COLUMNS = ("best peer", "vs best", "vs boost/go", "first", "first*", "goal", "goal*")
LEGEND = (
    "Cells: median (at a CAS pair of 12.6 ns).  All ratios are Latchwork / other for what should",
    "be small, other / Latchwork for what should be large, of scaled medians: below 1 is ahead.",
    "first and goal are against the bars, scaled by the CAS pair; first* and goal* are scaled by",
    "what the peers with a published figure do here instead.  openmp runs tasks in place where it",
    "has one worker or many tasks queued; its tasks cannot wait for anything but their children.",
)


class Results:
    """All readings by workload, figure, workers and system; and why some are not there."""

    def __init__(self):
        self._readings = defaultdict(list)
        self.absent = {}  # (workload, system, workers): reason

    def add(self, workload, reading):
        key = (workload.name, reading.figure, reading.workers, reading.system)
        self._readings[key].append(reading)

    def median(self, workload, figure, workers, system):
        readings = self._readings.get((workload.name, figure.name, workers, system))
        return statistics.median(r.value for r in readings) if readings else None

    def scaled(self, workload, figure, workers, system):
        """The median of the figures as they would be with a CAS pair of 12.6 ns."""
        readings = self._readings.get((workload.name, figure.name, workers, system))
        if not readings:
            return None
        return statistics.median(r.value * self._scale(figure, r.cas_pair) for r in readings)

    @staticmethod
    def _scale(figure, pair):
        if not figure.scaled:
            return 1.0
        return pair / catalogue.CAS_PAIR if figure.more_is_better else catalogue.CAS_PAIR / pair

    def cas_pair(self, workload, figure, workers):
        return statistics.median(r.cas_pair for r in
                                 self._readings[(workload.name, figure.name, workers, OWN)])


def number(value):
    """Three digits or more, no exponent."""
    if value is None:
        return ""
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{digits}f}"


def ratio(figure, own, other):
    if own is None or other is None or own <= 0 or other <= 0:
        return None
    return other / own if figure.more_is_better else own / other


def machine_factor(results, workload, figure, workers):
    """How much slower the peers with a published figure are here, on just this figure; or None."""
    logs = []
    for system, published in figure.published.items():
        here = results.median(workload, figure, workers, system)
        if here and published.get(workers):
            logs.append(math.log(here / published[workers]))
    return math.exp(sum(logs) / len(logs)) if logs else None


def against_bar(results, workload, figure, workers, bar):
    """(by the CAS pair, by the peers); None where there is nothing to compare with."""
    own = results.median(workload, figure, workers, OWN)
    scaled = results.scaled(workload, figure, workers, OWN)
    if bar is None or own is None:
        return None, None
    if isinstance(bar, CasPairs):
        return own / (bar.factor * results.cas_pair(workload, figure, workers)), None
    if isinstance(bar, Times):
        other = results.scaled(workload, figure, bar.workers or workers, bar.system)
        return (scaled / (bar.factor * other) if other else None), None
    factor = machine_factor(results, workload, figure, workers)
    return scaled / bar, own / (bar * factor) if factor else None


def best_of(results, workload, figure, workers, systems):
    """(scaled figure, system) of the best of these, or None."""
    found = [(results.scaled(workload, figure, workers, system), system) for system in systems]
    found = [pair for pair in found if pair[0] is not None]
    if not found:
        return None
    return max(found) if figure.more_is_better else min(found)


def cell(results, workload, figure, workers, system):
    if system not in workload.systems or workers not in workload.workers_of(system):
        return ""
    value = results.median(workload, figure, workers, system)
    if value is None:
        return "missing" if (workload.name, system, workers) in results.absent else ""
    if not figure.scaled:
        return number(value)
    return f"{number(value)} ({number(results.scaled(workload, figure, workers, system))})"


def row(results, workload, figure, workers, systems):
    own = results.scaled(workload, figure, workers, OWN)
    peers = [system for system in workload.systems if system != OWN]
    best = best_of(results, workload, figure, workers, peers)
    rival = best_of(results, workload, figure, workers,
                    [system for system in peers if system in catalogue.STACKFUL_RIVALS])
    first = against_bar(results, workload, figure, workers, figure.first.get(workers))
    goal = against_bar(results, workload, figure, workers, figure.goal.get(workers))
    name = workload.name + ("." + figure.name if figure.name else "")
    return ([name, str(workers), figure.unit] +
            [cell(results, workload, figure, workers, system) for system in systems] +
            [best[1] if best else "", number(ratio(figure, own, best[0]) if best else None),
             number(ratio(figure, own, rival[0]) if rival else None)] +
            [number(value) for value in first + goal])


def sections(results, workloads):
    """(title, header, rows) per kind of workload."""
    for title, kinds in KINDS:
        chosen = [workload for workload in workloads if workload.kind in kinds]
        systems = [system for system in catalogue.SYSTEMS
                   if any(system in workload.systems for workload in chosen)]
        rows = [row(results, workload, figure, workers, systems)
                for workload in chosen for figure in workload.figures
                for workers in workload.all_workers()]
        if rows:
            yield title, ["workload", "w", "unit"] + systems + list(COLUMNS), rows


def absences(results):
    """One line per system and reason."""
    where = defaultdict(list)
    for (workload, system, workers), reason in results.absent.items():
        where[(system, reason)].append(f"{workload} w{workers}")
    return [f"missing: {system}, {reason}: {', '.join(places)}"
            for (system, reason), places in where.items()]


def text(results, workloads):
    parts = []
    for title, header, rows in sections(results, workloads):
        widths = [max(len(line[i]) for line in [header] + rows) for i in range(len(header))]
        parts += ["", title]
        for line in [header] + rows:
            cells = [line[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(line[1:], widths[1:])]
            parts.append("  ".join(cells).rstrip())
    return "\n".join(parts + [""] + list(LEGEND) + absences(results)) + "\n"


def markdown(results, workloads, facts):
    parts = ["# Benchmarks", ""] + [f"- {fact}" for fact in facts]
    for title, header, rows in sections(results, workloads):
        parts += ["", "## " + title, "", "| " + " | ".join(header) + " |",
                  "|---" + "|---:" * (len(header) - 1) + "|"]
        parts += ["| " + " | ".join(line) + " |" for line in rows]
    parts += ["", *LEGEND, "", *(f"- {absence}" for absence in absences(results))]
    return "\n".join(parts) + "\n"
