/* clock.c - see clock.h. */
#include "lib/base/clock.h"

int64_t clock_mono(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

int64_t clock_wall_usec(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t deadline_in_ms(int64_t ms)
{
    return ms < 0 || ms > INT64_MAX / NSEC_PER_MSEC / 2 ? DEADLINE_NEVER : clock_mono() + ms * NSEC_PER_MSEC;
}

int64_t deadline_in(int64_t seconds)
{
    return seconds < 0 || seconds > INT64_MAX / NSEC_PER_SEC / 2 ? DEADLINE_NEVER
                                                                 : clock_mono() + seconds * NSEC_PER_SEC;
}
