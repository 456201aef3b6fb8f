/* stream.h - a buffered byte stream over a socket or pipe, plain or TLS, for fibers. Buffers are given back while the
 * stream waits with nothing in them. Line discipline is the protocol's business: it looks at stream_peek, asks for more
 * with stream_fill, and takes with stream_consume. */
#pragma once
#include "lib/base/clock.h"
#include "lib/base/slice.h"

#include <sys/socket.h>

struct stream;
struct tls_context;
struct tls_info;

enum stream_status { STREAM_OK = 0, STREAM_EOF, STREAM_TIMEOUT, STREAM_ERROR, STREAM_CANCELLED, STREAM_FULL };
/* "connection closed", "timed out", the errno text, ... */
const char *stream_strerror(const struct stream *s, enum stream_status st);

/* Takes the descriptor over and makes it non-blocking. in_max: most bytes that the input buffer may hold (0: 64 KiB).
 */
struct stream *stream_new(int fd, size_t in_max);
/* Closes at once; unsent output is lost. Accepts NULL, clears. */
void stream_free(struct stream **s);
/* Flushes what it can until the deadline, sends the TLS close notification, closes. */
void stream_close(struct stream **s, int64_t deadline);
int stream_fd(const struct stream *s);
/* Gives the descriptor back and frees the rest. Not with TLS, nor with buffered data (asserted). */
int stream_release(struct stream **s);

/* Connects a TCP or UNIX socket; from may be NULL. On failure NULL with errno set (ETIMEDOUT, ECANCELED included). */
struct stream *stream_connect(const struct sockaddr *to, socklen_t to_len, const struct sockaddr *from,
                              socklen_t from_len, int64_t deadline);

/* What is buffered now. Valid until the next fill or consume. */
struct slice stream_peek(const struct stream *s);
void stream_consume(struct stream *s, size_t n);
/* Puts bytes before what is buffered: what was read from the descriptor elsewhere. */
void stream_unread(struct stream *s, struct slice bytes);
/* Waits until at least one more byte has come than stream_peek shows. STREAM_FULL when the buffer is full. */
enum stream_status stream_fill(struct stream *s, int64_t deadline);
/* Whether input is there without waiting (buffer, TLS, kernel): for the pipelining checks. */
bool stream_input_pending(struct stream *s);
/* Reads up to `limit` bytes ending in LF: *line is without the LF and without one CR before it. STREAM_FULL when no LF
 * is found within limit bytes (nothing consumed). The line is consumed; valid until the next fill. Not for SMTP, whose
 * line ends are strict. */
enum stream_status stream_read_line(struct stream *s, size_t limit, struct slice *line, int64_t deadline);
/* Exactly n bytes into p. */
enum stream_status stream_read_full(struct stream *s, void *p, size_t n, int64_t deadline);

/* Output is buffered (flushed by itself beyond 16 KiB). An error is kept and returned by every later call. */
enum stream_status stream_write(struct stream *s, const void *p, size_t n, int64_t deadline);
enum stream_status stream_puts(struct stream *s, const char *text, int64_t deadline);
enum stream_status stream_printf(struct stream *s, int64_t deadline, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
enum stream_status stream_flush(struct stream *s, int64_t deadline);
/* Bytes that wait for a flush. */
size_t stream_unsent(const struct stream *s);
/* Waits until either stream has input, or the deadline: for proxies. Returns STREAM_OK and *which (0 or 1). */
enum stream_status stream_wait_either(struct stream *a, struct stream *b, int *which, int64_t deadline);

/* Copies both ways between a client and what serves it, in one fiber, whichever side is slow; without a buffer while
 * nothing moves. Returns when `server` has ended and all of it was written, when either breaks, or when the client has
 * ended and nothing moves for a minute. */
void stream_relay(struct stream *client, struct stream *server);

/* TLS handshakes (tls.h makes the contexts). Buffered plaintext input must have been consumed or is refused with
 * STREAM_ERROR (command injection before STARTTLS, RFC 3207 section 6). server_name: SNI and the name to verify; may be
 * NULL. */
enum stream_status stream_tls_accept(struct stream *s, struct tls_context *ctx, int64_t deadline);
enum stream_status stream_tls_connect(struct stream *s, struct tls_context *ctx, const char *server_name,
                                      int64_t deadline);
/* NULL when not encrypted. Owned by the stream. */
const struct tls_info *stream_tls(const struct stream *s);
/* Reason of the last TLS failure, for the log; "" when none. */
const char *stream_tls_error(const struct stream *s);
