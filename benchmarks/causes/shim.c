/* Between a member and its kernel: slow or failing fsyncs and a wall clock that is off, as a small file says that both sides map.

   cc -O2 -shared -fPIC -o shim.so shim.c -ldl ; LD_PRELOAD=shim.so CAUSES_CONTROL=FILE coordnode run …
   The file holds three 64-bit numbers: microseconds that each fsync takes longer, 1 when it fails, milliseconds of the wall clock. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *control;
static int (*real_fdatasync)(int);
static int (*real_fsync)(int);
static int (*real_clock)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void) {
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_clock = dlsym(RTLD_NEXT, "clock_gettime");
    const char *path = getenv("CAUSES_CONTROL");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *found = mmap(NULL, 24, PROT_READ, MAP_SHARED, file, 0);
    if (found != MAP_FAILED) control = found;
    close(file);
}

static int slowed(int (*real)(int), int file) {
    if (control && control[0]) usleep(control[0]);
    if (control && control[1]) {
        errno = EIO;
        return -1;
    }
    return real(file);
}

int fdatasync(int file) { return slowed(real_fdatasync, file); }
int fsync(int file) { return slowed(real_fsync, file); }

int clock_gettime(clockid_t which, struct timespec *found) {
    int code = real_clock(which, found);
    if (control && control[2] && which == CLOCK_REALTIME && code == 0) {
        int64_t ns = found->tv_nsec + (control[2] % 1000) * 1000000;
        found->tv_sec += control[2] / 1000 + ns / 1000000000;
        found->tv_nsec = ns % 1000000000;
    }
    return code;
}
