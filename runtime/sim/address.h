/* SPDX-License-Identifier: MIT */
/* Addresses and ports of the simulated network: one host, that has the loopback addresses. */
#ifndef LW_RUNTIME_SIM_ADDRESS_H
#define LW_RUNTIME_SIM_ADDRESS_H

#include "runtime/sim/socket.h"

/* A sockaddr of the socket's domain: 0, -EINVAL, -EAFNOSUPPORT. */
int sim_place_of(const struct sim_socket *socket, const struct sockaddr *address, socklen_t size,
                 struct sim_place *place);

/* As a sockaddr of the socket's domain; its size. */
socklen_t sim_place_name(const struct sim_socket *socket, const struct sim_place *place,
                         struct sockaddr_storage *name);

/* An address of this host, or the one that stands for all of them (0.0.0.0, ::)? */
bool sim_place_is_local(const struct sim_place *place);
bool sim_place_is_v4(const struct sim_place *place);

/* The loopback address of the same family. */
void sim_place_loopback(struct sim_place *place);

/* 0.0.0.0 or :: becomes the loopback address, as in connect(2). */
void sim_place_settle(struct sim_place *place);

/* Take a port: place->port 0: any.  0, -EADDRINUSE, -EADDRNOTAVAIL, -EINVAL. */
int sim_bind_inet(struct sim_socket *socket, const struct sim_place *place);
void sim_unbind(struct sim_socket *socket);

/* Somebody else listens there already. */
bool sim_port_is_heard(const struct sim_socket *socket);

/* An accepted connection: it has its listener's port without asking. */
void sim_bind_child(struct sim_socket *child, const struct sim_place *place);

/* Who gets what is sent to that place: a listener (SOCK_STREAM) or a datagram socket; NULL. */
struct sim_socket *sim_find_bound(int type, const struct sim_place *to,
                                  const struct sim_place *from);

int sim_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                    struct addrinfo **found);

#endif
