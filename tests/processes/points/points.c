/* Between a member and the system: counts the calls that touch one folder, and at the so-manieth one ends the process, or fails the call.
 *
 * It is told what to do by a small file that both sides map (`points.py` has the same layout). What is preloaded behind it (power.c) sees
 * only the calls that were let through, and its own calls are not counted. points_begin is called by a process that was just forked.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { OPEN = 1, CREATE = 2, READ = 4, WRITE = 8, TRUNCATE = 16, SYNC = 32, SYNC_FOLDER = 64, RENAME = 128, UNLINK = 256, MKDIR = 512,
       LIST = 1024, STAT = 2048 };
enum { COUNT = 0, KILL, TEAR, FAIL };

struct control {
    uint64_t count, point; /* calls of these kinds so far; the one that is hit, 0: none */
    uint32_t kinds, act, error, lasting; /* lasting: every one from the point on fails, not only that one */
    uint32_t hits, hit_kind;
    int64_t wall_ms; /* how far the wall clock is off */
    uint64_t calls[12]; /* of each kind */
    char hit_path[256];
};

static struct control *control;
static char root[4096];
static size_t root_length;
static __thread int inside; /* what is preloaded behind us makes calls, too */

#define NEXT(name) ((__typeof__(&name))next(#name))
static void *next(const char *name) { return dlsym(RTLD_NEXT, name); }

int points_begin(const char *file, const char *folder) {
    int fd = ((int (*)(const char *, int, ...))next("open64"))(file, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return -1;
    void *found = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (found == MAP_FAILED)
        return -1;
    snprintf(root, sizeof root, "%s", folder);
    root_length = strlen(root);
    control = found;
    return 0;
}

static int is_ours(const char *path) {
    return control && strncmp(path, root, root_length) == 0 && (path[root_length] == '/' || path[root_length] == 0);
}

static int path_of(int fd, char *path, size_t size) {
    char link[64];
    if (!control || fd <= 2)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, size - 1);
    if (length <= 0)
        return 0;
    path[length] = 0;
    return is_ours(path);
}

/* 0: let it through; KILL is not returned from; TEAR, FAIL: what the caller does. */
static int met(uint32_t kind, const char *path) {
    if (!(control->kinds & kind))
        return 0;
    __atomic_add_fetch(&control->calls[__builtin_ctz(kind)], 1, __ATOMIC_SEQ_CST);
    uint64_t number = __atomic_add_fetch(&control->count, 1, __ATOMIC_SEQ_CST);
    if (!control->point || number < control->point || (number > control->point && !control->lasting))
        return 0;
    if (__atomic_add_fetch(&control->hits, 1, __ATOMIC_SEQ_CST) == 1) {
        control->hit_kind = kind;
        snprintf(control->hit_path, sizeof control->hit_path, "%s", path + root_length);
    }
    if (control->act == KILL || (control->act == TEAR && kind != WRITE))
        kill(getpid(), SIGKILL);
    if (control->act == FAIL)
        errno = control->error;
    return control->act;
}

#define BY_PATH(kind, failed, path, call) \
    do { \
        if (inside || !is_ours(path)) return call; \
        if (met(kind, path)) return failed; \
        inside = 1; \
        __typeof__(call) done = call; \
        inside = 0; \
        return done; \
    } while (0)

#define BY_FD(kind, failed, fd, call) \
    do { \
        char path[4200]; \
        if (inside || !path_of(fd, path, sizeof path)) return call; \
        if (met(kind, path)) return failed; \
        inside = 1; \
        __typeof__(call) done = call; \
        inside = 0; \
        return done; \
    } while (0)

static int open_met(const char *name, const char *path, int flags, mode_t mode) {
    int (*real)(const char *, int, ...) = next(name);
    BY_PATH(flags & (O_CREAT | O_TRUNC) ? CREATE : OPEN, -1, path, real(path, flags, mode));
}

#define OPENS(name) \
    int name(const char *path, int flags, ...) { \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        return open_met(#name, path, flags, mode); \
    }
OPENS(open)
OPENS(open64)

/* Torn: the first half reaches the file, then the process ends. Failed for good: the first half does, and what follows does not. */
static ssize_t write_met(ssize_t (*real)(int, const void *, size_t, off_t), int fd, const void *data, size_t size, off_t offset) {
    char path[4200];
    if (inside || !path_of(fd, path, sizeof path))
        return real(fd, data, size, offset);
    int act = met(WRITE, path);
    inside = 1;
    ssize_t done = -1;
    if (act == TEAR) {
        done = real(fd, data, size / 2, offset);
        kill(getpid(), SIGKILL);
    } else if (act == FAIL && control->lasting && control->hits == 1 && size > 1) {
        done = real(fd, data, size / 2, offset);
    } else if (!act) {
        done = real(fd, data, size, offset);
    }
    inside = 0;
    return done;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off_t offset) { return write_met(NEXT(pwrite64), fd, data, size, offset); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) { return write_met(NEXT(pwrite64), fd, data, size, offset); }

static ssize_t append(int fd, const void *data, size_t size, off_t unused) {
    (void)unused;
    return NEXT(write)(fd, data, size);
}
ssize_t write(int fd, const void *data, size_t size) { return write_met(append, fd, data, size, 0); }

ssize_t pread64(int fd, void *data, size_t size, off_t offset) { BY_FD(READ, -1, fd, NEXT(pread64)(fd, data, size, offset)); }
ssize_t pread(int fd, void *data, size_t size, off_t offset) { BY_FD(READ, -1, fd, NEXT(pread64)(fd, data, size, offset)); }
ssize_t preadv64(int fd, const struct iovec *parts, int count, off_t offset) { BY_FD(READ, -1, fd, NEXT(preadv64)(fd, parts, count, offset)); }
ssize_t preadv(int fd, const struct iovec *parts, int count, off_t offset) { BY_FD(READ, -1, fd, NEXT(preadv64)(fd, parts, count, offset)); }
ssize_t preadv64v2(int fd, const struct iovec *parts, int count, off_t offset, int flags) {
    BY_FD(READ, -1, fd, NEXT(preadv64v2)(fd, parts, count, offset, flags));
}
ssize_t read(int fd, void *data, size_t size) { BY_FD(READ, -1, fd, NEXT(read)(fd, data, size)); }

int ftruncate64(int fd, off_t size) { BY_FD(TRUNCATE, -1, fd, NEXT(ftruncate64)(fd, size)); }
int ftruncate(int fd, off_t size) { BY_FD(TRUNCATE, -1, fd, NEXT(ftruncate64)(fd, size)); }
int fdatasync(int fd) { BY_FD(SYNC, -1, fd, NEXT(fdatasync)(fd)); }

static int is_folder(int fd) {
    struct stat found;
    return NEXT(fstat)(fd, &found) == 0 && S_ISDIR(found.st_mode);
}
int fsync(int fd) { BY_FD(is_folder(fd) ? SYNC_FOLDER : SYNC, -1, fd, NEXT(fsync)(fd)); }

int rename(const char *source, const char *target) { BY_PATH(RENAME, -1, source, NEXT(rename)(source, target)); }
int unlink(const char *path) { BY_PATH(UNLINK, -1, path, NEXT(unlink)(path)); }
int mkdir(const char *path, mode_t mode) { BY_PATH(MKDIR, -1, path, NEXT(mkdir)(path, mode)); }
DIR *opendir(const char *path) { BY_PATH(LIST, NULL, path, NEXT(opendir)(path)); }
int stat(const char *restrict path, struct stat *restrict found) { BY_PATH(STAT, -1, path, NEXT(stat)(path, found)); }
int stat64(const char *restrict path, struct stat64 *restrict found) { BY_PATH(STAT, -1, path, NEXT(stat64)(path, found)); }
int fstat(int fd, struct stat *found) { BY_FD(STAT, -1, fd, NEXT(fstat)(fd, found)); }
int fstat64(int fd, struct stat64 *found) { BY_FD(STAT, -1, fd, NEXT(fstat64)(fd, found)); }
int statvfs(const char *restrict path, struct statvfs *restrict found) { BY_PATH(STAT, -1, path, NEXT(statvfs)(path, found)); }
int statvfs64(const char *restrict path, struct statvfs64 *restrict found) { BY_PATH(STAT, -1, path, NEXT(statvfs64)(path, found)); }

int clock_gettime(clockid_t which, struct timespec *found) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        real = next("clock_gettime");
    int code = real(which, found);
    if (code == 0 && which == CLOCK_REALTIME && control && control->wall_ms) {
        int64_t ns = found->tv_nsec + control->wall_ms % 1000 * 1000000;
        found->tv_sec += control->wall_ms / 1000 + (ns < 0 ? -1 : ns / 1000000000);
        found->tv_nsec = ns < 0 ? ns + 1000000000 : ns % 1000000000;
    }
    return code;
}
