/* SPDX-License-Identifier: MIT */
/* Sockets without connections: UDP and unix datagrams. */
#ifndef LW_RUNTIME_SIM_DATAGRAM_H
#define LW_RUNTIME_SIM_DATAGRAM_H

#include "runtime/sim/socket.h"

uint32_t sim_datagram_poll(struct sim_socket *socket);

/* `message` may be NULL: nobody asks for names. */
ssize_t sim_datagram_read(struct sim_socket *socket, const struct sim_transfer *transfer,
                          struct msghdr *message);
ssize_t sim_datagram_write(struct sim_socket *socket, const struct sim_transfer *transfer,
                           const struct msghdr *message);
int sim_datagram_connect(struct sim_socket *socket, const struct sockaddr *address, socklen_t size);
int sim_datagram_shutdown(struct sim_socket *socket, unsigned how);
ssize_t sim_datagram_pending(const struct sim_socket *socket);
void sim_datagram_close(struct sim_socket *socket);

#endif
