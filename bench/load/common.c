/* Sockets, clock and percentiles for all modes. */
#include "load.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

int must(int result, const char *what) {
    if (result < 0) {
        fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
        exit(1);
    }
    return result;
}

void raise_descriptor_limit(void) {
    struct rlimit limit;
    must(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    must(setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
}

int descriptor_limit(void) {
    struct rlimit limit;
    must(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
    return (int)limit.rlim_cur;
}

static void set(int fd, int level, int name, int value) {
    must(setsockopt(fd, level, name, &value, sizeof value), "setsockopt");
}

int listen_on(const struct options *options) {
    int fd = must(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
    set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    set(fd, IPPROTO_TCP, TCP_NODELAY, 1); /* inherited by what is accepted */
    must(bind(fd, (const struct sockaddr *)&options->address, sizeof options->address), "bind");
    must(listen(fd, 65535), "listen");
    printf("{\"listening\": true}\n");
    fflush(stdout);
    return fd;
}

static int open_socket(const struct options *options, unsigned turn, int flags) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    if (fd < 0) return -1;
    set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (options->device)
        must(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, options->device, (socklen_t)strlen(options->device)),
             "SO_BINDTODEVICE");
    if (options->source_count) {
        struct sockaddr_in source = {.sin_family = AF_INET};
        source.sin_addr = options->sources[turn % (unsigned)options->source_count];
        /* The port is chosen by connect(), for the whole four-tuple: ports in TIME_WAIT can be had again. */
        set(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
        must(bind(fd, (struct sockaddr *)&source, sizeof source), "bind of a source address");
    }
    return fd;
}

static int connect_socket(const struct options *options, int fd) {
    if (fd < 0) return -1;
    if (connect(fd, (const struct sockaddr *)&options->address, sizeof options->address) == 0) return fd;
    if (errno == EINPROGRESS) return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

int start_connect(const struct options *options, unsigned turn) {
    return connect_socket(options, open_socket(options, turn, SOCK_NONBLOCK));
}

int connect_now(const struct options *options, unsigned turn) {
    return connect_socket(options, open_socket(options, turn, 0));
}

void close_with_reset(int fd) {
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    must(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), "SO_LINGER");
    close(fd);
}

ssize_t discard(int fd) { return recv(fd, NULL, 1 << 20, MSG_TRUNC); }

void latencies_init(struct latencies *latencies, size_t capacity) {
    latencies->values = malloc(capacity * sizeof *latencies->values);
    if (!latencies->values) must(-1, "malloc");
    memset(latencies->values, 0, capacity * sizeof *latencies->values); /* no page fault while the clock runs */
    latencies->count = 0;
    latencies->capacity = capacity;
}

void latencies_add(struct latencies *latencies, double seconds) {
    if (latencies->count < latencies->capacity) latencies->values[latencies->count++] = (float)seconds;
}

static int compare(const void *left, const void *right) {
    float a = *(const float *)left, b = *(const float *)right;
    return (a > b) - (a < b);
}

void latencies_sort(struct latencies *latencies) {
    qsort(latencies->values, latencies->count, sizeof *latencies->values, compare);
}

double latencies_quantile(const struct latencies *latencies, double quantile) {
    if (!latencies->count) return 0;
    return (double)latencies->values[(size_t)(quantile * (double)(latencies->count - 1))];
}
