/* A disk that loses power: preloaded into a member, it writes down how to undo each change below one folder that is not
 * durable yet. Whoever kills the member applies that (power.py) before the next start.
 *
 * The journal gets a record before the change is made and another after a sync returned: a kill between the two only makes
 * more be taken for lost than the member was ever told to be safe.
 *
 *   COORD_POWER_ROOT     the folder; everything else is left alone
 *   COORD_POWER_JOURNAL  a folder on the same file system for the journal and for what was unlinked
 *
 * While there is a file JOURNAL/lie, fdatasync says yes and does nothing.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE = 1, TRUNCATE, CREATE, RENAME, UNLINK, FILE_SYNCED, FOLDER_SYNCED };

/* What power.py reads: this head, then `path_bytes` of one or two paths (each ended by 0), then `data_bytes`. */
struct head {
    uint32_t kind, path_bytes;
    uint64_t inode, offset, old_size; /* FILE_SYNCED, FOLDER_SYNCED: offset is the sequence up to which it speaks */
    uint64_t new_bytes, data_bytes;   /* data: what was there before, which is less than new_bytes where the file grows */
    uint64_t sequence, kept;          /* kept: number of the link that holds what was replaced or unlinked; 0: none */
};

static char root[4096], journal[4096];
static size_t root_length;
static int journal_fd = -1;
static uint64_t sequence, kept_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int (*real_open)(const char *, int, ...);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_write)(int, const void *, size_t);
static int (*real_ftruncate)(int, off_t);
static int (*real_fdatasync)(int), (*real_fsync)(int);
static int (*real_rename)(const char *, const char *), (*real_unlink)(const char *);

static void die(const char *what) {
    fprintf(stderr, "power: %s: %s\n", what, strerror(errno));
    abort();
}

/* Also called by a process that was just forked and has an environment of its own. */
__attribute__((constructor)) void power_begin(void) {
    real_open = dlsym(RTLD_NEXT, "open64");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    real_write = dlsym(RTLD_NEXT, "write");
    real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_rename = dlsym(RTLD_NEXT, "rename");
    real_unlink = dlsym(RTLD_NEXT, "unlink");
    const char *folder = getenv("COORD_POWER_ROOT"), *beside = getenv("COORD_POWER_JOURNAL");
    if (!folder || !beside)
        return;
    snprintf(root, sizeof root, "%s/", folder);
    root_length = strlen(root);
    snprintf(journal, sizeof journal, "%s", beside);
    char path[4200];
    snprintf(path, sizeof path, "%s/journal", journal);
    journal_fd = real_open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    struct stat found;
    if (journal_fd < 0 || fstat(journal_fd, &found))
        die("cannot open the journal");
    sequence = kept_count = found.st_size; /* beyond all that earlier lives counted */
}

static int is_ours(const char *path) { return journal_fd >= 0 && strncmp(path, root, root_length) == 0; }

/* The path behind a descriptor, if it is below the root (or the root itself); else 0. */
static int path_of(int fd, char *path, size_t size) {
    char link[64];
    if (journal_fd < 0 || fd == journal_fd)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, size - 2);
    if (length <= 0)
        return 0;
    path[length] = '/';
    path[length + 1] = 0;
    int ours = strncmp(path, root, root_length) == 0;
    path[length] = 0;
    return ours;
}

static void note(uint32_t kind, uint64_t inode, uint64_t offset, uint64_t old_size, uint64_t new_bytes, uint64_t kept,
                 const char *first, const char *second, const void *data, size_t data_bytes) {
    size_t first_bytes = strlen(first) + 1, second_bytes = second ? strlen(second) + 1 : 0;
    struct head head = {kind, first_bytes + second_bytes, inode, offset, old_size, new_bytes, data_bytes, ++sequence, kept};
    struct iovec parts[] = {{&head, sizeof head}, {(void *)first, first_bytes}, {(void *)second, second_bytes}, {(void *)data, data_bytes}};
    size_t whole = sizeof head + first_bytes + second_bytes + data_bytes;
    if (writev(journal_fd, parts, 4) != (ssize_t)whole)
        die("cannot write the journal");
}

static uint64_t keep(const char *path) {
    char beside[4200];
    snprintf(beside, sizeof beside, "%s/kept.%llu", journal, (unsigned long long)++kept_count);
    if (link(path, beside))
        die("cannot keep what is unlinked");
    return kept_count;
}

static void note_old(uint32_t kind, int fd, off_t offset, size_t size) {
    struct stat found;
    char path[4200];
    if (!path_of(fd, path, sizeof path) || fstat(fd, &found) || !S_ISREG(found.st_mode))
        return;
    size_t there = offset < found.st_size ? (size_t)(found.st_size - offset) : 0;
    if (there > size)
        there = size;
    char *old = malloc(there ? there : 1);
    if (!old || (there && pread(fd, old, there, offset) != (ssize_t)there))
        die("cannot read what is overwritten");
    note(kind, found.st_ino, offset, found.st_size, size, 0, path, 0, old, there);
    free(old);
}

static int open_noted(const char *path, int flags, mode_t mode) {
    struct stat found;
    if (!is_ours(path) || !(flags & (O_CREAT | O_TRUNC)))
        return real_open(path, flags, mode);
    pthread_mutex_lock(&lock);
    int was_there = stat(path, &found) == 0;
    if (was_there && flags & O_TRUNC && found.st_size) {
        int fd = real_open(path, O_RDWR | O_CLOEXEC);
        if (fd < 0)
            die("cannot open what is truncated");
        note_old(TRUNCATE, fd, 0, found.st_size);
        close(fd);
    }
    if (!was_there && flags & O_CREAT)
        note(CREATE, 0, 0, 0, 0, 0, path, 0, 0, 0);
    int fd = real_open(path, flags, mode);
    pthread_mutex_unlock(&lock);
    return fd;
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return open_noted(path, flags, mode);
}

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return open_noted(path, flags, mode);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off_t offset) {
    pthread_mutex_lock(&lock);
    note_old(WRITE, fd, offset, size);
    ssize_t written = real_pwrite(fd, data, size, offset);
    pthread_mutex_unlock(&lock);
    return written;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) { return pwrite64(fd, data, size, offset); }

/* The flight recorder appends to its file. */
ssize_t write(int fd, const void *data, size_t size) {
    char path[4200];
    struct stat found;
    if (journal_fd < 0 || fd <= 2 || !path_of(fd, path, sizeof path) || fstat(fd, &found))
        return real_write(fd, data, size);
    pthread_mutex_lock(&lock);
    note_old(WRITE, fd, fcntl(fd, F_GETFL) & O_APPEND ? found.st_size : lseek(fd, 0, SEEK_CUR), size);
    ssize_t written = real_write(fd, data, size);
    pthread_mutex_unlock(&lock);
    return written;
}

int ftruncate64(int fd, off_t size) {
    struct stat found;
    pthread_mutex_lock(&lock);
    if (fstat(fd, &found) == 0)
        note_old(TRUNCATE, fd, size < found.st_size ? size : found.st_size, found.st_size);
    int done = real_ftruncate(fd, size);
    pthread_mutex_unlock(&lock);
    return done;
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

static int is_lying(void) {
    char path[4200];
    snprintf(path, sizeof path, "%s/lie", journal);
    return access(path, F_OK) == 0;
}

static int sync_noted(int (*real)(int), int fd) {
    char path[4200];
    struct stat found;
    if (!path_of(fd, path, sizeof path) || fstat(fd, &found))
        return real(fd);
    int is_folder = S_ISDIR(found.st_mode);
    if (!is_folder && is_lying())
        return 0;
    pthread_mutex_lock(&lock);
    uint64_t up_to = sequence; /* what is changed while the sync runs is not covered by it */
    pthread_mutex_unlock(&lock);
    int done = real(fd);
    if (done == 0) {
        pthread_mutex_lock(&lock);
        note(is_folder ? FOLDER_SYNCED : FILE_SYNCED, found.st_ino, up_to, 0, 0, 0, path, 0, 0, 0);
        pthread_mutex_unlock(&lock);
    }
    return done;
}

int fdatasync(int fd) { return sync_noted(real_fdatasync, fd); }
int fsync(int fd) { return sync_noted(real_fsync, fd); }

int rename(const char *source, const char *target) {
    struct stat found;
    if (!is_ours(source) || stat(source, &found))
        return real_rename(source, target);
    pthread_mutex_lock(&lock);
    uint64_t kept = access(target, F_OK) == 0 ? keep(target) : 0;
    note(RENAME, found.st_ino, 0, 0, 0, kept, source, target, 0, 0);
    int done = real_rename(source, target);
    pthread_mutex_unlock(&lock);
    return done;
}

int unlink(const char *path) {
    struct stat found;
    if (!is_ours(path) || stat(path, &found))
        return real_unlink(path);
    pthread_mutex_lock(&lock);
    note(UNLINK, found.st_ino, 0, 0, 0, keep(path), path, 0, 0, 0);
    int done = real_unlink(path);
    pthread_mutex_unlock(&lock);
    return done;
}
