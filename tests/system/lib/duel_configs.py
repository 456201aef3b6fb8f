"""Configurations under which both mail systems are compared. All mail ends in the sinks of the test; @CONF@, @SINK@ ... are filled in."""

BASE = dict(
    myhostname="mx.example.test", mydomain="example.test", myorigin="example.test", mydestination="example.test, mx.example.test, localhost",
    mynetworks="127.0.0.0/8", inet_interfaces="127.0.0.1", inet_protocols="ipv4", smtp_dns_support_level="disabled", smtp_host_lookup="native",
    local_transport="lmtp:inet:127.0.0.1:@LMTP@", virtual_transport="lmtp:inet:127.0.0.1:@LMTP@", relay_transport="smtp:[127.0.0.1]:@SINK@",
    default_transport="smtp:[127.0.0.1]:@SINK@", local_recipient_maps="texthash:@CONF@/users", alias_maps="", alias_database="", recipient_delimiter="+",
    relay_domains="relay.test", smtpd_banner="$myhostname ESMTP", smtpd_client_connection_count_limit="0", smtpd_client_connection_rate_limit="0",
    smtpd_error_sleep_time="0", smtpd_peername_lookup="no", minimal_backoff_time="1000s", maximal_backoff_time="1000s", queue_run_delay="1000s",
    notify_classes="", smtpd_timeout="15s", biff="no")
USERS = "".join(f"{u} x\n" for u in "alice bob carol dave postmaster root abuse o'brien perm-user temp-user".split())


def config(files=None, **main):
    return {"main": {**BASE, **main}, "files": {"users": USERS, **(files or {})}}


ACTIONS = ["REJECT go away", "451 4.7.1 try later", "521 5.7.1 closed", "421 4.7.0 bye", "OK", "DUNNO", "DEFER", "554", "HANGUP", "DISCARD silent", "HOLD held",
           "REDIRECT bob@example.test", "FILTER smtp:[127.0.0.1]:@SINK@", "PREPEND X-Seen: yes", "WARN look", "BCC carol@example.test", "DEFER_IF_PERMIT maybe",
           "DEFER_IF_REJECT later", "INFO note", "Bogus_action", "450 no code", "reject_unauth_destination", "REJECT", "REJECT 5.7.99 with code", "550 5.1.1",
           "permit_mynetworks, reject", "strictclass", "warn_if_reject reject", "OK with text", "DEFER 4.2.2 text", "12345", "999 x", "450", "200 fine", "REJECT 4.1.1 x",
           "500 2.0.0 x", "PREPEND", "REDIRECT nodomain", "FILTER bad", "DEFER_IF_PERMIT 4.3.9 x", "reject_non_fqdn_sender", "defer_if_permit", "1.2.3",
           "check_sender_access inline:{x=y}", "reject, permit", "451", "REJECT 5.7.1", "HOLD", "421", "521", "DEFER_IF_REJECT"]
# 127.0.1.N and aN@act.test, helo hN.act.test, rcpt act-N@example.test all get the action N
CLIENTS = "".join(f"127.0.1.{n} {a}\n" for n, a in enumerate(ACTIONS))
SENDERS = "".join(f"a{n}@act.test {a}\n" for n, a in enumerate(ACTIONS)) + (
    "evil@client.test REJECT evil sender\nspam.test 550 5.7.7 spam domain\nuser@ 450 4.7.1 any user@\n<> DUNNO\n.dotted.test REJECT dotted\nplus@client.test REJECT plus\n")
HELOS = "".join(f"h{n}.act.test {a}\n" for n, a in enumerate(ACTIONS)) + "bad.test REJECT bad helo\n.sub.test REJECT dotted\n"
RCPTS = "".join(f"act-{n}@example.test {a}\n" for n, a in enumerate(ACTIONS)) + (
    "blocked@example.test REJECT\ncarol@example.test strictclass\ndave@example.test okclass\nrelayblock@ REJECT no\n.relay.test REJECT sub\nrelay.test DUNNO\n")
RCPTS_RE = r"""/^list-.*@example\.test$/  REJECT lists are private
/^(.*)\+(.*)@relay\.test$/  550 5.1.1 ext $2 for $1
/^prep-(.*)@/ PREPEND X-Rcpt: $1
!/^[a-z0-9.+_@-]+$/ WARN strange
if /^x/
/^xy/ REJECT xy
endif
"""
RESTRICT_FILES = dict(clients=CLIENTS, senders=SENDERS, helos=HELOS, rcpts=RCPTS, vip="vip@client.test OK\n",
                      users=USERS + "".join(f"act-{n} x\n" for n in range(len(ACTIONS))) + "list-a x\nprep-a x\nxy x\nblocked x\n",
                      eod="".join(f"e{n}@act.test {a}\n" for n, a in enumerate(ACTIONS)), data="".join(f"d{n}@act.test {a}\n" for n, a in enumerate(ACTIONS)), **{"rcpts.re": RCPTS_RE})
RESTRICT = dict(
    mynetworks="127.0.0.1/32", smtpd_helo_required="yes", smtpd_client_restrictions="check_client_access cidr:@CONF@/clients",
    smtpd_helo_restrictions="reject_invalid_helo_hostname, reject_non_fqdn_helo_hostname, check_helo_access texthash:@CONF@/helos",
    smtpd_sender_restrictions="reject_non_fqdn_sender, check_sender_access texthash:@CONF@/senders",
    smtpd_relay_restrictions="permit_mynetworks, reject_unauth_destination",
    smtpd_recipient_restrictions="reject_non_fqdn_recipient, check_recipient_access texthash:@CONF@/rcpts, check_recipient_access regexp:@CONF@/rcpts.re",
    smtpd_data_restrictions="reject_unauth_pipelining, reject_multi_recipient_bounce, check_sender_access texthash:@CONF@/data",
    smtpd_end_of_data_restrictions="check_sender_access texthash:@CONF@/eod", smtpd_etrn_restrictions="reject",
    smtpd_restriction_classes="strictclass, okclass", strictclass="check_sender_access texthash:@CONF@/vip, reject", okclass="permit",
    smtpd_reject_footer=r"see \c. rules")

HEADER_RE = r"""/^Subject: .*reject-me/ REJECT no such subject
/^Subject: .*reject-dsn/ REJECT 5.7.99 custom dsn
/^Subject: .*reject-4/ REJECT 4.7.99 wrong class
/^Subject: .*reject-bare/ REJECT
/^Subject: .*discard-me/ DISCARD quietly
/^Subject: .*hold-me/ HOLD held
/^Subject: .*redirect-me/ REDIRECT bob@example.test
/^Subject: .*redirect-bad/ REDIRECT nodomain
/^Subject: .*prepend-me/ PREPEND X-Prepended: yes
/^Subject: .*prepend-bad/ PREPEND no header here
/^Subject: .*prepend-empty/ PREPEND
/^Subject: (.*)replace-me(.*)/ REPLACE Subject: ${1}replaced$2
/^Subject: .*replace-to/ REPLACE To: new@host.example.test
/^Subject: .*replace-bad/ REPLACE no header here
/^Subject: .*ignore-me/ IGNORE
/^Subject: .*strip-me/ STRIP
/^Subject: .*warn-me/ WARN hmm
/^Subject: .*bcc-me/ BCC bob@example.test
/^Subject: .*filter-me/ FILTER smtp:[127.0.0.1]:@SINK@
/^Subject: .*filter-bad/ FILTER nocolon
/^Subject: .*pass-me/ PASS
/^Subject: .*bogus-me/ BOGUS
/^X-After: .*/ IGNORE
/^X-Multi:.*second/ REPLACE X-Multi: joined
if /^X-If:/
/^X-If: a/ REPLACE X-If: was-a
!/^X-If: a/ IGNORE
endif
/^Received: .*client\.strip/ IGNORE
/^X-Info:/ INFO noted
/^X-Dunno:/ DUNNO
/^X-Dunno:/ IGNORE
/^Message-ID: <hdr/ REPLACE Message-ID: <replaced@x>
/^To: .*reject-to/ REJECT
"""
MAPS_FILES = {
    "header.re": HEADER_RE,
    "mime.re": "/^Content-Disposition:.*\\.exe/ REJECT no programs\n/^Content-Type:.*name=.*\\.vbs/ REPLACE Content-Type: text/plain\n/^X-Mime-Part:/ IGNORE\n"
               "/^X-Mime-Pre:/ PREPEND X-Pre: 1\n/^X-Mime-Hold:/ HOLD\n",
    "nested.re": "/^Subject: .*nested-bad/ REJECT nested\n/^X-Nest:/ IGNORE\n/^X-Nest2:/ REPLACE X-Nest-New: 1\n",
    "body.re": "/^body-reject/ REJECT bad body\n/^body-discard/ DISCARD\n/^body-replace/ REPLACE body line replaced\n/^body-ignore/ IGNORE\n/^body-prepend/ PREPEND inserted\n"
               "/^body-hold/ HOLD\n/^body-redirect/ REDIRECT bob@example.test\n/^body-bcc/ BCC carol@example.test\n/^body-empty/ REPLACE\n/^body-strip/ STRIP\n/^body-warn/ WARN x\n"
               "/^body-filter/ FILTER smtp:[127.0.0.1]:@SINK@\n/^body-pass/ PASS\n/^$/ DUNNO\n/^--b/ DUNNO\n/^body-dsn/ REJECT 5.6.7 own\n",
    "aliases": "al1 alice\nalist alice, bob\n", "canonical": "old@example.test new.name@example.test\n@oldco.test @example.test\nshort alice\nbob+x@example.test bobx@example.test\n",
    "scanonical": "s-old@client.test s-new@client.test\n", "rcanonical": "r-old@example.test alice@example.test\nr-ext@example.test carol@example.test\n",
    "relocated": "moved@example.test new@elsewhere.test\nmoved@relay.test gone far away\n@gone.test nowhere\nmoveuser else\n",
    "transport": "disc.test discard:\nerr.test error:5.1.2 no such domain here\nerr2.test error:no code\nretry.test retry:4.3.0 not now\nuser1@remote.test lmtp:inet:127.0.0.1:@LMTP@\n"
                 ".wild.test smtp:[127.0.0.1]:@SINK@\nbob+ext@remote.test error:ext\nbob@trans.test error:5.7.5 bob\n",
    "sbcc": "bccme@client.test sbcc@remote.test\n@bccdom.test sbcc2@remote.test, bob@example.test\n", "rbcc": "carol@example.test rbcc@remote.test\n@relay.test archive@remote.test\n",
    "relayrcpt": "bob@relay.test x\nsales@relay.test x\nmoved@relay.test x\n", "vmbox": "mb@vm.test x\npostmaster@vm.test x\n@catchvm.test x\n",
    "valias": "one@va.test alice@example.test\ntwo@va.test alice@example.test, x@remote.test\nchain@va.test one@va.test\nloop1@va.test loop2@va.test\nloop2@va.test loop1@va.test\n"
              "selfref@va.test selfref@va.test, bob@example.test\next@va.test carol@example.test\nextplus+spec@va.test dave@example.test\nlocal1 bob@example.test\n"
              "fwd@example.test out@remote.test\n@catch.va.test alice@example.test\ndeadend@va.test nosuch@va.test\nva.test anything\ngrow@va.test grow+a@va.test\n"
              "many@va.test a1@remote.test, a2@remote.test a3@remote.test,bob@example.test\nquoted@va.test \"a b\"@remote.test\nbare@va.test alice\n@dommap.test @remote.test\n"
              "cmd@va.test |cmd\nempty2@va.test <>\n",
}
MAPS = dict(
    virtual_alias_domains="va.test, catch.va.test, dommap.test", virtual_alias_maps="texthash:@CONF@/valias", virtual_mailbox_domains="vm.test, catchvm.test", virtual_mailbox_maps="texthash:@CONF@/vmbox",
    relay_recipient_maps="texthash:@CONF@/relayrcpt", local_recipient_maps="texthash:@CONF@/users $alias_maps", alias_maps="texthash:@CONF@/aliases",
    canonical_maps="texthash:@CONF@/canonical", sender_canonical_maps="texthash:@CONF@/scanonical", recipient_canonical_maps="texthash:@CONF@/rcanonical",
    relocated_maps="texthash:@CONF@/relocated", masquerade_domains="!keep.example.test example.test", masquerade_exceptions="root", transport_maps="texthash:@CONF@/transport",
    sender_bcc_maps="texthash:@CONF@/sbcc", recipient_bcc_maps="texthash:@CONF@/rbcc", header_checks="regexp:@CONF@/header.re", mime_header_checks="regexp:@CONF@/mime.re",
    nested_header_checks="regexp:@CONF@/nested.re", body_checks="regexp:@CONF@/body.re", append_dot_mydomain="yes", owner_request_special="no")
CATCHALL = dict(local_recipient_maps="", recipient_delimiter="+-", virtual_alias_maps="texthash:@CONF@/valias", relay_domains="relay.test, .dotted.test",
                parent_domain_matches_subdomains="", append_dot_mydomain="no", swap_bangpath="no", allow_percent_hack="no", resolve_dequoted_address="no")
CATCHALL_FILES = dict(valias="@example.test catch@remote.test\nalice@example.test alice@example.test\nbob-list@example.test boblist@remote.test\n")
LIMITS = dict(smtpd_soft_error_limit="3", smtpd_hard_error_limit="6", smtpd_junk_command_limit="5", smtpd_recipient_limit="10", smtpd_recipient_overshoot_limit="3",
              message_size_limit="3000", header_size_limit="1024", line_length_limit="512", hopcount_limit="5", smtpd_noop_commands="PING, pong",
              smtpd_discard_ehlo_keywords="etrn, silent-discard", smtpd_forbidden_commands="CONNECT GET POST STEAL", disable_vrfy_command="yes", smtpd_helo_required="yes",
              strict_rfc821_envelopes="yes", smtpd_reject_unlisted_sender="yes", mime_nesting_limit="5", mime_boundary_length_limit="40",
              smtpd_command_filter="regexp:@CONF@/filter.re")
AUTH = dict(smtpd_sasl_auth_enable="yes", smtpd_sasl_type="dovecot", smtpd_sasl_path="inet:127.0.0.1:@AUTH@", smtpd_tls_security_level="may", smtpd_tls_cert_file="@CERT@",
            smtpd_tls_key_file="@KEY@", mynetworks="127.0.0.1/32", smtpd_relay_restrictions="permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination",
            smtpd_sender_login_maps="texthash:@CONF@/logins", smtpd_sender_restrictions="reject_sender_login_mismatch", broken_sasl_auth_clients="yes",
            smtpd_sasl_authenticated_header="yes", smtpd_sasl_response_limit="12288")

CONFIGS = {
    "base": config(),
    "relay": config(mynetworks="127.0.0.1/32 127.0.0.20", smtpd_relay_restrictions="permit_mynetworks, reject_unauth_destination",
                    relay_recipient_maps="texthash:@CONF@/relayrcpt", files={"relayrcpt": "bob@relay.test x\n@sub.relay.test x\n"}),
    "restrict": config(RESTRICT_FILES, **RESTRICT),
    "nodelay": config(RESTRICT_FILES, **RESTRICT, smtpd_delay_reject="no"),
    "maps": config(MAPS_FILES, **MAPS),
    "catchall": config(CATCHALL_FILES, **CATCHALL),
    "limits": config({"filter.re": "/^SEND[[:space:]]+(.*)/  MAIL $1\n/^FOO[[:space:]]*(.*)/ NOOP\n/^(RCPT[[:space:]]+TO:[[:space:]]*<.*)[[:space:]]+NOTIFY=[^ ]+(.*)/ $1$2\n"}, **LIMITS),
    "auth": config({"logins": "alice@example.test alice\nshared@example.test alice, bob\nbob@example.test bob\n"}, **AUTH),
    "barelf": config(smtpd_forbid_bare_newline="normalize", smtpd_forbid_bare_newline_exclusions=""),
    "strict": config(MAPS_FILES, **MAPS, strict_7bit_headers="yes", strict_8bitmime_body="yes", strict_mime_encoding_domain="yes", smtpd_helo_required="yes",
                     always_bcc="bcc@remote.test", enable_original_recipient="no", message_drop_headers="x-drop, subject", always_add_missing_headers="yes",
                     undisclosed_recipients_header="To: nobody:;", local_header_rewrite_clients="", remote_header_rewrite_domain="invalid.test",
                     header_address_token_limit="6", body_checks_size_limit="60", header_size_limit="600", message_strip_characters=r"\0\001", message_reject_characters=r"\002"),
    "canon": config(MAPS_FILES, **MAPS, canonical_classes="envelope_recipient, header_recipient", masquerade_classes="envelope_sender envelope_recipient header_sender",
                    propagate_unmatched_extensions="", recipient_delimiter="-", virtual_alias_recursion_limit="5", virtual_alias_expansion_limit="3",
                    virtual_alias_address_length_limit="40", duplicate_filter_limit="2", swap_bangpath="no", append_at_myorigin="yes", disable_mime_input_processing="yes",
                    smtpd_reject_unlisted_sender="yes", soft_bounce="yes"),
    "lists": config(RESTRICT_FILES, **{**RESTRICT, **dict(
        smtpd_client_restrictions="warn_if_reject reject_plaintext_session, check_client_access cidr:@CONF@/clients, permit_mynetworks, reject_unknown_reverse_client_hostname",
        smtpd_helo_restrictions="permit_mynetworks, reject_invalid_helo_hostname", smtpd_sender_restrictions="reject_unlisted_sender, reject_unauth_pipelining, check_sender_access { texthash:@CONF@/senders, search_order = sender, domain }" if False else "reject_unlisted_sender, reject_unauth_pipelining, check_sender_access texthash:@CONF@/senders, defer_if_permit",
        smtpd_recipient_restrictions="texthash:@CONF@/rcpts, reject_non_fqdn_recipient, defer_if_reject, permit_auth_destination, sleep 0, reject_unauth_destination",
        smtpd_relay_restrictions="", smtpd_data_restrictions="check_client_access cidr:@CONF@/clients", smtpd_null_access_lookup_key="<null>", smtpd_reject_footer="")}),
}
