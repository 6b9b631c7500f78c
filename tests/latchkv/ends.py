# SPDX-License-Identifier: MIT
"""latchkv from outside: clients that die, stall or break the protocol while others wait for what
they hold; that what was done is answered, at the end too; and that end itself."""

import re
import signal
import subprocess
import time

from harness import (Connection, command, eventually, free_port, info, latchkv, run_tests, PATIENCE,
                     SLOW)


def stuff(connection, data):
    """Send what fits into the buffers, and no more; nothing once the server has closed."""
    connection.socket.setblocking(False)
    view = memoryview(data)
    try:
        while len(view) > 0:
            view = view[connection.socket.send(view):]
    except OSError:
        pass
    connection.socket.setblocking(True)
    return len(data) - len(view)


def steady_reader(program):
    """--timeout does not cut off who reads, however long all of it takes"""
    value = b"x" * (64 << 20)
    with latchkv(program, "--timeout", "1") as server:
        with server.connect() as other:
            assert other.call("SET", "big", value) == b"+OK\r\n"
        with server.connect() as reader:
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


def cut_reply(program):
    """a reply that was cut off is followed by nothing, and no command runs any more"""
    value = b"x" * 60000  # less than what is sent at once: LOCK finds it unsent
    with latchkv(program, "--timeout", "1") as server:
        with server.connect() as holder, server.connect() as lazy, server.connect() as other:
            assert holder.call("SET", "big", value) == b"+OK\r\n"
            assert holder.call("LOCK", "k") == b"+OK\r\n"
            assert lazy.call("LOCK", "mine") == b"+OK\r\n"
            lazy.send((command("GET", "big") + command("LOCK", "k", 1)) * 1000 +
                      command("SET", "after", 1))

            def is_free():
                holder.call("PING")  # is not idle
                return other.call("LOCK", "mine", 0) == b"+OK\r\n"

            freed = eventually(is_free, 5)
            got, whole = lazy.rest(), b"$%d\r\n%s\r\n$-1\r\n" % (len(value), value) * 1000
            assert whole.startswith(got) and len(got) < len(whole), (len(got), got[-100:])
            assert freed
            assert other.call("EXISTS", "after") == b":0\r\n"


def dead_waiter(program):
    """who dies while it waits for a lock gives back its own, whatever it had sent, and none of that
    is run"""
    with latchkv(program) as server:
        with server.connect() as holder, server.connect() as other:
            assert holder.call("LOCK", "k") == b"+OK\r\n"
            for later in (command("INCR", "n"), command("INCR", "n") * 1000000):
                dying = server.connect()
                assert dying.call("LOCK", "mine") == b"+OK\r\n"
                dying.send(command("LOCK", "k"))
                assert eventually(lambda: info(server, "blocked_clients") == 1)
                stuff(dying, later)
                dying.close()
                assert other.call("LOCK", "mine", 15000) == b"+OK\r\n"
                assert other.call("UNLOCK", "mine") == b"+OK\r\n"
            assert holder.call("UNLOCK", "k") == b"+OK\r\n"
            assert other.call("LOCK", "k") == b"+OK\r\n"
            assert other.call("EXISTS", "n") == b":0\r\n"


def talking_waiter(program):
    """what is sent while it waits is run afterwards; more than a request may have ends it"""
    with latchkv(program, "--client-query-buffer-limit", "1mb") as server:
        with server.connect() as holder, server.connect() as waiter, server.connect() as other:
            assert holder.call("LOCK", "k") == b"+OK\r\n"
            waiter.send(command("PING") + command("LOCK", "k"))
            assert waiter.reply() == b"+PONG\r\n"
            waiter.send(command("INCR", "n") * 20000)
            assert holder.call("UNLOCK", "k") == b"+OK\r\n"
            assert waiter.reply() == b"+OK\r\n"
            for number in range(1, 20001):
                assert waiter.reply() == b":%d\r\n" % number
            assert waiter.call("LOCK", "mine") == b"+OK\r\n"
            assert holder.call("LOCK", "k", 0) == b"$-1\r\n"
            assert waiter.call("UNLOCK", "k") == b"+OK\r\n"
            assert holder.call("LOCK", "k", 0) == b"+OK\r\n"
            waiter.send(command("LOCK", "k"))
            assert eventually(lambda: info(server, "blocked_clients") == 1)
            stuff(waiter, command("INCR", "n") * 500000)
            assert other.call("LOCK", "mine", 15000) == b"+OK\r\n"
            assert waiter.rest() == b""
            assert other.call("GET", "n") == b"$5\r\n20000\r\n"


def broken_holder(program):
    """who breaks the protocol, or quits, has no lock any more when it is told so"""
    with latchkv(program) as server, server.connect() as other:
        for last, answer in ((b"*x\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
                             (b"QUIT\r\n", b"+OK\r\n")):
            with server.connect() as holder:
                assert holder.call("LOCK", "k") == b"+OK\r\n"
                holder.send(last)
                assert holder.reply() == answer
                assert other.call("LOCK", "k", 0) == b"+OK\r\n"
                assert other.call("UNLOCK", "k") == b"+OK\r\n"


def answered_at_the_end(program):
    """One try: a stop while the replies do not fit into the socket, and all is read after it."""
    value = b"x" * (16 << 20)
    with latchkv(program) as server, server.connect() as connection:
        assert connection.call("SET", "big", value) == b"+OK\r\n"
        connection.send(command("SET", "a", 1) * 50 + command("GET", "big"))
        assert connection.reply() == b"+OK\r\n"
        # the first has come: all ran, in one batch, and the value does not fit
        server.process.terminate()
        rest, wanted = connection.rest(), b"$%d\r\n%s\r\n" % (len(value), value)
        assert (b"+OK\r\n" * 49 + wanted).startswith(rest), rest[-100:]
        return rest.endswith(wanted)


def replies_go_out_at_the_end(program):
    """what was done before the stop is answered, when the client reads it"""
    # The server has a moment only for that, in which we may not have had the CPU: try again.
    assert any(answered_at_the_end(program) for _ in range(10))


def fill_up(connection, keys):
    """So many keys, of a few bytes each."""
    step = 10000
    for first in range(0, keys, step):
        connection.send(b"".join(command("SET", "key%d" % number, "v")
                                 for number in range(first, first + step)))
        for _ in range(step):
            assert connection.reply() == b"+OK\r\n"


def flush_and_stop(program):
    """FLUSHALL ASYNC is answered before the keys are freed, and a stop waits for no freeing"""
    keys = 50000 if SLOW else 300000
    for how in (("ASYNC",), ()):
        with latchkv(program, "--workers", "1") as server:
            with server.connect() as connection, server.connect() as other:
                fill_up(connection, keys)
                full = info(server, "used_memory")
                # one batch: the only worker runs it without a switch
                connection.send(command("FLUSHALL", *how) + command("INFO", "memory"))
                if how:
                    assert connection.reply() == b"+OK\r\n"
                    used = int(re.search(br"used_memory:(\d+)", connection.reply()).group(1))
                    assert used > full // 2, (used, full)
                assert eventually(lambda: other.call("DBSIZE") == b":0\r\n")
                status, seconds = server.stop()
                assert status == 0 and seconds < (5.0 if SLOW else 1.0), (status, seconds)


def flush_frees(program):
    """what is flushed is freed"""
    with latchkv(program) as server, server.connect() as connection:
        for how in ((), ("SYNC",), ("ASYNC",)):
            fill_up(connection, 20000)
            assert info(server, "used_memory") > 1 << 20
            assert connection.call("FLUSHALL", *how) == b"+OK\r\n"
            if not how or how == ("SYNC",):
                assert info(server, "used_memory") < 1 << 20
            assert eventually(lambda: info(server, "used_memory") < 1 << 20)


def stops_with_clients(program):
    """SIGTERM under load, with clients that idle, wait, do not read: in a second, status 0"""
    for stop in (signal.SIGTERM, signal.SIGINT):
        with latchkv(program) as server:
            idle = [server.connect() for _ in range(50)]
            idle[0].call("SET", "big", b"x" * (1 << 20))
            idle[0].call("LOCK", "k")
            idle[1].send(command("LOCK", "k"))
            idle[2].send(command("GET", "big") * 100)
            idle[3].send(b"*3\r\n$3\r\nSET\r\n$1\r\n")
            load = subprocess.Popen(["redis-benchmark", "-p", str(server.port), "-t", "set,get",
                                     "-c", "50", "-P", "8", "-l", "-q"],
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            assert eventually(lambda: info(server, "connected_clients") > 90)
            status, seconds = server.stop(stop)
            load.kill()
            load.wait()
            assert status == 0, server.output()
            assert seconds < (5.0 if SLOW else 1.0), seconds
            assert idle[4].rest() == b""


def second_server_on_the_port(program):
    """a port just left by a server can be listened on at once"""
    port = free_port()
    for _ in range(2):
        process = subprocess.Popen([program, "--port", str(port)], stderr=subprocess.DEVNULL)
        try:
            assert eventually(lambda: can_ping(port))
        finally:
            process.terminate()
        assert process.wait(PATIENCE) == 0


def can_ping(port):
    try:
        with Connection(port) as connection:
            return connection.call("PING") == b"+PONG\r\n"
    except OSError:
        return False


if __name__ == "__main__":
    run_tests([steady_reader, cut_reply, dead_waiter, talking_waiter, broken_holder, flush_frees,
               flush_and_stop, replies_go_out_at_the_end, stops_with_clients,
               second_server_on_the_port])
