# SPDX-License-Identifier: MIT
"""Every reply of latchkv must have the bytes that a real redis-server sends for the same requests.

A scenario is a list of requests, run over the same connections of both servers.  A request is a
line, cut like a shell's, or raw bytes; "2> " before it sends it on the second connection.  "~ "
before it means that the elements of the reply may come in any order, "? " that only its kind is
compared, "# " that it is not compared at all (times, addresses)."""

import shlex
import sys

import harness
import scenarios


class Both:
    """The same connections to both servers."""

    def __init__(self, servers):
        self.servers = servers
        self.connections = {}

    def pair(self, which):
        if which not in self.connections:
            self.connections[which] = [server.connect() for server in self.servers]
        return self.connections[which]

    def close(self):
        for pair in self.connections.values():
            for connection in pair:
                connection.close()


def elements(reply):
    """The lines of a reply, in an order of their own."""
    return sorted(reply.split(b"\r\n"))


def parse(request):
    which, mode = "1", "="
    if isinstance(request, bytes):
        return which, mode, request
    if request[1:3] == "> ":
        which, request = request[0], request[3:]
    if request[:2] in ("~ ", "? ", "# "):
        mode, request = request[0], request[2:]
    words = [word.encode().decode("unicode_escape").encode("latin-1")
             for word in shlex.split(request)]
    return which, mode, harness.command(*words)


TOLERATED = {"TTL": 2, "PTTL": 2000}  # two seconds may pass between the two servers


def same(request, mode, ours, theirs):
    tolerated = TOLERATED.get(request.split(" ")[0]) if isinstance(request, str) else None
    if tolerated is not None and ours[:1] == theirs[:1] == b":" and b"-" not in ours + theirs:
        return abs(int(ours[1:]) - int(theirs[1:])) <= tolerated
    if mode == "~":
        return elements(ours) == elements(theirs)
    if mode == "?":
        return ours[:1] == theirs[:1]
    return mode == "#" or ours == theirs


def run(name, requests, servers):
    both = Both(servers)
    try:
        for connection in both.pair("1"):
            connection.call("FLUSHALL")
        for request in requests:
            which, mode, data = parse(request)
            replies = []
            for connection in both.pair(which):
                connection.send(data)
                replies.append(connection.reply())
            if not same(request, mode, *replies):
                raise AssertionError("%s: %r\n  latchkv %r\n  redis   %r" %
                                     (name, request, *replies))
    finally:
        both.close()


def run_closed(name, data, servers):
    """Bytes that end the connection: all that comes until then must be the same."""
    replies = []
    for server in servers:
        with server.connect() as connection:
            connection.send(data)
            replies.append(connection.rest())
    if replies[0] != replies[1]:
        raise AssertionError("%s: %r\n  latchkv %r\n  redis   %r" % (name, data[:80], *replies))


def make_test(name, requests):
    def test(program):
        with harness.latchkv(program) as ours, harness.redis_server() as theirs:
            run(name, requests, (ours, theirs))

    test.__name__ = name
    test.__doc__ = "%d replies" % len(requests)
    return test


def broken_requests(program):
    """what breaks the protocol gets the same error, and the end"""
    with harness.latchkv(program) as ours, harness.redis_server() as theirs:
        for data in scenarios.BROKEN:
            run_closed("broken", data, (ours, theirs))


def pipelines(program):
    """a pipeline cut anywhere gives the same replies"""
    with harness.latchkv(program) as ours, harness.redis_server() as theirs:
        data = b"".join(parse(request)[2] for request in scenarios.PIPELINE) + b"QUIT\r\n"
        replies = []
        for cut in range(1, len(data), 7):
            for server in (ours, theirs) if cut == 1 else (ours,):
                with server.connect() as connection:
                    connection.call("FLUSHALL")
                    connection.send(data[:cut])
                    connection.send(data[cut:])
                    replies.append(connection.rest())
        assert len(set(replies)) == 1, sorted(set(replies))


if __name__ == "__main__":
    harness.run_tests([make_test(name, requests) for name, requests in scenarios.ALL.items()] +
                      [broken_requests, pipelines])
