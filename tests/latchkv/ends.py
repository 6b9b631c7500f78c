# SPDX-License-Identifier: MIT
"""latchkv from outside: clients that die, stall or break the protocol while others wait for what
they hold; and that what was done is answered, at the end too."""

import socket
import time

from blackbox import info
from harness import Connection, command, eventually, latchkv, run_tests


def stuff(connection, data):
    """Send what fits into the buffers, and no more."""
    connection.socket.setblocking(False)
    view = memoryview(data)
    try:
        while len(view) > 0:
            view = view[connection.socket.send(view):]
    except BlockingIOError:
        pass
    connection.socket.setblocking(True)
    return len(data) - len(view)


def steady_reader(program):
    """--timeout does not cut off who reads, however long all of it takes"""
    value = b"x" * (64 << 20)
    with latchkv(program, "--timeout", "1") as server, server.connect() as reader:
        with server.connect() as other:
            assert other.call("SET", "big", value) == b"+OK\r\n"
        begin = time.monotonic()
        reader.send(command("GET", "big"))
        size, wanted = 0, len(b"$%d\r\n%s\r\n" % (len(value), value))
        while size < wanted:
            part = reader.file.read(min(wanted - size, 1 << 20))
            assert part, "cut off after %d of %d bytes" % (size, wanted)
            size += len(part)
            time.sleep(0.03)
        assert time.monotonic() - begin > 1.5
        assert reader.call("PING") == b"+PONG\r\n"


if __name__ == "__main__":
    run_tests([steady_reader])
