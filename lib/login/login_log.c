/* login_log.c - log lines of logins in Dovecot's form, as log tools look for them. */
#include "lib/base/log.h"
#include "lib/login/login.h"

enum { NAME_MOST = 250 };

/* A name from the wire must not look like another field of the line. */
static void put_name(struct buf *b, const char *name)
{
    for (size_t i = 0; name[i] && i < NAME_MOST; i++) {
        unsigned char c = (unsigned char)name[i];
        buf_putc(b, c <= ' ' || c >= 0x7f || c == '<' || c == '>' || c == ',' || c == '=' ? '?' : (char)c);
    }
}

void login_log_peer(struct buf *b, const char *user, const char *method, const char *remote, const char *local)
{
    buf_puts(b, "user=<");
    put_name(b, user);
    buf_puts(b, ">");
    if (*method) {
        buf_puts(b, ", method=");
        put_name(b, method);
    }
    buf_printf(b, ", rip=%s, lip=%s", remote, local);
}

const char *login_end_reason(const struct login *l, enum stream_status st)
{
    switch (st) {
    case STREAM_OK:
    case STREAM_EOF:
        return "Disconnected: Connection closed";
    case STREAM_TIMEOUT:
        return "Disconnected: Inactivity";
    case STREAM_CANCELLED:
        return "Disconnected: Shutting down";
    case STREAM_FULL:
        return "Disconnected: Input buffer full";
    case STREAM_ERROR:
        break;
    }
    return arena_printf(l->arena, "Disconnected: Connection closed: %s", stream_strerror(l->stream, st));
}

void login_log_end(const struct login *l, const char *reason)
{
    BUF_AUTO b = BUF(2000);
    long long seconds = (long long)((clock_mono() - l->since) / NSEC_PER_SEC);
    buf_printf(&b, "%s-login: %s ", login_settings.protocol, reason);
    if (l->plaintext_used && !l->attempts)
        buf_puts(&b, "(tried to use disabled plaintext auth): ");
    else if (l->attempts)
        buf_printf(&b, "(auth failed, %u attempts in %lld secs): ", l->attempts, seconds);
    else
        buf_printf(&b, "(no auth attempts in %lld secs): ", seconds);
    login_log_peer(&b, l->user, l->method, l->remote, l->local);
    if (l->stream && stream_tls(l->stream))
        buf_puts(&b, ", TLS");
    else if (l->trusted)
        buf_puts(&b, ", secured");
    buf_printf(&b, ", session=<%s>", l->session_id);
    log_info("%s", buf_cstr(&b));
}
