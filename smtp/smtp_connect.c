/* smtp_connect.c - one connection to one host. */
#include "lib/base/log.h"
#include "lib/daemon/daemon.h"
#include "lib/rt/addr.h"
#include "smtp/smtp.h"

#include <errno.h>

static int64_t connect_deadline(void)
{
    int64_t limit = smtp_params.smtp_connect_timeout;
    return limit > 0 ? deadline_in(limit) : DEADLINE_NEVER;
}

static void fail_connect(struct smtp_delivery *s, const char *where, const char *host)
{
    struct result r = result_try_again("4.4.1", "connect to %s: %s", where, strerror(errno));
    log_info("%s", r.text);
    s->why = (struct smtp_why){.result = r, .site = true, .remote_mta = host};
}

/* The address to connect from, of the same family. */
static bool bind_address(int family, struct sockaddr_storage *from, socklen_t *len)
{
    const char *text = family == AF_INET6 ? smtp_params.smtp_bind_address6 : smtp_params.smtp_bind_address;
    return *text && addr_parse(text, 0, from, len) && from->ss_family == family;
}

struct smtp_session *smtp_connect(struct smtp_delivery *s, const struct smtp_dest *dest, const struct smtp_host *host)
{
    char text[ADDR_TEXT_MAX];
    addr_text((const struct sockaddr *)&host->addr, text);
    struct sockaddr_storage from;
    socklen_t from_len = 0;
    bool bound = bind_address(host->addr.ss_family, &from, &from_len);
    struct stream *stream =
        stream_connect((const struct sockaddr *)&host->addr, host->len, bound ? (struct sockaddr *)&from : NULL,
                       bound ? from_len : 0, connect_deadline());
    if (!stream) {
        int saved = errno;
        const char *where = arena_printf(s->arena, "%s[%s]:%u", host->name, text, dest->port);
        errno = saved;
        fail_connect(s, where, host->name);
        return NULL;
    }
    return smtp_session_new(stream, host->name, text, dest->port, dest->text);
}

struct smtp_session *smtp_connect_unix(struct smtp_delivery *s, const struct smtp_dest *dest)
{
    struct sockaddr_storage to;
    socklen_t len;
    const char *myhostname = daemon_env->common.myhostname;
    const char *where = arena_printf(s->arena, "%s[%s]", myhostname, dest->host);
    errno = ENAMETOOLONG;
    struct stream *stream = addr_unix(dest->host, &to, &len)
                                ? stream_connect((struct sockaddr *)&to, len, NULL, 0, connect_deadline())
                                : NULL;
    if (!stream) {
        fail_connect(s, where, myhostname);
        return NULL;
    }
    return smtp_session_new(stream, myhostname, dest->host, 0, dest->text);
}
