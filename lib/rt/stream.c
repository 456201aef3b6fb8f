/* stream.c - see stream.h. */
#include "lib/rt/stream.h"

#include "lib/base/buf.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/rt/fiber.h"
#include "lib/rt/tls_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <unistd.h>

enum { IN_FIRST = 4096, IN_MAX_DEFAULT = 65536, OUT_FLUSH_AT = 16384 };

struct stream {
    struct io io;
    char *in;
    size_t in_start, in_end, in_cap, in_max;
    char *out;
    size_t out_len, out_cap;
    bool drained; /* the last read took all that there was */
    bool socket;
    enum stream_status broken;
    int error;
    SSL *ssl;
    struct tls_info *info;
    char *tls_error;
};

struct stream *stream_new(int fd, size_t in_max)
{
    struct stream *s = MEM_NEW(struct stream);
    int type;
    socklen_t len = sizeof type;
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0 && !(flags & O_NONBLOCK))
        fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    io_init(&s->io, fd);
    s->in_max = in_max ? in_max : IN_MAX_DEFAULT;
    s->socket = getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0;
    return s;
}

static void release(struct stream *s)
{
    SSL_free(s->ssl);
    free(s->info);
    free(s->tls_error);
    free(s->in);
    free(s->out);
    free(s);
}

void stream_free(struct stream **sp)
{
    struct stream *s = *sp;
    if (!s)
        return;
    io_fini(&s->io);
    close(s->io.fd);
    release(s);
    *sp = NULL;
}

int stream_release(struct stream **sp)
{
    struct stream *s = *sp;
    if (s->ssl || s->in_start != s->in_end || s->out_len)
        log_panic("stream_release with TLS or with data in its buffers");
    int fd = s->io.fd;
    io_fini(&s->io);
    release(s);
    *sp = NULL;
    return fd;
}

void stream_close(struct stream **sp, int64_t deadline)
{
    struct stream *s = *sp;
    if (!s)
        return;
    if (!s->broken && stream_flush(s, deadline) == STREAM_OK && s->ssl) {
        ERR_clear_error();
        SSL_shutdown(s->ssl); /* one-sided: nobody waits for the other's notification */
        ERR_clear_error();
    }
    stream_free(sp);
}

int stream_fd(const struct stream *s)
{
    return s->io.fd;
}

const char *stream_strerror(const struct stream *s, enum stream_status st)
{
    switch (st) {
    case STREAM_OK:
        return "no error";
    case STREAM_EOF:
        return "connection closed";
    case STREAM_TIMEOUT:
        return "timed out";
    case STREAM_CANCELLED:
        return "cancelled";
    case STREAM_FULL:
        return "line too long";
    case STREAM_ERROR:
        break;
    }
    return s->error ? strerror(s->error) : *stream_tls_error(s) ? stream_tls_error(s) : "input or output error";
}

static enum stream_status of_wait(enum wait w)
{
    return w == WAIT_OK ? STREAM_OK : w == WAIT_TIMEOUT ? STREAM_TIMEOUT : STREAM_CANCELLED;
}

static enum stream_status fail(struct stream *s, enum stream_status st, int error)
{
    s->broken = st;
    s->error = error;
    return st;
}

/* ---- connecting ---- */

struct stream *stream_connect(const struct sockaddr *to, socklen_t to_len, const struct sockaddr *from,
                              socklen_t from_len, int64_t deadline)
{
    int fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    if (fd < 0)
        return NULL;
    if (to->sa_family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    int failed = from ? bind(fd, from, from_len) : 0;
    if (failed == 0)
        failed = connect(fd, to, to_len);
    if (failed != 0 && errno != EINPROGRESS) {
        int error = errno;
        close(fd);
        errno = error;
        return NULL;
    }
    struct stream *s = stream_new(fd, 0);
    if (failed == 0)
        return s;
    enum wait w = io_wait(&s->io, IO_WRITE, deadline);
    int error = w == WAIT_TIMEOUT ? ETIMEDOUT : w == WAIT_CANCELLED ? ECANCELED : 0;
    socklen_t len = sizeof error;
    if (!error && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        error = errno;
    if (error)
        stream_free(&s);
    errno = error;
    return s;
}

/* ---- input ---- */

struct slice stream_peek(const struct stream *s)
{
    return slice_make(s->in ? s->in + s->in_start : "", s->in_end - s->in_start);
}

void stream_consume(struct stream *s, size_t n)
{
    s->in_start += n;
    if (s->in_start >= s->in_end)
        s->in_start = s->in_end = 0;
}

void stream_unread(struct stream *s, struct slice bytes)
{
    struct slice have = stream_peek(s);
    if (!bytes.n)
        return;
    size_t n = bytes.n + have.n;
    size_t cap = n > IN_FIRST ? n : IN_FIRST;
    char *in = mem_alloc(cap);
    memcpy(in, bytes.p, bytes.n);
    memcpy(in + bytes.n, have.p, have.n);
    free(s->in);
    s->in = in;
    s->in_start = 0;
    s->in_end = n;
    s->in_cap = cap;
}

/* Room behind the buffered bytes; false when the buffer is at its maximum. */
static bool make_room(struct stream *s)
{
    if (s->in_start > 0 && s->in_end == s->in_cap) {
        memmove(s->in, s->in + s->in_start, s->in_end - s->in_start);
        s->in_end -= s->in_start;
        s->in_start = 0;
    }
    if (s->in_end < s->in_cap)
        return true;
    if (s->in_cap >= s->in_max)
        return false;
    size_t cap = s->in_cap ? s->in_cap * 4 : IN_FIRST;
    s->in_cap = cap < s->in_max ? cap : s->in_max;
    s->in = mem_resize(s->in, s->in_cap);
    return true;
}

static void give_back_input(struct stream *s)
{
    if (s->in_start == s->in_end) {
        free(s->in);
        s->in = NULL;
        s->in_start = s->in_end = s->in_cap = 0;
    }
}

/* Turns what an SSL call answered into: wait for a direction, or an end. */
static enum stream_status ssl_outcome(struct stream *s, int n, enum io_dir *dir)
{
    int error = errno;
    switch (SSL_get_error(s->ssl, n)) {
    case SSL_ERROR_WANT_READ:
        *dir = IO_READ;
        return STREAM_OK;
    case SSL_ERROR_WANT_WRITE:
        *dir = IO_WRITE;
        return STREAM_OK;
    case SSL_ERROR_ZERO_RETURN:
        return fail(s, STREAM_EOF, 0);
    case SSL_ERROR_SYSCALL:
        if (ERR_peek_error() == 0)
            return fail(s, error && error != ECONNRESET ? STREAM_ERROR : STREAM_EOF, error);
        break;
    }
    BUF_AUTO text = BUF(500);
    tls_take_errors(&text);
    free(s->tls_error);
    s->tls_error = mem_strdup(buf_cstr(&text));
    return fail(s, strstr(s->tls_error, "unexpected eof") ? STREAM_EOF : STREAM_ERROR, 0);
}

/* One attempt: >0 bytes came, 0 wait for *dir, <0 *st says why not. */
static ssize_t read_once(struct stream *s, enum io_dir *dir, enum stream_status *st)
{
    size_t room = s->in_cap - s->in_end;
    ssize_t n;
    io_attempt(&s->io, IO_READ);
    if (s->ssl) {
        ERR_clear_error();
        errno = 0;
        n = SSL_read(s->ssl, s->in + s->in_end, (int)room);
        if (n > 0)
            return n;
        *st = ssl_outcome(s, (int)n, dir);
        return *st == STREAM_OK ? 0 : -1;
    }
    do
        n = s->socket ? recv(s->io.fd, s->in + s->in_end, room, 0) : read(s->io.fd, s->in + s->in_end, room);
    while (n < 0 && errno == EINTR);
    *dir = IO_READ;
    if (n > 0) {
        s->drained = (size_t)n < room;
        return n;
    }
    if (n < 0 && errno == EAGAIN) {
        s->drained = true;
        return 0;
    }
    /* The end of input is no reason not to write: a client may have closed its sending side only. */
    *st = n == 0 ? STREAM_EOF : errno == ECONNRESET ? fail(s, STREAM_EOF, 0) : fail(s, STREAM_ERROR, errno);
    return -1;
}

enum stream_status stream_fill(struct stream *s, int64_t deadline)
{
    enum stream_status st;
    enum io_dir dir = IO_READ;
    /* After a short read another one would only say EAGAIN: wait first, with the buffer given back. */
    bool wait_first = s->drained && !s->ssl && !s->io.hangup;
    for (;;) {
        if (wait_first) {
            give_back_input(s);
            st = of_wait(io_wait(&s->io, dir, deadline));
            if (st != STREAM_OK)
                return st;
            s->drained = false;
        }
        if (!make_room(s))
            return STREAM_FULL;
        ssize_t n = read_once(s, &dir, &st);
        if (n > 0) {
            s->in_end += (size_t)n;
            return STREAM_OK;
        }
        if (n < 0)
            return st;
        wait_first = true;
    }
}

bool stream_input_pending(struct stream *s)
{
    char c;
    if (s->in_start != s->in_end || (s->ssl && SSL_has_pending(s->ssl)))
        return true;
    return recv(s->io.fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
}

enum stream_status stream_read_line(struct stream *s, size_t limit, struct slice *line, int64_t deadline)
{
    size_t looked = 0;
    for (;;) {
        struct slice have = stream_peek(s);
        const char *lf = have.n > looked ? memchr(have.p + looked, '\n', have.n - looked) : NULL;
        if (lf && (size_t)(lf - have.p) < limit) {
            size_t n = (size_t)(lf - have.p);
            *line = slice_make(have.p, n > 0 && have.p[n - 1] == '\r' ? n - 1 : n);
            /* Not stream_consume: that may reset the buffer's start, but leaves the bytes where they are until the next
             * fill. */
            stream_consume(s, n + 1);
            return STREAM_OK;
        }
        if (lf || have.n >= limit)
            return STREAM_FULL;
        looked = have.n;
        enum stream_status st = stream_fill(s, deadline);
        if (st != STREAM_OK)
            return st;
    }
}

enum stream_status stream_read_full(struct stream *s, void *p, size_t n, int64_t deadline)
{
    char *dst = p;
    while (n) {
        struct slice have = stream_peek(s);
        if (have.n == 0) {
            enum stream_status st = stream_fill(s, deadline);
            if (st != STREAM_OK)
                return st;
            continue;
        }
        size_t take = have.n < n ? have.n : n;
        memcpy(dst, have.p, take);
        stream_consume(s, take);
        dst += take;
        n -= take;
    }
    return STREAM_OK;
}

/* ---- output ---- */

/* One attempt: >0 bytes went, 0 wait for *dir, <0 *st says why not. */
static ssize_t write_once(struct stream *s, const char *p, size_t n, enum io_dir *dir, enum stream_status *st)
{
    ssize_t sent;
    *st = STREAM_OK;
    *dir = IO_WRITE;
    io_attempt(&s->io, IO_WRITE);
    if (s->ssl) {
        ERR_clear_error();
        errno = 0;
        sent = SSL_write(s->ssl, p, n > INT32_MAX ? INT32_MAX : (int)n);
        if (sent <= 0)
            *st = ssl_outcome(s, (int)sent, dir);
    } else {
        do
            sent = s->socket ? send(s->io.fd, p, n, MSG_NOSIGNAL) : write(s->io.fd, p, n);
        while (sent < 0 && errno == EINTR);
        if (sent < 0 && errno != EAGAIN)
            *st = errno == EPIPE || errno == ECONNRESET ? fail(s, STREAM_EOF, errno) : fail(s, STREAM_ERROR, errno);
    }
    return sent > 0 ? sent : *st == STREAM_OK ? 0 : -1;
}

static enum stream_status send_all(struct stream *s, const char *p, size_t n, int64_t deadline)
{
    while (n) {
        enum stream_status st;
        enum io_dir dir;
        ssize_t sent = write_once(s, p, n, &dir, &st);
        if (st == STREAM_OK && sent <= 0) {
            st = of_wait(io_wait(&s->io, dir, deadline));
            if (st != STREAM_OK)
                fail(s, st, 0); /* part of the output may be gone: the stream is of no use any more */
        }
        if (st != STREAM_OK)
            return st;
        if (sent > 0) {
            p += sent;
            n -= (size_t)sent;
        }
    }
    return STREAM_OK;
}

enum stream_status stream_flush(struct stream *s, int64_t deadline)
{
    if (s->broken)
        return s->broken;
    /* The buffer is taken off first: another fiber may write while this one waits. */
    char *out = s->out;
    size_t n = s->out_len;
    s->out = NULL;
    s->out_len = s->out_cap = 0;
    enum stream_status st = n ? send_all(s, out, n, deadline) : STREAM_OK;
    free(out);
    return st;
}

enum stream_status stream_write(struct stream *s, const void *p, size_t n, int64_t deadline)
{
    if (s->broken)
        return s->broken;
    if (s->out_len + n > OUT_FLUSH_AT) {
        enum stream_status st = stream_flush(s, deadline);
        if (st != STREAM_OK || n > OUT_FLUSH_AT)
            return st != STREAM_OK ? st : send_all(s, p, n, deadline);
    }
    if (s->out_len + n > s->out_cap) {
        size_t cap = s->out_cap ? s->out_cap : 256;
        while (cap < s->out_len + n)
            cap *= 2;
        s->out = mem_resize(s->out, cap);
        s->out_cap = cap;
    }
    if (n)
        memcpy(s->out + s->out_len, p, n);
    s->out_len += n;
    return STREAM_OK;
}

enum stream_status stream_puts(struct stream *s, const char *text, int64_t deadline)
{
    return stream_write(s, text, strlen(text), deadline);
}

enum stream_status stream_printf(struct stream *s, int64_t deadline, const char *fmt, ...)
{
    BUF_AUTO b = BUF(1 << 20);
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    return stream_write(s, buf_cstr(&b), b.len, deadline);
}

size_t stream_unsent(const struct stream *s)
{
    return s->out_len;
}

static bool has_input(struct stream *s)
{
    return s->in_start != s->in_end || s->broken || (s->ssl && SSL_has_pending(s->ssl));
}

enum stream_status stream_wait_either(struct stream *a, struct stream *b, int *which, int64_t deadline)
{
    struct stream *both[2] = {a, b};
    for (int i = 0; i < 2; i++) {
        give_back_input(both[i]);
        if (has_input(both[i]) || both[i]->io.hangup) {
            *which = i;
            return STREAM_OK;
        }
    }
    int ready;
    enum wait w = io_wait_either(&a->io, &b->io, &ready, deadline);
    *which = ready;
    both[ready]->drained = false;
    return of_wait(w);
}

/* ---- relay ---- */

enum { RELAY_BLOCK = 16384, RELAY_END_SECONDS = 60 };

/* One direction; what is under way lies in the input buffer of `from`. */
struct way {
    struct stream *from, *to;
    unsigned *from_wants, *to_wants; /* what to wait for */
    bool ended, passed_on;
};

static void relay_read(struct way *w)
{
    struct stream *s = w->from;
    enum io_dir dir = IO_READ;
    enum stream_status st;
    if (!s->ssl && s->drained && !s->io.ready[IO_READ] && !s->io.hangup) {
        *w->from_wants |= 1U << IO_READ;
        return;
    }
    if (!s->in) {
        s->in_cap = RELAY_BLOCK;
        s->in = mem_resize(NULL, s->in_cap);
    }
    ssize_t n = read_once(s, &dir, &st);
    if (n > 0)
        s->in_end += (size_t)n;
    else if (n == 0)
        *w->from_wants |= 1U << dir;
    else
        w->ended = true;
}

/* Moves what moves without waiting. False: the other end takes no more. */
static bool relay_step(struct way *w, bool *moved)
{
    enum io_dir dir;
    enum stream_status st;
    if (stream_peek(w->from).n == 0 && !w->ended)
        relay_read(w);
    struct slice have = stream_peek(w->from);
    if (have.n) {
        ssize_t n = write_once(w->to, have.p, have.n, &dir, &st);
        if (n < 0)
            return false;
        if (n == 0)
            *w->to_wants |= 1U << dir;
        stream_consume(w->from, (size_t)n);
        *moved |= n > 0;
    } else if (w->ended && !w->passed_on) {
        w->passed_on = *moved = true;
        if (!w->to->ssl)
            shutdown(w->to->io.fd, SHUT_WR);
    }
    return true;
}

void stream_relay(struct stream *client, struct stream *server)
{
    unsigned wants[2];
    struct way up = {client, server, &wants[0], &wants[1], false, false};
    struct way down = {server, client, &wants[1], &wants[0], false, false};
    struct io *const both[2] = {&client->io, &server->io};
    for (;;) {
        bool moved = false;
        wants[0] = wants[1] = 0;
        if (!relay_step(&up, &moved) || !relay_step(&down, &moved) || down.passed_on)
            return;
        if (moved)
            continue;
        give_back_input(client);
        give_back_input(server);
        if (io_wait_any(both, wants, 2, up.ended ? deadline_in(RELAY_END_SECONDS) : DEADLINE_NEVER) != WAIT_OK)
            return;
    }
}

/* ---- TLS ---- */

static enum stream_status handshake(struct stream *s, struct tls_context *ctx, const char *server_name, bool server,
                                    int64_t deadline)
{
    if (s->broken || s->ssl)
        return STREAM_ERROR;
    enum stream_status st = stream_flush(s, deadline);
    if (st != STREAM_OK)
        return st;
    if (s->in_start != s->in_end) {
        free(s->tls_error);
        s->tls_error = mem_strdup("plaintext data after STARTTLS");
        return fail(s, STREAM_ERROR, 0);
    }
    s->ssl = SSL_new(tls_context_ssl(ctx));
    if (!s->ssl || SSL_set_fd(s->ssl, s->io.fd) != 1)
        return fail(s, STREAM_ERROR, ENOMEM);
    if (server_name) {
        SSL_set_tlsext_host_name(s->ssl, server_name);
        SSL_set1_host(s->ssl, server_name);
    }
    if (server)
        SSL_set_accept_state(s->ssl);
    else
        SSL_set_connect_state(s->ssl);
    for (;;) {
        enum io_dir dir;
        io_attempt(&s->io, IO_READ);
        ERR_clear_error();
        errno = 0;
        int n = SSL_do_handshake(s->ssl);
        if (n == 1)
            break;
        st = ssl_outcome(s, n, &dir);
        if (st == STREAM_OK)
            st = of_wait(io_wait(&s->io, dir, deadline));
        if (st != STREAM_OK)
            return fail(s, st, s->error);
    }
    s->info = MEM_NEW(struct tls_info);
    tls_info_fill(s->info, s->ssl, server_name != NULL);
    return STREAM_OK;
}

enum stream_status stream_tls_accept(struct stream *s, struct tls_context *ctx, int64_t deadline)
{
    return handshake(s, ctx, NULL, true, deadline);
}

enum stream_status stream_tls_connect(struct stream *s, struct tls_context *ctx, const char *server_name,
                                      int64_t deadline)
{
    return handshake(s, ctx, server_name, false, deadline);
}

const struct tls_info *stream_tls(const struct stream *s)
{
    return s->info;
}

const char *stream_tls_error(const struct stream *s)
{
    return s->tls_error ? s->tls_error : "";
}
