# SPDX-License-Identifier: MIT
"""Measures one system on one workload, once: a program of its own, or a server under a load.

The first CPUs are the workers'.  A load runs on the second CPU, beside a server with one worker.
"""

import csv
import os
import re
import statistics
import tempfile
from dataclasses import replace

from . import catalogue
from .programs import Failed, Reading, Server, call, cpu_time, cpus, cpus_of, peak, read, tool

ECHO_SECONDS, ECHO_SECONDS_QUICK = 3.0, 0.3
KV_SECONDS, KV_SECONDS_QUICK = 2.0, 0.2
KV_CLIENTS = 50
BANK_SERVERS, BANK_QUADS = 4, 4  # pairs of servers, and turns on, off, off, on of each pair


class Missing(Exception):
    """Something that takes part is not there; not a failure."""


class Bench:
    def __init__(self, files, broken, quick, timeout):
        self.files, self.broken, self.quick, self.timeout = files, broken, quick, timeout

    def measure(self, workload, system, workers):
        """The readings of one run; Missing or Failed."""
        self._have_memory(workload, system)
        size = workload.size_of(system, self.quick)
        if workload.kind == "task":
            return self._task(workload, system, workers, size)
        if len(cpus()) < 2:
            raise Missing("needs a second CPU for the load")
        return getattr(self, "_" + workload.kind)(workload, system, workers, size)

    def _task(self, workload, system, workers, size):
        command = [self._program(catalogue.PROGRAMS[system][0]), workload.program, workers, size]
        if system != "go":
            return read(command, cpus_of(workers), self.timeout)
        # Go's code of the same pair takes a tenth more: the unit has to be the machine's for all.
        before = self._cas_pair()
        readings = read(command, cpus_of(workers), self.timeout)
        pair = (before + self._cas_pair()) / 2
        return [replace(reading, cas_pair=pair) for reading in readings]

    def _program(self, name):
        if name in self.files:
            return self.files[name]
        if name in self.broken:
            raise Failed(f"{name} does not build")
        raise Missing("not installed")

    def _tool(self, name):
        path = tool(name)
        if path is None:
            raise Missing(f"{name} is not installed")
        return path

    def _have_memory(self, workload, system):
        need = 0 if self.quick else workload.memory.get(system, 0)
        with open("/proc/meminfo", encoding="ascii") as info:
            have = next(int(line.split()[1]) << 10 for line in info
                        if line.startswith("MemAvailable:"))
        if have < need:
            raise Missing(f"needs {need >> 30} GiB of memory, {have >> 30} are free")

    def _load_cpu(self):
        return {cpus()[1]}

    def _echo(self, _, system, workers, connections):
        program = self._program(catalogue.PROGRAMS[system][0])
        seconds = ECHO_SECONDS_QUICK if self.quick else ECHO_SECONDS
        with Server(lambda port: [program, "echo", workers, port], cpus_of(workers)) as server:
            return read([self._program("load-echo"), system, workers, connections, server.port,
                         server.pid, seconds], self._load_cpu(), self.timeout)

    def _kv_server(self, system, workers, scratch):
        """A Server: no persistence, no limit that the load could meet."""
        if system == catalogue.OWN:
            program = self._program("latchkv")
            command = lambda port: [program, "--bind", "127.0.0.1", "--port", port,
                                    "--workers", workers]
        elif system == "redis":
            program = self._tool("redis-server")
            command = lambda port: [program, "--bind", "127.0.0.1", "--port", port, "--save", "",
                                    "--appendonly", "no", "--dir", scratch]
        else:
            program = self._tool("memcached")
            user = ["-u", "root"] if os.geteuid() == 0 else []
            command = lambda port: [program, "-l", "127.0.0.1", "-p", port, "-U", 0,
                                    "-t", workers, *user]
        return Server(command, cpus_of(workers))

    def _kv(self, workload, system, workers, requests):
        client = self._tool("redis-benchmark")
        readings = []
        with tempfile.TemporaryDirectory() as scratch, \
                self._kv_server(system, workers, scratch) as server:
            base = [client, "-p", server.port, "-c", KV_CLIENTS, "-P", workload.depth, "--csv"]
            call(base + ["-t", "set,get", "-n", requests // 10], self._load_cpu(), self.timeout)
            for command in ("set", "get"):
                before, used = self._cas_pair(), cpu_time(server.pid)
                out = call(base + ["-t", command, "-n", requests], self._load_cpu(), self.timeout)
                used = cpu_time(server.pid) - used
                pair = (before + self._cas_pair()) / 2
                row = list(csv.reader(out.splitlines()))[-1]
                if row[0].lower() != command:
                    raise Failed(f"redis-benchmark says {row}")
                for figure, value, unit in (("cpu", used * 1e9 / requests, "ns"),
                                            ("rate", float(row[1]), "1/s")):
                    readings.append(Reading("kv", f"{command}_{figure}", system, workers, requests,
                                            value, unit, peak(server.pid), pair))
        return readings

    def _bank(self, workload, _, workers, seconds):
        """Two servers, one with the detector on, take turns, so that what else the machine does
        meets both; and anew from time to time, since how a process lies in memory counts, too."""
        pairs, quads = (1, 1) if self.quick else (BANK_SERVERS, BANK_QUADS)
        before, readings = self._cas_pair(), {"on": [], "off": [], "ratio": []}
        for _ in range(pairs):
            with self._bank_server(workers, "yes") as on, self._bank_server(workers, "no") as off:
                for _ in range(quads):
                    turns = [self._bank_turn(server, seconds) for server in (on, off, off, on)]
                    used = {"on": turns[0] + turns[3], "off": turns[1] + turns[2]}
                    for way, time in used.items():
                        readings[way].append(time / 2)
                    readings["ratio"].append(used["on"] / used["off"])
                high = peak(on.pid)
        pair = (before + self._cas_pair()) / 2
        return [Reading("bank", "cpu_" + figure, catalogue.OWN, workers, seconds,
                        statistics.median(values), "x" if figure == "ratio" else "ns", high, pair)
                for figure, values in readings.items()]

    def _bank_server(self, workers, locksmith):
        return Server(lambda port: [self._program("latchkv"), "--bind", "127.0.0.1", "--port", port,
                                    "--workers", workers, "--locksmith", locksmith],
                      cpus_of(workers))

    def _bank_turn(self, server, seconds):
        """CPU of the server per transfer, in ns."""
        used = cpu_time(server.pid)
        said = call([self._program("latchkv-bank"), "--port", server.port, "--seconds", seconds,
                     "--in-order", 1, "--workers", 1], self._load_cpu(), self.timeout)
        used = cpu_time(server.pid) - used
        return used * 1e9 / int(re.search(r"^transfers +(\d+)", said, re.MULTILINE).group(1))

    def _cas_pair(self):
        program = self._program("bench-machine")
        return read([program, "cas_pair", 1, 1], cpus_of(1), self.timeout)[0].value

    def _kv_own(self, workload, system, workers, _):
        protocol = "memcache" if system == "memcached" else "redis"
        seconds = KV_SECONDS_QUICK if self.quick else KV_SECONDS
        with tempfile.TemporaryDirectory() as scratch, \
                self._kv_server(system, workers, scratch) as server:
            return read([self._program("load-kv"), system, workers, workload.depth, server.port,
                         server.pid, seconds, KV_CLIENTS, protocol], self._load_cpu(), self.timeout)
