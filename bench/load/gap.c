/* Failover as a client sees it, and what sets it off.
 *
 * gap connects in a tight loop (open, one byte, answer, RST). Each target answers with a tag of its own, so the
 * answer says through which tunnel it came. It ends with the first answer that differs from the first tag.
 * link-down takes a device down and says when: the other end of a veth pair loses its carrier at that moment.
 * wait returns as soon as a connection is served: it sends a byte and ends its side, and something comes back, be it
 * only the target's end of file; a reset is not an answer.
 */
#include "load.h"

#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* One connection: the byte that came back, or 0 when it failed. */
static int ask(const struct options *options, unsigned turn, double patience) {
    int fd = connect_now(options, turn);
    if (fd < 0) return 0;
    struct timeval timeout = {.tv_sec = (time_t)patience, .tv_usec = (suseconds_t)((patience - (time_t)patience) * 1e6)};
    must(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout), "SO_RCVTIMEO");
    char byte = 0;
    bool answered = send(fd, "x", 1, MSG_NOSIGNAL) == 1 && recv(fd, &byte, 1, 0) == 1;
    close_with_reset(fd);
    return answered ? byte : 0;
}

int run_gap(const struct options *options) {
    double limit = now() + options->seconds, last_first = 0, time = now();
    long answered = 0, failed = 0;
    int first = 0, tag = 0;
    for (unsigned turn = 0; time < limit; turn++) {
        tag = ask(options, turn, options->seconds);
        time = now();
        if (!tag) {
            failed++;
            continue;
        }
        if (!first) {
            first = tag;
            printf("{\"tag\": \"%c\", \"at\": %.9f}\n", first, time); /* the bench may take the link down now */
            fflush(stdout);
        }
        if (tag != first) break;
        answered++;
        last_first = time;
    }
    if (!tag || tag == first) {
        fprintf(stderr, "load: no other target answered within the time (%ld answered, %ld failed)\n", answered, failed);
        return 1;
    }
    printf("{\"tag\": \"%c\", \"at\": %.9f, \"last_before\": %.9f, \"answered\": %ld, \"failed\": %ld}\n", tag, time,
           last_first, answered, failed);
    return 0;
}

static bool served(const struct options *options) {
    int fd = connect_now(options, 0);
    if (fd < 0) return false;
    struct timeval timeout = {.tv_sec = 1};
    must(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout), "SO_RCVTIMEO");
    char byte;
    bool good = send(fd, "x", 1, MSG_NOSIGNAL) == 1 && shutdown(fd, SHUT_WR) == 0 && recv(fd, &byte, 1, 0) >= 0;
    close_with_reset(fd);
    return good;
}

int run_wait(const struct options *options) {
    double begin = now();
    while (now() < begin + options->seconds) {
        if (served(options)) {
            printf("{\"seconds\": %.6f}\n", now() - begin);
            return 0;
        }
        poll(NULL, 0, 5);
    }
    fprintf(stderr, "load: no answer within %.1f s\n", options->seconds);
    return 1;
}

int run_link_down(const struct options *options) {
    struct ifreq request = {0};
    if (!options->device) must((errno = EINVAL, -1), "--device");
    strncpy(request.ifr_name, options->device, IFNAMSIZ - 1);
    int fd = must(socket(AF_INET, SOCK_DGRAM, 0), "socket");
    must(ioctl(fd, SIOCGIFFLAGS, &request), "SIOCGIFFLAGS");
    request.ifr_flags = (short)(request.ifr_flags & ~IFF_UP);
    double before = now();
    must(ioctl(fd, SIOCSIFFLAGS, &request), "SIOCSIFFLAGS");
    printf("{\"before\": %.9f, \"after\": %.9f}\n", before, now());
    return 0;
}
