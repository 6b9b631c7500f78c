# SPDX-License-Identifier: MIT
"""Builds the programs: one release build of the whole project with all peers that can be found."""

import json
import os
import subprocess

from . import catalogue

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
HELPERS = ("bench-machine", "load-echo", "load-kv")
SERVERS = ("latchkv", "latchkv-bank")
TAIL_LINES = 20  # of what the compiler says about a program that does not build


def _run(command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def configure(directory, again=False):
    """Make the build; again: look once more for what was not there when it was made."""
    made = os.path.exists(os.path.join(directory, "build.ninja"))
    if made and not again:
        return
    done = _run(["meson", "setup", directory, ROOT, *(["--reconfigure"] if made else []),
                 "--buildtype=release", "-Dtests=disabled", "-Dpeers=auto", "-Dtools=true"])
    if done.returncode != 0:
        raise SystemExit(done.stdout + "\nthe build could not be configured")


def targets(directory):
    """Name: file, of every program of ours that the build knows."""
    done = subprocess.run(["meson", "introspect", "--targets", directory], check=True,
                          stdout=subprocess.PIPE, text=True)
    wanted = set(HELPERS + SERVERS).union(*catalogue.PROGRAMS.values())
    return {target["name"]: target["filename"][0] for target in json.loads(done.stdout)
            if target["name"] in wanted}


def build(directory, names, say):
    """Files by name of the program, and the names of those that do not build.

    A program that the build does not know lacks its compiler or library: it is in neither.
    """
    directory = os.path.abspath(directory)
    made_before = os.path.exists(os.path.join(directory, "build.ninja"))
    configure(directory)
    known = targets(directory)
    if made_before and not known.keys() >= set(names):
        configure(directory, again=True)  # it may have been installed meanwhile
        known = targets(directory)
    files, broken = {}, set()
    for name in names:
        if name not in known:
            continue
        done = _run(["ninja", "-C", directory, os.path.relpath(known[name], directory)])
        if done.returncode == 0:
            files[name] = known[name]
        else:
            broken.add(name)
            say("\n".join(done.stdout.splitlines()[-TAIL_LINES:]))
    return files, broken


def revision():
    done = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return done.stdout.strip() or "unknown"
