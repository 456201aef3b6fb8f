/* loop_internal.h - what the files of lib/rt share about the loop and its fibers. */
#pragma once
#include "lib/rt/fiber.h"

/* Anything that epoll tells of begins with its function. */
struct watch {
    void (*on_event)(void *self, uint32_t events);
    int fd;
    void *arg;
};
/* Registers (events != 0, again to change) or removes (0) a descriptor whose events call w->on_event in the loop. */
void loop_watch(struct watch *w, uint32_t events);
void loop_unwatch(struct watch *w);
unsigned loop_generation(void);
bool loop_running(void);

/* A point of time at which fn is called in the loop. */
struct timer {
    int64_t at;
    size_t place; /* in the heap, from 1; 0: not set */
    void (*fn)(void *arg);
    void *arg;
};
void timer_set(struct timer *t, int64_t at);
void timer_clear(struct timer *t);

/* Parks the running fiber until fiber_wake or the deadline or cancellation. */
enum wait fiber_park(int64_t deadline);
/* Makes a parked fiber runnable with this outcome; harmless when it is not parked. */
void fiber_wake(struct fiber *f, enum wait outcome);
/* Parks until *done, whatever happens; a cancellation that comes meanwhile shows at the next wait. */
void fiber_park_uncancellable(const bool *done);
/* fiber.c's part of a loop turn. */
bool fiber_run_ready(void);
bool fiber_any_ready(void);
/* Gives back what long-parked fibers do not use; returns when to call again, DEADLINE_NEVER when there is nothing to
 * do. */
int64_t fiber_trim(int64_t now);
void fiber_after_fork(void);
void thread_after_fork(void);
void dns_after_fork(void);
