# SPDX-License-Identifier: MIT
"""The places of the sources where an operation of runtime/atomic.h stands, and the mutants of each.

A place is known by file, function, operation with its first argument, and its number among the same
in that function; line numbers drift. A mutant is a place and one weakness of it (runtime/mutant.h).
"""

import glob
import os
import re

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))

CORES = ["runtime/*.c", "runtime/*.h", "primitives/*.c", "primitives/*.h"]
# What starts and stops, reports, talks to the system and hands calls to threads is no core.
NO_CORES = {"runtime/" + name for name in (
    "attach.c", "blocking.c", "check.c", "dump.c", "fork.c", "helpers.c", "io.c", "lookup.c",
    "mutant.c", "mutant.h", "net.c", "overflow.c", "runtime.c", "scope.c", "signal.c", "thread.h",
    "time.c")}

ORDERS = {"rlx": 0, "acq": 2, "rel": 3, "acq_rel": 4, "sc": 5}   # the compiler's __ATOMIC_*
NO_ACQUIRE, NO_RELEASE, NO_TOTAL, NO_FAILED, TORN, GONE = (
    "no-acquire", "no-release", "no-total", "no-failed", "torn", "gone")
WEAKNESS = {NO_ACQUIRE: "LW_NO_ACQUIRE", NO_RELEASE: "LW_NO_RELEASE", NO_TOTAL: "LW_NO_TOTAL",
            NO_FAILED: "LW_NO_FAILED", TORN: "LW_TORN", GONE: "LW_GONE"}
OF_ORDER = {"rlx": [], "acq": [NO_ACQUIRE], "rel": [NO_RELEASE],
            "acq_rel": [NO_ACQUIRE, NO_RELEASE], "sc": [NO_TOTAL]}

OPERATION = re.compile(r"\b(?:lw_(load|store|swap|add|sub|or|and|cas)_(rlx|acq|rel|acq_rel|sc)|"
                       r"lw_(guard)_take|lw_asym_(light|heavy)|lw_(fence)_acq|"
                       r"lw_(recheck|needed))\s*\(")
LABEL = re.compile(r"\[[A-Z]+\d+\]")


class Mutant:
    """One weakness of one place."""

    def __init__(self, place, weakness, number):
        self.__dict__.update(place)
        self.weakness = weakness
        self.number = number

    @property
    def key(self):
        """What the table calls it: does not change when lines move."""
        return (self.file, self.function, self.what, self.weakness)

    def __str__(self):
        label = f"  {self.label}" if self.label else ""
        return (f"{self.number:4} {self.file}:{self.first}: {self.function}: {self.what}: "
                f"{self.weakness}{label}")


def without_comments(text):
    """The text with comments and what is in quotes blanked out, everything where it was."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))
    return re.sub(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", blank, text,
                  flags=re.DOTALL)


def arguments(code, start):
    """(the arguments of a call whose "(" ends before start, where it ends)."""
    depth, at, found, begin = 1, start, [], start
    while depth > 0:
        if code[at] in "([{":
            depth += 1
        elif code[at] in ")]}":
            depth -= 1
        if depth == 0 or (depth == 1 and code[at] == ","):
            found.append(" ".join(code[begin:at].split()))
            begin = at + 1
        at += 1
    return found, at


def function_starts(code):
    """[(where it begins, the function's name)] of what is defined in the file."""
    starts = []
    for match in re.finditer(r"^\{", code, re.MULTILINE):
        before = code[:match.start()]
        head = before[max(before.rfind(c) for c in ";}#") + 1:]
        if "#" in before[len(before) - len(head) - 1:len(before) - len(head)]:
            head = head[head.find("\n") + 1:]
        head = re.sub(r"__attribute__\s*\(\(.*?\)\)", "", head, flags=re.DOTALL)
        name = re.search(r"(\w+)\)?\s*\(", head)
        if name:
            starts.append((match.start(), name.group(1)))
    return starts


def weaknesses(kind, order):
    if kind in ("guard",):
        return [TORN]
    if kind in ("light", "heavy", "fence", "recheck", "needed"):
        return [GONE]
    found = list(OF_ORDER[order])
    if kind == "cas" and order in ("acq_rel", "sc"):
        found.append(NO_FAILED)
    if kind not in ("load", "store"):
        found.append(TORN)
    return found


def places_of(path):
    """The places of a file, as dictionaries."""
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        text = file.read()
    code = without_comments(text)
    code = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: re.sub(r"[^\n]", " ", m.group(0)),
                  code, flags=re.MULTILINE)
    lines = text.split("\n")
    starts = function_starts(code)
    counts = {}
    for match in OPERATION.finditer(code):
        function = [name for at, name in starts if at < match.start()]
        kind, order = match.group(1) or next(g for g in match.groups()[2:] if g), match.group(2)
        name = code[match.start():match.end() - 1].strip()
        if not function or (path == "runtime/atomic.h" and kind in ("guard", "light", "heavy")):
            continue
        argument, end = arguments(code, match.end())
        first, last = code.count("\n", 0, match.start()), code.count("\n", 0, end)
        what = f"{name}({argument[0]})"
        nth = counts[function[-1], what] = counts.get((function[-1], what), 0) + 1
        label = LABEL.findall(" ".join(lines[first:last + 1]))
        yield {"file": path, "function": function[-1], "what": what + (f" #{nth}" * (nth > 1)),
               "operation": kind, "argument": argument[0] if kind not in ("light", "heavy", "fence")
               else "", "first": first + 1, "last": last + 1,
               "order": ORDERS["acq" if kind == "fence" else order or "rlx"],
               "label": " ".join(dict.fromkeys(label)), "weak": weaknesses(kind, order)}


def mutants():
    """All mutants, numbered from 1 on."""
    paths = sorted({os.path.relpath(path, ROOT) for core in CORES
                    for path in glob.glob(os.path.join(ROOT, core))} - NO_CORES)
    found = []
    for path in paths:
        for place in places_of(path):
            for weakness in place["weak"]:
                found.append(Mutant(place, weakness, len(found) + 1))
    return found


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def header_of(mutant):
    """That one, for a program in which it is compiled in."""
    return (f"#define LW_MUTANT {mutant.number}\n#define LW_MUTANT_GAP() ((void)0)\n"
            f"#define LW_MUTANT_FILE {quoted(mutant.file)}\n"
            f"#define LW_MUTANT_OPERATION {quoted(mutant.operation)}\n"
            f"#define LW_MUTANT_ARGUMENT {quoted(mutant.argument)}\n"
            f"#define LW_MUTANT_FIRST {mutant.first}\n#define LW_MUTANT_LAST {mutant.last}\n"
            f"#define LW_MUTANT_ORDER {mutant.order}\n"
            f"#define LW_MUTANT_WEAKNESS {WEAKNESS[mutant.weakness]}\n")


def header(found):
    """The table that runtime/mutant.c includes."""
    lines = []
    for mutant in found:
        lines.append(f"    {{{quoted(mutant.file)}, {quoted(mutant.operation)}, "
                     f"{quoted(mutant.argument)}, {mutant.first}, {mutant.last}, {mutant.order}, "
                     f"{WEAKNESS[mutant.weakness]}}},\n")
    return "".join(lines)
