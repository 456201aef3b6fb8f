/* log.c - see log.h. Lines are gathered in one buffer; the loop's idle hook writes them with one system call. */
#include "lib/base/log.h"

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

enum { LINE_LONGEST = 2048, FLUSH_AT = 16384 };

/* The one mutable state of the process that is not passed around: where its log goes. */
static struct {
    enum log_sink sink;
    int fd;
    int verbose;
    char tag[100];
    char host[64];
    struct buf lines; /* SYSLOG: each ends in a NUL */
    time_t second;    /* that `stamp` shows */
    char stamp[32];
} state = {.fd = 2, .tag = "merpati", .lines = {.max = 1 << 20}};

void log_open(const char *tag, enum log_sink sink, int fd)
{
    log_flush();
    snprintf(state.tag, sizeof state.tag, "%s", tag);
    state.sink = sink;
    state.fd = fd;
    if (gethostname(state.host, sizeof state.host) != 0)
        snprintf(state.host, sizeof state.host, "localhost");
    state.host[sizeof state.host - 1] = '\0';
    state.host[strcspn(state.host, ".")] = '\0';
    if (sink == LOG_SINK_SYSLOG && fd < 0) {
        struct sockaddr_un sun = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
        state.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (state.fd >= 0 && connect(state.fd, (struct sockaddr *)&sun, sizeof sun) != 0) {
            close(state.fd);
            state.fd = -1; /* nobody listens; lines are dropped as syslog(3) does */
        }
    }
}

void log_set_tag(const char *tag)
{
    log_flush();
    snprintf(state.tag, sizeof state.tag, "%s", tag);
}

int log_fd(void)
{
    return state.fd;
}

void log_set_verbose(int level)
{
    state.verbose = level;
}

bool log_is_verbose(void)
{
    return state.verbose > 0;
}

static const char *time_stamp(void)
{
    time_t now = (time_t)(clock_wall_usec() / 1000000);
    if (now != state.second) {
        struct tm tm;
        localtime_r(&now, &tm);
        strftime(state.stamp, sizeof state.stamp, "%b %e %H:%M:%S", &tm);
        state.second = now;
    }
    return state.stamp;
}

static pid_t pid; /* 0: not asked yet; the C library asks the kernel each time */

static void forget_pid(void)
{
    pid = 0;
}

static pid_t own_pid(void)
{
    static bool told;
    if (!told)
        told = pthread_atfork(NULL, NULL, forget_pid) == 0;
    if (pid == 0 && told)
        pid = getpid();
    return told ? pid : getpid();
}

static void add_line(enum log_level level, const char *text)
{
    static const int priority[] = {LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERR, LOG_CRIT, LOG_CRIT};
    struct buf *b = &state.lines;
    switch (state.sink) {
    case LOG_SINK_STDERR:
        buf_printf(b, "%s: %s\n", state.tag, text);
        break;
    case LOG_SINK_FD:
        buf_printf(b, "%s %s %s[%d]: %s\n", time_stamp(), state.host, state.tag, (int)own_pid(), text);
        break;
    case LOG_SINK_SYSLOG:
        buf_printf(b, "<%d>%s %s[%d]: %s", LOG_MAIL | priority[level], time_stamp(), state.tag, (int)own_pid(), text);
        buf_putc(b, '\0');
        break;
    }
}

char *log_quote(char *dst, size_t dst_size, const char *s, size_t n)
{
    size_t i = 0;
    for (; i < n && i + 1 < dst_size; i++)
        dst[i] = (unsigned char)s[i] < 32 || (unsigned char)s[i] > 126 ? '?' : s[i];
    dst[i] = '\0';
    return dst;
}

void log_vat(enum log_level level, const char *fmt, va_list ap)
{
    static const char *const mark[] = {"", "", "warning: ", "error: ", "fatal: ", "panic: "};
    char line[LINE_LONGEST];
    if (level == LOG_LEVEL_DEBUG && !state.verbose)
        return;
    int saved = errno;
    int head = snprintf(line, sizeof line, "%s", mark[level]);
    vsnprintf(line + head, sizeof line - (size_t)head, fmt, ap);
    for (char *c = line; *c; c++)
        if ((unsigned char)*c < 32 || *c == 127)
            *c = '?';
    add_line(level, line);
    if (level >= LOG_LEVEL_WARN || state.sink == LOG_SINK_STDERR || state.lines.len >= FLUSH_AT)
        log_flush();
    errno = saved;
}

void log_at(enum log_level level, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    log_vat(level, fmt, ap);
    va_end(ap);
}

#define LOG_FUNCTION(name, level)   \
    void name(const char *fmt, ...) \
    {                               \
        va_list ap;                 \
        va_start(ap, fmt);          \
        log_vat(level, fmt, ap);    \
        va_end(ap);                 \
    }

LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO)
LOG_FUNCTION(log_warn, LOG_LEVEL_WARN)
LOG_FUNCTION(log_error, LOG_LEVEL_ERROR)

void log_fatal(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    log_vat(LOG_LEVEL_FATAL, fmt, ap);
    va_end(ap);
    exit(1);
}

void log_panic(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    log_vat(LOG_LEVEL_PANIC, fmt, ap);
    va_end(ap);
    abort();
}

static void send_datagrams(const char *p, size_t n)
{
    enum { BATCH = 32 };
    while (n) {
        struct mmsghdr messages[BATCH];
        struct iovec iov[BATCH];
        unsigned count = 0;
        for (; n && count < BATCH; count++) {
            size_t len = strlen(p);
            iov[count] = (struct iovec){(void *)(uintptr_t)p, len};
            messages[count] = (struct mmsghdr){.msg_hdr = {.msg_iov = &iov[count], .msg_iovlen = 1}};
            p += len + 1;
            n -= len + 1;
        }
        if (sendmmsg(state.fd, messages, count, MSG_NOSIGNAL) < 0)
            return;
    }
}

void log_flush(void)
{
    struct buf *b = &state.lines;
    if (!b->len)
        return;
    if (state.fd >= 0) {
        if (state.sink == LOG_SINK_SYSLOG) {
            send_datagrams(b->data, b->len);
        } else {
            for (size_t done = 0; done < b->len;) {
                ssize_t n = write(state.fd, b->data + done, b->len - done);
                if (n < 0 && errno != EINTR)
                    break; /* nowhere to complain about a log that cannot be written */
                done += n > 0 ? (size_t)n : 0;
            }
        }
    }
    buf_reset(b);
    if (b->cap > 4 * FLUSH_AT)
        buf_fini(b);
}
