/* Many connections at once: storm (how long until every byte is back) and hold (keep them open, idle). */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct crowd {
    int epoll, opened, answered, failed;
    int *members;
    double *begun; /* by descriptor */
    struct latencies latencies;
};

static void crowd_init(struct crowd *crowd, const struct options *options) {
    crowd->epoll = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    crowd->opened = crowd->answered = crowd->failed = 0;
    crowd->members = calloc((size_t)options->flows, sizeof *crowd->members);
    crowd->begun = calloc((size_t)descriptor_limit(), sizeof *crowd->begun);
    latencies_init(&crowd->latencies, (size_t)options->flows);
}

static void open_one(struct crowd *crowd, const struct options *options) {
    int fd = must(start_connect(options, (unsigned)crowd->opened), "connect");
    crowd->members[crowd->opened++] = fd;
    crowd->begun[fd] = now();
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.fd = fd};
    must(epoll_ctl(crowd->epoll, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

/* Serves what is ready, for at most 100 ms. */
static void serve(struct crowd *crowd) {
    struct epoll_event events[MAX_EVENTS];
    int count = epoll_wait(crowd->epoll, events, MAX_EVENTS, 100);
    if (count < 0 && errno != EINTR) must(count, "epoll_wait");
    for (int i = 0; i < count; i++) {
        int fd = events[i].data.fd;
        char byte;
        if (!(events[i].events & (EPOLLIN | EPOLLERR)) && send(fd, "x", 1, MSG_NOSIGNAL) == 1) continue;
        if (!(events[i].events & EPOLLERR) && recv(fd, &byte, 1, 0) == 1) {
            latencies_add(&crowd->latencies, now() - crowd->begun[fd]);
            crowd->answered++;
        } else {
            crowd->failed++;
        }
        must(epoll_ctl(crowd->epoll, EPOLL_CTL_DEL, fd, NULL), "epoll_ctl");
    }
}

static bool settled(const struct crowd *crowd) { return crowd->answered + crowd->failed == crowd->opened; }

static void report(struct crowd *crowd, double seconds) {
    latencies_sort(&crowd->latencies);
    printf("{\"opened\": %d, \"answered\": %d, \"failed\": %d, \"seconds\": %.6f, \"p50\": %.9f, \"p99\": %.9f}\n",
           crowd->opened, crowd->answered, crowd->failed, seconds, latencies_quantile(&crowd->latencies, 0.5),
           latencies_quantile(&crowd->latencies, 0.99));
    fflush(stdout);
}

static void disperse(struct crowd *crowd) {
    for (int i = 0; i < crowd->opened; i++) close_with_reset(crowd->members[i]);
}

int run_storm(const struct options *options) {
    struct crowd crowd;
    crowd_init(&crowd, options);
    double begin = now();
    for (int i = 0; i < options->flows; i++) open_one(&crowd, options);
    while (!settled(&crowd) && now() < begin + options->seconds) serve(&crowd);
    report(&crowd, now() - begin);
    disperse(&crowd);
    return 0;
}

int run_hold(const struct options *options) {
    enum { AT_ONCE = 128 }; /* gently: what is measured is how they are kept, not how they come */
    struct crowd crowd;
    crowd_init(&crowd, options);
    double begin = now(), limit = begin + (options->seconds ? options->seconds : 60);
    while ((crowd.opened < options->flows || !settled(&crowd)) && now() < limit) {
        while (crowd.opened < options->flows && crowd.opened - crowd.answered - crowd.failed < AT_ONCE)
            open_one(&crowd, options);
        serve(&crowd);
    }
    report(&crowd, now() - begin);
    char line[16];
    if (!fgets(line, sizeof line, stdin)) fputs("load: let go by the end of stdin\n", stderr);
    disperse(&crowd);
    return 0;
}
