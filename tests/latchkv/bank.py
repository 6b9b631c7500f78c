# SPDX-License-Identifier: MIT
"""latchkv-bank, the load of tools/run: it keeps the money, and sees when somebody does not."""

import re
import subprocess
import sys
import threading

from harness import latchkv, run_tests

BANK = sys.argv.pop(2)  # the second argument; harness takes the first


def bank(server, *options):
    return subprocess.run([BANK, "--port", str(server.port), *options], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=60)


def number(name, text):
    return int(re.search(r"^%s +(\d+)" % name, text, re.M).group(1))


def keeps_the_money(program):
    """transfers under locks lose nothing, however few accounts the clients fight for"""
    with latchkv(program) as server:
        for options in (("--accounts", "100", "--clients", "50"),
                        ("--accounts", "2", "--clients", "20", "--seed", "7")):
            done = bank(server, "--seconds", "2", *options)
            assert done.returncode == 0, done.stdout
            assert number("money before", done.stdout) == int(options[1]) * 1000
            assert number("money after", done.stdout) == int(options[1]) * 1000
            assert number("transfers", done.stdout) > 20, done.stdout
            assert number("requests", done.stdout) > 7 * 20, done.stdout
            assert number("errors", done.stdout) == 0
            assert number("deadlocks", done.stdout) > 0, done.stdout
            assert re.search(r"^  such as +DEADLOCK client \d+ waits for 'account:\d+' of client "
                             r"\d+, which waits for ", done.stdout, re.M), done.stdout
            assert len(re.findall(r"requests/s", done.stdout)) == 2, done.stdout
        with server.connect() as connection:
            assert connection.call("LOCKS") == b"*0\r\n"


def stops_without_the_locksmith(program):
    """where nobody breaks deadlocks the bank stops, says so, and ends; no money is lost"""
    with latchkv(program, "--locksmith", "no") as server:
        for seconds in "50", "1":
            done = bank(server, "--seconds", seconds, "--accounts", "2", "--clients", "20")
            assert done.returncode == 1 and "STUCK" in done.stdout, done.stdout
        assert number("money after", done.stdout) == 2000
        assert number("deadlocks", done.stdout) == 0
        with server.connect() as connection:
            assert connection.call("LOCKS") == b"*0\r\n", "the clients are gone, and their locks"


def needs_no_locksmith_in_order(program):
    """where all take their locks in one order none waits for ever, with a locksmith and without"""
    for locksmith in "yes", "no":
        with latchkv(program, "--locksmith", locksmith) as server:
            done = bank(server, "--seconds", "1", "--accounts", "5", "--clients", "20",
                        "--in-order", "1")
            assert done.returncode == 0, done.stdout
            assert number("money after", done.stdout) == 5000
            assert number("transfers", done.stdout) > 20, done.stdout
            assert number("deadlocks", done.stdout) == 0, done.stdout


def sees_a_thief(program):
    """somebody who takes money without a lock is found out: status 1"""
    with latchkv(program) as server:
        stop = threading.Event()

        def steal():
            with server.connect() as connection:
                while not stop.wait(0.001):
                    connection.call("SET", "account:1", 0)

        thief = threading.Thread(target=steal)
        thief.start()
        done = bank(server, "--seconds", "1", "--accounts", "4", "--clients", "4")
        stop.set()
        thief.join()
        assert done.returncode == 1 and "LOST" in done.stdout, done.stdout


def sees_the_server_end(program):
    """a server that ends is an error, not a hang"""
    with latchkv(program) as server:
        timer = threading.Timer(0.5, server.stop)
        timer.start()
        done = bank(server, "--seconds", "30")
        timer.join()
        assert done.returncode == 1, done.stdout


def options(_):
    """--help tells; what is wrong ends with status 2"""
    assert "--accounts" in subprocess.run([BANK, "--help"], stdout=subprocess.PIPE, text=True,
                                          check=True).stdout
    for wrong in (["--nonsense", "1"], ["--port"], ["--accounts", "1"], ["--seconds", "x"]):
        done = subprocess.run([BANK, *wrong], stderr=subprocess.PIPE, text=True)
        assert done.returncode == 2 and done.stderr, wrong


if __name__ == "__main__":
    run_tests([options, keeps_the_money, stops_without_the_locksmith, needs_no_locksmith_in_order,
               sees_a_thief, sees_the_server_end])
