/* Loaded into a process under test before the C library: a wall clock that jumps, and a disk that fails to sync.

   DADC_TEST_CLOCK=SECONDS   CLOCK_REALTIME is an hour ahead and an hour behind by turns, changing every SECONDS;
                             the monotonic clock is left alone
   DADC_TEST_FSYNC=TEXT      fsync and fdatasync of a file whose path contains TEXT fail with EIO ...
   DADC_TEST_FSYNC_AFTER=N   ... after N of them have succeeded
   DADC_TEST_MMAP=TEXT       a shared map of a file whose path contains TEXT fails with ENODEV, as where there are none
*/
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

typedef int (*clock_function)(clockid_t, struct timespec *);
typedef int (*sync_function)(int);

static time_t shift(void) {
    static clock_function real;
    static int period = -1;
    struct timespec now;
    if (period < 0) {
        const char *text = getenv("DADC_TEST_CLOCK");
        period = text ? atoi(text) : 0;
        real = (clock_function)dlsym(RTLD_NEXT, "clock_gettime");
    }
    if (period <= 0)
        return 0;
    real(CLOCK_MONOTONIC, &now);
    return (now.tv_sec / period) % 2 ? 3600 : -3600;
}

int clock_gettime(clockid_t clock, struct timespec *out) {
    static clock_function real;
    if (!real)
        real = (clock_function)dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, out);
    if (!result && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        out->tv_sec += shift();
    return result;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone) {
    struct timespec now;
    (void)zone;
    int result = clock_gettime(CLOCK_REALTIME, &now);
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return result;
}

time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}

static int fails(int descriptor) {
    static int left = -1;
    const char *text = getenv("DADC_TEST_FSYNC");
    char link[64], path[4096];
    if (!text)
        return 0;
    if (left < 0) {
        const char *after = getenv("DADC_TEST_FSYNC_AFTER");
        left = after ? atoi(after) : 0;
    }
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    if (!strstr(path, text))
        return 0;
    if (left > 0) {
        left--;
        return 0;
    }
    errno = EIO;
    return 1;
}

int fsync(int descriptor) {
    static sync_function real;
    if (!real)
        real = (sync_function)dlsym(RTLD_NEXT, "fsync");
    return fails(descriptor) ? -1 : real(descriptor);
}

int fdatasync(int descriptor) {
    static sync_function real;
    if (!real)
        real = (sync_function)dlsym(RTLD_NEXT, "fdatasync");
    return fails(descriptor) ? -1 : real(descriptor);
}

typedef void *(*map_function)(void *, size_t, int, int, int, off_t);

static int unmappable(int flags, int descriptor) {
    const char *text = getenv("DADC_TEST_MMAP");
    char link[64], path[4096];
    if (!text || descriptor < 0 || !(flags & MAP_SHARED))
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0)
        return 0;
    path[length] = 0;
    return strstr(path, text) != NULL;
}

void *mmap(void *at, size_t size, int protection, int flags, int descriptor, off_t offset) {
    static map_function real;
    if (!real)
        real = (map_function)dlsym(RTLD_NEXT, "mmap");
    if (unmappable(flags, descriptor)) {
        errno = ENODEV;
        return MAP_FAILED;
    }
    return real(at, size, protection, flags, descriptor, offset);
}

void *mmap64(void *at, size_t size, int protection, int flags, int descriptor, off_t offset) {
    return mmap(at, size, protection, flags, descriptor, offset);
}
