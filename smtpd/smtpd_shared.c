/* smtpd_shared.c - what all sessions share: tables, lists, restrictions, TLS, opened before privileges go. Whatever is
 * wrong with the configuration is told here, with the parameter's name. */
#include "lib/rt/dns.h"
#include "smtpd/smtpd.h"

struct smtpd_shared smtpd_shared;

static bool open_lists(struct buf *err)
{
    const struct {
        struct match_list **list;
        const char *parameter, *value;
        bool parents;
    } all[] = {
        {&smtpd_shared.mynetworks, "mynetworks", daemon_env->common.mynetworks, false},
        {&smtpd_shared.bare_newline_exclusions, "smtpd_forbid_bare_newline_exclusions",
         smtpd_params.smtpd_forbid_bare_newline_exclusions, false},
        {&smtpd_shared.limit_exceptions, "smtpd_client_event_limit_exceptions",
         smtpd_params.smtpd_client_event_limit_exceptions, false},
        {&smtpd_shared.sasl_exceptions, "smtpd_sasl_exceptions_networks", smtpd_params.smtpd_sasl_exceptions_networks,
         false},
        {&smtpd_shared.flush_domains, "fast_flush_domains", smtpd_params.fast_flush_domains,
         strstr(daemon_env->common.parent_domain_matches_subdomains, "fast_flush_domains") != NULL},
        {&smtpd_shared.forbidden_commands, "smtpd_forbidden_commands", smtpd_params.smtpd_forbidden_commands, false},
        {&smtpd_shared.xclient_hosts, "smtpd_authorized_xclient_hosts", smtpd_params.smtpd_authorized_xclient_hosts,
         false},
        {&smtpd_shared.xforward_hosts, "smtpd_authorized_xforward_hosts", smtpd_params.smtpd_authorized_xforward_hosts,
         false},
        {&smtpd_shared.noop_commands, "smtpd_noop_commands", smtpd_params.smtpd_noop_commands, false},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        *all[i].list = match_list_open(daemon_env->conf, all[i].parameter, all[i].value, all[i].parents, err);
        if (!*all[i].list)
            return false;
    }
    return true;
}

static bool open_maps(struct buf *err)
{
    const struct common_params *common = &daemon_env->common;
    const struct {
        struct maps **maps;
        const char *parameter, *value;
    } all[] = {
        {&smtpd_shared.command_filter, "smtpd_command_filter", smtpd_params.smtpd_command_filter},
        {&smtpd_shared.sender_login, "smtpd_sender_login_maps", smtpd_params.smtpd_sender_login_maps},
        {&smtpd_shared.local_recipients, "local_recipient_maps", common->local_recipient_maps},
        {&smtpd_shared.relay_recipients, "relay_recipient_maps", common->relay_recipient_maps},
        {&smtpd_shared.virtual_aliases, "virtual_alias_maps", common->virtual_alias_maps},
        {&smtpd_shared.virtual_mailboxes, "virtual_mailbox_maps", common->virtual_mailbox_maps},
        {&smtpd_shared.canonical, "canonical_maps", smtpd_params.canonical_maps},
        {&smtpd_shared.recipient_canonical, "recipient_canonical_maps", smtpd_params.recipient_canonical_maps},
        {&smtpd_shared.relocated, "relocated_maps", smtpd_params.relocated_maps},
        {&smtpd_shared.discard_ehlo, "smtpd_discard_ehlo_keyword_address_maps",
         smtpd_params.smtpd_discard_ehlo_keyword_address_maps},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        *all[i].maps = maps_open(daemon_env->conf, all[i].parameter, all[i].value, err);
        if (!*all[i].maps)
            return false;
    }
    return true;
}

static bool open_restrictions(struct arena *a, struct buf *err)
{
    const struct {
        const char *parameter, *value;
    } all[STAGE_COUNT] = {
        [STAGE_CLIENT] = {"smtpd_client_restrictions", smtpd_params.smtpd_client_restrictions},
        [STAGE_HELO] = {"smtpd_helo_restrictions", smtpd_params.smtpd_helo_restrictions},
        [STAGE_SENDER] = {"smtpd_sender_restrictions", smtpd_params.smtpd_sender_restrictions},
        [STAGE_RELAY] = {"smtpd_relay_restrictions", smtpd_params.smtpd_relay_restrictions},
        [STAGE_RECIPIENT] = {"smtpd_recipient_restrictions", smtpd_params.smtpd_recipient_restrictions},
        [STAGE_DATA] = {"smtpd_data_restrictions", smtpd_params.smtpd_data_restrictions},
        [STAGE_END_OF_DATA] = {"smtpd_end_of_data_restrictions", smtpd_params.smtpd_end_of_data_restrictions},
        [STAGE_ETRN] = {"smtpd_etrn_restrictions", smtpd_params.smtpd_etrn_restrictions},
    };
    struct conf *conf = daemon_env->conf;
    smtpd_shared.classes = check_classes_new(conf, a, smtpd_params.smtpd_restriction_classes, err);
    if (!smtpd_shared.classes)
        return false;
    for (enum check_stage i = 0; i < STAGE_COUNT; i++) {
        if (!check_list_parse(conf, a, smtpd_shared.classes, all[i].parameter, all[i].value, i, &smtpd_shared.lists[i],
                              err))
            return false;
    }
    if (!check_list_is_safe(&smtpd_shared.lists[STAGE_RELAY]) &&
        !check_list_is_safe(&smtpd_shared.lists[STAGE_RECIPIENT])) {
        buf_puts(err, "in parameter smtpd_relay_restrictions or smtpd_recipient_restrictions, specify at least one "
                      "working instance of: reject_unauth_destination, defer_unauth_destination, reject, defer, "
                      "defer_if_permit or check_relay_domains");
        return false;
    }
    return true;
}

static bool open_tls(struct buf *err)
{
    const struct smtpd_params *p = &smtpd_params;
    const char *level = p->smtpd_tls_security_level;
    if (*level == 0)
        level = p->smtpd_enforce_tls ? "encrypt" : p->smtpd_use_tls || p->smtpd_tls_wrappermode ? "may" : "none";
    if (strcmp(level, "none") != 0 && strcmp(level, "may") != 0 && strcmp(level, "encrypt") != 0) {
        buf_printf(err, "bad value of smtpd_tls_security_level: %s", level);
        return false;
    }
    if (strcmp(level, "none") == 0 && !p->smtpd_tls_wrappermode)
        return true;
    smtpd_shared.tls_required = strcmp(level, "encrypt") == 0;
    bool has_cert =
        *p->smtpd_tls_chain_files || (*p->smtpd_tls_cert_file && strcmp(p->smtpd_tls_cert_file, "none") != 0);
    if (!has_cert) {
        if (smtpd_shared.tls_required || p->smtpd_tls_wrappermode) {
            buf_puts(err, "TLS is required, but smtpd_tls_cert_file and smtpd_tls_chain_files name no certificate");
            return false;
        }
        log_warn("No server certs available. TLS won't be enabled");
        return true;
    }
    struct tls_config config = {
        .server = true,
        .cert_file = *p->smtpd_tls_chain_files ? NULL : p->smtpd_tls_cert_file,
        .key_file = *p->smtpd_tls_chain_files ? NULL : p->smtpd_tls_key_file,
        .chain_files = p->smtpd_tls_chain_files,
        .ca_file = p->smtpd_tls_CAfile,
        .ca_path = p->smtpd_tls_CApath,
        .protocols = smtpd_shared.tls_required ? p->smtpd_tls_mandatory_protocols : p->smtpd_tls_protocols,
        .cipher_list = p->smtpd_tls_cipherlist,
        .ask_client_cert = p->smtpd_tls_ask_ccert || p->smtpd_tls_req_ccert,
        .require_client_cert = p->smtpd_tls_req_ccert && smtpd_shared.tls_required,
    };
    BUF_AUTO why = BUF(1000);
    smtpd_shared.tls = tls_context_new(&config, &why);
    if (!smtpd_shared.tls)
        buf_printf(err, "%s (see %s)", buf_cstr(&why),
                   *p->smtpd_tls_chain_files ? "smtpd_tls_chain_files" : "smtpd_tls_cert_file, smtpd_tls_key_file");
    return smtpd_shared.tls != NULL;
}

static bool read_choices(struct buf *err)
{
    static const struct {
        const char *name;
        enum smtpd_bare_newline value;
    } choices[] = {{"no", BARE_NO},
                   {"note", BARE_NOTE},
                   {"yes", BARE_NORMALIZE},
                   {"normalize", BARE_NORMALIZE},
                   {"reject", BARE_REJECT}};
    const char *value = smtpd_params.smtpd_forbid_bare_newline;
    const char *override = smtpd_params.receive_override_options;
    size_t i = 0;
    while (i < 5 && !str_eq_fold(value, choices[i].name))
        i++;
    if (i == 5) {
        buf_printf(err, "bad value of smtpd_forbid_bare_newline: %s", value);
        return false;
    }
    smtpd_shared.bare_newline = choices[i].value;
    smtpd_shared.no_unknown_recipient_checks = strstr(override, "no_unknown_recipient_checks") != NULL;
    smtpd_shared.no_address_mappings = strstr(override, "no_address_mappings") != NULL;
    smtpd_shared.no_header_body_checks = strstr(override, "no_header_body_checks") != NULL;
    smtpd_shared.no_milters = strstr(override, "no_milters") != NULL;
    smtpd_shared.limits =
        smtpd_params.smtpd_client_connection_count_limit || smtpd_params.smtpd_client_connection_rate_limit ||
        smtpd_params.smtpd_client_message_rate_limit || smtpd_params.smtpd_client_recipient_rate_limit ||
        smtpd_params.smtpd_client_new_tls_session_rate_limit || smtpd_params.smtpd_client_auth_rate_limit;
    return true;
}

bool smtpd_shared_open(struct buf *err)
{
    struct arena *a = arena_new(); /* lives as long as the process */
    if (!read_choices(err) || !open_lists(err) || !open_maps(err) || !open_restrictions(a, err) || !open_tls(err))
        return false;
    return dns_init(err);
}

void smtpd_shared_start(void)
{
    enum { IDLE_CONNECTIONS = 64, REWRITE_CACHE_SECONDS = 2 };
    struct arena *a = arena_new();
    const char *path = smtpd_params.smtpd_sasl_path;
    smtpd_shared.rewrite = rewrite_client_new("private/rewrite", REWRITE_CACHE_SECONDS);
    smtpd_shared.cleanup =
        ipc_pool_new(arena_printf(a, "private/%s", smtpd_params.cleanup_service_name), IDLE_CONNECTIONS);
    smtpd_shared.anvil = ipc_pool_new("private/anvil", IDLE_CONNECTIONS);
    smtpd_shared.qmgr = ipc_pool_new("private/qmgr", 1);
    if (!smtpd_params.smtpd_sasl_auth_enable)
        return;
    if (conf_origin(daemon_env->conf, "smtpd_sasl_type") && !str_eq_fold(smtpd_params.smtpd_sasl_type, "dovecot"))
        log_info("smtpd_sasl_type = %s: the auth service is asked with the dovecot protocol",
                 smtpd_params.smtpd_sasl_type);
    smtpd_shared.sasl = sasl_service_new(strcmp(path, "smtpd") == 0 ? "private/auth" : path);
}
