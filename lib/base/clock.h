/* clock.h - time. Deadlines are nanoseconds of the monotonic clock; file and log times are wall clock. */
#pragma once
#include <stdint.h>
#include <sys/time.h>
#include <time.h>

#define NSEC_PER_SEC INT64_C(1000000000)
#define NSEC_PER_MSEC INT64_C(1000000)
#define DEADLINE_NEVER INT64_MAX

/* Nanoseconds since an arbitrary point; never goes back. */
int64_t clock_mono(void);
/* Microseconds since the epoch. */
int64_t clock_wall_usec(void);
/* The point in time so many seconds (milliseconds) from now; a negative value means DEADLINE_NEVER. */
int64_t deadline_in(int64_t seconds);
int64_t deadline_in_ms(int64_t ms);
