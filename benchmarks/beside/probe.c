// What the machine itself takes: three processes that write and fdatasync at once, and a byte's way to another process and back.
//
//     probe FOLDER SECONDS
//
// Each of the three writes 4 KiB after 4 KiB into a file of its own that was allocated beforehand, as members do, and syncs each.
// Then two processes send a byte to and fro over loopback TCP. Prints one JSON object.

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WRITERS = 3, WRITE_BYTES = 4096, FILE_BYTES = 64 << 20, US_MAX = 1000000, ECHOES = 3000 };

// How many took so many microseconds.
typedef struct {
    uint32_t counts[US_MAX + 1];
    uint64_t count, total_ns;
} Times;

static void fail(const char *what) {
    fprintf(stderr, "probe: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void add(Times *times, uint64_t took_ns) {
    const uint64_t us = took_ns / 1000;
    times->counts[us < US_MAX ? us : US_MAX]++;
    times->count++, times->total_ns += took_ns;
}

static double quantile_ms(const Times *times, double share) {
    uint64_t below = (uint64_t)((double)times->count * share), us = 0;
    while (us < US_MAX && below >= times->counts[us]) below -= times->counts[us++];
    return (double)us / 1000;
}

static void print(const char *name, const Times *times, const char *end) {
    uint32_t most = US_MAX;
    while (most && !times->counts[most]) most--;
    printf("\"%s\": {\"count\": %llu, \"mean\": %.4f, \"p50\": %.3f, \"p99\": %.3f, \"max\": %.3f}%s", name, (unsigned long long)times->count,
           (double)times->total_ns / (double)times->count / 1e6, quantile_ms(times, 0.5), quantile_ms(times, 0.99), (double)most / 1000, end);
}

static void sync_until(const char *folder, int number, uint64_t until_ns, Times *times) {
    static uint8_t bytes[WRITE_BYTES];
    char path[4096];
    snprintf(path, sizeof path, "%s/probe.%d", folder, number);
    const int file = open(path, O_CREAT | O_RDWR | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0 || posix_fallocate(file, 0, FILE_BYTES) || fsync(file)) fail(path);
    for (off_t at = 0; now_ns() < until_ns; at = (at + WRITE_BYTES) % FILE_BYTES) {
        if (pwrite(file, bytes, WRITE_BYTES, at) != WRITE_BYTES) fail(path);
        const uint64_t began_ns = now_ns();
        if (fdatasync(file)) fail(path);
        add(times, now_ns() - began_ns);
    }
    unlink(path);
}

static int dial(const struct sockaddr_in *address) {
    const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(descriptor, (const struct sockaddr *)address, sizeof *address)) fail("connecting");
    return descriptor;
}

static void echo(Times *times) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 1) || getsockname(listener, (struct sockaddr *)&address, &size))
        fail("listening");
    const pid_t child = fork();
    const int descriptor = child ? accept(listener, NULL, NULL) : dial(&address);
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    char byte = 0;
    if (!child) {
        while (recv(descriptor, &byte, 1, 0) == 1) send(descriptor, &byte, 1, MSG_NOSIGNAL);
        _exit(0);
    }
    for (int turn = 0; turn < ECHOES; turn++) {
        const uint64_t began_ns = now_ns();
        if (send(descriptor, &byte, 1, MSG_NOSIGNAL) != 1 || recv(descriptor, &byte, 1, 0) != 1) fail("echoing");
        add(times, now_ns() - began_ns);
    }
    close(descriptor);
    waitpid(child, NULL, 0);
}

int main(int argc, char **argv) {
    if (argc != 3) return fprintf(stderr, "usage: probe FOLDER SECONDS\n"), 1;
    Times *times = mmap(NULL, WRITERS * sizeof *times, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    Times *all = calloc(2, sizeof *all);
    if (times == MAP_FAILED || !all) fail("no memory");
    const uint64_t until_ns = now_ns() + (uint64_t)(atof(argv[2]) * 1e9);
    for (int number = 0; number < WRITERS; number++) {
        if (fork()) continue;
        sync_until(argv[1], number, until_ns, &times[number]);
        _exit(0);
    }
    for (int status; wait(&status) > 0;)
        if (status) return 1;
    for (int number = 0; number < WRITERS; number++) {
        all->count += times[number].count, all->total_ns += times[number].total_ns;
        for (int us = 0; us <= US_MAX; us++) all->counts[us] += times[number].counts[us];
    }
    echo(&all[1]);
    printf("{");
    print("sync", all, ", ");
    print("echo", &all[1], "}\n");
    return 0;
}
