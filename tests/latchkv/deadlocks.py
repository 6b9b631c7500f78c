# SPDX-License-Identifier: MIT
"""Clients that LOCK in conflicting order: one gives way and is told for whom, the others go on."""

import select
import time

from harness import PATIENCE, command, latchkv, run_tests


def parse(data, at=0):
    """A reply as Python has it, arrays as lists; and where it ends."""
    end = data.index(b"\r\n", at)
    kind, text, at = data[at:at + 1], data[at + 1:end].decode(), end + 2
    if kind == b":":
        return int(text), at
    if kind == b"$":
        size = int(text)
        text = data[at:at + size].decode(errors="replace") if size >= 0 else None
        return text, at + max(size + 2, 0)
    assert kind == b"*", data
    items = []
    for _ in range(int(text)):
        item, at = parse(data, at)
        items.append(item)
    return items, at


def pairs(items):
    return dict(zip(items[::2], items[1::2]))


def deadlocks(connection, *count):
    found = [pairs(d) for d in parse(connection.call("DEADLOCKS", *count))[0]]
    for one in found:
        one["members"] = [pairs(m) for m in one["members"]]
    return found


def eventually(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def id_of(connection):
    return int(connection.call("CLIENT", "ID")[1:-2])


def wait_for_waiters(connection, count):
    line = b"blocked_clients:%d\r\n" % count
    eventually(lambda: line in connection.call("INFO", "clients"))


def lock(connection, *keys):
    for key in keys:
        assert connection.call("LOCK", key) == b"+OK\r\n"


def circle_of_two(program):
    """who closes a circle gives way, hears of all who are in it, and keeps what it has"""
    with latchkv(program) as server, server.connect() as one, server.connect() as two, \
            server.connect() as other:
        assert other.call("DEADLOCKS") == b"*0\r\n"
        ids = (id_of(two), id_of(one))
        lock(one, "a")
        lock(two, "b")
        one.send(command("LOCK", "b"))
        wait_for_waiters(other, 1)
        assert two.call("LOCK", "a").decode() == (
            "-DEADLOCK client %d waits for 'a' of client %d, which waits for 'b' of client %d: "
            "UNLOCK, then try again\r\n" % (ids[0], ids[1], ids[0]))
        assert other.call("LOCK", "b", 0) == b"$-1\r\n", "it still has it"
        assert two.call("UNLOCK", "b") == b"+OK\r\n"
        assert one.reply() == b"+OK\r\n"
        found, = deadlocks(other)
        assert (found["number"], found["verdict"], found["clients"]) == (1, "DEADLOCK", 2)
        assert found["gave-way"] == ids[0] and abs(found["at-ms"] / 1000 - time.time()) < 60
        assert [(m["client"], m["waits-for"], m["holds"]) for m in found["members"]] == [
            (ids[0], "a", 1), (ids[1], "b", 1)]
        # the same again: it is the other's turn; and the newest is the first
        one.call("UNLOCK", "b")
        lock(two, "b")
        one.send(command("LOCK", "b"))
        wait_for_waiters(other, 1)
        two.send(command("LOCK", "a"))
        assert one.reply().startswith(b"-DEADLOCK ")
        assert one.call("UNLOCK", "a") == b"+OK\r\n" == two.reply()
        eventually(lambda: [d["number"] for d in deadlocks(other)] == [2, 1])
        assert [d["number"] for d in deadlocks(other, 1)] == [2] and deadlocks(other, 0) == []


def who_holds_less(program):
    """of two the one gives way that holds fewer locks, though it came first"""
    with latchkv(program) as server, server.connect() as poor, server.connect() as rich, \
            server.connect() as other:
        lock(rich, "a", "b", "c")
        lock(poor, "z")
        poor.send(command("LOCK", "c"))
        wait_for_waiters(other, 1)
        rich.send(command("LOCK", "z"))
        assert poor.reply().startswith(b"-DEADLOCK ")
        assert poor.call("UNLOCK", "z") == b"+OK\r\n"
        assert rich.reply() == b"+OK\r\n"
        assert deadlocks(other)[0]["gave-way"] == id_of(poor)


def larger_circles(program):
    """of any number of clients one gives way, and each gets what it waits for in the end"""
    with latchkv(program) as server, server.connect() as other:
        for size in (3, 5, 40):
            clients = [server.connect() for _ in range(size)]
            for i, client in enumerate(clients):
                lock(client, "%d-%d" % (size, i))
            for i, client in enumerate(clients):
                client.send(command("LOCK", "%d-%d" % (size, (i + 1) % size)))
                wait_for_waiters(other, min(i + 1, size - 1))
            sockets = [client.socket for client in clients]
            told, = select.select(sockets, [], [], PATIENCE)[0]
            victim = sockets.index(told)
            assert clients[victim].reply().startswith(b"-DEADLOCK client ")
            for i in range(victim, victim - size, -1):
                if i != victim:
                    assert clients[i].reply() == b"+OK\r\n"
                assert clients[i].call("UNLOCK", "%d-%d" % (size, i % size)) == b"+OK\r\n"
            for client in clients:
                client.close()
            assert deadlocks(other, 1)[0]["clients"] >= min(size, 32)


def timeouts(program):
    """a LOCK with a timeout that will pass soon is not told to give way"""
    with latchkv(program) as server, server.connect() as one, server.connect() as two:
        lock(one, "a")
        lock(two, "b")
        one.send(command("LOCK", "b", 60))
        assert two.call("LOCK", "a", 20) == b"$-1\r\n"
        assert one.reply() == b"$-1\r\n"
        assert deadlocks(one) == []


def without_the_locksmith(program):
    """with --locksmith no they wait, as long as they like"""
    with latchkv(program, "--locksmith", "no") as server, server.connect() as one, \
            server.connect() as two:
        assert one.call("CONFIG", "GET", "locksmith") == b"*2\r\n$9\r\nlocksmith\r\n$2\r\nno\r\n"
        lock(one, "a")
        lock(two, "b")
        one.send(command("LOCK", "b"))
        assert two.call("LOCK", "a", 300) == b"$-1\r\n"
        assert deadlocks(two) == []
        two.close()
        assert one.reply() == b"+OK\r\n"


def misuse(program):
    """what DEADLOCKS does not take"""
    with latchkv(program) as server, server.connect() as one:
        assert one.call("DEADLOCKS", "x").startswith(b"-ERR count")
        assert one.call("DEADLOCKS", -1).startswith(b"-ERR count")
        assert one.call("DEADLOCKS", 1, 2).startswith(b"-ERR syntax")


def strange_keys(program):
    """a key that is no text does not break the reply that names it"""
    with latchkv(program) as server, server.connect() as one, server.connect() as two, \
            server.connect() as other:
        strange = b"a\r\n+OK\r\n\xff" + b"x" * 100
        lock(one, strange)
        lock(two, "b")
        one.send(command("LOCK", "b"))
        wait_for_waiters(other, 1)
        assert two.call("LOCK", strange).startswith(b"-DEADLOCK ")
        assert two.call("PING") == b"+PONG\r\n"
        assert len(deadlocks(two)) == 1


if __name__ == "__main__":
    run_tests([circle_of_two, who_holds_less, larger_circles, timeouts, without_the_locksmith,
               misuse, strange_keys])
