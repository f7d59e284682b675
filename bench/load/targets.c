/* The three targets: echo, sink, source. Each serves until it is killed. */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BLOCK = 128 * 1024, BLOCKS_PER_TURN = 16 };

static char block[BLOCK];

/* Serves one ready connection; returns false when it is over and is to be closed. */
typedef bool serve_function(const struct options *options, int epoll, int fd, uint32_t events);

static void serve_forever(const struct options *options, uint32_t interest, serve_function *serve) {
    int listener = listen_on(options), epoll = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[MAX_EVENTS];
    must(epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event), "epoll_ctl");
    for (;;) {
        int count = epoll_wait(epoll, events, MAX_EVENTS, -1);
        if (count < 0 && errno != EINTR) must(count, "epoll_wait");
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd != listener) {
                if (!serve(options, epoll, fd, events[i].events)) close(fd);
                continue;
            }
            for (int accepted = 0; accepted < 64; accepted++) {
                int client = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
                if (client < 0 && (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR)) break;
                must(client, "accept");
                struct epoll_event first = {.events = interest, .data.fd = client};
                must(epoll_ctl(epoll, EPOLL_CTL_ADD, client, &first), "epoll_ctl");
            }
        }
    }
}

static bool would_block(ssize_t result) { return result < 0 && errno == EAGAIN; }

static bool echo(const struct options *options, int epoll, int fd, uint32_t events) {
    (void)epoll, (void)events;
    char bytes[4096];
    ssize_t got = recv(fd, bytes, sizeof bytes, 0);
    if (got <= 0) return would_block(got);
    if (options->tag)
        for (ssize_t i = 0; i < got; i++) bytes[i] = (char)options->tag;
    return send(fd, bytes, (size_t)got, MSG_NOSIGNAL) == got; /* one byte at a time is all that clients send */
}

static bool sink(const struct options *options, int epoll, int fd, uint32_t events) {
    (void)options, (void)epoll, (void)events;
    for (int i = 0; i < BLOCKS_PER_TURN; i++) {
        ssize_t got = discard(fd);
        if (got <= 0) return would_block(got);
    }
    return true;
}

static bool source(const struct options *options, int epoll, int fd, uint32_t events) {
    (void)options;
    if (events & EPOLLIN) {
        char byte;
        ssize_t got = recv(fd, &byte, 1, 0);
        if (got <= 0) return would_block(got);
        struct epoll_event rest = {.events = EPOLLIN, .data.fd = fd};
        return shutdown(fd, SHUT_WR) == 0 && epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &rest) == 0;
    }
    for (int i = 0; i < BLOCKS_PER_TURN; i++) {
        ssize_t sent = send(fd, block, BLOCK, MSG_NOSIGNAL);
        if (sent < 0) return would_block(sent);
    }
    return true;
}

int run_echo(const struct options *options) {
    serve_forever(options, EPOLLIN, echo);
    return 0;
}

int run_sink(const struct options *options) {
    serve_forever(options, EPOLLIN, sink);
    return 0;
}

int run_source(const struct options *options) {
    serve_forever(options, EPOLLIN | EPOLLOUT, source);
    return 0;
}
