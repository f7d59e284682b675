/* Bulk: N flows, one direction. Every byte counted has crossed the proxy: the clock stops at the last end of file.
 *
 * Up: the client sends, ends its side when the time is over, and waits for the sink to have read it all. Down: the
 * client says stop with one byte, and reads until the source's end of file. Both end by FIN.
 */
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BLOCK = 128 * 1024, BLOCKS_PER_TURN = 16 };

static char block[BLOCK];
static int64_t moved;

/* Sends a turn's worth. */
static void send_some(int fd) {
    for (int i = 0; i < BLOCKS_PER_TURN; i++) {
        ssize_t sent = send(fd, block, BLOCK, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) return;
        must((int)sent, "send");
        moved += sent;
    }
}

/* Reads a turn's worth; false at the end of file. */
static bool receive_some(int fd) {
    for (int i = 0; i < BLOCKS_PER_TURN; i++) {
        ssize_t got = discard(fd);
        if (got == 0) return false;
        if (got < 0 && errno == EAGAIN) return true;
        must((int)got, "recv");
        moved += got;
    }
    return true;
}

static void stop(const struct options *options, int epoll, int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    must(epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event), "epoll_ctl");
    if (options->down)
        must((int)send(fd, "x", 1, MSG_NOSIGNAL), "send of the stop byte");
    else
        must(shutdown(fd, SHUT_WR), "shutdown");
}

int run_bulk(const struct options *options) {
    int epoll = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1"), open = options->flows;
    int flows[options->flows];
    struct epoll_event events[MAX_EVENTS];
    for (int i = 0; i < options->flows; i++) {
        flows[i] = must(connect_now(options, (unsigned)i), "connect");
        must(fcntl(flows[i], F_SETFL, O_NONBLOCK), "fcntl");
        struct epoll_event event = {.events = options->down ? EPOLLIN : EPOLLOUT, .data.fd = flows[i]};
        must(epoll_ctl(epoll, EPOLL_CTL_ADD, flows[i], &event), "epoll_ctl");
    }
    double begin = now(), limit = options->seconds ? begin + options->seconds : begin + 1e9;
    double give_up = limit + 30;
    int64_t enough = options->bytes ? options->bytes : INT64_MAX;
    bool stopped = false;
    while (open) {
        int count = epoll_wait(epoll, events, MAX_EVENTS, 100);
        if (count < 0 && errno != EINTR) must(count, "epoll_wait");
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (!stopped && !options->down) {
                send_some(fd);
            } else if (!receive_some(fd)) {
                close(fd);
                open--;
            }
        }
        if (!stopped && (moved >= enough || now() >= limit)) {
            stopped = true;
            for (int i = 0; i < options->flows; i++) stop(options, epoll, flows[i]);
        }
        if (stopped && now() > give_up) {
            fprintf(stderr, "load: %d flows did not end within 30 s\n", open);
            return 1;
        }
    }
    printf("{\"bytes\": %lld, \"seconds\": %.6f}\n", (long long)moved, now() - begin);
    return 0;
}
