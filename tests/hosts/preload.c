/* What a host's processes take for the wall clock or for a disk, when /etc/ld.so.preload names this: SKEW_S, SYNC_US are compiled in. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t which, struct timespec *found) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int code = real(which, found);
    if (code == 0 && which == CLOCK_REALTIME) found->tv_sec += SKEW_S;
    return code;
}

int fdatasync(int file) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fdatasync");
    if (SYNC_US) usleep(SYNC_US);
    return real(file);
}
