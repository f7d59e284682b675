/* Arguments: `load MODE [--option value]...`. Modes and options are documented in usage() below. */
#include "load.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void usage(void) {
    fputs("usage: load MODE --address IP:PORT [options]      (one JSON line on stdout; times from CLOCK_MONOTONIC)\n"
          "targets, until killed:\n"
          "  echo       answers each byte with itself, or with --tag C\n"
          "  sink       reads and discards until end of file, then closes\n"
          "  source     sends until the client sends a byte, then ends its side\n"
          "clients:\n"
          "  bulk       --flows N --seconds S | --bytes B, [--down]: up needs sink, down needs source\n"
          "  churn      --flows N at once, --seconds S, [--reset]: open, one byte there and back, close\n"
          "  rtt        --seconds S: one byte there and back over one connection, again and again\n"
          "  hold       --flows N: open, one byte there and back, then idle until a line or the end on stdin\n"
          "  storm      --flows N connects at once, at most --seconds S: until every byte is back\n"
          "  gap        --seconds S: connects in a tight loop until another target's tag answers than the first\n"
          "  wait       --seconds S: until a connection is served (exit code 0) or the time is over (1)\n"
          "other:\n"
          "  link-down  --device NAME: takes the device down, says when\n"
          "--source IP,IP,...  local addresses of clients, taken in turn (more of them: more ports)\n"
          "--device NAME       the device that clients are bound to\n",
          stderr);
    exit(2);
}

static void parse_address(const char *text, struct sockaddr_in *address) {
    char host[64];
    const char *colon = strrchr(text, ':');
    if (!colon || (size_t)(colon - text) >= sizeof host) usage();
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = 0;
    address->sin_family = AF_INET;
    address->sin_port = htons((uint16_t)atoi(colon + 1));
    if (inet_pton(AF_INET, host, &address->sin_addr) != 1) usage();
}

static void parse_sources(char *text, struct options *options) {
    for (char *item = strtok(text, ","); item; item = strtok(NULL, ",")) {
        if (options->source_count == MAX_SOURCES) usage();
        if (inet_pton(AF_INET, item, &options->sources[options->source_count++]) != 1) usage();
    }
}

static const struct {
    const char *name;
    int (*run)(const struct options *);
} MODES[] = {
    {"echo", run_echo}, {"sink", run_sink},   {"source", run_source}, {"bulk", run_bulk}, {"churn", run_churn},
    {"rtt", run_rtt},   {"hold", run_hold},   {"storm", run_storm},   {"gap", run_gap},   {"wait", run_wait},
    {"link-down", run_link_down},
};

int main(int argc, char **argv) {
    static const struct option NAMES[] = {
        {"address", required_argument, 0, 'a'}, {"source", required_argument, 0, 'i'},
        {"flows", required_argument, 0, 'n'},   {"seconds", required_argument, 0, 's'},
        {"bytes", required_argument, 0, 'b'},   {"down", no_argument, 0, 'd'},
        {"reset", no_argument, 0, 'r'},         {"tag", required_argument, 0, 't'},
        {"device", required_argument, 0, 'v'},  {0, 0, 0, 0},
    };
    struct options options = {.flows = 1};
    int name;
    if (argc < 2) usage();
    while ((name = getopt_long(argc - 1, argv + 1, "", NAMES, NULL)) != -1) {
        switch (name) {
        case 'a': parse_address(optarg, &options.address); break;
        case 'i': parse_sources(optarg, &options); break;
        case 'n': options.flows = atoi(optarg); break;
        case 's': options.seconds = atof(optarg); break;
        case 'b': options.bytes = atoll(optarg); break;
        case 'd': options.down = true; break;
        case 'r': options.reset = true; break;
        case 't': options.tag = optarg[0]; break;
        case 'v': options.device = optarg; break;
        default: usage();
        }
    }
    signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    for (size_t i = 0; i < sizeof MODES / sizeof MODES[0]; i++)
        if (!strcmp(argv[1], MODES[i].name)) return MODES[i].run(&options);
    usage();
    return 2;
}
