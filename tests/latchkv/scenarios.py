# SPDX-License-Identifier: MIT
"""The requests of differential.py."""

STRINGS = r"""
GET a
SET a 1
GET a
get a
GeT a
SET a
SET a b c
SET "" empty
GET ""
SET bin "a\x00b\xff\r\nc"
GET bin
STRLEN bin
STRLEN none
SET a 2 NX
SET new 2 NX
GET new
SET gone 2 XX
SET a 3 XX
GET a
SET a 4 GET
SET none2 4 GET
GET none2
SET a 5 NX GET
SET fresh 5 NX GET
GET fresh
SET fresh2 6 XX GET
GET fresh2
SET a 5 NX XX
SET a 5 XX NX
SET a 5 EX
SET a 5 EX 0
SET a 5 EX -1
SET a 5 EX x
SET a 5 EX 10 PX 10
SET a 5 EX 10 EX 20
TTL a
SET a 5 PX 10 EXAT 10
SET a 5 KEEPTTL EX 1
SET a 5 EX 1 KEEPTTL
SET a 5 EX 9223372036854775807
SET a 5 EX 9223372036854775
SET a 5 PX 9223372036854775807
SET a 5 PXAT 9223372036854775807
PTTL a
SET a 5 EXAT 99999999999
TTL a
SET a 6 KEEPTTL
TTL a
SET a 7
TTL a
SET a 5 EX 100 NX
SET past 1 PXAT 1
GET past
EXISTS past
SET a 5 BADOPTION
SET a 5 GET GET
SET a 5 KEEPTTL KEEPTTL
SETNX a 1
SETNX snx 1
GET snx
SETEX se 100 v
TTL se
GET se
SETEX se 0 v
SETEX se -5 v
SETEX se x v
SETEX se 9223372036854775 v
PSETEX se 100000 v
TTL se
PSETEX se 0 v
GETSET gs 1
GETSET gs 2
GETSET se x
TTL se
GETDEL gs
GETDEL gs
GETDEL
MGET a none bin
MGET
MGET a a a
MSET x 1 y 2 x 3
MGET x y
MSET x
MSET x 1 y
MSETNX x 9 z 9
EXISTS z
MSETNX z1 1 z2 2 z1 3
MGET z1 z2
MSETNX z 1 y
APPEND ap hello
APPEND ap " world"
GET ap
STRLEN ap
APPEND ap ""
APPEND newempty ""
EXISTS newempty
TYPE a
TYPE none
TYPE
ECHO hi
ECHO
ECHO a b
PING
PING hello
PING a b
"""

NUMBERS = r"""
INCR n
INCR n
DECR n
INCRBY n 10
INCRBY n -20
DECRBY n 5
DECRBY n -100
GET n
SET n abc
INCR n
SET n " 1"
INCR n
SET n "1 "
INCR n
SET n 01
INCR n
SET n +1
INCR n
SET n -0
INCR n
SET n ""
INCR n
SET n 9223372036854775807
INCR n
DECR n
SET n -9223372036854775808
DECR n
INCR n
SET n 9223372036854775808
INCR n
INCRBY n x
INCRBY m 9223372036854775807
INCRBY m 1
INCRBY m 9223372036854775808
INCRBY m -9223372036854775808
DECRBY k -9223372036854775808
DECRBY k 9223372036854775807
DECRBY k 1
DECRBY k 1
DECRBY k 1.5
INCRBY f 1e3
SET t 5 EX 100
INCR t
TTL t
INCR
INCR a b
INCRBY a
DECRBY a
"""

KEYS = r"""
DEL none
SET a 1
SET b 2
SET c 3
DEL a b c a
DBSIZE
DEL
MSET k1 1 k2 2 k3 3 other 4 h\x65llo 5 hallo 6 hxllo 7 "a*b" 8 "a[b" 9 "a\\b" 10
EXISTS k1 k1 none k2
EXISTS
UNLINK k1 none
TOUCH k2 k3 none
~ KEYS *
~ KEYS k?
~ KEYS h[ae]llo
~ KEYS h[^e]llo
~ KEYS h[a-e]llo
~ KEYS h[e-a]llo
~ KEYS h*o
~ KEYS *l*
~ KEYS "a\\\\*b"
~ KEYS "a\\\\[b"
~ KEYS "a[\\\\*]b"
~ KEYS [
~ KEYS k[2
~ KEYS k[^2
~ KEYS k[]
~ KEYS ?
~ KEYS ""
~ KEYS **k**
KEYS
KEYS a b
~ SCAN 0
~ SCAN 0 COUNT 100
~ SCAN 0 MATCH k* COUNT 100
~ SCAN 0 TYPE string COUNT 1000
~ SCAN 0 TYPE list COUNT 1000
~ SCAN 0 MATCH nothing COUNT 100
SCAN
SCAN x
SCAN 0 COUNT
SCAN 0 COUNT 0
SCAN 0 COUNT -1
SCAN 0 COUNT x
SCAN 0 MATCH
SCAN 0 BAD 1
DBSIZE
DBSIZE x
SELECT 1
DBSIZE
SET only1 1
SELECT 0
EXISTS only1
SELECT 16
SELECT -1
SELECT x
SELECT
SELECT 9223372036854775808
FLUSHDB
DBSIZE
SELECT 1
DBSIZE
FLUSHALL
DBSIZE
FLUSHALL ASYNC
FLUSHALL SYNC
FLUSHALL x
FLUSHALL SYNC SYNC
FLUSHDB async
FLUSHDB x
"""

EXPIRY = r"""
TTL none
PTTL none
SET a 1
TTL a
PTTL a
EXPIRE a 100
TTL a
EXPIRE none 100
PERSIST a
PERSIST a
PERSIST none
TTL a
EXPIRE a 100 NX
EXPIRE a 200 NX
EXPIRE a 200 XX
TTL a
EXPIRE a 100 GT
EXPIRE a 300 GT
EXPIRE a 400 LT
EXPIRE a 50 LT
TTL a
EXPIRE a 60 gt xx
TTL a
PERSIST a
EXPIRE a 10 GT
EXPIRE a 10 XX
EXPIRE a 100 LT
TTL a
EXPIRE a 10 NX XX
EXPIRE a 10 NX GT
EXPIRE a 10 GT LT
EXPIRE a 10 BAD
EXPIRE a x
EXPIRE a 1.5
EXPIRE a
EXPIRE
EXPIRE a 9223372036854775807
EXPIRE a -9223372036854775807
EXPIRE a 9223372036854775
PEXPIRE a 9223372036854775807
PEXPIREAT a 9223372036854775807
PTTL a
EXPIREAT a 99999999999
TTL a
PEXPIREAT a 99999999999999
TTL a
EXPIREAT a 9223372036854775807
EXPIREAT a 9223372036854775
PEXPIRE a 100000
TTL a
EXPIRE a 0
EXISTS a
SET a 1
EXPIRE a -1
EXISTS a
SET a 1
EXPIREAT a 1
EXISTS a
SET a 1
PEXPIREAT a 0
EXISTS a
SET a 1 EX 100
SET a 2
TTL a
APPEND b x
EXPIRE b 100
APPEND b y
TTL b
PERSIST
TTL
TTL a b
"""

TRANSACTIONS = r"""
EXEC
DISCARD
MULTI
MULTI
PING
EXEC
MULTI
SET a 1
GET a
INCR a
DISCARD
GET a
MULTI
SET a 1
INCR a
INCR b
SET c x
INCR c
MGET a b c
EXEC
MULTI
EXEC
MULTI
NOSUCH x y
SET z 1
EXEC
GET z
MULTI
SET z
EXEC
MULTI
CLIENT nosuch
EXEC
MULTI
SET a 1 EX nonsense
EXEC
MULTI
WATCH a
SET a 1
EXEC
EXEC x
MULTI
EXEC x
PING
EXEC
MULTI
DISCARD x
EXEC
MULTI
SELECT 3
SET in3 1
EXEC
EXISTS in3
SELECT 0
EXISTS in3
WATCH a b
2> SET a 9
MULTI
SET a 10
EXEC
GET a
WATCH a
2> SET other 9
MULTI
SET a 10
EXEC
WATCH absent
2> SET absent 1
MULTI
PING
EXEC
WATCH gone
2> SET gone 1
2> DEL gone
MULTI
PING
EXEC
WATCH a
2> SET a 1
UNWATCH
MULTI
PING
EXEC
WATCH a
2> SET a 2
MULTI
PING
DISCARD
MULTI
PING
EXEC
WATCH a
SET a own
MULTI
PING
EXEC
WATCH a
2> FLUSHALL
MULTI
PING
EXEC
WATCH a
2> FLUSHALL
MULTI
PING
EXEC
SET a 1
WATCH a
2> EXPIRE a 100
MULTI
PING
EXEC
WATCH a
2> PERSIST a
MULTI
PING
EXEC
WATCH a
2> APPEND a x
MULTI
PING
EXEC
WATCH a
2> GET a
2> EXPIRE none 10
2> DEL none
2> SET a x NX
MULTI
PING
EXEC
WATCH a
2> SELECT 1
2> SET a 1
2> SELECT 0
MULTI
PING
EXEC
SET tmp 1 PX 30
WATCH tmp
# KEYS nothing
MULTI
PING
EXEC
WATCH
UNWATCH
UNWATCH x
MULTI
UNWATCH
HELLO 3
GET none
HELLO 2
? EXEC
MULTI
CLIENT GETNAME
TYPE a
TTL none
QUIT
"""

CONNECTION = r"""
CLIENT GETNAME
CLIENT SETNAME joe
CLIENT GETNAME
CLIENT SETNAME "a b"
CLIENT SETNAME "a\nb"
CLIENT GETNAME
CLIENT SETNAME ""
CLIENT GETNAME
CLIENT SETNAME
CLIENT
CLIENT nosuch
CLIENT id x
CLIENT LIST x
CLIENT LIST TYPE
CLIENT LIST TYPE nosuch
CLIENT LIST TYPE pubsub
CLIENT LIST TYPE master
CLIENT LIST ID
CLIENT LIST ID x
CLIENT LIST ID 0
CLIENT LIST ID 999999 1000000
? CLIENT ID
? CLIENT LIST
? CLIENT LIST TYPE normal
? CLIENT INFO
? CLIENT HELP
? HELLO
? HELLO 2
? HELLO 3
? HELLO 3 SETNAME me
CLIENT GETNAME
GET none
SET a 1
GET a
SET a 2 NX
MGET a none
MULTI
GET none
EXEC
WATCH a
2> SET a 3
MULTI
EXEC
EXEC
? CLIENT LIST
? INFO server
CONFIG GET save
CONFIG GET nosuch
COMMAND INFO get
COMMAND INFO ttl nosuch client|id
COMMAND GETKEYS MSET a b c d
~ SCAN 0
~ KEYS *
TTL none
HELLO 4
HELLO x
HELLO 2 SETNAME
HELLO 2 SETNAME "a b"
HELLO 2 BAD
HELLO 2 AUTH
HELLO 2 AUTH a
HELLO 2 AUTH nobody x
? HELLO 2 AUTH default x SETNAME you
CLIENT GETNAME
AUTH x
AUTH nobody x
AUTH default x
AUTH a b c
AUTH
RESET
CLIENT GETNAME
RESET x
? INFO
? INFO server clients
INFO nosuch
? INFO everything
? TIME
TIME x
CONFIG
CONFIG GET
CONFIG GET save
CONFIG GET appendonly
CONFIG GET SAVE
CONFIG GET maxmemory
CONFIG GET maxmemory-policy
CONFIG GET maxclients
CONFIG GET databases
CONFIG GET timeout
CONFIG GET tcp-keepalive
CONFIG GET proto-max-bulk-len
CONFIG GET client-query-buffer-limit
CONFIG GET "sav[e]"
CONFIG GET nosuch*
CONFIG nosuch
? CONFIG HELP
nosuch
nosuch a b
"no such\r\ncommand" "with\r\nargs"
"" ""
nosuch aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb cccc
NAMENAMENAMENAMENAMENAMENAMENAMENAMENAMENAMENAMENAMENAMENAMENAMENAMENAMENAMENAMENAMENAMENAMENAMENAMENAMENAMENAMENAMENAMENAMENAMENAMENAME
QUIT
"""

INTROSPECTION = "\n".join("COMMAND INFO " + name for name in (
    "ping echo quit select auth hello reset get setnx setex psetex getset getdel mget mset msetnx "
    "incr decr incrby decrby append strlen del unlink exists touch type expire pexpire expireat "
    "pexpireat ttl pttl persist keys scan dbsize flushdb flushall multi exec discard watch unwatch "
    "info time client|id client|list client|info client|setname client|getname config|get "
    "command|count command|list command|info command|docs command|getkeys GET").split()) + r"""
COMMAND INFO nosuch
COMMAND INFO client|nosuch nosuch|x
COMMAND DOCS nosuch
COMMAND GETKEYS
COMMAND GETKEYS nosuch a
COMMAND GETKEYS get
COMMAND GETKEYS get a
COMMAND GETKEYS get a b
COMMAND GETKEYS ping a
COMMAND GETKEYS del a b c
COMMAND GETKEYS mset a b c d
COMMAND LIST x
COMMAND LIST FILTERBY PATTERN nothing*
COMMAND nosuch
? COMMAND
? COMMAND COUNT
? COMMAND LIST
? COMMAND DOCS
? COMMAND DOCS get
? COMMAND HELP
"""


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
