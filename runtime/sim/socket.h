/* SPDX-License-Identifier: MIT */
/* Sockets of the simulated kernel.
 *
 * Files: socket.c has the calls and what all sockets share, message.c those that move bytes,
 * option.c options, name.c names, stream.c what is written and read on a connection, tcp.c how TCP
 * connections begin, travel and end, unix.c the same for unix sockets and their paths, datagram.c
 * what has no connections, address.c addresses, ports and host names.
 *
 * Who keeps a socket: its open file; its peer; the queue of a listener; each segment on its way to
 * it.  Closing it (`gone`) is not the end of it, since its peer still writes to it. */
#ifndef LW_RUNTIME_SIM_SOCKET_H
#define LW_RUNTIME_SIM_SOCKET_H

#include <netinet/in.h>
#include <sys/un.h>

#include "runtime/sim/file.h"

/* What arrives: bytes of a stream, counted from its start.
 *
 *     begin       arrived          end             begin + capacity
 *       | to be read |  on the way  |  free             |
 */
struct sim_buffer {
    unsigned char *bytes; /* NULL once nobody will read them */
    size_t capacity;
    uint64_t begin, arrived, end;
};

/* An address and a port; IPv4 addresses as IPv6 has them (::ffff:127.0.0.1). */
struct sim_place {
    uint8_t ip[16];
    uint16_t port; /* 0: none */
};

enum sim_socket_state { SIM_CLOSED, SIM_LISTENING, SIM_CONNECTING, SIM_CONNECTED };

enum { SIM_SHUT_READ = 1, SIM_SHUT_WRITE = 2, SIM_SHUT_BOTH = 3 };

enum { SIM_OPTIONS = 16 };

struct sim_packet;
struct sim_segment;

struct sim_socket {
    struct sim_file file;
    unsigned holds;
    int domain, type, protocol;
    enum sim_socket_state state;
    enum { SIM_IDLE, SIM_BEGUN, SIM_JOINED, SIM_ENDING } asked; /* what connect(2) goes by */
    bool gone;                                                  /* closed */
    bool ended;    /* the end of what the peer sends has arrived */
    bool no_space; /* somebody wants to know when there is */
    unsigned shut;
    int error; /* positive; told once */
    struct sim_socket *peer;
    struct sim_buffer in;

    /* A listener, and who is in its queue. */
    STAILQ_HEAD(, sim_socket) queue;
    STAILQ_ENTRY(sim_socket) queue_link;
    unsigned queued, backlog;

    /* Datagrams that have arrived. */
    STAILQ_HEAD(, sim_packet) packets;
    size_t packets_bytes;

    /* Names. */
    struct sim_place local, remote;
    bool bound;      /* in the list of its port */
    bool auto_bound; /* by connect(2) */
    LIST_ENTRY(sim_socket) port_link;
    struct sim_path *path; /* bound to it */
    struct sockaddr_un name;
    socklen_t name_size; /* 0: none */

    /* TCP: segments on their way here; room that the ends of a connection will have; attempts to
     * connect so far. */
    TAILQ_HEAD(sim_segments, sim_segment) segments;
    size_t room;
    unsigned attempts;

    int options[SIM_OPTIONS];
    struct linger linger;
};

static inline struct sim_socket *sim_socket_of(struct sim_file *file)
{
    return (struct sim_socket *)(void *)file;
}

static inline bool sim_is_inet(const struct sim_socket *socket)
{
    return socket->domain != AF_UNIX;
}

static inline size_t sim_buffer_free(const struct sim_buffer *buffer)
{
    return buffer->capacity - (size_t)(buffer->end - buffer->begin);
}

/* ---- socket.c */

void sim_socket_fill(struct lw_sys *table);

/* The socket behind a number, held: 0, -EBADF, -ENOTSOCK.  put: lets go of it; a libc function's
 * value. */
int sim_socket_get(int fd, struct sim_socket **socket);
ssize_t sim_socket_put(struct sim_socket *socket, ssize_t result);

/* A socket without a number, held once; NULL: no memory. */
struct sim_socket *sim_socket_new(int domain, int type, int protocol);
void sim_socket_hold(struct sim_socket *socket);
void sim_socket_drop(struct sim_socket *socket);

/* Make two sockets each other's peers, with buffers; 0 or -ENOMEM. */
int sim_socket_join(struct sim_socket *a, struct sim_socket *b, size_t room);

/* Nobody will read what is in its buffer. */
void sim_socket_empty(struct sim_socket *socket);

/* Neither will write to the other any more. */
void sim_socket_part(struct sim_socket *socket);

/* The error, once; 0 when there is none.  Negative. */
int sim_socket_error(struct sim_socket *socket);

/* What the capacity of a new connection's buffers is. */
size_t sim_socket_room(void);

/* ---- name.c */

int sim_bind(int fd, const struct sockaddr *address, socklen_t size);
/* 0, or: a fault has come over giving it a name. */
int sim_name_refused(const struct sim_socket *socket);
/* As getsockname(2) and getpeername(2) tell it; 0 or -ENOTCONN. */
int sim_socket_name(const struct sim_socket *socket, bool of_peer, struct sockaddr *address,
                    socklen_t *size);

/* ---- message.c */

ssize_t sim_socket_read(struct sim_file *file, const struct sim_parts *parts);
ssize_t sim_socket_write(struct sim_file *file, const struct sim_parts *parts, bool quiet);
ssize_t sim_recv(int fd, void *buffer, size_t size, int flags);
ssize_t sim_send(int fd, const void *buffer, size_t size, int flags);
ssize_t sim_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t sim_sendmsg(int fd, const struct msghdr *message, int flags);

/* ---- stream.c */

struct sim_transfer {
    const struct sim_parts *parts;
    int flags; /* MSG_... */
    bool wait;
};

ssize_t sim_stream_read(struct sim_socket *socket, const struct sim_transfer *transfer);
ssize_t sim_stream_write(struct sim_socket *socket, const struct sim_transfer *transfer);
uint32_t sim_stream_poll(struct sim_socket *socket);
void sim_raise_pipe(void);

/* ---- tcp.c */

int sim_tcp_connect(struct sim_socket *socket, const struct sim_place *to, bool wait);
void sim_tcp_sent(struct sim_socket *to);      /* bytes, which are in its buffer */
void sim_tcp_break(struct sim_socket *socket); /* by weather: both ends see a reset */
void sim_tcp_close(struct sim_socket *socket);
int sim_tcp_shutdown(struct sim_socket *socket, unsigned how);
void sim_tcp_listener_end(struct sim_socket *socket);

/* ---- unix.c */

int sim_unix_bind(struct sim_socket *socket, const struct sockaddr *address, socklen_t size);
int sim_unix_find(const struct sockaddr *address, socklen_t size, struct sim_socket **socket);
int sim_unix_connect(struct sim_socket *socket, const struct sockaddr *address, socklen_t size,
                     bool wait);
void sim_unix_close(struct sim_socket *socket);
int sim_unix_shutdown(struct sim_socket *socket, unsigned how);
void sim_unix_name(const struct sim_socket *socket, struct sockaddr_un *name, socklen_t *size);
bool sim_unix_has(const char *path); /* a socket is bound there, or was */
int sim_lstat(const char *path, struct stat *status);
int sim_unlink(const char *path);

#endif
