/* listener.c - the sockets of a service: opened by master alone, inherited by the workers. */
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/rt/addr.h"
#include "master/master.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static bool refuse(const struct supervised *s, struct buf *err, const char *what)
{
    buf_printf(err, "%s/master.cf, line %d: service %s: %s: %s", conf_dir(master.conf), s->service.line,
               s->service.name, what, strerror(errno));
    return false;
}

static bool add_fd(struct supervised *s, int fd, const char *path, struct buf *err)
{
    if (s->n_fds == LISTENERS_MOST) {
        close(fd);
        buf_printf(err, "%s/master.cf, line %d: service %s: more than %d addresses", conf_dir(master.conf),
                   s->service.line, s->service.name, LISTENERS_MOST);
        return false;
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    s->paths[s->n_fds] = mem_strdup(path);
    s->fds[s->n_fds++] = fd;
    return true;
}

/* ---- inet ---- */

static bool listen_on(struct supervised *s, const struct addrinfo *ai, struct buf *err)
{
    char text[ADDR_TEXT_MAX + 20], plain[ADDR_TEXT_MAX];
    int one = 1, fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return errno == EAFNOSUPPORT || refuse(s, err, "socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (ai->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) != 0 || listen(fd, (int)master.params.service_backlog) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        snprintf(text, sizeof text, "bind to %s port %u", addr_text(ai->ai_addr, plain), addr_port(ai->ai_addr));
        return refuse(s, err, text);
    }
    return add_fd(s, fd, NULL, err);
}

static bool listen_on_host(struct supervised *s, const char *host, const char *port, struct buf *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *list;
    const char *protocols = master.common.inet_protocols;
    bool v4 = strstr(protocols, "ipv4") || strstr(protocols, "all"),
         v6 = strstr(protocols, "ipv6") || strstr(protocols, "all");
    hints.ai_family = v4 && v6 ? AF_UNSPEC : v6 ? AF_INET6 : AF_INET;
    int rc = getaddrinfo(host, port, &hints, &list);
    if (rc != 0) {
        buf_printf(err, "%s/master.cf, line %d: service %s: %s port %s: %s", conf_dir(master.conf), s->service.line,
                   s->service.name, host ? host : "*", port, gai_strerror(rc));
        return false;
    }
    bool ok = true;
    for (struct addrinfo *ai = list; ai && ok; ai = ai->ai_next)
        ok = listen_on(s, ai, err);
    freeaddrinfo(list);
    return ok;
}

/* "port", "host:port", "[v6]:port", ":port" */
static bool open_inet(struct supervised *s, struct buf *err)
{
    struct slice name = slice_of(s->service.name);
    ptrdiff_t colon = slice_rfind(name, ':');
    if (colon > 0) {
        struct slice host = slice_make(name.p, (size_t)colon);
        if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
            host = slice_make(host.p + 1, host.n - 2);
        MEM_AUTO char *text = mem_strndup(host.p, host.n);
        return listen_on_host(s, text, name.p + colon + 1, err);
    }
    const char *port = colon == 0 ? name.p + 1 : name.p;
    struct slice rest = slice_of(master.common.inet_interfaces), word;
    bool ok = true;
    while (ok && slice_token(&rest, " \t\r\n,", &word)) {
        MEM_AUTO char *host = mem_strndup(word.p, word.n);
        if (strcmp(host, "all") == 0)
            ok = listen_on_host(s, NULL, port, err);
        else if (strcmp(host, "loopback-only") == 0)
            ok = listen_on_host(s, "127.0.0.1", port, err) &&
                 (!strstr("all ipv6", master.common.inet_protocols) || listen_on_host(s, "::1", port, err));
        else
            ok = listen_on_host(s, host, port, err);
    }
    return ok;
}

/* ---- below the queue directory ---- */

/* Services that a daemon which faces the network asks; the others are for the mail owner and root. */
static bool for_net(const char *name)
{
    static const char *const names[] = {"rewrite",      "anvil",        "auth",     "cleanup", "verify",
                                        "imap-session", "pop3-session", "proxymap", "tlsmgr"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static void set_access(const struct supervised *s, const char *path)
{
    if (!s->service.is_private || for_net(s->service.name)) {
        chmod(path, 0666); /* the directory says who comes here */
        return;
    }
    struct passwd *pw = geteuid() == 0 ? getpwnam(master.common.mail_owner) : NULL;
    chmod(path, 0600);
    if (pw && chown(path, pw->pw_uid, (gid_t)-1) != 0)
        log_warn("chown %s: %s", path, strerror(errno));
}

static bool open_unix(struct supervised *s, int type, struct buf *err)
{
    char path[300];
    struct sockaddr_storage to;
    socklen_t len;
    snprintf(path, sizeof path, "%s/%s", s->service.is_private ? "private" : "public", s->service.name);
    errno = ENAMETOOLONG;
    if (!addr_unix(path, &to, &len))
        return refuse(s, err, path);
    unlink(path);
    int fd = socket(AF_UNIX, type | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return refuse(s, err, "socket");
    if (bind(fd, (struct sockaddr *)&to, len) != 0 ||
        (type == SOCK_STREAM && listen(fd, (int)master.params.service_backlog) != 0)) {
        refuse(s, err, path);
        close(fd);
        return false;
    }
    set_access(s, path);
    if (!s->service.is_private) {
        /* Daemons find every service below private, where the public cannot come. */
        MEM_AUTO char *inside = mem_printf("private/%s", s->service.name);
        unlink(inside);
        if (link(path, inside) != 0)
            log_warn("link %s to %s: %s", path, inside, strerror(errno));
    }
    return add_fd(s, fd, path, err);
}

static bool open_fifo(struct supervised *s, struct buf *err)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", s->service.is_private ? "private" : "public", s->service.name);
    unlink(path);
    if (mkfifo(path, 0622) != 0 || chmod(path, 0622) != 0)
        return refuse(s, err, path);
    int fd = open(path, O_RDWR | O_NONBLOCK); /* for writing too, or every writer's end would be ours */
    return fd < 0 ? refuse(s, err, path) : add_fd(s, fd, path, err);
}

bool listener_open(struct supervised *s, struct buf *err)
{
    switch (s->service.type) {
    case SERVICE_INET:
        return open_inet(s, err);
    case SERVICE_UNIX:
    case SERVICE_PASS:
        return open_unix(s, SOCK_STREAM, err);
    case SERVICE_UNIX_DGRAM:
        return open_unix(s, SOCK_DGRAM, err);
    case SERVICE_FIFO:
        return open_fifo(s, err);
    }
    return false;
}

void listener_close(struct supervised *s, bool remove_paths)
{
    for (int i = 0; i < s->n_fds; i++) {
        close(s->fds[i]);
        if (s->paths[i] && remove_paths) {
            unlink(s->paths[i]);
            if (!s->service.is_private && s->service.type != SERVICE_FIFO) {
                MEM_AUTO char *inside = mem_printf("private/%s", s->service.name);
                unlink(inside);
            }
        }
        free(s->paths[i]);
        s->paths[i] = NULL;
    }
    s->n_fds = 0;
}
