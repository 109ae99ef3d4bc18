/* Preloaded into a server, so that its wall clock can be set while it runs: every reading of the time of day is off by
 * the number of microseconds that stands in the file which MADANG_TEST_CLOCK names. Monotonic clocks are left alone, as
 * they are when an operator, or NTP, sets a computer's clock.
 *
 * A wait until a time of day (a futex with FUTEX_CLOCK_REALTIME) is for the kernel, whose clock is not off: its time is
 * put right before it gets there.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define MILLION 1000000LL

static volatile int64_t *offset;
static int (*real_gettime)(clockid_t, struct timespec *);
static long (*real_syscall)(long, ...);

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("MADANG_TEST_CLOCK");
    real_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    real_syscall = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *page = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    if (page != MAP_FAILED) offset = page;
    close(file);
}

static void shift(struct timespec *at, int64_t by) {
    int64_t nanos = at->tv_nsec + by % MILLION * 1000;
    at->tv_sec += by / MILLION + (nanos >= 1000 * MILLION) - (nanos < 0);
    at->tv_nsec = (nanos + 1000 * MILLION) % (1000 * MILLION);
}

int clock_gettime(clockid_t id, struct timespec *at) {
    if (!real_gettime) begin();
    int code = real_gettime(id, at);
    if (code == 0 && offset && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) shift(at, *offset);
    return code;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *at) {
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}

int timespec_get(struct timespec *at, int base) {
    return base == TIME_UTC && clock_gettime(CLOCK_REALTIME, at) == 0 ? base : 0;
}

long syscall(long number, ...) {
    long given[6];
    struct timespec until;
    va_list arguments;
    if (!real_syscall) begin();
    va_start(arguments, number);
    for (int i = 0; i < 6; i++) given[i] = va_arg(arguments, long);
    va_end(arguments);
    if (number == SYS_futex && offset && given[3] && (given[1] & FUTEX_CLOCK_REALTIME)) {
        int operation = given[1] & FUTEX_CMD_MASK;
        if (operation == FUTEX_WAIT_BITSET || operation == FUTEX_WAIT_REQUEUE_PI) {
            until = *(struct timespec *)given[3];
            shift(&until, -*offset);
            given[3] = (long)&until;
        }
    }
    return real_syscall(number, given[0], given[1], given[2], given[3], given[4], given[5]);
}
