# SPDX-License-Identifier: MIT
"""Runs one program on its CPUs and reads the figures it prints."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass


class Failed(Exception):
    """A program that was there and did not give a right result."""


@dataclass(frozen=True)
class Reading:
    """A line of a program: one figure of one run."""

    workload: str  # as the program calls it, without the figure
    figure: str
    system: str
    workers: int
    size: int
    value: float
    unit: str
    peak: int  # KiB resident at most
    cas_pair: float  # ns

    def line(self):
        name = self.workload + ("." + self.figure if self.figure else "")
        return (f"{name} {self.system} {self.workers} {self.size} {self.value:.6g} {self.unit} "
                f"{self.peak} {self.cas_pair:.2f}")


def parse(line):
    parts = line.split()
    if len(parts) != 8:
        raise Failed(f"unexpected output: {line!r}")
    workload, _, figure = parts[0].partition(".")
    return Reading(workload, figure, parts[1], int(parts[2]), int(parts[3]), float(parts[4]),
                   parts[5], int(parts[6]), float(parts[7]))


def cpus():
    return sorted(os.sched_getaffinity(0))


def cpus_of(workers):
    return set(cpus()[:workers])


def pinned(where):
    return lambda: os.sched_setaffinity(0, where)


def tool(name):
    """Where a program of the system is; servers may lie where only the administrator looks."""
    return shutil.which(name) or shutil.which(name, path="/usr/local/sbin:/usr/sbin:/sbin")


def ending(status):
    return signal.Signals(-status).name if status < 0 else f"exit status {status}"


def call(command, where, timeout):
    """What the command prints, run on these CPUs."""
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, preexec_fn=pinned(where))
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise Failed(f"not done after {timeout:g} s")
    if process.returncode != 0:
        lines = (err or out).strip().splitlines()
        raise Failed(": ".join([ending(process.returncode), *lines[-1:]]))
    return out


def read(command, where, timeout):
    return [parse(line) for line in call(command, where, timeout).splitlines()]


def cpu_time(process):
    """Seconds of CPU of another process, threads that ended included: what its CPU clock says."""
    cpuclock_sched = 2
    return time.clock_gettime((~process << 3) | cpuclock_sched)


def peak(process):
    with open(f"/proc/{process}/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A server on its CPUs for the time of a with block.  The command is made of the port."""

    START_WITHIN = 10.0
    STOP_WITHIN = 5.0

    def __init__(self, command_for, where):
        self.port = free_port()
        self._command = [str(part) for part in command_for(self.port)]
        self._where = where

    def __enter__(self):
        # A file, since a pipe that nobody reads could fill up.
        self._said = tempfile.TemporaryFile("w+", errors="replace")
        self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL,
                                         stdout=self._said, stderr=self._said,
                                         preexec_fn=pinned(self._where))
        self.pid = self._process.pid
        late = time.monotonic() + self.START_WITHIN
        while not self._listens():
            if self._process.poll() is not None:
                self._said.seek(0)
                lines = self._said.read().strip().splitlines()
                self._said.close()
                status = ending(self._process.returncode)
                raise Failed(": ".join(["the server ended", status, *lines[-1:]]))
            if time.monotonic() > late:
                self.__exit__()
                raise Failed("the server does not listen")
            time.sleep(0.02)
        return self

    def _listens(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def __exit__(self, *_):
        self._process.terminate()
        try:
            self._process.wait(self.STOP_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._said.close()
