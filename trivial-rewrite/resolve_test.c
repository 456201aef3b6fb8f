/* resolve_test.c - rewriting and resolving against tables made of C strings. */
#include "trivial-rewrite/resolve.h"

#include "lib/base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static struct rewrite_rules local_rules = {.origin = "origin.test",
                                           .domain = "my.test",
                                           .append_at_myorigin = true,
                                           .swap_bangpath = true,
                                           .allow_percent_hack = true};

static void check_rewrite(const struct rewrite_rules *r, const char *in, const char *want)
{
    BUF_AUTO b = BUF(1000);
    rewrite_address(r, in, &b);
    assert_string_equal(buf_cstr(&b), want);
}

static void rewriting(void **state)
{
    const struct rewrite_rules *r = &local_rules;
    check_rewrite(r, "", "");
    check_rewrite(r, "user", "user@origin.test");
    check_rewrite(r, "user@x.test.", "user@x.test");
    check_rewrite(r, "user@host", "user@host");
    check_rewrite(r, "@a,@b:user@c.test", "user@c.test");
    check_rewrite(r, "@[1:2:3]:user@c.test", "user@c.test");
    check_rewrite(r, "site!user", "user@site");
    check_rewrite(r, "a!b!user", "b!user@a");
    check_rewrite(r, "user%site", "user@site");
    check_rewrite(r, "user%a%b", "user%a@b");
    check_rewrite(r, "user%a@b.test", "user%a@b.test");
    check_rewrite(r, "john doe%x", "john doe%x@origin.test");
    check_rewrite(r, "a@b..", "a@b..");
    struct rewrite_rules dot = local_rules;
    dot.append_dot_mydomain = true;
    check_rewrite(&dot, "user@host", "user@host.my.test");
    check_rewrite(&dot, "user@host.", "user@host");
    check_rewrite(&dot, "user@[1.2.3.4]", "user@[1.2.3.4]");
    struct rewrite_rules none = {.origin = "", .domain = ""};
    check_rewrite(&none, "user", "user");
    check_rewrite(&none, "a!b", "a!b");
}

struct row {
    const char *key, *value;
};
struct world {
    const char *lists[4][4];
    struct row tables[4][8];
    int broken_list, broken_table; /* -1 none */
};

static enum map_status fake_list(void *ctx, enum resolve_list list, const char *domain)
{
    struct world *w = ctx;
    if ((int)list == w->broken_list)
        return MAP_TRY_AGAIN;
    for (int i = 0; i < 4 && w->lists[list][i]; i++) {
        if (str_eq_fold(w->lists[list][i], domain))
            return MAP_FOUND;
    }
    return MAP_NOT_FOUND;
}

static enum map_status fake_table(void *ctx, enum resolve_table table, const char *key, struct buf *out)
{
    struct world *w = ctx;
    if ((int)table == w->broken_table)
        return MAP_TRY_AGAIN;
    for (int i = 0; i < 8 && w->tables[table][i].key; i++) {
        if (str_eq_fold(w->tables[table][i].key, key)) {
            buf_puts(out, w->tables[table][i].value);
            return MAP_FOUND;
        }
    }
    return MAP_NOT_FOUND;
}

static struct resolve_rules rules(void)
{
    return (struct resolve_rules){.rewrite = local_rules,
                                  .myhostname = "mx.my.test",
                                  .local_transport = "local:mx.my.test",
                                  .virtual_transport = "virtual",
                                  .relay_transport = "relay",
                                  .default_transport = "smtp",
                                  .relayhost = "",
                                  .empty_recipient = "MAILER-DAEMON",
                                  .empty_relayhost_key = "<>",
                                  .empty_transport_key = "<>",
                                  .dequote = true,
                                  .relocated_prefix = true,
                                  .table_name_in_error = true};
}

static struct world world(void)
{
    return (struct world){.lists = {[LIST_LOCAL] = {"my.test", "mx.my.test", "[192.0.2.1]"},
                                    [LIST_VIRTUAL_ALIAS] = {"alias.test"},
                                    [LIST_VIRTUAL_MAILBOX] = {"box.test"},
                                    [LIST_RELAY] = {"relayed.test"}},
                          .broken_list = -1,
                          .broken_table = -1};
}

static struct resolve_rules the_rules;
static struct world the_world;

/* "transport|nexthop|recipient|flags in hex" */
static void check(const char *sender, const char *address, const char *want)
{
    ARENA_AUTO a = arena_new();
    struct resolve_lookups l = {&the_world, fake_list, fake_table, fake_table};
    struct msg_resolved m;
    resolve_address(&the_rules, &l, a, sender, address, &m);
    BUF_AUTO b = BUF(4000);
    buf_printf(&b, "%s|%s|%s|%x", m.transport, m.nexthop, m.recipient, m.flags);
    assert_string_equal(buf_cstr(&b), want);
}

static int fresh(void **state)
{
    the_rules = rules();
    the_world = world();
    return 0;
}

static void classes(void **state)
{
    check("", "u@my.test", "local|mx.my.test|u@my.test|1");
    check("", "u@MY.test", "local|mx.my.test|u@MY.test|1");
    check("", "u", "local|mx.my.test|u@mx.my.test|1");
    check("", "u@[192.0.2.1]", "local|mx.my.test|u@[192.0.2.1]|1");
    check("", "u@alias.test", "error|5.1.1 User unknown in virtual alias table|u@alias.test|2");
    check("", "u@box.test", "virtual|box.test|u@box.test|4");
    check("", "u@relayed.test", "relay|relayed.test|u@relayed.test|8");
    check("", "u@Else.test", "smtp|else.test|u@Else.test|10");
    check("", "", "local|mx.my.test|MAILER-DAEMON@mx.my.test|1");
    check("", "@my.test", "local|mx.my.test|MAILER-DAEMON@my.test|1");
    check("", "u@[198.51.100.1]", "smtp|[198.51.100.1]|u@[198.51.100.1]|10");
    the_world.lists[LIST_RELAY][1] = "box.test"; /* warned about; the order of the classes decides */
    check("", "u@box.test", "virtual|box.test|u@box.test|4");
}

static void routing_characters(void **state)
{
    check("", "u%else.test@my.test", "smtp|else.test|u@else.test|30");
    check("", "else.test!u@my.test", "smtp|else.test|u@else.test|30");
    check("", "u@else.test@my.test", "smtp|else.test|u@else.test|30");
    check("", "u%box.test%my.test@my.test", "virtual|box.test|u@box.test|24");
    check("", "u%x@else.test", "smtp|else.test|u%x@else.test|30");
    check("", "u@my.test@", "smtp||u@my.test@|70");
    the_rules.null_domain = true;
    check("", "u@my.test@", "local|mx.my.test|u@my.test|1");
    the_rules.null_domain = false;
    check("", "u@my.test.", "local|mx.my.test|u@my.test|1");
    the_rules.dequote = false;
    check("", "u@else.test@my.test", "local|mx.my.test|u@else.test@my.test|1");
    the_rules.rewrite.allow_percent_hack = false;
    check("", "u%else.test@my.test", "local|mx.my.test|u%else.test@my.test|1");
}

static void bad_domains(void **state)
{
    check("", "u@a..b", "smtp|a..b|u@a..b|50");
    check("", "u@-x.test", "smtp|-x.test|u@-x.test|50");
    check("", "u@192.0.2.9", "smtp|192.0.2.9|u@192.0.2.9|50");
    check("", "u@[nonsense]", "smtp|[nonsense]|u@[nonsense]|50");
    check("",
          "u@b\xc3\xbc"
          "cher.test",
          "smtp|b\xc3\xbc"
          "cher.test|u@b\xc3\xbc"
          "cher.test|10");
    the_rules.numeric_domain = true;
    check("", "u@192.0.2.9", "smtp|192.0.2.9|u@192.0.2.9|10");
    char many[400] = "u";
    memset(many + 1, '@', 300);
    ARENA_AUTO a = arena_new();
    struct resolve_lookups l = {&the_world, fake_list, fake_table, fake_table};
    struct msg_resolved m;
    resolve_address(&the_rules, &l, a, "", many, &m);
    assert_true(m.flags & RESOLVE_ERROR);
}

static void relay_hosts(void **state)
{
    the_rules.relayhost = "[gw.test]:587";
    check("s@x.test", "u@else.test", "smtp|[gw.test]:587|u@else.test|10");
    check("s@x.test", "u@relayed.test", "relay|[gw.test]:587|u@relayed.test|8");
    check("s@x.test", "u@box.test", "virtual|box.test|u@box.test|4");
    the_world.tables[TABLE_SENDER_RELAYHOST][0] = (struct row){"s@x.test", "[other.test]"};
    the_world.tables[TABLE_SENDER_RELAYHOST][1] = (struct row){"<>", "DUNNO"};
    check("s@x.test", "u@else.test", "smtp|[other.test]|u@else.test|10");
    check("t@x.test", "u@else.test", "smtp|[gw.test]:587|u@else.test|10");
    check("", "u@else.test", "smtp|else.test|u@else.test|10");
    the_rules.default_transport = "uucp:gateway";
    check("t@x.test", "u@else.test", "uucp|gateway|u@else.test|10");
    the_world.tables[TABLE_SENDER_TRANSPORT][0] = (struct row){"t@x.test", "slow:"};
    check("t@x.test", "u@else.test", "slow|[gw.test]:587|u@else.test|10");
}

static void transport_tables(void **state)
{
    struct row *t = the_world.tables[TABLE_TRANSPORT];
    t[0] = (struct row){"u@else.test", "slow:[mx]:2525"};
    t[1] = (struct row){"else.test", "fast:"};
    t[2] = (struct row){".else.test", ":[sub.test]"};
    t[3] = (struct row){"box.test", ":"};
    t[4] = (struct row){"gone.test", "error:5.7.1 no mail here"};
    t[5] = (struct row){"bare.test", "error"};
    t[6] = (struct row){"*", "smtp:star.test"};
    check("", "u@else.test", "slow|[mx]:2525|u@else.test|10");
    check("", "v@else.test", "fast|else.test|v@else.test|10");
    check("", "v@a.b.else.test", "smtp|[sub.test]|v@a.b.else.test|10");
    check("", "v@box.test", "virtual|box.test|v@box.test|4");
    check("", "v@gone.test", "error|5.7.1 no mail here|v@gone.test|10");
    check("", "v@bare.test", "error|Address is undeliverable|v@bare.test|10");
    check("", "v@any.test", "smtp|star.test|v@any.test|10");
    check("", "u@alias.test", "error|5.1.1 User unknown in virtual alias table|u@alias.test|2");
    the_rules.transport_parents = true;
    check("", "v@a.b.else.test", "fast|a.b.else.test|v@a.b.else.test|10");
}

static void moved_users(void **state)
{
    the_world.tables[TABLE_RELOCATED][0] = (struct row){"u@my.test", "u@new.test"};
    check("", "u@my.test", "error|5.1.6 User has moved to u@new.test|u@my.test|1");
    the_rules.relocated_prefix = false;
    check("", "u@my.test", "error|u@new.test|u@my.test|1");
}

static void broken_tables_mean_try_again(void **state)
{
    ARENA_AUTO a = arena_new();
    struct resolve_lookups l = {&the_world, fake_list, fake_table, fake_table};
    struct msg_resolved m;
    for (int i = 0; i < 8; i++) {
        the_world.broken_list = i < 4 ? i : -1;
        the_world.broken_table = i < 4 ? -1 : i - 4;
        resolve_address(&the_rules, &l, a, "s@x", "u@else.test", &m);
        assert_true(m.flags & RESOLVE_TRY_AGAIN);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rewriting),
        cmocka_unit_test_setup(classes, fresh),
        cmocka_unit_test_setup(routing_characters, fresh),
        cmocka_unit_test_setup(bad_domains, fresh),
        cmocka_unit_test_setup(relay_hosts, fresh),
        cmocka_unit_test_setup(transport_tables, fresh),
        cmocka_unit_test_setup(moved_users, fresh),
        cmocka_unit_test_setup(broken_tables_mean_try_again, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
