# SPDX-License-Identifier: MIT
"""The requests of differential.py."""

from scenarios_clients import CONNECTION, INTROSPECTION, TRANSACTIONS
from scenarios_values import EXPIRY, KEYS, NUMBERS, STRINGS


def lines(text):
    return [line for line in text.strip().split("\n") if line]


INLINE = [
    b"PING\r\n",
    b"PING\n",
    b"  PING  \r\n",
    b"\r\nPING\r\n",
    b"\n\n\nPING\r\n",
    b"SET a 'b c'\r\n",
    b"GET a\r\n",
    b"SET a \"\\x41\\n\\t\\\\\\\"\"\r\n",
    b"GET a\r\n",
    b"SET a 'it\\'s'\r\n",
    b"GET a\r\n",
    b"SET a ''\r\n",
    b"GET a\r\n",
    b"SET a b\"c\"\r\n",
    b"GET a\r\n",
    b"SET a \"\\xzz\\q\"\r\n",
    b"GET a\r\n",
    b"ECHO a\vb\r\n",
    b"ECHO a\fb\r\n",
    b"ECHO \va\v\r\n",
    b"\v\fECHO\t\v'a'\v\r\n",
    b"ECHO a\rb\r\n",
    b"*0\r\nPING\r\n",
    b"*-1\r\nPING\r\n",
    b"*1\r\n$4\r\nPINGxxPING\r\n",
]

ALL = {
    "strings": lines(STRINGS),
    "numbers": lines(NUMBERS),
    "keys": lines(KEYS),
    "expiry": lines(EXPIRY),
    "transactions": lines(TRANSACTIONS),
    "connection": lines(CONNECTION),
    "introspection": lines(INTROSPECTION),
    "inline": INLINE,
}

BROKEN = [
    b"*2147483648\r\n",
    b"*x\r\n",
    b"*\r\n",
    b"*01\r\n",
    b"* 1\r\n",
    b"*1\r\n!4\r\n",
    b"*1\r\n\r\nx",
    b"*1\r\nPING\r\n",
    b"*1\r\n$-1\r\n",
    b"*1\r\n$x\r\n",
    b"*1\r\n$\r\n",
    b"*1\r\n$04\r\nPING\r\n",
    b"*1\r\n$4x\r\nPING\r\n",
    b"*1\r\n$536870913\r\n",
    b"*1\r\n$99999999999999999999\r\n",
    b"*" + b"1" * 70000,
    b"*1\r\n$" + b"1" * 70000,
    b"*2\r\n$4\r\nECHO\r\n$" + b"1" * 70000,
    b"x" * 70000,
    b"\"unbalanced\r\n",
    b"'unbalanced\r\n",
    b"SET a \"b\"c\r\n",
    b"PING\r\n*1\r\n$-1\r\nPING\r\n",
    b"*1\r\n$4\r\nPING\r\n*x\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\n\r\nSET a 1\r\n",
    b"PING\r\nHost: x\r\nPING\r\n",
    b"QUIT\r\nPING\r\n",
    b"*2\r\n$4\r\nquit\r\n$1\r\nx\r\n",
    b"MULTI\r\nPING\r\nQUIT\r\n",
]

PIPELINE = lines(r"""
SET a 1
GET a
INCR a
SET b "a\r\nb"
MGET a b none
MULTI
INCR a
EXEC
DEL a b
ECHO "*1\r\n$4\r\nPING\r\n"
nosuch
""") + [b"GET a\r\n", b"\r\n", b"*0\r\n", b"PING hi\r\n"]
