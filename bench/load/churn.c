/* Churn: a constant number of connections under way, each opened, one byte there and back, closed by FIN or RST.
 *
 * A connection that cannot be opened for want of a port (FIN leaves the client in TIME_WAIT) is counted as failed and
 * tried again from the next source address. Latency is from connect() to the byte's return.
 */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static int epoll;
static double *begun; /* by descriptor */
static unsigned turn;
static long failed;

static void open_one(const struct options *options) {
    int fd;
    for (int attempt = 0; (fd = start_connect(options, turn++)) < 0; attempt++) {
        failed++;
        if (errno != EADDRNOTAVAIL || attempt > 2 * MAX_SOURCES) must(fd, "connect");
    }
    begun[fd] = now();
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.fd = fd};
    must(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

int run_churn(const struct options *options) {
    struct latencies latencies;
    struct epoll_event events[MAX_EVENTS];
    long done = 0;
    latencies_init(&latencies, 4000000);
    begun = calloc((size_t)descriptor_limit(), sizeof *begun);
    epoll = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    double begin = now(), limit = begin + options->seconds;
    int under_way = options->flows;
    for (int i = 0; i < options->flows; i++) open_one(options);
    while (under_way) {
        int count = epoll_wait(epoll, events, MAX_EVENTS, 1000);
        if (count < 0 && errno != EINTR) must(count, "epoll_wait");
        double time = now();
        if (time > limit + 10) break; /* what is left hangs: counted below */
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (!(events[i].events & (EPOLLIN | EPOLLERR))) {
                if (send(fd, "x", 1, MSG_NOSIGNAL) == 1) continue;
            } else {
                char byte;
                if (!(events[i].events & EPOLLERR) && recv(fd, &byte, 1, 0) == 1) {
                    latencies_add(&latencies, now() - begun[fd]);
                    done++;
                } else {
                    failed++;
                }
            }
            if (options->reset)
                close_with_reset(fd);
            else
                close(fd);
            if (time < limit)
                open_one(options);
            else
                under_way--;
        }
    }
    double seconds = now() - begin;
    latencies_sort(&latencies);
    printf("{\"connections\": %ld, \"seconds\": %.6f, \"failed\": %ld, \"hung\": %d, \"p50\": %.9f, \"p99\": %.9f}\n", done,
           seconds, failed, under_way, latencies_quantile(&latencies, 0.5), latencies_quantile(&latencies, 0.99));
    return 0;
}
