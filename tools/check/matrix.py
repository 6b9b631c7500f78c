#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The matrix behind tools/test: ways to build and test, and checks, one after the other.

A way is a build directory with its own options, and a run of meson's tests in it. What hardly
depends on how the rest is built runs in one way or two: models and simulations, latchkv, suites
that carry the name "heavy" (a million of something), tortures whose law is broken on purpose, what
memcheck must find. Under valgrind and under an emulator only suites of the library itself run, and
LW_TEST_SLOW tells them to do fewer rounds.

A check is one of the scripts beside this file; it counts as one test. The numbers are those of
Criterion's own tests where a program is a suite of them.
"""

import concurrent.futures
import copy
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
BAD = {"FAIL", "ERROR", "TIMEOUT", "INTERRUPT", "UNEXPECTEDPASS"}
BUILD_LIMIT = 1800   # seconds; a compiler that hangs must not hang us

FULL = ["-Dchecks=full"]
# What is built to be checked and not to be quick: with sanitizers -O2 takes three times as long.
LITTLE = ["--buildtype=debugoptimized", "-Doptimization=1"]
# Without models and simulations, which run in gcc-debug, and simulations under ASan.
REAL = ["--no-suite=models"]
NO_SIM = ["-Dsimulations=false"]
# Without what runs in gcc-release; what is broken on purpose is built there only.
LIGHT = ["--no-suite=heavy", "--no-suite=planted-memcheck"]
NO_BROKEN = ["-Dbroken=false"]
NO_TOOLS = ["-Dtools=false"]
NO_LATCHKV = ["--no-suite=latchkv"]
# With sanitizers a third of the time to build went to the linker of binutils; it has one way left.
LLD = {"CC_LD": "lld", "CXX_LD": "lld"}
CLANG = {"CC": "clang", "CXX": "clang++", **LLD}
LIBRARY = ["--suite=runtime", "--suite=primitives", "--no-suite=heavy"]
GCC = {"CC": "gcc", "CXX": "g++"}


class Way:
    """How to build and test. `tests` are arguments of `meson test`, `env` is for the tests."""

    def __init__(self, compiler, options, tests=(), env=None, directory=None):
        self.compiler = compiler
        self.options = ["-Dwerror=true", "-Dtests=enabled", *options]
        self.tests = list(tests)
        self.env = env or {}
        self.directory = directory


WAYS = {
    "gcc-debug": Way({**GCC, **LLD}, ["--buildtype=debug", "-Dmemcheck=true", *FULL, *NO_BROKEN],
                     [*LIGHT, "--no-suite=memcheck"]),
    "gcc-release": Way(GCC, ["--buildtype=release", *NO_SIM], REAL),
    # With small constants, so that all wraps and overflows; every other way has the real ones.
    "clang-debug": Way(CLANG, ["--buildtype=debug", "-Dtiny=true", *FULL, *NO_SIM, *NO_BROKEN],
                       [*LIGHT, *NO_LATCHKV, *REAL]),
    "clang-release": Way(CLANG, ["--buildtype=release", *NO_SIM, *NO_TOOLS, *NO_BROKEN],
                         [*LIGHT, *REAL]),
    "asan": Way(CLANG, [*LITTLE, "-Db_sanitize=address,undefined", "-Db_lundef=false",
                        "-Dfuzz=true", *FULL, *NO_BROKEN],
                [*LIGHT, *REAL, "-t3"]),
    "tsan": Way(CLANG, [*LITTLE, "-Db_sanitize=thread", "-Db_lundef=false", *FULL, *NO_SIM,
                        *NO_BROKEN],
                [*LIGHT, *REAL, "-t5"]),
    # Switches synchronise, and what a worker does on the stacks of its tasks is seen: fiber.h.
    "tsan-together": Way(CLANG, [*LITTLE, "-Db_sanitize=thread", "-Db_lundef=false", *FULL,
                                 *NO_SIM, *NO_BROKEN],
                         ["-t5", *(f"runtime {name}" for name in (
                             "blocking", "busy", "group", "helpers", "io", "local", "queue",
                             "sleep", "storm", "task", "worker"))],
                         {"LATCHWORK_TSAN": "together"}, directory="tsan"),
    "valgrind": Way({**GCC, **LLD}, ["--buildtype=debug", "-Dmemcheck=true", *FULL, *NO_BROKEN],
                    ["--suite=memcheck"], directory="gcc-debug"),
    "aarch64": Way({}, ["--buildtype=debugoptimized", "--cross-file=tools/check/aarch64.ini",
                        "-Djson=disabled", *FULL, *NO_SIM, *NO_TOOLS, *NO_BROKEN],
                   [*LIBRARY, "--suite=cross", "-t10"],
                   {"LW_TEST_SLOW": "1", "LATCHWORK_TEST_SLOWNESS": "10"}),
}


def tortures(name):
    """All tortures, one after the other, in the build of another way."""
    way = copy.copy(WAYS[name])
    way.tests = ["--setup=torture", "--suite=torture", "--num-processes=1"]
    way.directory = name
    return way


# Not in ALL: each torture runs for LW_TORTURE_SECONDS (60).
WAYS.update({"torture": tortures("gcc-release"), "torture-tsan": tortures("tsan"),
             "torture-asan": tortures("asan")})
# Each check, and whether it wants a build directory.
CHECKS = {"style": False, "includes": False, "headers": False, "reference": False, "exports": True,
          "install": True, "subproject": False, "run": False}
QUICK = ["style", "includes", "headers", "reference", "gcc-debug", "exports", "install",
         "subproject"]
ALL = ["style", "includes", "headers", "reference", "gcc-debug", "gcc-release", "exports",
       "install", "subproject", "run", "clang-debug", "clang-release", "asan", "tsan",
       "tsan-together", "valgrind", "aarch64"]


class Failed(Exception):
    """A step did not work; the text says what to tell."""


def directory_of(name):
    return os.path.join(ROOT, "build-test-" + (WAYS[name].directory or name))


def run(command, log, env=None, limit=None):
    """Run a command with its output in the log; whether it succeeded."""
    with open(log, "ab") as out:
        out.write(("\n$ " + " ".join(command) + "\n").encode())
        out.flush()
        try:
            return subprocess.run(command, cwd=ROOT, env={**os.environ, **(env or {})}, stdout=out,
                                  stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=limit,
                                  check=False).returncode == 0
        except subprocess.TimeoutExpired:
            out.write(f"\nended after {limit} s\n".encode())
            return False


def tail(log, lines=80):
    with open(log, encoding="utf-8", errors="replace") as file:
        return "".join(file.readlines()[-lines:])


class Builds:
    """The builds of all ways that are wanted, one after the other, while others are tested: tests
    alone leave much of a machine idle."""

    def __init__(self, names):
        self.worker = concurrent.futures.ThreadPoolExecutor(max_workers=1)
        self.builds = {}
        self.seconds = {}   # by directory; tests of others ran meanwhile
        for name in names:
            self.of(name)

    def of(self, name):
        """Of a way: a future of (directory, log)."""
        directory = directory_of(name)
        if directory not in self.builds:
            self.builds[directory] = self.worker.submit(self.timed, name, directory)
        return self.builds[directory]

    def timed(self, name, directory):
        start = time.monotonic()
        try:
            return build(name)
        finally:
            self.seconds[directory] = time.monotonic() - start


def build(name):
    """Bring the build directory of a way up to date; made anew when its options have changed."""
    way = WAYS[name]
    directory = directory_of(name)
    log = directory + ".log"
    stamp = os.path.join(directory, "options.json")
    options = json.dumps([way.options, way.compiler])
    open(log, "wb").close()
    try:
        with open(stamp, encoding="utf-8") as file:
            known = file.read()
    except FileNotFoundError:
        known = None
    if known != options:
        shutil.rmtree(directory, ignore_errors=True)   # --wipe would keep options that are gone
        if not run(["meson", "setup", directory, *way.options], log, way.compiler, BUILD_LIMIT):
            raise Failed(f"meson setup fails\n{tail(log)}")
        with open(stamp, "w", encoding="utf-8") as file:
            file.write(options)
    if not run(["ninja", "-C", directory], log, way.compiler, BUILD_LIMIT):
        raise Failed(f"does not build\n{tail(log)}")
    return directory, log


def logs_of(directory, ending):
    """The logs of meson's tests in a directory; there is one of each kind, named by the wrapper."""
    return glob.glob(os.path.join(directory, "meson-logs", "testlog*" + ending))


def counts_of(directory):
    """(passed, failed, skipped, names of what failed) of the last run of meson's tests in a
    directory."""
    tests = failed = skipped = 0
    names = []
    junit, = logs_of(directory, ".junit.xml")
    for suite in ElementTree.parse(junit).iter("testsuite"):
        tests += int(suite.get("tests", 0))
        failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped += int(suite.get("skipped", 0))
        names += [f"{suite.get('name')}: {case.get('name')}" for case in suite.iter("testcase")
                  if case.find("failure") is not None or case.find("error") is not None]
    # A program that fails as a whole need not have a failed test in it.
    lines, = logs_of(directory, ".json")
    with open(lines, encoding="utf-8") as file:
        bad = [test["name"] for test in map(json.loads, file) if test["result"] in BAD]
    failed = max(failed, len(bad))
    return max(0, tests - failed - skipped), failed, skipped, bad + names


def test(name, builds):
    """Test one way, when it is built; (passed, failed, skipped, names of what failed)."""
    directory, log = builds.of(name).result()
    way = WAYS[name]
    for old in logs_of(directory, ""):
        os.remove(old)
    good = run(["meson", "test", "-C", directory, "--no-rebuild", "--print-errorlogs", *way.tests],
               log, way.env)
    try:
        passed, failed, skipped, names = counts_of(directory)
    except (OSError, ElementTree.ParseError, ValueError) as error:
        raise Failed(f"meson test left no result: {error}\n{tail(log)}") from error
    if not good or failed:
        print(tail(log, 200), flush=True)
        return passed, max(failed, 1), skipped, names
    if passed == 0:
        raise Failed("no test ran")
    return passed, 0, skipped, []


def check(name, builds):
    """Run one check; one of what is built looks at the debug build, which has all libraries."""
    command = [os.path.join(ROOT, "tools", "check", name)]
    if CHECKS[name]:
        command.append(builds.of("gcc-debug").result()[0])
    result = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, text=True, check=False,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if result.stdout:
        print(result.stdout, end="", flush=True)
    return (1, 0, 0, []) if result.returncode == 0 else (0, 1, 0, [])


def one(name, builds):
    """Run one way or check and say how it went; (passed, failed, skipped, names of what failed,
    seconds)."""
    start = time.monotonic()
    print(f"== {name}", flush=True)
    try:
        result = check(name, builds) if name in CHECKS else test(name, builds)
    except Failed as failure:
        print(failure, flush=True)
        result = (0, 1, 0, [])
    return (*result, time.monotonic() - start)


def main(arguments):
    if arguments == ["--list"]:
        print("\n".join(["quick", *ALL]))
        return 0
    names = [n for a in arguments for n in (QUICK if a == "quick" else [a])] or ALL
    unknown = [n for n in names if n not in WAYS and n not in CHECKS]
    if unknown:
        print(f"test: there is no {', '.join(unknown)}; tools/test --list", file=sys.stderr)
        return 2
    builds = Builds(name for name in names if name in WAYS)
    results = {}
    try:
        for name in dict.fromkeys(names):
            results[name] = one(name, builds)
    finally:
        builds.worker.shutdown(wait=False, cancel_futures=True)   # what is left after ^C
    print()
    for name, (passed, failed, skipped, bad, seconds) in results.items():
        state = "ok    " if failed == 0 else "FAILED"
        left = f", {skipped} skipped" if skipped else ""
        built = builds.seconds.pop(directory_of(name), None) if name in WAYS else None
        took = f"{seconds:.0f} s" + (f", built in {built:.0f} s" if built is not None else "")
        print(f"{state} {name:14} {passed:5} passed, {failed} failed{left}  ({took})")
        for test_name in bad:
            print(f"           {test_name}")
    passed = sum(r[0] for r in results.values())
    failed = sum(r[1] for r in results.values())
    print(f"\n{passed} passed, {failed} failed")
    return 0 if failed == 0 and passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
