/* SPDX-License-Identifier: MIT */
/* The functions of the commands, by the file that has them. */
#ifndef LATCHKV_COMMANDS_H
#define LATCHKV_COMMANDS_H

#include "latchkv/command.h"

/* string_commands.c */
kv_run kv_run_get, kv_run_set, kv_run_setnx, kv_run_setex, kv_run_psetex, kv_run_getset;
kv_run kv_run_getdel, kv_run_mget, kv_run_mset, kv_run_msetnx, kv_run_append, kv_run_strlen;
kv_run kv_run_incr, kv_run_decr, kv_run_incrby, kv_run_decrby;

/* key_commands.c */
kv_run kv_run_del, kv_run_exists, kv_run_type, kv_run_keys, kv_run_scan, kv_run_dbsize;
kv_run kv_run_flushdb, kv_run_flushall;

/* expiry_commands.c */
kv_run kv_run_expire, kv_run_pexpire, kv_run_expireat, kv_run_pexpireat;
kv_run kv_run_ttl, kv_run_pttl, kv_run_persist;

/* transaction_commands.c */
kv_run kv_run_multi, kv_run_exec, kv_run_discard, kv_run_watch, kv_run_unwatch;

/* lock_commands.c */
kv_run kv_run_lock, kv_run_unlock, kv_run_locks, kv_run_deadlocks;

/* connection_commands.c */
kv_run kv_run_ping, kv_run_echo, kv_run_quit, kv_run_select, kv_run_auth, kv_run_hello;
kv_run kv_run_reset, kv_run_attack;

/* client_commands.c */
kv_run kv_run_client_id, kv_run_client_list, kv_run_client_info, kv_run_client_setname;
kv_run kv_run_client_getname, kv_run_client_help;

/* server_commands.c */
kv_run kv_run_time, kv_run_config_get, kv_run_config_help, kv_run_info;

/* command_commands.c */
kv_run kv_run_command, kv_run_command_count, kv_run_command_list, kv_run_command_info;
kv_run kv_run_command_docs, kv_run_command_getkeys, kv_run_command_getkeysandflags;
kv_run kv_run_command_help;

#endif
