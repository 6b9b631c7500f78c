/* SPDX-License-Identifier: MIT */
/* The names of sockets: what they are bound to, and who asks for it. */
#include "runtime/sim/address.h"
#include "runtime/sim/socket.h"

/* The ports are used up, or another one was quicker; of a path there is no memory to keep it. */
int sim_name_refused(const struct sim_socket *socket)
{
    if (!sim_fault(SIM_FAULT_OTHER))
        return 0;
    return sim_is_inet(socket) ? -EADDRINUSE : -ENOMEM;
}

int sim_bind(int fd, const struct sockaddr *address, socklen_t size)
{
    struct sim_socket *socket;
    struct sim_place place;
    int err;

    sim_point();
    if (!sim_is_ours(fd))
        return sim_real.bind(fd, address, size);
    err = sim_socket_get(fd, &socket);
    if (err < 0)
        return (int)sim_result(err);
    err = sim_name_refused(socket);
    if (err == 0 && !sim_is_inet(socket)) {
        err = sim_unix_bind(socket, address, size);
    } else if (err == 0) {
        err = sim_place_of(socket, address, size, &place);
        if (err == 0)
            err = socket->bound || socket->state != SIM_CLOSED ? -EINVAL
                                                               : sim_bind_inet(socket, &place);
    }
    return (int)sim_socket_put(socket, err);
}

/* Cut off as getsockname(2) does it. */
static void tell_name(const void *name, socklen_t is, struct sockaddr *address, socklen_t *size)
{
    if (address == NULL || size == NULL)
        return;
    memcpy(address, name, *size < is ? *size : is);
    *size = is;
}

int sim_socket_name(const struct sim_socket *socket, bool of_peer, struct sockaddr *address,
                    socklen_t *size)
{
    struct sockaddr_storage name;
    socklen_t is;

    if (of_peer && (sim_is_inet(socket) ? socket->state != SIM_CONNECTED || socket->remote.port == 0
                                        : socket->peer == NULL))
        return -ENOTCONN;
    if (sim_is_inet(socket))
        is = sim_place_name(socket, of_peer ? &socket->remote : &socket->local, &name);
    else
        sim_unix_name(of_peer ? socket->peer : socket, (struct sockaddr_un *)&name, &is);
    tell_name(&name, is, address, size);
    return 0;
}

static int ask_name(int fd, bool of_peer, struct sockaddr *address, socklen_t *size)
{
    struct sim_socket *socket;
    int err;

    sim_point();
    err = sim_socket_get(fd, &socket);
    return err < 0 ? (int)sim_result(err)
                   : (int)sim_socket_put(socket, sim_socket_name(socket, of_peer, address, size));
}

int sim_getsockname(int fd, struct sockaddr *address, socklen_t *size)
{
    return sim_is_ours(fd) ? ask_name(fd, false, address, size) : getsockname(fd, address, size);
}

int sim_getpeername(int fd, struct sockaddr *address, socklen_t *size)
{
    return sim_is_ours(fd) ? ask_name(fd, true, address, size) : getpeername(fd, address, size);
}
