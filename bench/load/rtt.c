/* Round trip: one byte there and back over one connection, as fast as it will go; blocking, the cheapest way to wait. */
#include "load.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int run_rtt(const struct options *options) {
    struct latencies latencies;
    latencies_init(&latencies, 4000000);
    int fd = must(connect_now(options, 0), "connect");
    char byte = 'x';
    long done = 0;
    double begin = now(), before = begin, after = begin;
    while (after < begin + options->seconds) {
        if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1) must(-1, "send");
        if (recv(fd, &byte, 1, 0) != 1) must(-1, "recv");
        after = now();
        latencies_add(&latencies, after - before);
        before = after;
        done++;
    }
    close(fd);
    latencies_sort(&latencies);
    printf("{\"round_trips\": %ld, \"seconds\": %.6f, \"p50\": %.9f, \"p99\": %.9f}\n", done, after - begin,
           latencies_quantile(&latencies, 0.5), latencies_quantile(&latencies, 0.99));
    return 0;
}
