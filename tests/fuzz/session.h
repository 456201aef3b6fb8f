/* session.h - a session of imapd or pop3d for fuzz targets: the input is what the client sends, to a mailbox of two
 * messages. */
#pragma once
#include "lib/base/mem.h"
#include "lib/conf/conf.h"
#include "lib/ipc/messages.h"
#include "lib/rt/fiber.h"
#include "lib/rt/stream.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static char fuzz_folder[40];

static int fuzz_remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    return remove(path);
}

static void fuzz_remove(void)
{
    nftw(fuzz_folder, fuzz_remove_one, 20, FTW_DEPTH | FTW_PHYS);
}

static void fuzz_write(const char *name, const char *text)
{
    char path[100];
    snprintf(path, sizeof path, "%s/box/%s", fuzz_folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        abort();
    close(fd);
}

static void fuzz_make_mailbox(void)
{
    static const char *const parts[] = {"", "/box", "/box/new", "/box/cur", "/box/tmp"};
    char path[100];
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        snprintf(path, sizeof path, "%s%s", fuzz_folder, parts[i]);
        mkdir(path, 0700);
    }
    fuzz_write(
        "new/1.M1P1.x",
        "From: a@b\nTo: c@d, \"e f\" <g@h>\nSubject: =?utf-8?q?x?=\nDate: Mon, 23 Nov 2026 10:00:00 +0000\n\nbody\n");
    fuzz_write("cur/2.M2P2.x:2,FS", "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\n"
                                    "Content-Type: message/rfc822\n\nSubject: in\n\ntwo\n--b--\n");
}

struct fuzz_run {
    struct slice input;
    void (*serve)(struct stream *s, const struct msg_session_open *open);
    int client, server;
};

/* Takes what the session says, so that it never waits for a reader. */
static void fuzz_client(void *arg)
{
    struct fuzz_run *r = arg;
    struct stream *s = stream_new(r->client, 65536);
    char sink[4096];
    if (stream_write(s, r->input.p, r->input.n, deadline_in(5)) == STREAM_OK &&
        stream_flush(s, deadline_in(5)) == STREAM_OK && shutdown(r->client, SHUT_WR) == 0)
        while (stream_read_full(s, sink, 1, deadline_in(5)) == STREAM_OK)
            ;
    stream_free(&s);
}

static void fuzz_server(void *arg)
{
    struct fuzz_run *r = arg;
    char location[100];
    snprintf(location, sizeof location, "maildir:%s/box", fuzz_folder);
    struct msg_session_open open = {.protocol = "fuzz",
                                    .user = "fuzz",
                                    .home = fuzz_folder,
                                    .mail_location = location,
                                    .session_id = "f",
                                    .remote_addr = "127.0.0.1",
                                    .local_addr = "127.0.0.1",
                                    .method = "PLAIN",
                                    .tag = "",
                                    .client = -1};
    struct stream *s = stream_new(r->server, 65536);
    fiber_start("client", fuzz_client, r);
    r->serve(s, &open);
    stream_flush(s, deadline_in(5));
    stream_free(&s);
}

static void fuzz_session(struct slice input, void (*serve)(struct stream *s, const struct msg_session_open *open))
{
    int pair[2];
    if (*fuzz_folder == '\0') {
        snprintf(fuzz_folder, sizeof fuzz_folder, "%s/merpati-fuzz-%d",
                 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (int)getpid());
        atexit(fuzz_remove);
    }
    fuzz_remove();
    fuzz_make_mailbox();
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0)
        abort();
    struct fuzz_run r = {input, serve, pair[0], pair[1]};
    loop_run("session", fuzz_server, &r);
}
