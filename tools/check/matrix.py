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
BUILD_LIMIT = 900   # seconds; a compiler that hangs must not hang us

FULL = ["-Dchecks=full"]
# Without models and simulations, which run in gcc-debug, and simulations under ASan.
REAL = ["--no-suite=models"]
NO_SIM = ["-Dsimulations=false"]
# Without what runs in gcc-release.
LIGHT = ["--no-suite=heavy", "--no-suite=torture-broken", "--no-suite=planted-memcheck"]
NO_LATCHKV = ["--no-suite=latchkv"]
CLANG = {"CC": "clang", "CXX": "clang++"}
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
    "gcc-debug": Way(GCC, ["--buildtype=debug", "-Dmemcheck=true", *FULL],
                     [*LIGHT, "--no-suite=memcheck"]),
    "gcc-release": Way(GCC, ["--buildtype=release", *NO_SIM], REAL),
    "clang-debug": Way(CLANG, ["--buildtype=debug", *FULL, *NO_SIM],
                       [*LIGHT, *NO_LATCHKV, *REAL]),
    "clang-release": Way(CLANG, ["--buildtype=release", *NO_SIM], [*LIGHT, *NO_LATCHKV, *REAL]),
    "tiny": Way(GCC, ["--buildtype=debugoptimized", "-Dtiny=true", *FULL, *NO_SIM],
                [*LIGHT, *NO_LATCHKV, *REAL]),
    "asan": Way(CLANG, ["--buildtype=debugoptimized", "-Db_sanitize=address,undefined",
                        "-Db_lundef=false", "-Dfuzz=true", *FULL],
                [*LIGHT, *REAL, "-t3"]),
    "tsan": Way(CLANG, ["--buildtype=debugoptimized", "-Db_sanitize=thread", "-Db_lundef=false",
                        *FULL],
                [*LIGHT, *REAL, "-t5"]),
    # Switches synchronise, and what a worker does on the stacks of its tasks is seen: fiber.h.
    "tsan-together": Way(CLANG, ["--buildtype=debugoptimized", "-Db_sanitize=thread",
                                 "-Db_lundef=false", *FULL],
                         ["-t5", *(f"runtime {name}" for name in (
                             "blocking", "busy", "group", "helpers", "io", "local", "queue",
                             "sleep", "storm", "task", "worker"))],
                         {"LATCHWORK_TSAN": "together"}, directory="tsan"),
    "valgrind": Way(GCC, ["--buildtype=debug", "-Dmemcheck=true", *FULL],
                    ["--suite=memcheck"], directory="gcc-debug"),
    "aarch64": Way({}, ["--buildtype=debugoptimized", "--cross-file=tools/check/aarch64.ini",
                        "-Dtools=false", *FULL],
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
       "install", "subproject", "run", "clang-debug", "clang-release", "tiny", "asan", "tsan",
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
    """(passed, failed, skipped) of the last run of meson's tests in a directory."""
    tests = failed = skipped = 0
    junit, = logs_of(directory, ".junit.xml")
    for suite in ElementTree.parse(junit).iter("testsuite"):
        tests += int(suite.get("tests", 0))
        failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped += int(suite.get("skipped", 0))
    # A program that fails as a whole need not have a failed test in it.
    lines, = logs_of(directory, ".json")
    with open(lines, encoding="utf-8") as file:
        bad = sum(json.loads(line)["result"] in BAD for line in file)
    failed = max(failed, bad)
    return max(0, tests - failed - skipped), failed, skipped


def test(name):
    """Build and test one way; (passed, failed, skipped)."""
    directory, log = build(name)
    way = WAYS[name]
    for old in logs_of(directory, ""):
        os.remove(old)
    good = run(["meson", "test", "-C", directory, "--no-rebuild", "--print-errorlogs", *way.tests],
               log, way.env)
    try:
        passed, failed, skipped = counts_of(directory)
    except (OSError, ElementTree.ParseError, ValueError) as error:
        raise Failed(f"meson test left no result: {error}\n{tail(log)}") from error
    if not good or failed:
        print(tail(log, 200), flush=True)
        return passed, max(failed, 1), skipped
    if passed == 0:
        raise Failed("no test ran")
    return passed, 0, skipped


def check(name, done):
    """Run one check; it uses the build of this run, or the debug build."""
    command = [os.path.join(ROOT, "tools", "check", name)]
    if CHECKS[name]:
        built = [way for way in ("gcc-release", "gcc-debug") if way in done]
        command.append(directory_of(built[0]) if built else build("gcc-debug")[0])
    result = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, text=True, check=False,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if result.stdout:
        print(result.stdout, end="", flush=True)
    return (1, 0, 0) if result.returncode == 0 else (0, 1, 0)


def one(name, done):
    """Run one way or check and say how it went; (passed, failed, skipped)."""
    start = time.monotonic()
    print(f"== {name}", flush=True)
    try:
        result = check(name, done) if name in CHECKS else test(name)
        if name not in CHECKS:
            done.add(name)
    except Failed as failure:
        print(failure, flush=True)
        result = (0, 1, 0)
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
    done = set()
    results = {}
    for name in dict.fromkeys(names):
        results[name] = one(name, done)
    print()
    for name, (passed, failed, skipped, seconds) in results.items():
        state = "ok    " if failed == 0 else "FAILED"
        left = f", {skipped} skipped" if skipped else ""
        print(f"{state} {name:14} {passed:5} passed, {failed} failed{left}  ({seconds:.0f} s)")
    passed = sum(r[0] for r in results.values())
    failed = sum(r[1] for r in results.values())
    print(f"\n{passed} passed, {failed} failed")
    return 0 if failed == 0 and passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
