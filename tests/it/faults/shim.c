/* Stands between the program and the C library: one call can be made to fail, to be slow or to be the
   last one, all changes of the database's files can be taken down on a tape, and the clock can be set.
   Loaded by LD_PRELOAD; shim.rs builds it and says what each variable means. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { NAME = 512 };
enum act { CREATE = 1, TRUNCATE, WRITE, SYNC, RENAME, UNLINK, SAID, SYNC_FOLDER };

static struct { char call[16], file[64], then[16]; long nth, times, milliseconds; } rule;
static atomic_long seen;
static const char *healed, *folder;
static int tape = -1, slowed = -1;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static volatile int64_t *offset_s;

__attribute__((constructor)) static void begin(void) {
    const char *text = getenv("SHIM_RULE"), *path;
    healed = getenv("SHIM_HEALED");
    folder = getenv("SHIM_FOLDER");
    if (text && sscanf(text, "%15s %63s %15s %ld %ld %ld", rule.call, rule.file, rule.then, &rule.nth,
                       &rule.times, &rule.milliseconds) != 6)
        abort();
    if ((path = getenv("SHIM_TAPE")))
        tape = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if ((path = getenv("SHIM_SLOWED")))
        slowed = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if ((path = getenv("SHIM_CLOCK"))) {
        int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
        void *page = mmap(NULL, sizeof *offset_s, PROT_READ, MAP_SHARED, fd, 0);
        if (page == MAP_FAILED)
            abort();
        offset_s = page;
        syscall(SYS_close, fd);
    }
}

/* What a descriptor stands for: a path, `socket:[…]`, or `stdout`. */
static void name_of(int fd, char name[NAME]) {
    char link[64];
    if (fd == 1) {
        strcpy(name, "stdout");
        return;
    }
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    long length = syscall(SYS_readlink, link, name, NAME - 1);
    name[length > 0 ? length : 0] = 0;
}

static int ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

static int concerns(const char *name) {
    if (!strcmp(rule.file, "socket"))
        return !strncmp(name, "socket:", 7);
    return !strcmp(rule.file, "*") ? strstr(name, "payrecond.db") != NULL : ends_with(name, rule.file);
}

static void die(void) {
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;)
        pause();
}

/* Whether the rule holds for this call now; counts it. */
static int struck(const char *call, const char *name) {
    if (!rule.call[0] || strcmp(rule.call, call) || !concerns(name))
        return 0;
    if (healed && !syscall(SYS_access, healed, F_OK))
        return 0;
    long n = atomic_fetch_add(&seen, 1) + 1;
    return n >= rule.nth && (!rule.times || n < rule.nth + rule.times);
}

static long monotonic_ms(void) {
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Takes its time, and writes down how much. */
static void dawdle(void) {
    char line[32];
    long began = monotonic_ms();
    usleep((useconds_t)rule.milliseconds * 1000);
    if (slowed >= 0) {
        int length = snprintf(line, sizeof line, "%ld\n", monotonic_ms() - began);
        syscall(SYS_write, slowed, line, length);
    }
}

/* Does not come back until healed. */
static void hang(void) {
    while (!healed || syscall(SYS_access, healed, F_OK))
        usleep(10000);
}

/* Before a call: an errno to fail with, else 0. */
static int before(int is_struck) {
    if (!is_struck)
        return 0;
    if (!strcmp(rule.then, "eio"))
        return EIO;
    if (!strcmp(rule.then, "enospc"))
        return ENOSPC;
    if (!strcmp(rule.then, "emfile"))
        return EMFILE;
    if (!strcmp(rule.then, "kill-before"))
        die();
    if (!strcmp(rule.then, "slow"))
        dawdle();
    if (!strcmp(rule.then, "hang"))
        hang();
    return 0;
}

static void after(int is_struck) {
    int kept = errno;
    if (is_struck && !strcmp(rule.then, "kill-after"))
        die();
    errno = kept;
}

/* One call at a time, over all processes that share the tape: its order is the true one. */
static void take_turn(void) {
    if (tape < 0)
        return;
    pthread_mutex_lock(&turn);
    syscall(SYS_flock, tape, LOCK_EX);
}

static void end_turn(void) {
    int kept = errno;
    if (tape < 0)
        return;
    syscall(SYS_flock, tape, LOCK_UN);
    pthread_mutex_unlock(&turn);
    errno = kept;
}

/* The name within the folder of what is taken down; NULL for all else. */
static const char *taken_down(const char *name) {
    if (tape < 0)
        return NULL;
    if (!strcmp(name, "stdout") || (folder && !strcmp(name, folder)))
        return name;
    const char *file = strstr(name, "payrecond.db");
    return file && !strchr(file, '/') && !ends_with(file, ".lock") && !ends_with(file, "-shm") ? file : NULL;
}

static void take_down(enum act act, const char *name, uint64_t at, const void *data, size_t length) {
    int kept = errno;
    uint64_t head[5] = {act, (uint64_t)getpid(), strlen(name), at, length};
    struct iovec parts[3] = {{head, sizeof head}, {(void *)name, strlen(name)}, {(void *)data, data ? length : 0}};
    head[4] = parts[2].iov_len;
    if (syscall(SYS_writev, tape, parts, 3) != (long)(sizeof head + head[2] + head[4]))
        abort();
    errno = kept;
}

static int opened(int at, const char *path, int flags, mode_t mode) {
    int hit = struck("open", path), error = before(hit);
    if (error) {
        errno = error;
        return -1;
    }
    const char *file = taken_down(path);
    take_turn();
    int is_new = file && (flags & O_CREAT) && syscall(SYS_faccessat, at, path, F_OK) != 0;
    int fd = (int)syscall(SYS_openat, at, path, flags, mode);
    if (file && fd >= 0 && is_new)
        take_down(CREATE, file, 0, NULL, 0);
    else if (file && fd >= 0 && (flags & O_TRUNC))
        take_down(TRUNCATE, file, 0, NULL, 0);
    end_turn();
    after(hit);
    return fd;
}

static mode_t mode_of(int flags, va_list rest) {
    return flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;
}

#define OPEN(name)                                                                                           \
    int name(const char *path, int flags, ...) {                                                             \
        va_list rest;                                                                                        \
        va_start(rest, flags);                                                                               \
        mode_t mode = mode_of(flags, rest);                                                                  \
        va_end(rest);                                                                                        \
        return opened(AT_FDCWD, path, flags, mode);                                                          \
    }
OPEN(open)
OPEN(open64)

/* A write at `at`, or where the descriptor stands when that is negative. */
static ssize_t written(const char *call, int fd, const void *data, size_t length, off64_t at) {
    char name[NAME];
    name_of(fd, name);
    int hit = struck(call, name), error = before(hit);
    if (error) {
        errno = error;
        return -1;
    }
    int is_half = hit && !strcmp(rule.then, "kill-half");
    const char *file = taken_down(name);
    if (is_half)
        length /= 2;
    if (file)
        take_turn();
    uint64_t where = at >= 0 ? (uint64_t)at : (uint64_t)syscall(SYS_lseek, fd, 0, SEEK_CUR);
    ssize_t done = at >= 0 ? syscall(SYS_pwrite64, fd, data, length, at) : syscall(SYS_write, fd, data, length);
    if (file && done > 0)
        take_down(fd == 1 ? SAID : WRITE, file, where, data, (size_t)done);
    if (file)
        end_turn();
    if (is_half)
        die();
    after(hit);
    return done;
}

ssize_t write(int fd, const void *data, size_t length) { return written("write", fd, data, length, -1); }
ssize_t pwrite(int fd, const void *data, size_t length, off_t at) { return written("write", fd, data, length, at); }
ssize_t pwrite64(int fd, const void *data, size_t length, off64_t at) { return written("write", fd, data, length, at); }

static int synced(int fd, long number) {
    char name[NAME];
    name_of(fd, name);
    int hit = struck("sync", name), error = before(hit);
    if (error) {
        errno = error;
        return -1;
    }
    const char *file = taken_down(name);
    if (file)
        take_turn();
    int done = (int)syscall(number, fd);
    if (file && !done)
        take_down(folder && file == name ? SYNC_FOLDER : SYNC, file, 0, NULL, 0);
    if (file)
        end_turn();
    after(hit);
    return done;
}

int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

static int truncated(int fd, off64_t length) {
    char name[NAME];
    name_of(fd, name);
    int hit = struck("truncate", name), error = before(hit);
    if (error) {
        errno = error;
        return -1;
    }
    const char *file = taken_down(name);
    if (file)
        take_turn();
    int done = (int)syscall(SYS_ftruncate, fd, length);
    if (file && !done)
        take_down(TRUNCATE, file, (uint64_t)length, NULL, 0);
    if (file)
        end_turn();
    after(hit);
    return done;
}

int ftruncate(int fd, off_t length) { return truncated(fd, length); }
int ftruncate64(int fd, off64_t length) { return truncated(fd, length); }

int rename(const char *from, const char *to) {
    int hit = struck("rename", to), error = before(hit);
    if (error) {
        errno = error;
        return -1;
    }
    const char *file = taken_down(from), *target = taken_down(to);
    take_turn();
    int done = (int)syscall(SYS_rename, from, to);
    if (file && target && !done)
        take_down(RENAME, file, 0, target, strlen(target));
    end_turn();
    after(hit);
    return done;
}

int unlink(const char *path) {
    int hit = struck("unlink", path), error = before(hit);
    if (error) {
        errno = error;
        return -1;
    }
    const char *file = taken_down(path);
    take_turn();
    int done = (int)syscall(SYS_unlink, path);
    if (file && !done)
        take_down(UNLINK, file, 0, NULL, 0);
    end_turn();
    after(hit);
    return done;
}

/* The network: only to be the last call. */
static ssize_t passed(const char *call, int fd, long number, long a, long b, long c) {
    char name[NAME];
    name_of(fd, name);
    int hit = struck(call, name);
    before(hit);
    ssize_t done = number == SYS_writev ? syscall(SYS_writev, fd, a, b) : syscall(number, fd, a, b, c, 0, 0);
    if (done > 0)
        after(hit);
    return done;
}

ssize_t send(int fd, const void *data, size_t length, int flags) {
    return passed("send", fd, SYS_sendto, (long)data, (long)length, flags);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    return passed("send", fd, SYS_writev, (long)parts, count, 0);
}
ssize_t recv(int fd, void *data, size_t length, int flags) {
    return passed("recv", fd, SYS_recvfrom, (long)data, (long)length, flags);
}

/* By the next library, which may set the clock too. */
int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*next)(clockid_t, struct timespec *);
    if (!next)
        next = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int done = next(clock, now);
    if (!done && clock == CLOCK_REALTIME && offset_s)
        now->tv_sec += *offset_s;
    return done;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec exact;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *kept) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (kept)
        *kept = now.tv_sec;
    return now.tv_sec;
}
