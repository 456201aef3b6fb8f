/* smtp - the SMTP and LMTP client: delivers mail to other hosts.
 *
 * A delivery request names a destination: a domain (its MX hosts are asked in the order of preference), [host],
 * host:port, or for LMTP inet:host:port and unix:path. Each recipient's result goes back to the queue manager. The same
 * program speaks LMTP under the name lmtp, with parameters lmtp_name in place of smtp_name. Connections are kept open a
 * short while when more mail waits for their destination.
 *
 * This process has the network and no file but what it is handed: the open queue file of each request. */
#include "lib/daemon/daemon.h"
#include "lib/map/map.h"
#include "smtp/smtp.h"

#include <assert.h>
#include <netdb.h>
#include <stdlib.h>

struct smtp_params smtp_params;
struct smtp_program smtp_program;

/* clang-format off */
const struct param smtp_param_table[] = {
#define PARAM_OWNER struct smtp_params
#include "lib/conf/param_table.h"
#include "smtp/params.def"
#include "lib/conf/param_end.h"
};
struct lmtp_params {
#include "lib/conf/param_struct.h"
#include "smtp/lmtp_params.def"
#include "lib/conf/param_end.h"
};
const struct param lmtp_param_table[] = {
#define PARAM_OWNER struct lmtp_params
#include "lib/conf/param_table.h"
#include "smtp/lmtp_params.def"
#include "lib/conf/param_end.h"
};
/* clang-format on */
const size_t smtp_param_count = sizeof smtp_param_table / sizeof *smtp_param_table;
const size_t lmtp_param_count = sizeof lmtp_param_table / sizeof *lmtp_param_table;

/* The lmtp table fills the smtp struct: both files list the same rows. */
static_assert(sizeof(struct lmtp_params) == sizeof(struct smtp_params), "lmtp_params.def differs from params.def");
static_assert(sizeof smtp_param_table == sizeof lmtp_param_table, "lmtp_params.def differs from params.def");
static_assert(offsetof(struct lmtp_params, lmtp_lhlo_timeout) == offsetof(struct smtp_params, smtp_helo_timeout),
              "lmtp_params.def differs from params.def");

static bool has_word(const char *list, const char *word, size_t *place)
{
    struct slice rest = slice_of(list), w;
    for (*place = 0; slice_token(&rest, ", \t\r\n", &w); ++*place) {
        if (slice_eq_fold(w, slice_of(word)))
            return true;
    }
    return false;
}

static void open_lookup(void)
{
    const char *how = smtp_params.smtp_host_lookup, *protocols = daemon_env->common.inet_protocols;
    size_t dns_place, native_place, ignored;
    bool all = has_word(protocols, "all", &ignored);
    smtp_program.ipv4 = all || has_word(protocols, "ipv4", &ignored);
    smtp_program.ipv6 = all || has_word(protocols, "ipv6", &ignored);
    bool dns = has_word(how, "dns", &dns_place);
    smtp_program.native = has_word(how, "native", &native_place);
    smtp_program.dns = dns && strcmp(smtp_params.smtp_dns_support_level, "disabled") != 0;
    if (!smtp_program.dns)
        smtp_program.native = true;
    smtp_program.native_first = smtp_program.native && (!smtp_program.dns || native_place < dns_place);
    if (smtp_program.native)
        hosts_open("/etc/hosts");
}

static bool open_port(struct buf *err)
{
    unsigned long long v;
    const char *port = smtp_params.smtp_tcp_port;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_INET}, *list;
    if (slice_to_u64(slice_of(port), 65535, &v)) {
        smtp_program.port = (uint16_t)v;
    } else if (strcmp(port, "smtp") == 0) {
        smtp_program.port = 25;
    } else if (getaddrinfo(NULL, port, &hints, &list) == 0) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)list->ai_addr;
        smtp_program.port = ntohs(in->sin_port);
        freeaddrinfo(list);
    }
    if (smtp_program.port == 0)
        buf_printf(err, "smtp_tcp_port: unknown service %s", port);
    return smtp_program.port != 0;
}

static bool open_passwords(struct buf *err)
{
    if (!smtp_params.smtp_sasl_auth_enable)
        return true;
    smtp_program.passwords =
        maps_open(daemon_env->conf, "smtp_sasl_password_maps", smtp_params.smtp_sasl_password_maps, err);
    return smtp_program.passwords != NULL;
}

static bool before_sandbox(struct buf *err)
{
    const struct common_params *c = &daemon_env->common;
    agent_configure(c);
    srandom((unsigned)clock_wall_usec());
    open_lookup();
    smtp_program.own = own_addr_new(c->inet_interfaces, c->proxy_interfaces, err);
    return smtp_program.own && open_port(err) && open_passwords(err) && smtp_tls_open(err);
}

static void request(struct ipc_conn *c)
{
    agent_serve(c, smtp_deliver);
}

static const struct daemon smtp = {
    .name = "smtp",
    .summary = "SMTP client",
    .params = smtp_param_table,
    .n_params = sizeof smtp_param_table / sizeof *smtp_param_table,
    .params_struct = &smtp_params,
    .user = DAEMON_AS_NET,
    .needs = NEEDS_INET,
    .before_sandbox = before_sandbox,
    .request = request,
};
static const struct daemon lmtp = {
    .name = "lmtp",
    .summary = "LMTP client",
    .params = lmtp_param_table,
    .n_params = sizeof lmtp_param_table / sizeof *lmtp_param_table,
    .params_struct = &smtp_params,
    .user = DAEMON_AS_NET,
    .needs = NEEDS_INET,
    .before_sandbox = before_sandbox,
    .request = request,
};

int main(int argc, char **argv)
{
    const char *name = strrchr(argv[0], '/');
    smtp_program.lmtp = strcmp(name ? name + 1 : argv[0], "lmtp") == 0;
    return daemon_main(argc, argv, smtp_program.lmtp ? &lmtp : &smtp);
}
