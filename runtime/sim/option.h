/* SPDX-License-Identifier: MIT */
/* Options of simulated sockets: those that are kept, with the value that was set. */
#ifndef LW_RUNTIME_SIM_OPTION_H
#define LW_RUNTIME_SIM_OPTION_H

#include "runtime/sim/socket.h"

/* The value of one of those that are numbers; 0 for what this socket does not have. */
int sim_option(const struct sim_socket *socket, int level, int name);

void sim_options_init(struct sim_socket *socket);

int sim_setsockopt(int fd, int level, int name, const void *value, socklen_t size);
int sim_getsockopt(int fd, int level, int name, void *value, socklen_t *size);

#endif
