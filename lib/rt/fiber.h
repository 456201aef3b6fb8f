/* fiber.h - straight-line code on one thread: a fiber runs until it waits, then another one does. One event loop
 * per process. Everything here is called from that loop's thread only, except where it says otherwise.
 *
 * A fiber must not wait between a library call and the look at its errno or at OpenSSL's error queue, nor inside an
 * LMDB transaction (see fiber_forbid_wait). */
#pragma once
#include "lib/base/clock.h"
#include "lib/base/list.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum wait { WAIT_OK = 0, WAIT_TIMEOUT, WAIT_CANCELLED };

struct fiber;
typedef void fiber_fn(void *arg);

/* Runs until loop_stop was called and every fiber has ended, or no fiber and nothing to wait for is left. Starts with
 * `fn` in the first fiber. */
void loop_run(const char *name, fiber_fn *fn, void *arg);
/* In a child process after fork(): forgets every other fiber, descriptor registration, thread and timer of the parent,
 * makes a fresh loop; the caller goes on as the only fiber. */
void loop_after_fork(void);

/* Makes a fiber that starts in this turn or the next one of the loop. The name (copied, cut at 31 bytes) shows in the
 * gdb helper. */
struct fiber *fiber_start(const char *name, fiber_fn *fn, void *arg);
struct fiber *fiber_self(void); /* NULL outside the loop */
const char *fiber_name(const struct fiber *f);
size_t fiber_count(void);
/* Lets the others run. */
void fiber_yield(void);
/* WAIT_TIMEOUT when the time has come, WAIT_CANCELLED when cancelled. */
enum wait fiber_sleep(int64_t deadline);
/* The fiber's present and all later waits return WAIT_CANCELLED at once; it is to clean up and return. A fiber that has
 * ended must not be named. */
void fiber_cancel(struct fiber *f);
bool fiber_is_cancelled(void);
/* Between these two calls a wait is a broken invariant (LMDB transactions). Nests. */
void fiber_forbid_wait(void);
void fiber_allow_wait(void);

/* A queue of waiting fibers: condition variable, semaphore and mailbox are made of it. */
struct waitq {
    struct list waiters;
};
void waitq_init(struct waitq *q);
enum wait waitq_wait(struct waitq *q, int64_t deadline);
void waitq_wake_one(struct waitq *q);
void waitq_wake_all(struct waitq *q);

/* Readiness of one descriptor. Registered with the loop at the first wait, edge-triggered, for both directions; so read
 * or write until EAGAIN before waiting. One fiber at most waits for each direction. */
enum io_dir { IO_READ, IO_WRITE };
struct io {
    void (*on_event)(void *self, uint32_t events); /* of the loop; first member */
    int fd;
    unsigned registered; /* generation of the loop that knows it; 0: none */
    bool shared;
    bool hangup; /* the other end closed its side, or worse: reading will not block any more */
    bool ready[2];
    struct fiber *waiter[2];
};
/* Does not own the descriptor, which must be non-blocking. */
void io_init(struct io *io, int fd);
/* As io_init, for a listening socket that several processes wait on: one of them is woken (EPOLLEXCLUSIVE,
 * level-triggered). */
void io_init_shared(struct io *io, int fd);
/* To be called before the descriptor is closed. */
void io_fini(struct io *io);
enum wait io_wait(struct io *io, enum io_dir dir, int64_t deadline);
/* Waits until one of two can be read; *which says (0 or 1). */
enum wait io_wait_either(struct io *a, struct io *b, int *which, int64_t deadline);
/* Waits until any of the wanted directions (bits 1 << IO_READ, 1 << IO_WRITE) of n descriptors may be of use;
 * io_attempt and a try say which. */
enum wait io_wait_any(struct io *const *ios, const unsigned *wanted, size_t n, int64_t deadline);
/* To be called just before a read or write attempt: an event that was seen before it says nothing any more. With it, a
 * short read may be followed by io_wait without another attempt. */
static inline void io_attempt(struct io *io, enum io_dir dir)
{
    io->ready[dir] = false;
}

/* Runs fn(arg) on a thread of the pool and waits for its end, however long it takes (it cannot be cancelled): for what
 * blocks for real, such as fsync, rename, getpwnam, crypt. Outside a loop it runs fn directly. fn must not
 * log, nor call anything of this header. */
void thread_run(void (*fn)(void *), void *arg);
/* Most threads of the pool; default 16. To be called before the first thread_run. */
void thread_pool_limit(unsigned threads);

/* Called by the loop before it sleeps, for example log_flush. At most 4. */
void loop_at_idle(void (*fn)(void));
/* Signals become events: fn runs in the loop (not in a handler), not in a fiber that may wait long: start one instead.
 */
void loop_on_signal(int signo, void (*fn)(int signo));
