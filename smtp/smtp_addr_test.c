/* smtp_addr_test.c - from destinations to addresses, asking a small name server that this test runs itself. */
#include "lib/base/mem.h"
#include "lib/daemon/daemon.h"
#include "lib/rt/addr.h"
#include "lib/rt/dns.h"
#include "smtp/smtp.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

struct smtp_params smtp_params;
struct smtp_program smtp_program;
static struct daemon_env the_env;
struct daemon_env *const daemon_env = &the_env;

void agent_report(struct agent_delivery *d, size_t place, const struct agent_result *r)
{
}

void agent_site_dead(struct agent_delivery *d, const struct result *why)
{
}

bool agent_content(const struct agent_delivery *d, bool (*fn)(void *, const char *, size_t), void *ctx)
{
    return false;
}

/* ---- the name server ---- */

static const struct zone_row {
    const char *name;
    int type;
    unsigned preference;
    const char *value; /* "" for MX: null MX; type 0: SERVFAIL */
} zone[] = {
    {"plain.test", DNS_MX, 20, "mx2.test"},
    {"plain.test", DNS_MX, 10, "mx1.test"},
    {"mx1.test", DNS_A, 0, "192.0.2.1"},
    {"mx2.test", DNS_A, 0, "192.0.2.2"},
    {"none.test", DNS_MX, 0, ""},
    {"nomx.test", DNS_A, 0, "192.0.2.3"},
    {"self.test", DNS_MX, 10, "me.test"},
    {"self.test", DNS_MX, 20, "mx2.test"},
    {"me.test", DNS_A, 0, "192.0.2.99"},
    {"back.test", DNS_MX, 10, "mx1.test"},
    {"back.test", DNS_MX, 20, "me.test"},
    {"back.test", DNS_MX, 30, "mx2.test"},
    {"broken.test", 0, 0, ""},
    {"lost.test", DNS_MX, 10, "gone.test"},
};

static size_t put_name(unsigned char *p, const char *name)
{
    size_t used = 0;
    while (*name) {
        size_t n = strcspn(name, ".");
        p[used++] = (unsigned char)n;
        memcpy(p + used, name, n);
        used += n;
        name += n + (name[n] == '.');
    }
    p[used++] = 0;
    return used;
}

/* Appends one answer; the owner is the name in the question. */
static size_t put_record(unsigned char *p, const struct zone_row *row)
{
    unsigned char data[300];
    size_t n = 0;
    if (row->type == DNS_MX) {
        data[n++] = 0;
        data[n++] = (unsigned char)row->preference;
        n += put_name(data + n, row->value);
    } else {
        inet_pton(AF_INET, row->value, data);
        n = 4;
    }
    const unsigned char head[] = {0xc0, 12, 0, (unsigned char)row->type, 0, 1, 0, 0, 0, 60, 0, (unsigned char)n};
    memcpy(p, head, sizeof head);
    memcpy(p + sizeof head, data, n);
    return sizeof head + n;
}

static size_t answer(unsigned char *p, size_t n)
{
    char name[256] = "";
    size_t pos = 12, at = 0;
    while (pos < n && p[pos]) {
        memcpy(name + at, p + pos + 1, p[pos]);
        at += p[pos];
        name[at++] = '.';
        pos += p[pos] + 1U;
    }
    name[at ? at - 1 : 0] = '\0';
    int type = p[pos + 2];
    pos += 5;
    unsigned found = 0;
    int code = 3; /* no such name */
    for (size_t i = 0; i < sizeof zone / sizeof *zone; i++) {
        if (strcasecmp(zone[i].name, name) != 0)
            continue;
        code = zone[i].type == 0 ? 2 : 0;
        if (zone[i].type == type) {
            pos += put_record(p + pos, &zone[i]);
            found++;
        }
    }
    const unsigned char head[] = {0x81, (unsigned char)(0x80 | code), 0, 1, 0, (unsigned char)found, 0, 0, 0, 0};
    memcpy(p + 2, head, sizeof head);
    return pos;
}

static int udp = -1;
static bool done;

static void name_server(void *arg)
{
    struct io io;
    io_init(&io, udp);
    while (!done) {
        unsigned char packet[2000];
        struct sockaddr_storage from;
        socklen_t len = sizeof from;
        ssize_t n = recvfrom(udp, packet, 600, MSG_DONTWAIT, (struct sockaddr *)&from, &len);
        if (n < 12)
            io_wait(&io, IO_READ, deadline_in_ms(100));
        else
            sendto(udp, packet, answer(packet, (size_t)n), 0, (struct sockaddr *)&from, len);
    }
    io_fini(&io);
}

/* ---- tests ---- */

static char result_text[2000];

static void look_up(void *arg)
{
    ARENA_AUTO a = arena_new();
    struct agent_delivery d = {.request = {.queue_id = "QID", .nexthop = arg}};
    struct smtp_delivery s = {.arena = a, .d = &d};
    struct smtp_dest *dests;
    const char *err;
    fiber_start("name server", name_server, NULL);
    assert_int_equal(smtp_dest_parse(a, arg, false, 25, &dests, &err), 1);
    struct smtp_hosts hosts = smtp_addr_find(&s, &dests[0]);
    BUF_AUTO b = BUF(sizeof result_text - 1);
    for (size_t i = 0; i < hosts.n; i++) {
        char text[ADDR_TEXT_MAX];
        addr_text((struct sockaddr *)&hosts.items[i].addr, text);
        buf_printf(&b, "%s[%s]:%u/%u ", hosts.items[i].name, text, addr_port((struct sockaddr *)&hosts.items[i].addr),
                   hosts.items[i].preference);
    }
    if (hosts.n == 0)
        buf_printf(&b, "%s %s", s.why.result.dsn, s.why.result.text);
    snprintf(result_text, sizeof result_text, "%s", buf_cstr(&b));
    done = true;
}

static void check(const char *nexthop, const char *want)
{
    done = false;
    char *copy = mem_strdup(nexthop);
    loop_run("test", look_up, copy);
    free(copy);
    assert_string_equal(result_text, want);
}

static void mx_hosts_by_preference(void **state)
{
    check("plain.test", "mx1.test[192.0.2.1]:25/10 mx2.test[192.0.2.2]:25/20 ");
    check("plain.test:2525", "mx1.test[192.0.2.1]:2525/10 mx2.test[192.0.2.2]:2525/20 ");
    check("nomx.test", "nomx.test[192.0.2.3]:25/0 ");
    check("[mx1.test]", "mx1.test[192.0.2.1]:25/0 ");
    check("[192.0.2.50]:26", "192.0.2.50[192.0.2.50]:26/0 ");
}

static void names_without_hosts(void **state)
{
    check("none.test", "5.1.10 Domain none.test does not accept mail (nullMX)");
    check("nowhere.test", "5.4.4 Host or domain name not found. Name service error for name=nowhere.test type=MX: Host "
                          "not found");
    check("broken.test", "4.4.3 Host or domain name not found. Name service error for name=broken.test type=MX: Host "
                         "not found, try again");
    check("lost.test",
          "5.4.4 Host or domain name not found. Name service error for name=gone.test type=A: Host not found");
    smtp_params.smtp_defer_if_no_mx_address_found = true;
    check("lost.test",
          "4.4.4 Host or domain name not found. Name service error for name=gone.test type=A: Host not found");
}

static void loops(void **state)
{
    check("self.test", "5.4.6 mail for self.test loops back to myself");
    check("back.test", "mx1.test[192.0.2.1]:25/10 ");
    check("[me.test]", "5.4.6 mail for me.test loops back to myself");
    check("[me.test]:2525", "me.test[192.0.2.99]:2525/0 ");
}

static void hosts_file(void **state)
{
    char path[] = "/tmp/smtp-test-hosts-XXXXXX";
    int fd = mkstemp(path);
    static const char text[] = "127.0.0.1 one.test two # three.test\n# 192.0.2.9 four.test\n192.0.2.8 ONE.test\n";
    assert_int_equal(write(fd, text, sizeof text - 1), (int)sizeof text - 1);
    hosts_open(path);
    smtp_program.dns = false;
    smtp_program.native = true;
    smtp_params.smtp_randomize_addresses = false;
    check("one.test:26", "one.test[127.0.0.1]:26/0 one.test[192.0.2.8]:26/0 ");
    check("[two]:26", "two[127.0.0.1]:26/0 ");
    check("mx1.test", "mx1.test[192.0.2.1]:25/0 "); /* not in the file */
    check("four.test", "5.4.4 unable to look up host four.test: Name or service not known");
    check("broken.test", "4.4.3 unable to look up host broken.test: Temporary failure in name resolution");
    close(fd);
    unlink(path);
}

static int open_server(void **state)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof in;
    char servers[40];
    BUF_AUTO err = BUF(1000);
    udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (udp < 0 || bind(udp, (struct sockaddr *)&in, len) != 0)
        return -1;
    getsockname(udp, (struct sockaddr *)&in, &len);
    snprintf(servers, sizeof servers, "127.0.0.1:%d", ntohs(in.sin_port));
    smtp_params.smtp_address_preference = "any";
    smtp_params.smtp_randomize_addresses = true;
    smtp_program = (struct smtp_program){.ipv4 = true, .dns = true};
    smtp_program.own = own_addr_new("192.0.2.99", "", &err);
    return dns_set_servers(servers) && smtp_program.own ? 0 : -1;
}

static int close_server(void **state)
{
    own_addr_free(&smtp_program.own);
    return close(udp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mx_hosts_by_preference),
        cmocka_unit_test(names_without_hosts),
        cmocka_unit_test(loops),
        cmocka_unit_test(hosts_file),
    };
    return cmocka_run_group_tests(tests, open_server, close_server);
}
