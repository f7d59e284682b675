/* What the modes of the load program share: options, sockets, the clock, percentiles.
 *
 * The program is the load and the target of the benchmarks. It must cost so little that the proxy between its two
 * halves is what gets measured: one thread, one epoll, no allocation and no formatted output while the clock runs.
 */
#ifndef LOAD_H
#define LOAD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { MAX_SOURCES = 64, MAX_EVENTS = 1024 };

struct options {
    struct sockaddr_in address;          /* where to listen or to connect */
    struct in_addr sources[MAX_SOURCES]; /* local addresses that clients take in turn; none: the kernel's choice */
    int source_count;
    int flows;      /* connections at once */
    double seconds; /* how long; 0: no limit */
    int64_t bytes;  /* bulk: bytes over all flows; 0: no limit */
    bool down;      /* bulk: from the target to the client */
    bool reset;     /* churn: end with RST, not FIN */
    int tag;        /* echo: answer each byte with this one; 0: with itself */
    const char *device; /* what clients are bound to, or what is taken down */
};

double now(void); /* CLOCK_MONOTONIC, seconds: the same clock as Python's time.monotonic() */

/* Ends the program with a message when `result` is negative; returns it otherwise. */
int must(int result, const char *what);

void raise_descriptor_limit(void);
int descriptor_limit(void);

int listen_on(const struct options *options);
/* A connecting, non-blocking socket with TCP_NODELAY, or -1 with errno set. `turn` picks the source address. */
int start_connect(const struct options *options, unsigned turn);
/* A connected, blocking socket with TCP_NODELAY, or -1 with errno set. */
int connect_now(const struct options *options, unsigned turn);
void close_with_reset(int fd);
/* recv() that throws the bytes away where they are: a receiver that copied them would cost more than most proxies. */
ssize_t discard(int fd);

/* Latencies in seconds, kept as they come and sorted at the end. Full: later ones are left out. */
struct latencies {
    float *values;
    size_t count, capacity;
};
void latencies_init(struct latencies *latencies, size_t capacity);
void latencies_add(struct latencies *latencies, double seconds);
void latencies_sort(struct latencies *latencies);
double latencies_quantile(const struct latencies *latencies, double quantile); /* after sorting; 0 if empty */

/* The modes. Each prints one JSON line on stdout and returns the exit code. */
int run_echo(const struct options *options);
int run_sink(const struct options *options);
int run_source(const struct options *options);
int run_bulk(const struct options *options);
int run_churn(const struct options *options);
int run_rtt(const struct options *options);
int run_hold(const struct options *options);
int run_storm(const struct options *options);
int run_gap(const struct options *options);
int run_wait(const struct options *options);
int run_link_down(const struct options *options);

#endif
