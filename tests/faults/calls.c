/* Sees every call that changes files below one folder, whoever makes it: Python, SQLite or a library.
 * Preloaded into the child of tests/faults; counts the calls, kills or fails at the Nth, or records them all.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum mode { OFF, COUNT, KILL, FAIL, RECORD };
enum kind { CREATE = 1, WRITE = 2, SYNC = 4, NAME = 8, REMOVE = 16, FOLDER = 32, LENGTH = 64 };

static struct {
    int mode, kinds, error, sticky, log;
    long at;
    char root[PATH_MAX], deaf[256];
} armed = {.log = -1};
static long *count; /* shared with the parent, which reads it when this process was killed */
static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void start(void) {
    count = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

long calls_counted(void) { return *count; }

/* Begin: what happens below `root` from now on. `deaf`: syncs of paths that contain it are not done. */
void calls_arm(const char *root, int mode, long at, int kinds, int error, int sticky, const char *log,
               const char *deaf) {
    snprintf(armed.root, sizeof armed.root, "%s/", root);
    snprintf(armed.deaf, sizeof armed.deaf, "%s", deaf);
    armed.at = at;
    armed.kinds = kinds;
    armed.error = error;
    armed.sticky = sticky;
    if (*log) armed.log = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    *count = 0;
    armed.mode = mode;
}

/* ---- where a call happens ---- */

static int inside(const char *path) {
    size_t length = strlen(armed.root);
    return !strncmp(path, armed.root, length) || (strlen(path) == length - 1 && !strncmp(path, armed.root, length - 1));
}

static const char *place_of(int descriptor, char *buffer) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, buffer, PATH_MAX - 1);
    buffer[length < 0 ? 0 : length] = 0;
    return buffer;
}

static const char *path_of(int folder, const char *path, char *buffer) {
    if (!path || *path == '/') return path ? path : "";
    char start[PATH_MAX];
    if (folder == AT_FDCWD) {
        if (!getcwd(start, sizeof start)) *start = 0;
    } else {
        place_of(folder, start);
    }
    size_t length = strlen(start);
    snprintf(buffer, PATH_MAX, "%s", start);
    snprintf(buffer + length, PATH_MAX - length, "/%s", path);
    return buffer;
}

/* ---- what is done about it ---- */

static void die(void) {
    syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
    for (;;) pause();
}

/* Returns 1 if the call must fail with errno; 2 if a kill is due (a write may be half done first). */
static int due(int kind, const char *path) {
    if (armed.mode == OFF || !(armed.kinds & kind) || !inside(path)) return 0;
    long number = __atomic_add_fetch(count, 1, __ATOMIC_SEQ_CST);
    if (armed.mode == KILL && number == armed.at) return 2;
    if (armed.mode == FAIL && (number == armed.at || (armed.sticky && number > armed.at))) {
        errno = armed.error;
        return 1;
    }
    return 0;
}

#define STOP(kind, path)                 \
    do {                                 \
        int stop = due(kind, path);      \
        if (stop == 2) die();            \
        if (stop == 1) return -1;        \
    } while (0)

static int recording(const char *path) { return armed.mode == RECORD && inside(path); }
static void begin(int on) { if (on) pthread_mutex_lock(&order); }
static void end(int on) {
    int kept = errno;
    if (on) pthread_mutex_unlock(&order);
    errno = kept;
}

static void put(const void *data, size_t length) {
    const char *from = data;
    while (length) {
        ssize_t done = syscall(SYS_write, armed.log, from, length);
        if (done <= 0) abort();
        from += done;
        length -= done;
    }
}

/* One entry: letter, inode, number, two paths, data. */
static void note(char letter, uint64_t inode, uint64_t number, const char *one, const char *other,
                 const void *data, size_t length) {
    int kept = errno;
    uint32_t sizes[3] = {strlen(one), strlen(other), length};
    put(&letter, 1);
    put(&inode, 8);
    put(&number, 8);
    put(sizes, sizeof sizes);
    put(one, sizes[0]);
    put(other, sizes[1]);
    put(data, length);
    errno = kept;
}

static uint64_t inode_of(int descriptor) {
    struct stat status;
    return fstat(descriptor, &status) ? 0 : status.st_ino;
}

static uint64_t inode_at(const char *path) {
    struct stat status;
    return lstat(path, &status) ? 0 : status.st_ino;
}

/* Mark the log: the child has acknowledged something. */
void calls_mark(const char *text) {
    if (armed.mode != RECORD) return;
    begin(1);
    note('K', 0, 0, text, "", "", 0);
    end(1);
}

/* ---- the calls ---- */

static int opening(int folder, const char *path, int flags, mode_t mode) {
    char buffer[PATH_MAX];
    if (armed.mode == OFF || !(flags & (O_CREAT | O_TRUNC)))
        return syscall(SYS_openat, folder, path, flags | O_LARGEFILE, mode);
    const char *place = path_of(folder, path, buffer);
    int fresh = !inode_at(place);
    if (fresh || (flags & O_TRUNC)) STOP(CREATE, place);
    int on = recording(place);
    begin(on);
    fresh = on && !inode_at(place);
    int descriptor = syscall(SYS_openat, folder, path, flags | O_LARGEFILE, mode);
    if (on && descriptor >= 0) {
        if (fresh) note('C', inode_of(descriptor), 0, place, "", "", 0);
        else if (flags & O_TRUNC) note('T', inode_of(descriptor), 0, "", "", "", 0);
    }
    end(on);
    return descriptor;
}

#define OPENED(name, folder, path)                                  \
    mode_t mode = 0;                                                \
    if (flags & (O_CREAT | __O_TMPFILE)) {                          \
        va_list rest;                                               \
        va_start(rest, flags);                                      \
        mode = va_arg(rest, mode_t);                                \
        va_end(rest);                                               \
    }                                                               \
    return opening(folder, path, flags, mode);

int open(const char *path, int flags, ...) { OPENED(open, AT_FDCWD, path) }
int open64(const char *path, int flags, ...) { OPENED(open64, AT_FDCWD, path) }
int openat(int folder, const char *path, int flags, ...) { OPENED(openat, folder, path) }
int openat64(int folder, const char *path, int flags, ...) { OPENED(openat64, folder, path) }

static ssize_t writing(int descriptor, const void *data, size_t length, off_t offset, int positioned) {
    char buffer[PATH_MAX];
    if (armed.mode == OFF || descriptor == armed.log) goto plain;
    const char *place = place_of(descriptor, buffer);
    int stop = due(WRITE, place);
    if (stop == 1) return -1;
    if (stop == 2) { /* torn: half of it got there */
        if (positioned) syscall(SYS_pwrite64, descriptor, data, length / 2, offset);
        else syscall(SYS_write, descriptor, data, length / 2);
        die();
    }
    if (recording(place)) {
        begin(1);
        if (!positioned) {
            struct stat status;
            int flags = syscall(SYS_fcntl, descriptor, F_GETFL);
            fstat(descriptor, &status);
            offset = flags & O_APPEND ? status.st_size : syscall(SYS_lseek, descriptor, 0, SEEK_CUR);
        }
        ssize_t done = positioned ? syscall(SYS_pwrite64, descriptor, data, length, offset)
                                  : syscall(SYS_write, descriptor, data, length);
        if (done > 0) note('W', inode_of(descriptor), offset, "", "", data, done);
        end(1);
        return done;
    }
plain:
    return positioned ? syscall(SYS_pwrite64, descriptor, data, length, offset)
                      : syscall(SYS_write, descriptor, data, length);
}

ssize_t write(int descriptor, const void *data, size_t length) { return writing(descriptor, data, length, 0, 0); }
ssize_t pwrite(int descriptor, const void *data, size_t length, off_t offset) {
    return writing(descriptor, data, length, offset, 1);
}
ssize_t pwrite64(int descriptor, const void *data, size_t length, off64_t offset) {
    return writing(descriptor, data, length, offset, 1);
}
ssize_t writev(int descriptor, const struct iovec *parts, int number) {
    ssize_t whole = 0;
    for (int at = 0; at < number; at++) {
        if (!parts[at].iov_len) continue;
        ssize_t done = writing(descriptor, parts[at].iov_base, parts[at].iov_len, 0, 0);
        if (done < 0) return whole ? whole : -1;
        whole += done;
        if ((size_t)done < parts[at].iov_len) break;
    }
    return whole;
}

/* What the kernel copies is recorded by reading it back. */
static void note_copied(int descriptor, off_t from, ssize_t length) {
    char *data = malloc(length);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    int again = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (again < 0 || pread(again, data, length, from) != length) abort();
    note('W', inode_of(descriptor), from, "", "", data, length);
    syscall(SYS_close, again);
    free(data);
}

static ssize_t sending(int to, int from, off64_t *offset, size_t length) {
    char buffer[PATH_MAX];
    if (armed.mode == OFF) return syscall(SYS_sendfile, to, from, offset, length);
    const char *place = place_of(to, buffer);
    STOP(WRITE, place);
    int on = recording(place);
    begin(on);
    off_t start = syscall(SYS_lseek, to, 0, SEEK_CUR);
    ssize_t done = syscall(SYS_sendfile, to, from, offset, length);
    if (on && done > 0) note_copied(to, start, done);
    end(on);
    return done;
}
ssize_t sendfile(int to, int from, off_t *offset, size_t length) { return sending(to, from, (off64_t *)offset, length); }
ssize_t sendfile64(int to, int from, off64_t *offset, size_t length) { return sending(to, from, offset, length); }

ssize_t copy_file_range(int from, off64_t *start, int to, off64_t *target, size_t length, unsigned flags) {
    char buffer[PATH_MAX];
    if (armed.mode == OFF) return syscall(SYS_copy_file_range, from, start, to, target, length, flags);
    const char *place = place_of(to, buffer);
    STOP(WRITE, place);
    int on = recording(place);
    begin(on);
    off_t at = target ? *target : syscall(SYS_lseek, to, 0, SEEK_CUR);
    ssize_t done = syscall(SYS_copy_file_range, from, start, to, target, length, flags);
    if (on && done > 0) note_copied(to, at, done);
    end(on);
    return done;
}

static int cutting(int descriptor, off64_t length) {
    char buffer[PATH_MAX];
    if (armed.mode == OFF) return syscall(SYS_ftruncate, descriptor, length);
    const char *place = place_of(descriptor, buffer);
    STOP(LENGTH, place);
    int on = recording(place);
    begin(on);
    int done = syscall(SYS_ftruncate, descriptor, length);
    if (on && !done) note('T', inode_of(descriptor), length, "", "", "", 0);
    end(on);
    return done;
}
int ftruncate(int descriptor, off_t length) { return cutting(descriptor, length); }
int ftruncate64(int descriptor, off64_t length) { return cutting(descriptor, length); }

static int reserving(int descriptor, off64_t offset, off64_t length) {
    char buffer[PATH_MAX];
    if (armed.mode == OFF) return syscall(SYS_fallocate, descriptor, 0, offset, length);
    const char *place = place_of(descriptor, buffer);
    STOP(LENGTH, place);
    int on = recording(place);
    begin(on);
    int done = syscall(SYS_fallocate, descriptor, 0, offset, length);
    struct stat status;
    if (on && !done && !fstat(descriptor, &status)) note('T', status.st_ino, status.st_size, "", "", "", 0);
    end(on);
    return done;
}
int posix_fallocate(int descriptor, off_t offset, off_t length) {
    return reserving(descriptor, offset, length) ? errno : 0;
}
int posix_fallocate64(int descriptor, off64_t offset, off64_t length) {
    return reserving(descriptor, offset, length) ? errno : 0;
}

static int syncing(long call, int descriptor) {
    char buffer[PATH_MAX];
    if (armed.mode == OFF) return syscall(call, descriptor);
    const char *place = place_of(descriptor, buffer);
    if (*armed.deaf && inside(place) && strstr(place, armed.deaf)) return 0;
    STOP(SYNC, place);
    int on = recording(place);
    begin(on);
    int done = syscall(call, descriptor);
    if (on && !done) note(call == SYS_syncfs ? 'A' : 'S', inode_of(descriptor), 0, place, "", "", 0);
    end(on);
    return done;
}
int fsync(int descriptor) { return syncing(SYS_fsync, descriptor); }
int fdatasync(int descriptor) { return syncing(SYS_fdatasync, descriptor); }
int syncfs(int descriptor) { return syncing(SYS_syncfs, descriptor); }

static int naming(char letter, long call, int old_folder, const char *old, int new_folder, const char *new,
                  int flags) {
    char one[PATH_MAX], other[PATH_MAX];
    if (armed.mode == OFF) return syscall(call, old_folder, old, new_folder, new, flags);
    const char *from = path_of(old_folder, old, one), *to = path_of(new_folder, new, other);
    STOP(NAME, inside(to) ? to : from);
    int on = recording(to) || recording(from);
    begin(on);
    uint64_t inode = inode_at(from);
    int done = syscall(call, old_folder, old, new_folder, new, flags);
    if (on && !done) note(letter, inode, flags, from, to, "", 0);
    end(on);
    return done;
}
int rename(const char *old, const char *new) {
    return naming('R', SYS_renameat2, AT_FDCWD, old, AT_FDCWD, new, 0);
}
int renameat(int a, const char *old, int b, const char *new) {
    return naming('R', SYS_renameat2, a, old, b, new, 0);
}
int renameat2(int a, const char *old, int b, const char *new, unsigned flags) {
    return naming('R', SYS_renameat2, a, old, b, new, flags);
}
int link(const char *old, const char *new) { return naming('L', SYS_linkat, AT_FDCWD, old, AT_FDCWD, new, 0); }
int linkat(int a, const char *old, int b, const char *new, int flags) {
    return naming('L', SYS_linkat, a, old, b, new, flags);
}

static int removing(int folder, const char *path, int flags) {
    char buffer[PATH_MAX];
    if (armed.mode == OFF) return syscall(SYS_unlinkat, folder, path, flags);
    const char *place = path_of(folder, path, buffer);
    STOP(REMOVE, place);
    int on = recording(place);
    begin(on);
    int done = syscall(SYS_unlinkat, folder, path, flags);
    if (on && !done) note('U', 0, flags, place, "", "", 0);
    end(on);
    return done;
}
int unlink(const char *path) { return removing(AT_FDCWD, path, 0); }
int unlinkat(int folder, const char *path, int flags) { return removing(folder, path, flags); }
int rmdir(const char *path) { return removing(AT_FDCWD, path, AT_REMOVEDIR); }

static int making(int folder, const char *path, mode_t mode) {
    char buffer[PATH_MAX];
    if (armed.mode == OFF) return syscall(SYS_mkdirat, folder, path, mode);
    const char *place = path_of(folder, path, buffer);
    if (!inode_at(place)) STOP(FOLDER, place);
    int on = recording(place);
    begin(on);
    int done = syscall(SYS_mkdirat, folder, path, mode);
    if (on && !done) note('M', inode_at(place), 0, place, "", "", 0);
    end(on);
    return done;
}
int mkdir(const char *path, mode_t mode) { return making(AT_FDCWD, path, mode); }
int mkdirat(int folder, const char *path, mode_t mode) { return making(folder, path, mode); }
