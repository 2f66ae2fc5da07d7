/* Every change that a process makes to some folders, counted, and the n-th of
 * them gone wrong.
 *
 * Loaded with LD_PRELOAD into a server. What Python and SQLite ask of the file
 * system goes through the functions below; those that change anything below
 * one of the folders BUNDLESTORE_FAULT_ROOT (several are parted by colons) are
 * operations 1, 2, 3 ... of the process. At number BUNDLESTORE_FAULT_AT it
 * happens what BUNDLESTORE_FAULT_KIND says:
 *
 *   eio, enospc, eacces   the operation fails
 *   dead, full, readonly  it fails, and so do all after it: a disk that died
 *                         (EIO), one that is full (ENOSPC, for what takes
 *                         room), one that became read-only (EROFS)
 *   short                 half of what is to be written is, then it is full
 *   killbefore, killafter SIGKILL
 *
 * Each call of close() for a file that can be written is one, too; the file is
 * closed even if the call fails.
 *
 * BUNDLESTORE_FAULT_STATE   a file of three 32-bit numbers: operations so far,
 *                           whether something went wrong on purpose, spare
 * BUNDLESTORE_FAULT_LOG     where to write down what was done (see record())
 * BUNDLESTORE_FAULT_REPLY   a file outside: that it was written to is logged
 * BUNDLESTORE_FAULT_READ    reading a file whose path has this in it is EIO
 * BUNDLESTORE_FAULT_CLOCK   a number of seconds that is added to the time
 * BUNDLESTORE_FAULT_HASTE   not to sleep when asked to
 *
 * What is written by way of a memory mapping is not seen. SQLite does that with
 * its "-shm" files, which do not outlive the processes that use them.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
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
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name)) real(#name))
#define LONGEST (2 * PATH_MAX)

enum {
    NONE, EIO_, ENOSPC_, EACCES_, DEAD, FULL, READONLY, SHORT, BEFORE, AFTER
};
static const char *const KINDS[] = {
    "none", "eio", "enospc", "eacces", "dead", "full", "readonly", "short",
    "killbefore", "killafter", NULL};

static const char *roots;
static const char *unreadable;
static const char *replyfile;
static long at;
static int kind;
static int logfd = -1;
static double clockshift;
static int haste;
static int shortened;
static volatile uint32_t *state;
static uint32_t nostate[3];
/* one operation at a time, so that the log has the order of what happened */
static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

static void *real(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (!found)
        abort();
    return found;
}

static const char *setting(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? strdup(value) : NULL;
}

/* Read the environment (again: a process that forks may call this). */
void bundlestore_faults(void)
{
    const char *text;
    int i;

    roots = NULL;
    at = 0;
    kind = NONE;
    shortened = 0;
    state = nostate;
    unreadable = setting("BUNDLESTORE_FAULT_READ");
    replyfile = setting("BUNDLESTORE_FAULT_REPLY");
    text = getenv("BUNDLESTORE_FAULT_CLOCK");
    clockshift = text ? atof(text) : 0;
    haste = setting("BUNDLESTORE_FAULT_HASTE") != NULL;
    text = getenv("BUNDLESTORE_FAULT_AT");
    at = text ? atol(text) : 0;
    text = getenv("BUNDLESTORE_FAULT_KIND");
    for (i = 0; text && KINDS[i]; i++)
        if (!strcmp(text, KINDS[i]))
            kind = i;
    if (logfd >= 0)
        syscall(SYS_close, logfd);
    logfd = -1;
    text = getenv("BUNDLESTORE_FAULT_LOG");
    if (text && *text) {
        logfd = syscall(SYS_openat, AT_FDCWD, text,
                        O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        /* out of the way of programs that count on small numbers */
        if (logfd >= 0) {
            int high = fcntl(logfd, F_DUPFD_CLOEXEC, 900);
            syscall(SYS_close, logfd);
            logfd = high;
        }
    }
    text = getenv("BUNDLESTORE_FAULT_STATE");
    if (text && *text) {
        int fd = syscall(SYS_openat, AT_FDCWD, text, O_RDWR | O_CREAT, 0666);
        if (fd >= 0) {
            void *page = MAP_FAILED;
            if (!syscall(SYS_ftruncate, fd, sizeof nostate))
                page = mmap(NULL, sizeof nostate, PROT_READ | PROT_WRITE,
                            MAP_SHARED, fd, 0);
            if (page != MAP_FAILED)
                state = page;
            syscall(SYS_close, fd);
        }
    }
    roots = setting("BUNDLESTORE_FAULT_ROOT");
}

__attribute__((constructor)) static void begin(void)
{
    state = nostate;
    bundlestore_faults();
}

/* -- which files */

static int below(const char *path)
{
    const char *root = roots;
    while (root && *root) {
        size_t length = strcspn(root, ":");
        if (length && !strncmp(path, root, length)
            && (path[length] == '/' || !path[length]))
            return 1;
        root += length + (root[length] == ':');
    }
    return 0;
}

static int fdpath(int fd, char *path)
{
    char link[64];
    ssize_t length;
    int saved = errno;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = syscall(SYS_readlinkat, AT_FDCWD, link, path, LONGEST - 1);
    errno = saved;
    if (length < 0)
        return 0;
    path[length] = 0;
    return 1;
}

/* Make an absolute path of what was passed to an "...at" function. */
static int abspath(int dirfd, const char *name, char *path)
{
    int saved = errno;

    if (!name)
        return 0;
    if (*name == '/') {
        snprintf(path, LONGEST, "%s", name);
        return 1;
    }
    if (dirfd == AT_FDCWD) {
        if (syscall(SYS_getcwd, path, PATH_MAX) < 0) {
            errno = saved;
            return 0;
        }
    } else if (!fdpath(dirfd, path))
        return 0;
    strncat(path, "/", LONGEST - strlen(path) - 1);
    strncat(path, name, LONGEST - strlen(path) - 1);
    return 1;
}

static int watched(int dirfd, const char *name, char *path)
{
    return roots && abspath(dirfd, name, path) && below(path);
}

static int watchedfd(int fd, char *path)
{
    return roots && fd >= 0 && fdpath(fd, path) && below(path);
}

static int exists(const char *path)
{
    int saved = errno;
    int found = !syscall(SYS_faccessat, AT_FDCWD, path, F_OK);
    errno = saved;
    return found;
}

static unsigned long long inode(int fd, const char *path)
{
    struct stat info;
    int saved = errno;
    int failed = fd >= 0 ? fstat(fd, &info) : lstat(path, &info);
    errno = saved;
    return failed ? 0 : info.st_ino;
}

/* -- what happens to an operation */

static void end(void)
{
    state[1] = 1;
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;)
        pause();
}

/* Takes: whether the operation needs room on the disk. Returns 0 to go on, or
 * the error to fail with; -1 means half a write. */
static int enter(int takes)
{
    uint32_t number;
    int error = 0;

    pthread_mutex_lock(&lock);
    number = ++state[0];
    if (!at || number < at)
        return 0;
    if (number == at) {
        if (kind == BEFORE)
            end();
        error = kind == EIO_ || kind == DEAD ? EIO
            : kind == ENOSPC_ ? ENOSPC
            : kind == EACCES_ ? EACCES
            : kind == READONLY ? EROFS
            : (kind == FULL || kind == SHORT) && takes ? ENOSPC
            : 0;
        if (kind == SHORT && takes == 2 && !shortened) {
            shortened = 1;
            error = -1;
        }
    } else if (number > at) {
        error = kind == DEAD ? EIO
            : kind == READONLY ? EROFS
            : (kind == FULL || kind == SHORT) && takes ? ENOSPC
            : 0;
    }
    if (error)
        state[1] = 1;
    return error;
}

static void leave(void)
{
    if (at && kind == AFTER && state[0] == at)
        end();
    pthread_mutex_unlock(&lock);
}

static int fail(int error)
{
    pthread_mutex_unlock(&lock);
    errno = error;
    return -1;
}

/* -- the log: a line with tabs, followed by what was written
 *    what, inode, offset, length, path, second path */

static void record(const char *what, unsigned long long ino, long long offset,
                   long long length, const char *path, const char *other,
                   const struct iovec *data, int count)
{
    char line[3 * LONGEST];
    struct iovec all[64];
    int saved = errno;
    int size;

    if (logfd < 0)
        return;
    size = snprintf(line, sizeof line, "%s\t%llu\t%lld\t%lld\t%s\t%s\n", what,
                    ino, offset, length, path, other ? other : "");
    all[0].iov_base = line;
    all[0].iov_len = size;
    if (count) {
        int used = 1;
        long long rest = length;
        for (int i = 0; i < count && rest > 0 && used < 64; i++) {
            all[used] = data[i];
            if ((long long) all[used].iov_len > rest)
                all[used].iov_len = rest;
            rest -= all[used++].iov_len;
        }
        syscall(SYS_writev, logfd, all, used);
    } else
        syscall(SYS_writev, logfd, all, 1);
    errno = saved;
}

/* -- opening and closing */

static int opened(int dirfd, const char *name, int flags, mode_t mode)
{
    char path[LONGEST];
    int fd, error, isnew;
    int changes = (flags & O_ACCMODE) != O_RDONLY
        || flags & (O_CREAT | O_TRUNC);

    if (!changes || !watched(dirfd, name, path))
        return syscall(SYS_openat, dirfd, name, flags, mode);
    isnew = flags & O_CREAT && !exists(path);
    if ((error = enter(isnew ? 1 : 0)))
        return fail(error);
    fd = syscall(SYS_openat, dirfd, name, flags, mode);
    if (fd >= 0)
        record(isnew ? "create" : flags & O_TRUNC ? "empty" : "open",
               inode(fd, path), 0, 0, path, NULL, NULL, 0);
    leave();
    return fd;
}

#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { \
        va_list list; \
        va_start(list, flags); \
        mode = va_arg(list, int); \
        va_end(list); \
    }

int open(const char *name, int flags, ...)
{
    MODE(flags)
    return opened(AT_FDCWD, name, flags, mode);
}

int open64(const char *name, int flags, ...)
{
    MODE(flags)
    return opened(AT_FDCWD, name, flags, mode);
}

int openat(int dirfd, const char *name, int flags, ...)
{
    MODE(flags)
    return opened(dirfd, name, flags, mode);
}

int openat64(int dirfd, const char *name, int flags, ...)
{
    MODE(flags)
    return opened(dirfd, name, flags, mode);
}

int creat(const char *name, mode_t mode)
{
    return opened(AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

int creat64(const char *name, mode_t mode)
{
    return opened(AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

int close(int fd)
{
    char path[LONGEST];
    int error, result;

    if (fd == logfd)
        return 0;
    if (!watchedfd(fd, path)
        || (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY)
        return syscall(SYS_close, fd);
    error = enter(0);
    result = syscall(SYS_close, fd);
    if (error)
        return fail(error);
    leave();
    return result;
}

/* -- contents */

static ssize_t written(int fd, const struct iovec *data, int count,
                       off_t offset, const char *path)
{
    struct iovec half;
    ssize_t length;
    off_t place = offset;
    int error;

    if ((error = enter(2)) > 0)
        return fail(error);
    if (error) {
        half = data[0];
        half.iov_len = (half.iov_len + 1) / 2;
        data = &half;
        count = 1;
    }
    if (offset < 0) {
        struct stat info;
        place = fcntl(fd, F_GETFL) & O_APPEND && !fstat(fd, &info)
            ? info.st_size : lseek(fd, 0, SEEK_CUR);
        length = syscall(SYS_writev, fd, data, count);
    } else
        length = syscall(SYS_pwritev, fd, data, count, offset, 0L);
    if (length >= 0)
        record("write", inode(fd, path), place, length, path, NULL, data,
               count);
    leave();
    return length;
}

static void replied(int fd)
{
    char path[LONGEST];

    if (replyfile && logfd >= 0 && fdpath(fd, path) && !strcmp(path, replyfile))
        record("reply", 0, 0, 0, path, NULL, NULL, 0);
}

ssize_t write(int fd, const void *data, size_t size)
{
    char path[LONGEST];
    struct iovec one = {(void *) data, size};
    ssize_t length;

    if (watchedfd(fd, path))
        return written(fd, &one, 1, -1, path);
    length = syscall(SYS_write, fd, data, size);
    replied(fd);
    return length;
}

ssize_t writev(int fd, const struct iovec *data, int count)
{
    char path[LONGEST];

    if (watchedfd(fd, path))
        return written(fd, data, count, -1, path);
    return syscall(SYS_writev, fd, data, count);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    char path[LONGEST];
    struct iovec one = {(void *) data, size};

    if (watchedfd(fd, path))
        return written(fd, &one, 1, offset, path);
    return syscall(SYS_pwrite64, fd, data, size, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
    return pwrite(fd, data, size, offset);
}

ssize_t pwritev(int fd, const struct iovec *data, int count, off_t offset)
{
    char path[LONGEST];

    if (watchedfd(fd, path))
        return written(fd, data, count, offset, path);
    return syscall(SYS_pwritev, fd, data, count, offset, 0L);
}

ssize_t pwritev64(int fd, const struct iovec *data, int count, off64_t offset)
{
    return pwritev(fd, data, count, offset);
}

/* Python falls back to reading and writing. */
ssize_t sendfile64(int out, int in, off64_t *offset, size_t size)
{
    char path[LONGEST];

    if (watchedfd(out, path)) {
        errno = EINVAL;
        return -1;
    }
    return syscall(SYS_sendfile, out, in, offset, size);
}

ssize_t sendfile(int out, int in, off_t *offset, size_t size)
{
    return sendfile64(out, in, offset, size);
}

ssize_t copy_file_range(int in, off64_t *inoffset, int out, off64_t *outoffset,
                        size_t size, unsigned int flags)
{
    char path[LONGEST];

    if (watchedfd(out, path)) {
        errno = EXDEV;
        return -1;
    }
    return syscall(SYS_copy_file_range, in, inoffset, out, outoffset, size,
                   flags);
}

int ftruncate(int fd, off_t size)
{
    char path[LONGEST];
    int error, result;

    if (!watchedfd(fd, path))
        return syscall(SYS_ftruncate, fd, size);
    if ((error = enter(1)))
        return fail(error > 0 ? error : ENOSPC);
    result = syscall(SYS_ftruncate, fd, size);
    if (!result)
        record("truncate", inode(fd, path), size, 0, path, NULL, NULL, 0);
    leave();
    return result;
}

int ftruncate64(int fd, off64_t size)
{
    return ftruncate(fd, size);
}

int truncate(const char *name, off_t size)
{
    char path[LONGEST];
    int error, result;

    if (!watched(AT_FDCWD, name, path))
        return syscall(SYS_truncate, name, size);
    if ((error = enter(1)))
        return fail(error);
    result = syscall(SYS_truncate, name, size);
    if (!result)
        record("truncate", inode(-1, path), size, 0, path, NULL, NULL, 0);
    leave();
    return result;
}

int truncate64(const char *name, off64_t size)
{
    return truncate(name, size);
}

int posix_fallocate(int fd, off_t offset, off_t size)
{
    char path[LONGEST];
    int error, result;

    if (!watchedfd(fd, path))
        return REAL(posix_fallocate)(fd, offset, size);
    if ((error = enter(1))) {
        pthread_mutex_unlock(&lock);
        return error;
    }
    result = REAL(posix_fallocate)(fd, offset, size);
    if (!result)
        record("extend", inode(fd, path), offset + size, 0, path, NULL, NULL,
               0);
    leave();
    return result;
}

int posix_fallocate64(int fd, off64_t offset, off64_t size)
{
    return posix_fallocate(fd, offset, size);
}

static int synced(int fd, long call)
{
    char path[LONGEST];
    int error, result;

    if (!watchedfd(fd, path))
        return syscall(call, fd);
    if ((error = enter(0)))
        return fail(error);
    result = syscall(call, fd);
    if (!result)
        record("sync", inode(fd, path), 0, 0, path, NULL, NULL, 0);
    leave();
    return result;
}

int fsync(int fd)
{
    return synced(fd, SYS_fsync);
}

int fdatasync(int fd)
{
    return synced(fd, SYS_fdatasync);
}

/* -- names */

/* One operation on a name; the call that does it is the last argument. */
#define NAMED(what, takes, dirfd, name, call) \
    { \
        char path[LONGEST]; \
        int error, result; \
        if (!watched(dirfd, name, path)) \
            return call; \
        if ((error = enter(takes))) \
            return fail(error); \
        result = call; \
        if (!result) \
            record(what, inode(-1, path), 0, 0, path, NULL, NULL, 0); \
        leave(); \
        return result; \
    }

int mkdir(const char *name, mode_t mode)
    NAMED("mkdir", 1, AT_FDCWD, name,
          syscall(SYS_mkdirat, AT_FDCWD, name, mode))

int mkdirat(int dirfd, const char *name, mode_t mode)
    NAMED("mkdir", 1, dirfd, name, syscall(SYS_mkdirat, dirfd, name, mode))

int rmdir(const char *name)
    NAMED("rmdir", 0, AT_FDCWD, name,
          syscall(SYS_unlinkat, AT_FDCWD, name, AT_REMOVEDIR))

int unlink(const char *name)
    NAMED("unlink", 0, AT_FDCWD, name, syscall(SYS_unlinkat, AT_FDCWD, name, 0))

int unlinkat(int dirfd, const char *name, int flags)
    NAMED(flags & AT_REMOVEDIR ? "rmdir" : "unlink", 0, dirfd, name,
          syscall(SYS_unlinkat, dirfd, name, flags))

int chmod(const char *name, mode_t mode)
    NAMED("chmod", 0, AT_FDCWD, name,
          syscall(SYS_fchmodat, AT_FDCWD, name, mode))

int fchmodat(int dirfd, const char *name, mode_t mode, int flags)
    NAMED("chmod", 0, dirfd, name, REAL(fchmodat)(dirfd, name, mode, flags))

int symlink(const char *target, const char *name)
    NAMED("symlink", 1, AT_FDCWD, name,
          syscall(SYS_symlinkat, target, AT_FDCWD, name))

int symlinkat(const char *target, int dirfd, const char *name)
    NAMED("symlink", 1, dirfd, name,
          syscall(SYS_symlinkat, target, dirfd, name))

int utimensat(int dirfd, const char *name, const struct timespec times[2],
              int flags)
    NAMED("touch", 0, dirfd, name,
          syscall(SYS_utimensat, dirfd, name, times, flags))

int fchmod(int fd, mode_t mode)
{
    char path[LONGEST];
    int error, result;

    if (!watchedfd(fd, path))
        return syscall(SYS_fchmod, fd, mode);
    if ((error = enter(0)))
        return fail(error);
    result = syscall(SYS_fchmod, fd, mode);
    leave();
    return result;
}

static int moved(const char *what, int olddir, const char *old, int newdir,
                 const char *new, unsigned int flags)
{
    char from[LONGEST], to[LONGEST];
    int error, result;
    int islink = !strcmp(what, "link");
    int isours = watched(newdir, new, to);

    isours |= watched(olddir, old, from);
    if (isours && (error = enter(1)))
        return fail(error);
    result = islink ? syscall(SYS_linkat, olddir, old, newdir, new, flags)
        : syscall(SYS_renameat2, olddir, old, newdir, new, flags);
    if (!isours)
        return result;
    if (!result && abspath(olddir, old, from) && abspath(newdir, new, to))
        record(what, inode(-1, to), 0, 0, from, to, NULL, 0);
    leave();
    return result;
}

int rename(const char *old, const char *new)
{
    return moved("rename", AT_FDCWD, old, AT_FDCWD, new, 0);
}

int renameat(int olddir, const char *old, int newdir, const char *new)
{
    return moved("rename", olddir, old, newdir, new, 0);
}

int renameat2(int olddir, const char *old, int newdir, const char *new,
              unsigned int flags)
{
    return moved("rename", olddir, old, newdir, new, flags);
}

int link(const char *old, const char *new)
{
    return moved("link", AT_FDCWD, old, AT_FDCWD, new, 0);
}

int linkat(int olddir, const char *old, int newdir, const char *new, int flags)
{
    return moved("link", olddir, old, newdir, new, flags);
}

/* A file system that is read-only from the start says so when asked. */
static int forbidden(int dirfd, const char *name, int mode)
{
    char path[LONGEST];

    if (kind != READONLY || at != 1 || !(mode & W_OK)
        || !watched(dirfd, name, path))
        return 0;
    errno = EROFS;
    return 1;
}

int access(const char *name, int mode)
{
    return forbidden(AT_FDCWD, name, mode)
        ? -1 : REAL(access)(name, mode);
}

int faccessat(int dirfd, const char *name, int mode, int flags)
{
    return forbidden(dirfd, name, mode)
        ? -1 : REAL(faccessat)(dirfd, name, mode, flags);
}

/* -- reading */

static int isunreadable(int fd)
{
    char path[LONGEST];
    return unreadable && fdpath(fd, path) && strstr(path, unreadable);
}

ssize_t read(int fd, void *data, size_t size)
{
    if (isunreadable(fd)) {
        state[1] = 1;
        errno = EIO;
        return -1;
    }
    return syscall(SYS_read, fd, data, size);
}

ssize_t pread(int fd, void *data, size_t size, off_t offset)
{
    if (isunreadable(fd)) {
        state[1] = 1;
        errno = EIO;
        return -1;
    }
    return syscall(SYS_pread64, fd, data, size, offset);
}

ssize_t pread64(int fd, void *data, size_t size, off64_t offset)
{
    return pread(fd, data, size, offset);
}

/* -- time */

int clock_gettime(clockid_t which, struct timespec *now)
{
    int result = REAL(clock_gettime)(which, now);
    if (!result && which == CLOCK_REALTIME)
        now->tv_sec += (time_t) clockshift;
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    int result = REAL(gettimeofday)(now, zone);
    if (!result)
        now->tv_sec += (time_t) clockshift;
    return result;
}

time_t time(time_t *place)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (place)
        *place = now.tv_sec;
    return now.tv_sec;
}

int usleep(useconds_t length)
{
    return haste ? 0 : REAL(usleep)(length);
}

int nanosleep(const struct timespec *length, struct timespec *rest)
{
    return haste ? 0 : REAL(nanosleep)(length, rest);
}
