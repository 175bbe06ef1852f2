/* What passes through a proxy: an echo and a sink to stand behind it, and two loads to stand before it. One thread each.

   through echo|sink             prints its port, serves until it is killed
   through bulk PORT SECONDS     bytes sent to a sink:       "bytes seconds"
   through pairs PORT CONNECTIONS SECONDS   64 bytes there and back on each: "round-trips seconds p50-us p99-us" */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE 64
#define CONNECTIONS_MAX 256
#define SAMPLES_MAX (1 << 21)
static char buffer[1 << 18];
static float samples[SAMPLES_MAX];

static void die(const char *what) {
    perror(what);
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static int tuned(int fd) {
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static struct sockaddr_in place(int port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return at;
}

static int dial(int port) {
    struct sockaddr_in at = place(port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&at, sizeof at)) die("connect");
    return tuned(fd);
}

static void serve(int echoes) {
    struct sockaddr_in at = place(0);
    socklen_t size = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0), poll = epoll_create1(0);
    if (bind(listener, (struct sockaddr *)&at, size) || listen(listener, 512)) die("listen");
    getsockname(listener, (struct sockaddr *)&at, &size);
    printf("%d\n", ntohs(at.sin_port));
    fflush(stdout);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, ready[64];
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int count = epoll_wait(poll, ready, 64, -1);
        for (int i = 0; i < count; i++) {
            int fd = ready[i].data.fd;
            if (fd == listener) {
                event.data.fd = tuned(accept(listener, NULL, NULL));
                epoll_ctl(poll, EPOLL_CTL_ADD, event.data.fd, &event);
                continue;
            }
            ssize_t got = read(fd, buffer, sizeof buffer);
            if (got <= 0)
                close(fd);
            else if (echoes && write(fd, buffer, got) != got)
                die("write");
        }
    }
}

static void bulk(int port, double seconds) {
    int fd = dial(port);
    double began = now(), sent = 0;
    while (now() - began < seconds) {
        ssize_t put = write(fd, buffer, sizeof buffer);
        if (put < 0) die("write");
        sent += put;
    }
    printf("%.0f %.3f\n", sent, now() - began);
}

static int ascending(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void pairs(int port, int connections, double seconds) {
    int poll = epoll_create1(0), fds[CONNECTIONS_MAX], have[CONNECTIONS_MAX] = {0};
    double sent_at[CONNECTIONS_MAX], began = now();
    long done = 0;
    if (connections > CONNECTIONS_MAX) connections = CONNECTIONS_MAX;
    for (int i = 0; i < connections; i++) {
        fds[i] = dial(port);
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        epoll_ctl(poll, EPOLL_CTL_ADD, fds[i], &event);
        sent_at[i] = now();
        if (write(fds[i], buffer, MESSAGE) != MESSAGE) die("write");
    }
    while (now() - began < seconds) {
        struct epoll_event ready[64];
        int count = epoll_wait(poll, ready, 64, 1000);
        for (int n = 0; n < count; n++) {
            int i = ready[n].data.u32;
            ssize_t got = read(fds[i], buffer, MESSAGE - have[i]);
            if (got <= 0) die("read");
            have[i] += got;
            if (have[i] < MESSAGE) continue;
            double at = now();
            have[i] = 0;
            if (done < SAMPLES_MAX) samples[done] = (at - sent_at[i]) * 1e6;
            done++;
            sent_at[i] = at;
            if (write(fds[i], buffer, MESSAGE) != MESSAGE) die("write");
        }
    }
    long kept = done < SAMPLES_MAX ? done : SAMPLES_MAX;
    double took = now() - began;
    qsort(samples, kept, sizeof *samples, ascending);
    printf("%ld %.3f %.1f %.1f\n", done, took, samples[kept / 2], samples[kept * 99 / 100]);
}

int main(int argc, char **argv) {
    if (argc == 2) serve(!strcmp(argv[1], "echo"));
    if (argc == 4 && !strcmp(argv[1], "bulk")) return bulk(atoi(argv[2]), atof(argv[3])), 0;
    if (argc == 5 && !strcmp(argv[1], "pairs")) return pairs(atoi(argv[2]), atoi(argv[3]), atof(argv[4])), 0;
    return fprintf(stderr, "through echo|sink | bulk PORT SECONDS | pairs PORT CONNECTIONS SECONDS\n"), 64;
}
