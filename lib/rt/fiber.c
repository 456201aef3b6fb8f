/* fiber.c - fibers: their stacks, their switches, their waits. See fiber.h.
 *
 * A fiber's control block lies at the top of its own stack, so that a parked fiber touches as few pages as possible.
 * The scheduler is the thread's own stack (loop.c); every switch goes through it. */
#include "lib/rt/fiber.h"

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/rt/context.h"
#include "lib/rt/loop_internal.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#define RT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RT_ASAN 1
#endif
#endif
#ifdef RT_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif
#ifdef MERPATI_VALGRIND
#include <valgrind/valgrind.h>
#endif

enum {
#ifdef RT_ASAN
    STACK_SIZE = 512 * 1024, /* red zones make frames several times larger */
#else
    STACK_SIZE = 128 * 1024,
#endif
    GUARD_SIZE = 4096,
    PAGE = 4096,
    STACKS_KEPT = 256,
    TRIM_AFTER_SECONDS = 5,
};

struct fiber {
    void *sp;
    char *mapping; /* guard page, then the stack */
    fiber_fn *fn;
    void *arg;
    struct list all;
    struct list link; /* in the ready queue or in a waitq */
    struct timer timer;
    enum wait outcome;
    bool parked, cancelled, ended, trimmed, in_waitq;
    int forbidden;
    int64_t parked_at;
    char name[32];
#ifdef RT_ASAN
    void *fake_stack;
#endif
#ifdef MERPATI_VALGRIND
    unsigned valgrind_id;
#endif
};

/* The fibers of this thread. */
static struct {
    struct list all, ready, batch, free_stacks;
    size_t count, free_count;
    struct fiber *running;
    void *scheduler_sp;
#ifdef RT_ASAN
    void *scheduler_fake;
    const void *scheduler_bottom;
    size_t scheduler_size;
#endif
} fibers = {.all = LIST_INIT(fibers.all),
            .ready = LIST_INIT(fibers.ready),
            .batch = LIST_INIT(fibers.batch),
            .free_stacks = LIST_INIT(fibers.free_stacks)};

static char *stack_bottom(struct fiber *f)
{
    return f->mapping + GUARD_SIZE;
}

/* ---- switching ---- */

static void switch_to_fiber(struct fiber *f)
{
    fibers.running = f;
#ifdef RT_ASAN
    __sanitizer_start_switch_fiber(&fibers.scheduler_fake, stack_bottom(f), STACK_SIZE);
#endif
    context_switch(&fibers.scheduler_sp, f->sp);
#ifdef RT_ASAN
    __sanitizer_finish_switch_fiber(fibers.scheduler_fake, NULL, NULL);
#endif
    fibers.running = NULL;
}

static void switch_to_scheduler(struct fiber *f)
{
#ifdef RT_ASAN
    __sanitizer_start_switch_fiber(f->ended ? NULL : &f->fake_stack, fibers.scheduler_bottom, fibers.scheduler_size);
#endif
    context_switch(&f->sp, fibers.scheduler_sp);
#ifdef RT_ASAN
    __sanitizer_finish_switch_fiber(f->fake_stack, &fibers.scheduler_bottom, &fibers.scheduler_size);
#endif
}

static void fiber_entry(void)
{
    struct fiber *f = fibers.running;
#ifdef RT_ASAN
    __sanitizer_finish_switch_fiber(NULL, &fibers.scheduler_bottom, &fibers.scheduler_size);
#endif
    f->fn(f->arg);
    f->ended = true;
    switch_to_scheduler(f);
    log_panic("fiber %s ran after its end", f->name);
}

/* ---- stacks ---- */

static struct fiber *fiber_on_stack(char *mapping)
{
    uintptr_t top = (uintptr_t)mapping + GUARD_SIZE + STACK_SIZE - sizeof(struct fiber);
    return (struct fiber *)(top & ~(uintptr_t)63);
}

static char *stack_take(void)
{
    struct list *kept = list_pop(&fibers.free_stacks);
    if (kept) {
        fibers.free_count--;
        return LIST_ENTRY(kept, struct fiber, all)->mapping;
    }
    char *m =
        mmap(NULL, GUARD_SIZE + STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (m == MAP_FAILED || mprotect(m, GUARD_SIZE, PROT_NONE) != 0)
        log_panic("no memory for a fiber's stack (%zu fibers; see vm.max_map_count)", fibers.count);
#ifdef RT_ASAN
    __lsan_register_root_region(m + GUARD_SIZE, STACK_SIZE);
#endif
    return m;
}

static void stack_give_back(struct fiber *f)
{
#ifdef RT_ASAN
    __asan_unpoison_memory_region(stack_bottom(f), STACK_SIZE - sizeof *f - 64);
#endif
#ifdef MERPATI_VALGRIND
    VALGRIND_STACK_DEREGISTER(f->valgrind_id);
#endif
    if (fibers.free_count < STACKS_KEPT) {
        fibers.free_count++;
        list_prepend(&fibers.free_stacks, &f->all);
        return;
    }
    char *m = f->mapping;
#ifdef RT_ASAN
    __lsan_unregister_root_region(m + GUARD_SIZE, STACK_SIZE);
#endif
    munmap(m, GUARD_SIZE + STACK_SIZE);
}

/* ---- life ---- */

struct fiber *fiber_start(const char *name, fiber_fn *fn, void *arg)
{
    char *m = stack_take();
    struct fiber *f = fiber_on_stack(m);
    memset(f, 0, sizeof *f);
    f->mapping = m;
    f->fn = fn;
    f->arg = arg;
    snprintf(f->name, sizeof f->name, "%s", name);
    f->sp = context_make(f, fiber_entry);
#ifdef MERPATI_VALGRIND
    f->valgrind_id = VALGRIND_STACK_REGISTER(stack_bottom(f), (char *)f);
#endif
    list_append(&fibers.all, &f->all);
    list_append(&fibers.ready, &f->link);
    fibers.count++;
    return f;
}

static void fiber_reap(struct fiber *f)
{
    list_remove(&f->all);
    fibers.count--;
    stack_give_back(f);
}

bool fiber_run_ready(void)
{
    /* Only those that are ready now: one that yields runs again after the loop looked at its events. The batch is not
     * on this stack, because a fork in one of its fibers must be able to forget the others. */
    if (list_empty(&fibers.ready))
        return false;
    fibers.batch.next = fibers.ready.next;
    fibers.batch.prev = fibers.ready.prev;
    fibers.batch.next->prev = fibers.batch.prev->next = &fibers.batch;
    list_init(&fibers.ready);
    for (struct list *l; (l = list_pop(&fibers.batch));) {
        struct fiber *f = LIST_ENTRY(l, struct fiber, link);
        f->parked = false;
        switch_to_fiber(f);
        if (f->ended)
            fiber_reap(f);
    }
    return true;
}

bool fiber_any_ready(void)
{
    return !list_empty(&fibers.ready);
}

void fiber_after_fork(void)
{
    struct fiber *self = fibers.running;
    list_init(&fibers.all);
    list_init(&fibers.ready);
    list_init(&fibers.batch);
    list_init(&fibers.free_stacks);
    fibers.free_count = 0;
    fibers.count = 0;
    if (self) {
        list_append(&fibers.all, &self->all);
        list_init(&self->link);
        fibers.count = 1;
        self->timer.place = 0;
        self->cancelled = false;
    }
}

struct fiber *fiber_self(void)
{
    return fibers.running;
}

const char *fiber_name(const struct fiber *f)
{
    return f->name;
}

size_t fiber_count(void)
{
    return fibers.count;
}

/* ---- waiting ---- */

static void on_deadline(void *arg)
{
    fiber_wake(arg, WAIT_TIMEOUT);
}

enum wait fiber_park(int64_t deadline)
{
    struct fiber *f = fibers.running;
    if (!f)
        log_panic("a wait outside of any fiber");
    if (f->forbidden)
        log_panic("fiber %s waits inside a section that forbids it", f->name);
    if (f->cancelled) {
        if (f->in_waitq) {
            list_remove(&f->link);
            f->in_waitq = false;
        }
        return WAIT_CANCELLED;
    }
    f->parked = true;
    f->trimmed = false;
    f->outcome = WAIT_OK;
    f->parked_at = clock_mono();
    if (deadline != DEADLINE_NEVER) {
        f->timer.fn = on_deadline;
        f->timer.arg = f;
        timer_set(&f->timer, deadline);
    }
    switch_to_scheduler(f);
    return f->outcome;
}

void fiber_park_uncancellable(const bool *done)
{
    struct fiber *f = fibers.running;
    bool cancelled = f->cancelled;
    f->cancelled = false;
    while (!*done) {
        fiber_park(DEADLINE_NEVER);
        cancelled |= f->cancelled;
        f->cancelled = false;
    }
    f->cancelled = cancelled;
}

void fiber_wake(struct fiber *f, enum wait outcome)
{
    if (!f->parked)
        return;
    f->parked = false;
    f->outcome = outcome;
    timer_clear(&f->timer);
    if (f->in_waitq) {
        list_remove(&f->link);
        f->in_waitq = false;
    }
    list_append(&fibers.ready, &f->link);
}

void fiber_yield(void)
{
    struct fiber *f = fibers.running;
    list_append(&fibers.ready, &f->link);
    switch_to_scheduler(f);
}

enum wait fiber_sleep(int64_t deadline)
{
    return fiber_park(deadline);
}

void fiber_cancel(struct fiber *f)
{
    f->cancelled = true;
    fiber_wake(f, WAIT_CANCELLED);
}

bool fiber_is_cancelled(void)
{
    return fibers.running && fibers.running->cancelled;
}

void fiber_forbid_wait(void)
{
    if (fibers.running)
        fibers.running->forbidden++;
}

void fiber_allow_wait(void)
{
    if (fibers.running)
        fibers.running->forbidden--;
}

void waitq_init(struct waitq *q)
{
    list_init(&q->waiters);
}

enum wait waitq_wait(struct waitq *q, int64_t deadline)
{
    struct fiber *f = fibers.running;
    if (!f)
        log_panic("a wait outside of any fiber");
    list_append(&q->waiters, &f->link);
    f->in_waitq = true;
    return fiber_park(deadline);
}

void waitq_wake_one(struct waitq *q)
{
    if (!list_empty(&q->waiters))
        fiber_wake(LIST_ENTRY(q->waiters.next, struct fiber, link), WAIT_OK);
}

void waitq_wake_all(struct waitq *q)
{
    while (!list_empty(&q->waiters))
        waitq_wake_one(q);
}

/* ---- memory of long waits ---- */

static void trim(struct fiber *f)
{
    /* 128 bytes below the stack pointer belong to it too (red zone of the ABI). */
    uintptr_t low = (uintptr_t)stack_bottom(f), high = ((uintptr_t)f->sp - 128) & ~(uintptr_t)(PAGE - 1);
    if (high > low)
        madvise((void *)low, high - low, MADV_DONTNEED);
    f->trimmed = true;
}

int64_t fiber_trim(int64_t now)
{
    int64_t next = DEADLINE_NEVER;
    LIST_EACH (l, &fibers.all) {
        struct fiber *f = LIST_ENTRY(l, struct fiber, all);
        if (!f->parked || f->trimmed)
            continue;
        int64_t due = f->parked_at + TRIM_AFTER_SECONDS * NSEC_PER_SEC;
        if (due <= now)
            trim(f);
        else if (due < next)
            next = due;
    }
    return next;
}
