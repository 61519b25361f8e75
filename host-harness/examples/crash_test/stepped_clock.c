// A wall clock that steps: what is preloaded into a worker adds the milliseconds in a file to the time of day, and those that
// follow in it to the time that has passed, which is told by a clock that nobody can set: 0 where nobody wants a machine that was asleep.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *step_ms;

__attribute__((constructor)) static void open_step(void) {
    const char *path = getenv("STEPPED_CLOCK_FILE");
    int file = path ? open(path, O_RDONLY) : -1;
    if (file < 0)
        _exit(70);
    void *mapped = mmap(NULL, 2 * sizeof *step_ms, PROT_READ, MAP_SHARED, file, 0);
    if (mapped == MAP_FAILED)
        _exit(70);
    step_ms = mapped;
    close(file);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int failed = (int)syscall(SYS_clock_gettime, clock, time);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC) && step_ms) {
        int64_t step = step_ms[clock == CLOCK_MONOTONIC];
        time->tv_sec += step / 1000;
        time->tv_nsec += step % 1000 * 1000000;
        if (time->tv_nsec < 0) {
            time->tv_sec -= 1;
            time->tv_nsec += 1000000000;
        } else if (time->tv_nsec >= 1000000000) {
            time->tv_sec += 1;
            time->tv_nsec -= 1000000000;
        }
    }
    return failed;
}
