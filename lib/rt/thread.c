/* thread.c - the pool of threads for calls that block. See thread_run in fiber.h. */
#include "lib/base/log.h"
#include "lib/rt/loop_internal.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { THREAD_STACK = 256 * 1024 };

struct job {
    void (*fn)(void *);
    void *arg;
    struct fiber *fiber;
    bool done;
    struct list link;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct list todo, done;
    unsigned limit, threads, idle;
    unsigned queued;
    bool told; /* the eventfd was written since the loop last looked */
    struct watch finished;
} pool = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .more = PTHREAD_COND_INITIALIZER,
    .todo = LIST_INIT(pool.todo),
    .done = LIST_INIT(pool.done),
    .limit = 16,
    .finished = {.fd = -1},
};

void thread_pool_limit(unsigned threads)
{
    pool.limit = threads ? threads : 1;
}

static void tell_loop(void)
{
    uint64_t one = 1;
    if (write(pool.finished.fd, &one, sizeof one) < 0 && errno != EAGAIN)
        log_panic("eventfd: %s", strerror(errno));
}

static void *worker(void *unused)
{
    pthread_mutex_lock(&pool.lock);
    for (;;) {
        while (list_empty(&pool.todo)) {
            pool.idle++;
            pthread_cond_wait(&pool.more, &pool.lock);
            pool.idle--;
        }
        struct job *j = LIST_ENTRY(list_pop(&pool.todo), struct job, link);
        pool.queued--;
        pthread_mutex_unlock(&pool.lock);
        j->fn(j->arg);
        pthread_mutex_lock(&pool.lock);
        list_append(&pool.done, &j->link);
        if (!pool.told) {
            pool.told = true;
            tell_loop();
        }
    }
    return unused;
}

static void on_finished(void *self, uint32_t events)
{
    uint64_t count;
    struct list done = LIST_INIT(done);
    pthread_mutex_lock(&pool.lock);
    if (read(pool.finished.fd, &count, sizeof count) < 0 && errno != EAGAIN)
        log_panic("eventfd: %s", strerror(errno));
    pool.told = false;
    while (!list_empty(&pool.done))
        list_append(&done, list_pop(&pool.done));
    pthread_mutex_unlock(&pool.lock);
    for (struct list *l; (l = list_pop(&done));) {
        struct job *j = LIST_ENTRY(l, struct job, link);
        j->done = true;
        fiber_wake(j->fiber, WAIT_OK);
    }
}

static void add_thread(void)
{
    pthread_attr_t attr;
    pthread_t id;
    sigset_t all, old;
    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
#if !defined(__SANITIZE_ADDRESS__)
    pthread_attr_setstacksize(&attr, THREAD_STACK);
#endif
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = pthread_create(&id, &attr, worker, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    if (error == 0)
        pool.threads++;
    else if (pool.threads == 0)
        log_panic("pthread_create: %s", strerror(error));
}

void thread_run(void (*fn)(void *), void *arg)
{
    if (!fiber_self()) {
        fn(arg);
        return;
    }
    if (pool.finished.fd < 0) {
        pool.finished.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (pool.finished.fd < 0)
            log_panic("eventfd: %s", strerror(errno));
        pool.finished.on_event = on_finished;
        loop_watch(&pool.finished, EPOLLIN);
    }
    struct job j = {.fn = fn, .arg = arg, .fiber = fiber_self()};
    pthread_mutex_lock(&pool.lock);
    list_append(&pool.todo, &j.link);
    pool.queued++;
    if (pool.idle >= pool.queued)
        pthread_cond_signal(&pool.more);
    else if (pool.threads < pool.limit)
        add_thread();
    else if (pool.idle)
        pthread_cond_signal(&pool.more);
    pthread_mutex_unlock(&pool.lock);
    /* The job lies on this stack, so the wait has no deadline, and a cancelled fiber waits on as well. */
    fiber_park_uncancellable(&j.done);
}

void thread_after_fork(void)
{
    pthread_mutex_init(&pool.lock, NULL);
    pthread_cond_init(&pool.more, NULL);
    list_init(&pool.todo);
    list_init(&pool.done);
    pool.threads = pool.idle = pool.queued = 0;
    pool.told = false;
    if (pool.finished.fd >= 0)
        close(pool.finished.fd);
    pool.finished.fd = -1;
}
