/* SPDX-License-Identifier: MIT */
/* Tests that are not run in simulated schedules, and why.  What is here is about the real system,
 * or costs more steps than it finds orders of events. */
#ifndef LW_TESTS_SIM_LEFT_OUT_H
#define LW_TESTS_SIM_LEFT_OUT_H

#include <stddef.h>

static const struct left_out {
    const char *tests; /* pattern of <suite>/<test> */
    const char *reason;
} left_out[] = {
    {"fork/*", "forks; a schedule is one process"},
    {"*/after_fork_*", "forks"},
    {"signal/*", "real signals"},
    {"overflow/*", "real signals of stacks that overflow"},
    {"stack_guards/*", "asks the real kernel whether guards hold"},
    {"blocking/gives_the_status_of_a_function_that_ran_on_another_thread",
     "asks the real kernel for the number of the thread"},
    {"blocking/leaves_no_threads_behind", "the same"},
    {"blocking/of_a_task_that_was_given_up_still_ends", "the same"},
    {"busy/a_spare_comes_though_all_descriptors_are_used_up",
     "uses up all descriptors of the real kernel"},
    {"close/a_closed_one_is_not_watched_though_a_duplicate_lives", "dup2(2)"},
    {"close/what_goes_on_in_a_child_after_a_close_wakes_nobody_here", "forks"},
    {"descriptor/a_broken_pipe_is_an_error_and_never_a_signal",
     "asks for pending SIGPIPE"},
    {"descriptor/terminals_are_waited_for", "a real terminal"},
    {"edges/what_lies_behind_urgent_data_is_read", "urgent data are not simulated"},
    {"edges/readiness_that_is_of_no_use_does_not_keep_anybody_awake",
     "urgent data are not simulated"},
    {"edges/a_number_that_changes_hands_behind_our_back_is_waited_for_all_the_same",
     "dup2(2)"},
    {"hold/thousands_may_be_held", "millions of steps"},
    {"stack/the_depot_counts_right_under_contention", "millions of steps"},
    {"timer/a_home_is_one_wheels", "millions of steps"},
    {"record/the_depot_loses_none_under_contention", "millions of steps"},
    {"io/nothing_in_parts_sends_nothing", "SOCK_SEQPACKET is not simulated"},
    {"io/writers_of_one_pipe_all_get_their_turn",
     "waits until a pipe is full, which a few rounds do not fill"},
    {"io_faults/where_epoll_pwait2_is_*", "the real epoll"},
    {"io_faults/without_memory_for_its_record_a_descriptor_is_untouched", "dup2(2)"},
    {"local/what_is_no_socket_is_never_removed", "real files"},
    {"local/a_listener_takes_the_place_of_a_letterbox_once_nobody_has_it",
     "stat(2) of a simulated path"},
    {"local/a_datagram_waits_for_room_in_a_queue_that_others_filled",
     "unlink(2) of a simulated path"},
    {"local/a_descriptor_that_is_passed_along_is_close_on_exec",
     "descriptors are not passed along in simulation"},
    {"message/ends_with_the_bytes_that_ancillary_data_came_with",
     "descriptors are not passed along in simulation"},
    {"message/comes_whole_however_it_was_cut", "ioctl(2)"},
    {"message/that_is_interrupted_loses_neither_bytes_nor_the_reason", "ioctl(2)"},
    {"memory/spawn_survives_*", "a whole sweep of faults in one test: see faults.c"},
    {"record/trim_keeps_a_chunk_of_which_one_is_in_use",
     "counts records of a library that is not small"},
    {"runtime/run_gives_the_status_and_is_not_for_tasks",
     "asks for a simulation in a simulation"},
    {"stack/a_million_promises_need_few_mappings", "a million stacks"},
    {"stack/a_stack_lies_above_a_guard_and_is_found_by_any_address_in_it",
     "touches a guard on purpose"},
    {"io_faults/an_accept_goes_on_when_a_descriptor_is_free_again",
     "the real limit of descriptors"},
    {"memory/burst_of_spawns_costs_records_not_stacks", "resident memory is the real kernel's"},
    {"memory/goes_back_after_a_peak", "resident memory is the real kernel's"},
    {"memory/of_records_goes_back_by_itself", "resident memory is the real kernel's"},
    {"record/trim_gives_memory_back", "resident memory is the real kernel's"},
    {NULL, NULL},
};

/* Suites of descriptors: nothing is woken for nothing there, or what they say of readiness would
 * not hold. */
static const char *const exact[] = {
    "busy", "close", "descriptor", "edges", "io", "io_faults", "local", "message", "net", "worker",
};

/* What takes tens of milliseconds: a fraction of the schedules. */
enum { LARGE_ONE_IN = 20 };
static const char *const large[] = {
    "busy/a_spare_stops_when_the_stuck_one_is_back",
    "busy/whoever_waits_behind_a_hog_is_served_by_one_who_has_work_of_its_own",
    "channel/items_come_in_the_order_they_were_sent",
    "edges/who_waits_where_the_poller_of_another_runtime_ends_is_taken_over",
    "futex/wakes_only_those_of_that_word",
    "group/r236_*",
    "group/r237_*",
    "join/a_long_chain_is_no_cycle",
    "memory/steady_state_allocates_nothing",
    "record/id_stays_stale_and_sequence_grows_over_trim_and_new_carving",
    "runtime/start_after_stop_many_times_leaves_nothing",
    "stack/a_stack_keeps_its_number",
};

#endif
