# SPDX-License-Identifier: MIT
"""What the black-box tests of latchkv share: servers that are started on a free port and stopped by
their process id and say of themselves what INFO has, connections that give replies as raw bytes,
and TAP output."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

PATIENCE = 20.0  # seconds, for what takes milliseconds
SLOW = bool(os.environ.get("LW_TEST_SLOW"))  # under sanitizers and the like


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def command(*args):
    """A request as an array of bulk strings."""
    out = [b"*%d\r\n" % len(args)]
    for arg in args:
        arg = arg if isinstance(arg, bytes) else str(arg).encode()
        out.append(b"$%d\r\n%s\r\n" % (len(arg), arg))
    return b"".join(out)


class Connection:
    """A client.  Replies come as the bytes the server sent, whole."""

    def __init__(self, port=None, path=None):
        if path is not None:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(PATIENCE)
            self.socket.connect(path)
        else:
            self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.file = self.socket.makefile("rb")

    def send(self, data):
        self.socket.sendall(data)

    def reply(self):
        line = self.file.readline()
        kind, rest = line[:1], line[1:-2]
        if kind in (b"", b"+", b"-", b":", b"_", b"#", b","):
            return line
        if kind in (b"$", b"="):
            size = int(rest)
            return line if size < 0 else line + self.file.read(size + 2)
        if kind in (b"*", b"~", b"%", b">"):
            count = int(rest) * (2 if kind == b"%" else 1)
            return line + b"".join(self.reply() for _ in range(max(count, 0)))
        raise ValueError("not a reply: %r" % line)

    def call(self, *args):
        self.send(command(*args))
        return self.reply()

    def rest(self):
        """All until the server closes the connection; a reset counts as that."""
        try:
            return self.file.read()
        except ConnectionResetError:
            return b""

    def close(self):
        self.file.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Server:
    """A server process, from the moment it answers to its end."""

    def __init__(self, argv, port, path=None):
        self.port, self.path = port, path
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(argv, stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                with self.connect() as probe:
                    assert probe.call("PING") == b"+PONG\r\n"
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.process.kill()
                    raise RuntimeError("no server: " + self.output())
                time.sleep(0.01)

    def connect(self):
        return Connection(self.port or None, None if self.port else self.path)

    def output(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def stop(self, with_signal=signal.SIGTERM):
        """Its exit status and how long it took."""
        begin = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        return status, time.monotonic() - begin

    def resident(self):
        with open("/proc/%d/statm" % self.process.pid) as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    def cpu(self):
        """Seconds it has worked."""
        with open("/proc/%d/stat" % self.process.pid) as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def latchkv(program, *options, clean=True):
    """A latchkv that must stop with status 0 when the test is done with it."""
    port = free_port()
    server = Server([program, "--port", str(port), "--bind", "127.0.0.1", *options], port)
    try:
        yield server
    except BaseException:
        server.stop()
        sys.stderr.write(server.output())
        raise
    status, _ = server.stop()
    if clean and status != 0:
        raise AssertionError("latchkv ended with %r\n%s" % (status, server.output()))


@contextlib.contextmanager
def redis_server():
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        server = Server(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "",
                         "--appendonly", "no", "--dir", folder], port)
        try:
            yield server
        finally:
            server.stop()


def info(server, name):
    """A number of INFO."""
    with server.connect() as connection:
        text = connection.call("INFO").decode()
    return int(re.search(r"^%s:(\d+)" % name, text, re.M).group(1))


def eventually(truth, seconds=PATIENCE):
    """Whether it becomes true in time."""
    deadline = time.monotonic() + seconds
    while not truth():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def run_tests(tests):
    """Run functions of one argument, the program, and report as TAP."""
    program = sys.argv[1]
    wanted = sys.argv[2:]
    tests = [test for test in tests if not wanted or test.__name__ in wanted]
    if not tests:
        sys.exit("no such test")
    failed = 0
    print("1..%d" % len(tests), flush=True)
    for number, test in enumerate(tests, 1):
        name = test.__name__ + ": " + (test.__doc__ or "").strip().split("\n")[0]
        try:
            test(program)
            print("ok %d - %s" % (number, name), flush=True)
        except BaseException:  # a failed test must not hide the next
            failed += 1
            for line in traceback.format_exc().splitlines():
                print("# " + line)
            print("not ok %d - %s" % (number, name), flush=True)
    sys.exit(1 if failed else 0)
