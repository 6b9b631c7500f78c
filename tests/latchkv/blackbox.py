# SPDX-License-Identifier: MIT
"""latchkv from outside: real clients, dying clients, hostile clients, limits, locks; its end is in
ends.py."""

import os
import resource
import socket
import subprocess
import tempfile
import time

from harness import (Connection, command, eventually, free_port, info, latchkv, run_tests, PATIENCE,
                     SLOW)


def tool(*argv, **options):
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=120, **options)


def redis_cli(program):
    """the real redis-cli works, in both protocols"""
    with latchkv(program) as server:
        cli = ("redis-cli", "-p", str(server.port))
        assert tool(*cli, "SET", "greeting", "hello").stdout == "OK\n"
        assert tool(*cli, "GET", "greeting").stdout == "hello\n"
        assert tool(*cli, "-3", "GET", "none").stdout == "\n"
        assert tool(*cli, "-n", "3", "DBSIZE").stdout == "0\n"
        assert "redis_version:7.0" in tool(*cli, "INFO", "server").stdout
        assert tool(*cli, "--scan").stdout == "greeting\n"
        assert "greeting" in tool(*cli, "--bigkeys").stdout
        piped = tool(*cli, "--pipe", input="".join("SET key%d %d\r\n" % (i, i)
                                                   for i in range(5000)))
        assert "errors: 0, replies: 5000" in piped.stdout, piped.stdout
        assert tool(*cli, "DBSIZE").stdout == "5001\n"
        assert tool(*cli, "LOCK", "k").stdout == "OK\n"


def redis_benchmark(program):
    """the real redis-benchmark runs clean"""
    with latchkv(program) as server:
        for options in (("-P", "16", "-c", "50", "-n", "100000"),
                        ("-P", "1", "-c", "500", "-n", "20000"),
                        ("-P", "4", "-c", "20", "-n", "20000", "-r", "1000", "-3")):
            done = tool("redis-benchmark", "-p", str(server.port), "-t", "get,set,incr,mset",
                        "--csv", *options)
            assert done.returncode == 0, done.stdout
            rows = [line for line in done.stdout.splitlines() if line.startswith('"')]
            assert len(rows) == 5, done.stdout
            for word in ("ERR", "Error", "WARNING", "Could not"):
                assert word not in done.stdout, done.stdout
        assert eventually(lambda: info(server, "connected_clients") == 1)


def unix_socket(program):
    """it serves on a unix socket, beside TCP and alone, and removes it at the end"""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "kv.sock")
        with latchkv(program, "--unixsocket", path) as server:
            with Connection(path=path) as unix, server.connect() as tcp:
                assert unix.call("SET", "a", "1") == b"+OK\r\n"
                assert tcp.call("GET", "a") == b"$1\r\n1\r\n"
                assert b"laddr=" + path.encode() + b":0" in unix.call("CLIENT", "INFO")
        assert not os.path.exists(path)
        process = subprocess.Popen([program, "--port", "0", "--unixsocket", path],
                                   stderr=subprocess.DEVNULL)

        def answers():
            try:
                with Connection(path=path) as unix:
                    return unix.call("PING") == b"+PONG\r\n"
            except OSError:  # not there, or not listening yet
                return False

        assert eventually(answers)
        process.terminate()
        assert process.wait(PATIENCE) == 0


def unix_socket_of_others(program):
    """it touches no file at its path but the socket it made, and one that nobody listens on"""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "kv.sock")
        options = ("--port", str(free_port()), "--bind", "127.0.0.1", "--unixsocket", path)
        with open(path, "w", encoding="utf-8") as file:
            file.write("mine")
        done = tool(program, *options)
        assert done.returncode == 1 and "cannot listen" in done.stdout, done
        with open(path, encoding="utf-8") as file:
            assert file.read() == "mine"
        os.unlink(path)
        with latchkv(program, "--unixsocket", path):
            done = tool(program, *options)
            assert done.returncode == 1 and "cannot listen" in done.stdout, done
            with Connection(path=path) as unix:
                assert unix.call("PING") == b"+PONG\r\n"
            # another one that somebody put there meanwhile stays
            os.unlink(path)
            with socket.socket(socket.AF_UNIX) as other:
                other.bind(path)
        assert os.path.exists(path)
        with latchkv(program, "--unixsocket", path):  # which nobody listens on
            with Connection(path=path) as unix:
                assert unix.call("PING") == b"+PONG\r\n"
        assert not os.path.exists(path)


def command_line(program):
    """--help and --version answer; what is wrong ends with status 2 and a message"""
    assert "LOCK key" in tool(program, "--help").stdout
    assert tool(program, "--version").stdout.startswith("latchkv ")
    for wrong in (["--nonsense"], ["--port"], ["--port", "x"], ["--port", "70000"], ["extra"],
                  ["--maxmemory", "1x"], ["--databases=0"], ["--port", "0"]):
        done = tool(program, *wrong)
        assert done.returncode == 2 and done.stdout.startswith("latchkv: "), (wrong, done)
    with latchkv(program) as server:
        port = ("--port", str(server.port))
        for binds in (["--bind", "127.0.0.1"], ["--bind", "127.0.0.2", "--bind", "-127.0.0.1"]):
            done = tool(program, *port, *binds)
            assert done.returncode == 1 and "cannot listen" in done.stdout, done
    for absent in ("192.0.2.1", "2001:db8::1", "no-such-name.invalid"):
        with latchkv(program, "--bind", "-" + absent) as server, server.connect() as connection:
            assert connection.call("PING") == b"+PONG\r\n"
        done = tool(program, "--port", str(free_port()), "--bind", absent)
        assert done.returncode == 1 and "cannot listen" in done.stdout, done


def large_values(program):
    """values of megabytes go in and out, whatever the pieces"""
    with latchkv(program) as server:
        value = os.urandom(1 << 20) * 20
        with server.connect() as connection:
            assert connection.call("SET", "big", value) == b"+OK\r\n"
            assert connection.call("STRLEN", "big") == b":%d\r\n" % len(value)
            assert connection.call("GET", "big") == b"$%d\r\n%s\r\n" % (len(value), value)
            assert connection.call("APPEND", "big", b"x") == b":%d\r\n" % (len(value) + 1)
            many = [b"k%d" % i for i in range(20000)]
            pairs = [word for key in many for word in (key, key)]
            assert connection.call("MSET", *pairs) == b"+OK\r\n"
            reply = connection.call("MGET", *many)
            assert reply.startswith(b"*20000\r\n$2\r\nk0\r\n") and len(reply) > 200000
            assert connection.call("FLUSHALL") == b"+OK\r\n"
        assert eventually(lambda: info(server, "used_memory") < 1 << 20)


def slow_reader(program):
    """who does not read blocks only itself"""
    with latchkv(program, "--workers", "1") as server:
        with server.connect() as lazy, server.connect() as other:
            assert other.call("SET", "big", b"x" * (1 << 20)) == b"+OK\r\n"
            lazy.send(command("GET", "big") * 40)
            for _ in range(100):
                assert other.call("PING") == b"+PONG\r\n"
            assert server.resident() < 200 << 20
            for _ in range(40):
                assert len(lazy.reply()) == (1 << 20) + 12


def killed_mid_request(program):
    """clients that vanish, anywhere in a request, leave nothing"""
    request = command("SET", "half", b"y" * 5000)
    with latchkv(program) as server:
        for cut in list(range(1, 60, 3)) + [2000, len(request) - 1]:
            for _ in range(3):
                connection = server.connect()
                connection.send(request * 2 + request[:cut])
                # a reset, not an orderly end
                connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                             b"\x01\0\0\0\0\0\0\0")
                connection.close()
        assert eventually(lambda: info(server, "connected_clients") == 1)
        load = subprocess.Popen(["redis-benchmark", "-p", str(server.port), "-t", "set,get", "-c",
                                 "100", "-P", "8", "-l", "-q"], stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)
        assert eventually(lambda: info(server, "connected_clients") > 50)
        load.kill()
        load.wait()
        assert eventually(lambda: info(server, "connected_clients") == 1)


HOSTILE = [
    os.urandom(65536),
    b"\0" * 100000,
    b"*1048576\r\n" + b"$0\r\n\r\n" * 1000,
    b"*3\r\n$3\r\nSET\r\n$536870912\r\nxxx",
    b"*100000000\r\n",
    b"$5\r\nhello\r\n",
    b"*2\r\n" * 10000,
    b"*1\r\n$4294967297\r\n",
    b"*1\r\n$18446744073709551617\r\n",
    b"GET " + b"a" * 70000,
    b"\"" * 60000 + b"\r\n",
    b"*-2147483649\r\n",
    b"MULTI\r\n" + b"SET a b\r\n" * 1000,
    b"WATCH" + b" a" * 20000 + b"\r\n",
    b"KEYS " + b"a*" * 10000 + b"b\r\n",
    b"CLIENT LIST ID" + b" 1" * 20000 + b"\r\n",
    b"COMMAND INFO" + b" get" * 5000 + b"\r\n",
]


def hostile(program):
    """nonsense ends with an error or waits, and harms nobody"""
    with latchkv(program) as server:
        with server.connect() as good:
            for data in HOSTILE:
                with server.connect() as bad:
                    try:
                        bad.send(data)
                        bad.socket.shutdown(socket.SHUT_WR)
                    except OSError:
                        pass  # it was closed meanwhile
                    bad.rest()
                assert good.call("PING") == b"+PONG\r\n"
        assert server.resident() < 300 << 20


def request_limits(program):
    """long arguments, requests and replies are refused where the options say"""
    with latchkv(program, "--proto-max-bulk-len", "10kb", "--client-query-buffer-limit", "100kb",
                 "--client-output-buffer-limit", "200kb") as server:
        with server.connect() as connection:
            assert connection.call("SET", "a", b"x" * 10240) == b"+OK\r\n"
            assert connection.call("APPEND", "a", b"x").startswith(b"-ERR string exceeds")
            connection.send(b"*1\r\n$10241\r\n")
            assert connection.rest() == b"-ERR Protocol error: invalid bulk length\r\n"
        with server.connect() as connection:  # too long a request: closed, as Redis does
            try:
                connection.send(command("MGET", *[b"x" * 10000] * 20))
            except OSError:
                pass
            assert connection.rest() == b""
        with server.connect() as connection:  # too long a reply: the same
            connection.send(command("MGET", *[b"a"] * 30))
            assert connection.rest() == b""
        with server.connect() as connection:
            assert connection.call("PING") == b"+PONG\r\n"


def max_clients(program):
    """one client more than --maxclients is told so"""
    with latchkv(program, "--maxclients", "5") as server:
        clients = [server.connect()]
        assert eventually(lambda: b"connected_clients:1\r\n" in clients[0].call("INFO"))
        clients += [server.connect() for _ in range(4)]
        for client in clients:
            assert client.call("PING") == b"+PONG\r\n"
        with server.connect() as late:
            assert late.rest() == b"-ERR max number of clients reached\r\n"
        clients.pop().close()

        def fits():
            with server.connect() as client:
                client.send(b"PING\r\n")
                return client.file.readline() == b"+PONG\r\n"

        assert eventually(fits)
        for client in clients:
            client.close()


def max_memory(program):
    """above --maxmemory writes are refused as Redis does, and memory comes back"""
    with latchkv(program, "--maxmemory", "2mb") as server, server.connect() as connection:
        refused = b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"
        replies = [connection.call("SET", "k%d" % i, b"v" * 10000) for i in range(300)]
        assert replies[0] == b"+OK\r\n" and replies[-1] == refused
        assert connection.call("GET", "k1") == b"$10000\r\n" + b"v" * 10000 + b"\r\n"
        assert connection.call("INCR", "n") == refused
        assert connection.call("DEL", *["k%d" % i for i in range(100)]) == b":100\r\n"
        assert connection.call("INCR", "n") == b":1\r\n"


def idle_timeout(program):
    """--timeout closes idle clients, and only them"""
    with latchkv(program, "--timeout", "1") as server:
        with server.connect() as idle, server.connect() as busy:
            begin = time.monotonic()
            while time.monotonic() - begin < 1.5:
                assert busy.call("PING") == b"+PONG\r\n"
                time.sleep(0.1)
            assert idle.rest() == b""


def rate(program):
    """--rate: so many commands a second of each client, whose surplus waits and is answered"""
    with latchkv(program, "--rate", "50") as server:
        with server.connect() as greedy, server.connect() as modest:
            assert modest.call("CONFIG", "GET", "rate") == b"*2\r\n$4\r\nrate\r\n$2\r\n50\r\n"
            begin = time.monotonic()
            greedy.send(b"PING\r\n\r\n" * 75)  # empty requests are none
            assert modest.call("PING") == b"+PONG\r\n"
            assert all(greedy.reply() == b"+PONG\r\n" for _ in range(75))
            assert time.monotonic() - begin >= 0.5  # 50 were free
        waiting = server.connect()
        waiting.send(command("PING") * 1000)
        assert all(waiting.reply() == b"+PONG\r\n" for _ in range(50))
        status, seconds = server.stop()  # it waits for tokens for another 19 s
        assert status == 0 and seconds < (5.0 if SLOW else 1.0), seconds
        assert waiting.rest().replace(b"+PONG\r\n", b"") == b""
    with latchkv(program) as server, server.connect() as connection:
        connection.send(command("PING") * 10000)
        assert all(connection.reply() == b"+PONG\r\n" for _ in range(10000))  # off by default


def expiry(program):
    """keys expire on time, looked at or not"""
    with latchkv(program) as server, server.connect() as connection:
        for i in range(500):
            connection.call("SET", "k%d" % i, "v", "PX", 50)
        connection.call("SET", "stays", "v")
        connection.call("SET", "seen", "v", "PX", 200)
        assert connection.call("GET", "seen") == b"$1\r\nv\r\n"
        assert eventually(lambda: connection.call("GET", "seen") == b"$-1\r\n", 1)
        assert eventually(lambda: connection.call("DBSIZE") == b":1\r\n", 3)
        assert info(server, "expired_keys") == 501


def scan_guarantee(program):
    """SCAN returns what stays, while all else comes and goes"""
    with latchkv(program) as server, server.connect() as one, server.connect() as two:
        stays = {b"stays%d" % i for i in range(2000)}
        two.call("MSET", *[word for key in stays for word in (key, b"v")])
        seen, cursor, round_ = set(), b"0", 0
        while True:
            one.send(command("SCAN", cursor, "COUNT", 50))
            parts = one.reply().split(b"\r\n")
            cursor, keys = parts[2], parts[5::2]
            seen.update(keys)
            if cursor == b"0":
                break
            round_ += 1
            names = ["tmp%d" % i for i in range(200 * (round_ % 20))]
            if names and round_ % 2:
                two.call("MSET", *[word for name in names for word in (name, "v")])
            elif names:
                two.call("DEL", *names)
        assert stays <= seen


def locks(program):
    """LOCK excludes, waits its turn, times out, and is released when its client ends"""
    with latchkv(program) as server:
        with server.connect() as one, server.connect() as two, server.connect() as three:
            one_id = int(one.call("CLIENT", "ID")[1:-2])
            assert one.call("LOCK", "k") == b"+OK\r\n"
            assert one.call("LOCK", "k").startswith(b"-ERR this client holds")
            assert two.call("UNLOCK", "k").startswith(b"-ERR this client does not hold")
            assert two.call("LOCK", "k", 0) == b"$-1\r\n"
            begin = time.monotonic()
            assert two.call("LOCK", "k", 50) == b"$-1\r\n"
            assert 0.05 <= time.monotonic() - begin < 2
            # waits, after the reply to what was sent before has gone out
            two.send(command("PING") + command("LOCK", "k") + command("ECHO", "after"))
            assert two.reply() == b"+PONG\r\n"
            assert eventually(lambda: b":1\r\n" == locked_by(three)[one_id][b"waiters"])
            assert eventually(lambda: info(server, "blocked_clients") == 1)
            assert one.call("UNLOCK", "k") == b"+OK\r\n"
            assert two.reply() == b"+OK\r\n"
            assert two.reply() == b"$5\r\nafter\r\n"
            # another database has another lock
            assert one.call("SELECT", 1) == b"+OK\r\n"
            assert one.call("LOCK", "k", 0) == b"+OK\r\n"
            # the end of a client releases
            three.send(command("LOCK", "k", 5000))
            two.close()
            assert three.reply() == b"+OK\r\n"
            assert three.call("RESET") == b"+RESET\r\n"
            assert list(locked_by(three)) == [one_id]
            # in a transaction it does not wait
            three.call("SELECT", 1)
            three.call("MULTI")
            three.call("LOCK", "k")
            three.call("LOCK", "free")
            three.call("UNLOCK", "free")
            assert three.call("EXEC") == b"*3\r\n$-1\r\n+OK\r\n+OK\r\n"


def locked_by(connection):
    """LOCKS as {owner: {field: reply}}"""
    lines = connection.call("LOCKS").split(b"\r\n")
    count, at, found = int(lines[0][1:]), 1, {}
    for _ in range(count):
        at += 1  # *10
        fields = {}
        for _ in range(5):
            name = lines[at + 1]
            if lines[at + 2][:1] == b"$":
                fields[name], at = lines[at + 3], at + 4
            else:
                fields[name], at = lines[at + 2] + b"\r\n", at + 3
        found[int(fields[b"owner"][1:])] = fields
    return found


def waiter_that_leaves(program):
    """a client that ends while it waits for a lock is gone at once, and the lock goes on"""
    with latchkv(program) as server, server.connect() as one, server.connect() as two:
        assert one.call("LOCK", "k") == b"+OK\r\n"
        for _ in range(10):
            waiting = server.connect()
            waiting.send(command("LOCK", "k"))
            assert eventually(lambda: info(server, "blocked_clients") == 1)
            waiting.close()
            assert eventually(lambda: info(server, "blocked_clients") == 0)
        assert eventually(lambda: info(server, "connected_clients") == 3)
        two.send(command("LOCK", "k"))
        assert eventually(lambda: info(server, "blocked_clients") == 1)
        one.close()
        assert two.reply() == b"+OK\r\n"


def many_connections(program):
    """ten thousand clients at a time are each served, and leave nothing when they vanish"""
    wanted = 1000 if SLOW else 10000
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    wanted = min(wanted, most - 100)
    with latchkv(program, "--maxclients", str(wanted + 10)) as server:
        clients = [server.connect() for _ in range(wanted)]
        for client in clients:
            client.send(command("INCR", "n"))
        answers = sorted(int(client.reply()[1:-2]) for client in clients)
        assert answers == list(range(1, wanted + 1))
        assert info(server, "connected_clients") == wanted + 1
        assert clients[0].call("CLIENT", "LIST").count(b" cmd=incr ") >= wanted - 1
        for number, client in enumerate(clients):
            if number % 2:
                client.send(b"*2\r\n$3\r\nGET\r\n$1")
            client.close()
        assert eventually(lambda: info(server, "connected_clients") == 1)
        assert info(server, "used_memory") < 2 << 20


def idle_costs_nothing(program):
    """with clients that say nothing it does not work"""
    with latchkv(program) as server:
        clients = [server.connect() for _ in range(100)]
        for client in clients:
            client.call("PING")
        time.sleep(0.5)
        before = server.cpu()
        time.sleep(2)
        # A sanitizer has a thread of its own that wakes up now and then.
        assert server.cpu() - before <= (0.3 if SLOW else 0.03), server.cpu() - before
        for client in clients:
            client.close()


if __name__ == "__main__":
    run_tests([command_line, redis_cli, redis_benchmark, unix_socket, unix_socket_of_others,
               large_values, slow_reader, killed_mid_request, hostile, request_limits, max_clients,
               max_memory, idle_timeout, rate, expiry, scan_guarantee, locks, waiter_that_leaves,
               many_connections, idle_costs_nothing])
