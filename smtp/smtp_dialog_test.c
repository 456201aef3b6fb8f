/* smtp_dialog_test.c - the client against scripted servers. A script is a list of steps, one connection after the
 * other: "S: text"  the server says a line        "C: text"  the client's next line must begin so "D: text"  a message
 * up to the lone dot; its lines joined by '|' must be the text "X"        the server hangs up           "N"        the
 * next connection The queue manager's side is made up here: reports are collected as text. */
#include "lib/base/log.h"
#include "lib/base/vec.h"
#include "lib/daemon/daemon.h"
#include "lib/map/map.h"
#include "lib/rt/addr.h"
#include "smtp/smtp.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct smtp_params smtp_params;
struct smtp_program smtp_program;
static struct daemon_env the_env;
struct daemon_env *const daemon_env = &the_env;

/* ---- the queue manager's side ---- */

static struct buf reports;
static const char *content;

void agent_report(struct agent_delivery *d, size_t place, const struct agent_result *r)
{
    assert_false(d->reported[place]);
    d->reported[place] = true;
    buf_printf(&reports, "%s %s %s%s%s\n", d->request.recipients[place].address, r->result.dsn, r->result.text,
               d->conn_use > 1 ? " again" : "", r->action && *r->action ? r->action : "");
}

void agent_site_dead(struct agent_delivery *d, const struct result *why)
{
    buf_puts(&reports, "DEAD\n");
}

bool agent_content(const struct agent_delivery *d, bool (*fn)(void *, const char *, size_t), void *ctx)
{
    return fn(ctx, content, strlen(content));
}

/* ---- the server's side ---- */

static const char *const *script;
static int listener = -1, port;
static bool peer_done;
static struct tls_context *server_tls;
static struct buf trouble; /* what the client did wrong */

static void expect(const char *step, struct slice line)
{
    struct slice want = slice_of(step + 3);
    if (line.n < want.n || memcmp(line.p, want.p, want.n) != 0)
        buf_printf(&trouble, "wanted '%s', got '%.*s'\n", step, SLICE_ARG(line));
}

static bool read_message(struct stream *s, const char *step, int64_t deadline)
{
    BUF_AUTO got = BUF(100000);
    struct slice line;
    for (;;) {
        if (stream_read_line(s, 60000, &line, deadline) != STREAM_OK)
            return false;
        if (slice_eq(line, SLICE(".")))
            break;
        buf_append_slice(&got, line);
        buf_putc(&got, '|');
    }
    if (strcmp(buf_cstr(&got), step + 3) != 0)
        buf_printf(&trouble, "wanted '%s', got '%s'\n", step, buf_cstr(&got));
    return true;
}

static void play(struct stream *s)
{
    int64_t deadline = deadline_in(5);
    for (; *script && strcmp(*script, "N") != 0; script++) {
        struct slice line;
        const char *step = *script;
        bool ok = true;
        if (step[0] == 'S') {
            stream_printf(s, deadline, "%s\r\n", step + 3);
            if (!script[1] || script[1][0] != 'S')
                stream_flush(s, deadline);
        } else if (step[0] == 'C') {
            ok = stream_read_line(s, 60000, &line, deadline) == STREAM_OK;
            if (ok)
                expect(step, line);
        } else if (step[0] == 'D') {
            ok = read_message(s, step, deadline);
        }
        if (step[0] == 'T')
            ok = stream_tls_accept(s, server_tls, deadline) == STREAM_OK;
        if (!ok)
            buf_printf(&trouble, "no input at '%s'\n", step);
        if (!ok || step[0] == 'X')
            break;
    }
    while (*script && strcmp(*script, "N") != 0)
        script++;
    if (*script)
        script++;
}

static void peer(void *arg)
{
    struct io io;
    io_init(&io, listener);
    while (*script) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
            if (io_wait(&io, IO_READ, deadline_in(5)) != WAIT_OK) {
                buf_puts(&trouble, "no connection\n");
                break;
            }
            continue;
        }
        struct stream *s = stream_new(fd, 0);
        play(s);
        stream_close(&s, deadline_in(1));
    }
    io_fini(&io);
    peer_done = true;
}

static void open_listener(void)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof in;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&in, len), 0);
    assert_int_equal(listen(listener, 5), 0);
    getsockname(listener, (struct sockaddr *)&in, &len);
    port = ntohs(in.sin_port);
}

/* ---- deliveries ---- */

static const char *recipients[8];
static unsigned deliveries, flags;
static uint32_t notify;
static const char *nexthop_extra, *host_name;

static void deliver_once(void)
{
    struct msg_deliver_recipient rcpt[8] = {0};
    bool reported[8] = {false};
    ARENA_AUTO a = arena_new();
    struct agent_delivery d = {.arena = a, .reported = reported};
    size_t n = 0;
    for (; n < 8 && recipients[n]; n++)
        rcpt[n] = (struct msg_deliver_recipient){
            .index = (uint32_t)n, .address = recipients[n], .orig_address = "", .dsn_orcpt = "", .dsn_notify = notify};
    d.request = (struct msg_deliver_request){.queue_id = "QID",
                                             .transport = "smtp",
                                             .sender = "s@test",
                                             .dsn_envid = "",
                                             .body_type = "",
                                             .context = "remote",
                                             .client_name = "client.test",
                                             .client_addr = "192.0.2.7",
                                             .client_port = "25",
                                             .client_proto = "ESMTP",
                                             .client_helo = "helo=x",
                                             .flags = flags,
                                             .content_size = strlen(content),
                                             .recipients = rcpt,
                                             .n_recipients = n};
    d.request.nexthop = arena_printf(a, "[%s]:%d%s", host_name, port, nexthop_extra);
    smtp_deliver(&d);
}

static void run(void *arg)
{
    fiber_start("peer", peer, NULL);
    for (unsigned i = 0; i < deliveries; i++)
        deliver_once();
    while (!peer_done)
        fiber_yield();
    the_env.draining = true; /* idle sessions end now */
}

/* Runs the script for one or more deliveries and compares the reports, in which the port is "PORT". */
static void check(const char *const *steps, const char *want)
{
    script = steps;
    peer_done = the_env.draining = false;
    buf_init(&reports, 100000);
    buf_init(&trouble, 100000);
    open_listener();
    loop_run("test", run, NULL);
    close(listener);
    assert_string_equal(buf_cstr(&trouble), "");
    assert_string_equal(buf_cstr(&reports), want);
    buf_fini(&reports);
    buf_fini(&trouble);
}

static int fresh(void **state)
{
    smtp_params = (struct smtp_params){
        .smtp_helo_name = "me.test",
        .smtp_address_preference = "any",
        .smtp_bind_address = "",
        .smtp_bind_address6 = "",
        .smtp_fallback_relay = "",
        .smtp_discard_ehlo_keywords = "",
        .smtp_connection_cache_destinations = "",
        .smtp_mx_address_limit = 5,
        .smtp_mx_session_limit = 2,
        .smtp_line_length_limit = 998,
        .smtp_idle_connection_limit = 10,
        .smtp_connect_timeout = 5,
        .smtp_helo_timeout = 5,
        .smtp_xforward_timeout = 5,
        .smtp_starttls_timeout = 5,
        .smtp_mail_timeout = 5,
        .smtp_rcpt_timeout = 5,
        .smtp_data_init_timeout = 5,
        .smtp_data_xfer_timeout = 5,
        .smtp_data_done_timeout = 5,
        .smtp_rset_timeout = 5,
        .smtp_quit_timeout = 5,
        .smtp_connection_cache_time_limit = 1,
        .smtp_connection_reuse_time_limit = 300,
        .smtp_always_send_ehlo = true,
        .smtp_skip_5xx_greeting = true,
        .smtp_skip_quit_response = true,
        .smtp_connection_cache_on_demand = true,
    };
    smtp_program = (struct smtp_program){.port = 25, .ipv4 = true, .native = true};
    the_env.common.myhostname = "me.test";
    content = "Subject: x\n\n.dot\n";
    memset(recipients, 0, sizeof recipients);
    recipients[0] = "a@test";
    deliveries = 1;
    flags = notify = 0;
    nexthop_extra = "";
    host_name = "127.0.0.1";
    return 0;
}

#define STEPS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void one_message(void **state)
{
    check(STEPS("S: 220 mx.test ESMTP", "C: EHLO me.test", "S: 250-mx.test", "S: 250 SIZE 1000",
                "C: MAIL FROM:<s@test> SIZE=17", "S: 250 2.1.0 Ok", "C: RCPT TO:<a@test>", "S: 250 2.1.5 Ok", "C: DATA",
                "S: 354 go", "D: Subject: x||..dot|", "S: 250 2.0.0 queued", "C: QUIT"),
          "a@test 2.0.0 250 2.0.0 queued\n");
}

static void pipelined_with_a_refused_recipient(void **state)
{
    recipients[1] = "b@test";
    check(STEPS("S: 220 mx.test", "C: EHLO", "S: 250-mx.test", "S: 250 PIPELINING", "C: MAIL FROM:<s@test>",
                "C: RCPT TO:<a@test>", "C: RCPT TO:<b@test>", "C: DATA", "S: 250 ok", "S: 550 5.1.1 no such user",
                "S: 250 ok", "S: 354 go", "D: Subject: x||..dot|", "S: 250 fine", "C: QUIT"),
          "a@test 5.1.1 host 127.0.0.1[127.0.0.1] said: 550 5.1.1 no such user (in reply to RCPT TO command)\n"
          "b@test 2.0.0 250 fine\n");
}

static void all_refused_but_data_accepted(void **state)
{
    check(STEPS("S: 220 mx.test", "C: EHLO", "S: 250-mx.test", "S: 250 PIPELINING", "C: MAIL", "C: RCPT", "C: DATA",
                "S: 250 ok", "S: 452 4.2.2 full", "S: 354 go", "C: .", "S: 554 none", "C: QUIT"),
          "a@test 4.2.2 host 127.0.0.1[127.0.0.1] said: 452 4.2.2 full (in reply to RCPT TO command)\n");
}

static void sender_refused(void **state)
{
    recipients[1] = "b@test";
    check(STEPS("S: 220 mx.test", "C: EHLO", "S: 250 mx.test", "C: MAIL", "S: 550 5.7.1 no", "C: QUIT"),
          "a@test 5.7.1 host 127.0.0.1[127.0.0.1] said: 550 5.7.1 no (in reply to MAIL FROM command)\n"
          "b@test 5.7.1 host 127.0.0.1[127.0.0.1] said: 550 5.7.1 no (in reply to MAIL FROM command)\n");
}

static void refused_after_the_message(void **state)
{
    check(STEPS("S: 220 mx.test", "C: EHLO", "S: 250 mx.test", "C: MAIL", "S: 250 ok", "C: RCPT", "S: 250 ok",
                "C: DATA", "S: 354 go", "D: Subject: x||..dot|", "S: 451 4.3.0 later", "C: QUIT"),
          "a@test 4.3.0 host 127.0.0.1[127.0.0.1] said: 451 4.3.0 later (in reply to end of DATA command)\n");
}

static void too_many_recipients_is_temporary(void **state)
{
    check(STEPS("S: 220 mx.test", "C: EHLO", "S: 250 mx.test", "C: MAIL", "S: 250 ok", "C: RCPT", "S: 552 too many",
                "C: QUIT"),
          "a@test 4.0.0 host 127.0.0.1[127.0.0.1] said: 552 too many (in reply to RCPT TO command)\n");
}

static void greeting_with_5xx_is_the_hosts_trouble(void **state)
{
    check(STEPS("S: 554 go away", "C: QUIT"),
          "DEAD\na@test 4.0.0 host 127.0.0.1[127.0.0.1] refused to talk to me: 554 go away\n");
    smtp_params.smtp_skip_5xx_greeting = false;
    check(STEPS("S: 554 go away", "C: QUIT"),
          "a@test 5.0.0 host 127.0.0.1[127.0.0.1] refused to talk to me: 554 go away\n");
}

static void helo_when_ehlo_is_unknown(void **state)
{
    check(STEPS("S: 220 old", "C: EHLO", "S: 500 what", "C: HELO me.test", "S: 250 old", "C: MAIL FROM:<s@test>",
                "S: 250 ok", "C: RCPT TO:<a@test>", "S: 250 ok", "C: DATA", "S: 354 go", "D: Subject: x||..dot|",
                "S: 250 ok", "C: QUIT"),
          "a@test 2.0.0 250 ok\n");
}

static void lost_connections(void **state)
{
    check(STEPS("X"), "DEAD\na@test 4.4.2 lost connection with 127.0.0.1[127.0.0.1] while receiving the initial "
                      "server greeting\n");
    check(STEPS("S: 220 x", "C: EHLO", "S: 250 x", "C: MAIL", "X"),
          "DEAD\na@test 4.4.2 lost connection with 127.0.0.1[127.0.0.1] while sending MAIL FROM\n");
    check(STEPS("S: 220 x", "C: EHLO", "S: 250 x", "C: MAIL", "S: 250 ok", "C: RCPT", "S: 250 ok", "C: DATA",
                "S: 354 go", "D: Subject: x||..dot|", "X"),
          "DEAD\na@test 4.4.2 lost connection with 127.0.0.1[127.0.0.1] while sending end of data -- message may be "
          "sent more than once\n");
    check(STEPS("S: hello", "X"),
          "DEAD\na@test 4.5.0 127.0.0.1[127.0.0.1] sent what is no reply while receiving the initial server "
          "greeting\n");
}

static void second_destination_after_a_soft_failure(void **state)
{
    static char second[40];
    open_listener(); /* only to learn a port that refuses connections */
    snprintf(second, sizeof second, ", [127.0.0.1]:%d", port);
    close(listener);
    nexthop_extra = second;
    char want[400];
    snprintf(want, sizeof want, "DEAD\na@test 4.4.1 connect to 127.0.0.1[127.0.0.1]:%d: Connection refused\n", port);
    check(STEPS("S: 220 x", "C: EHLO", "S: 250 x", "C: MAIL", "S: 451 later", "C: QUIT"), want);
}

static void connection_is_used_again(void **state)
{
    flags = DELIVER_REUSE_CONNECTION;
    deliveries = 2;
    check(STEPS("S: 220 x", "C: EHLO", "S: 250-x", "S: 250 PIPELINING", "C: MAIL", "C: RCPT", "C: DATA", "S: 250 ok",
                "S: 250 ok", "S: 354 go", "D: Subject: x||..dot|", "S: 250 one", "C: MAIL", "C: RCPT", "C: DATA",
                "S: 250 ok", "S: 250 ok", "S: 354 go", "D: Subject: x||..dot|", "S: 250 two"),
          "a@test 2.0.0 250 one\na@test 2.0.0 250 two again\n");
}

static void dead_idle_connection_is_replaced(void **state)
{
    flags = DELIVER_REUSE_CONNECTION;
    deliveries = 2;
    check(STEPS("S: 220 x", "C: EHLO", "S: 250 x", "C: MAIL", "S: 250 ok", "C: RCPT", "S: 250 ok", "C: DATA",
                "S: 354 go", "D: Subject: x||..dot|", "S: 250 one", "C: MAIL", "X", "N", "S: 220 x", "C: EHLO",
                "S: 250 x", "C: MAIL", "S: 250 ok", "C: RCPT", "S: 250 ok", "C: DATA", "S: 354 go",
                "D: Subject: x||..dot|", "S: 250 two"),
          "a@test 2.0.0 250 one\na@test 2.0.0 250 two\n");
}

static void refused_session_is_not_kept(void **state)
{
    flags = DELIVER_REUSE_CONNECTION;
    deliveries = 2;
    check(STEPS("S: 421 busy", "C: QUIT", "N", "S: 220 x", "C: EHLO", "S: 451 later", "C: QUIT"),
          "DEAD\na@test 4.0.0 host 127.0.0.1[127.0.0.1] refused to talk to me: 421 busy\n"
          "DEAD\na@test 4.0.0 host 127.0.0.1[127.0.0.1] refused to talk to me: 451 later\n");
    check(STEPS("S: 450 no", "C: QUIT", "N", "S: 450 no", "C: QUIT"),
          "DEAD\na@test 4.0.0 host 127.0.0.1[127.0.0.1] refused to talk to me: 450 no\n"
          "DEAD\na@test 4.0.0 host 127.0.0.1[127.0.0.1] refused to talk to me: 450 no\n");
}

static void lmtp_answers_for_each_recipient(void **state)
{
    smtp_program.lmtp = true;
    recipients[1] = "b@test";
    recipients[2] = "c@test";
    check(STEPS("S: 220 lmtp", "C: LHLO me.test", "S: 250-lmtp", "S: 250 PIPELINING", "C: MAIL", "C: RCPT TO:<a@test>",
                "C: RCPT TO:<b@test>", "C: RCPT TO:<c@test>", "C: DATA", "S: 250 ok", "S: 250 ok", "S: 550 5.1.1 who",
                "S: 250 ok", "S: 354 go", "D: Subject: x||..dot|", "S: 250 2.1.5 a saved", "S: 452 4.2.2 c full",
                "C: QUIT"),
          "b@test 5.1.1 host 127.0.0.1[127.0.0.1] said: 550 5.1.1 who (in reply to RCPT TO command)\n"
          "a@test 2.1.5 250 2.1.5 a saved\n"
          "c@test 4.2.2 host 127.0.0.1[127.0.0.1] said: 452 4.2.2 c full (in reply to end of DATA command)\n");
}

static void dsn_and_xforward(void **state)
{
    notify = DSN_NOTIFY_SUCCESS | DSN_NOTIFY_DELAY;
    smtp_params.smtp_send_xforward_command = true;
    check(STEPS("S: 220 x", "C: EHLO", "S: 250-x", "S: 250-DSN", "S: 250 XFORWARD NAME ADDR HELO",
                "C: XFORWARD NAME=client.test ADDR=192.0.2.7 HELO=helo+3Dx", "S: 250 ok", "C: MAIL", "S: 250 ok",
                "C: RCPT TO:<a@test> NOTIFY=SUCCESS,DELAY", "S: 250 ok", "C: DATA", "S: 354 go",
                "D: Subject: x||..dot|", "S: 250 ok", "C: QUIT"),
          "a@test 2.0.0 250 oknone\n");
}

static void message_too_large(void **state)
{
    check(STEPS("S: 220 x", "C: EHLO", "S: 250-x", "S: 250 SIZE 5", "C: QUIT"),
          "a@test 5.3.4 message size 17 exceeds size limit 5 of server 127.0.0.1[127.0.0.1]\n");
}

static void tls_that_is_not_offered(void **state)
{
    smtp_program.tls_level = TLS_ENCRYPT;
    check(STEPS("S: 220 x", "C: EHLO", "S: 250 x", "C: QUIT"),
          "DEAD\na@test 4.7.4 TLS is required, but was not offered by host 127.0.0.1[127.0.0.1]\n");
}

static void policy_table_decides_about_tls(void **state)
{
    BUF_AUTO err = BUF(1000);
    smtp_program.tls_policy = maps_open(NULL, "smtp_tls_policy_maps", "static:encrypt", &err);
    assert_non_null(smtp_program.tls_policy);
    check(STEPS("S: 220 x", "C: EHLO", "S: 250 x", "C: QUIT"),
          "DEAD\na@test 4.7.4 TLS is required, but was not offered by host 127.0.0.1[127.0.0.1]\n");
    maps_close(&smtp_program.tls_policy);
    smtp_program.tls_policy = maps_open(NULL, "smtp_tls_policy_maps", "static:fingerprint", &err);
    check((const char *const[]){NULL}, "a@test 4.7.5 client TLS configuration problem\n");
    maps_close(&smtp_program.tls_policy);
}

static void plaintext_after_a_failed_handshake(void **state)
{
    BUF_AUTO err = BUF(1000);
    struct tls_config c = {.cipher_list = "", .ca_file = "", .ca_path = "", .protocols = "", .chain_files = ""};
    smtp_program.tls_may = tls_context_new(&c, &err);
    assert_non_null(smtp_program.tls_may);
    smtp_program.tls_level = TLS_MAY;
    check(STEPS("S: 220 x", "C: EHLO", "S: 250-x", "S: 250 STARTTLS", "C: STARTTLS", "S: 220 go", "X", "N", "S: 220 x",
                "C: EHLO", "S: 250-x", "S: 250 STARTTLS", "C: MAIL", "S: 250 ok", "C: RCPT", "S: 250 ok", "C: DATA",
                "S: 354 go", "D: Subject: x||..dot|", "S: 250 ok", "C: QUIT"),
          "a@test 2.0.0 250 ok\n");
    tls_context_free(&smtp_program.tls_may);
}

/* A certificate for localhost, which is its own authority; makes both ends' contexts. */
static void make_contexts(char *key, char *cert)
{
    BUF_AUTO err = BUF(1000);
    close(mkstemp(key));
    close(mkstemp(cert));
    char *const argv[] = {"openssl",
                          "req",
                          "-x509",
                          "-newkey",
                          "ec",
                          "-pkeyopt",
                          "ec_paramgen_curve:P-256",
                          "-nodes",
                          "-subj",
                          "/CN=localhost",
                          "-addext",
                          "subjectAltName=DNS:localhost",
                          "-days",
                          "2",
                          "-keyout",
                          key,
                          "-out",
                          cert,
                          NULL};
    pid_t pid;
    int status;
    posix_spawn_file_actions_t quiet;
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, 2, "/dev/null", O_WRONLY, 0);
    assert_int_equal(posix_spawnp(&pid, "openssl", &quiet, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&quiet);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    struct tls_config server = {.server = true, .cert_file = cert, .key_file = key};
    struct tls_config client = {.ca_file = cert};
    server_tls = tls_context_new(&server, &err);
    smtp_program.tls_may = smtp_program.tls_mandatory = tls_context_new(&client, &err);
    assert_non_null(server_tls);
    assert_non_null(smtp_program.tls_may);
}

static void tls_levels_up_to_verify(void **state)
{
    char key[] = "/tmp/smtp-test-key-XXXXXX", cert[] = "/tmp/smtp-test-cert-XXXXXX";
    make_contexts(key, cert);
    const char *const good[] = {"S: 220 x",
                                "C: EHLO",
                                "S: 250-x",
                                "S: 250-STARTTLS",
                                "S: 250 SIZE 5",
                                "C: STARTTLS",
                                "S: 220 go",
                                "T",
                                "C: EHLO",
                                "S: 250 x",
                                "C: MAIL",
                                "S: 250 ok",
                                "C: RCPT",
                                "S: 250 ok",
                                "C: DATA",
                                "S: 354 go",
                                "D: Subject: x||..dot|",
                                "S: 250 ok",
                                "C: QUIT",
                                NULL};
    smtp_program.tls_level = TLS_MAY; /* what was offered before TLS is forgotten */
    check(good, "a@test 2.0.0 250 ok\n");
    smtp_program.tls_level = TLS_VERIFY;
    host_name = "localhost";
    hosts_open("/etc/hosts");
    check(good, "a@test 2.0.0 250 ok\n");
    host_name = "127.0.0.1"; /* no name that could be verified */
    check(STEPS("S: 220 x", "C: EHLO", "S: 250-x", "S: 250 STARTTLS", "C: STARTTLS", "S: 220 go", "T", "C: QUIT"),
          "DEAD\na@test 4.7.5 Server certificate not verified\n");
    tls_context_free(&server_tls);
    tls_context_free(&smtp_program.tls_may);
    unlink(key);
    unlink(cert);
}

#define TEST(f) cmocka_unit_test_setup(f, fresh)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_message),
        TEST(pipelined_with_a_refused_recipient),
        TEST(all_refused_but_data_accepted),
        TEST(sender_refused),
        TEST(refused_after_the_message),
        TEST(too_many_recipients_is_temporary),
        TEST(greeting_with_5xx_is_the_hosts_trouble),
        TEST(helo_when_ehlo_is_unknown),
        TEST(lost_connections),
        TEST(second_destination_after_a_soft_failure),
        TEST(connection_is_used_again),
        TEST(dead_idle_connection_is_replaced),
        TEST(refused_session_is_not_kept),
        TEST(lmtp_answers_for_each_recipient),
        TEST(dsn_and_xforward),
        TEST(message_too_large),
        TEST(tls_that_is_not_offered),
        TEST(policy_table_decides_about_tls),
        TEST(tls_levels_up_to_verify),
        TEST(plaintext_after_a_failed_handshake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
