# SPDX-License-Identifier: MIT
"""Requests for differential.py: transactions, connections, and what COMMAND tells."""

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
""" + "nosuch " + "a" * 72 + " " + "b" * 76 + " cccc\n" + "NAME" * 34 + "\nQUIT\n"

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
