/* smtp_sasl.c - authentication to servers: mechanisms PLAIN and LOGIN, with a user and password found by the host's or
 * the destination's name. */
#include "lib/base/log.h"
#include "lib/map/map.h"
#include "lib/syntax/codec.h"
#include "smtp/smtp.h"

static bool plaintext_allowed(const struct smtp_session *x)
{
    const char *options =
        stream_tls(x->stream) ? smtp_params.smtp_sasl_tls_security_options : smtp_params.smtp_sasl_security_options;
    struct slice rest = slice_of(options), word;
    while (slice_token(&rest, ", \t\r\n", &word)) {
        if (slice_eq_fold(word, SLICE("noplaintext")))
            return false;
    }
    return true;
}

static enum map_status find_password(const struct smtp_session *x, const struct smtp_dest *dest, struct buf *out)
{
    const char *keys[] = {dest->text, x->host};
    for (size_t i = 0; i < 2; i++) {
        buf_reset(out);
        enum map_status st = maps_lookup(smtp_program.passwords, keys[i], out);
        if (st != MAP_NOT_FOUND)
            return st;
    }
    return MAP_NOT_FOUND;
}

static void fail(struct smtp_delivery *s, struct smtp_session *x, const struct smtp_reply *reply, bool never,
                 const char *text)
{
    struct result r = never && !smtp_params.smtp_sasl_auth_soft_bounce ? result_never("5.7.8", "%s", text)
                                                                       : result_try_again("4.7.8", "%s", text);
    smtp_site_fail(s, x, reply, &r);
}

static enum stream_status plain(struct smtp_delivery *s, struct smtp_session *x, const char *user, const char *password,
                                struct smtp_reply *reply, int64_t deadline)
{
    BUF_AUTO token = BUF(2000);
    BUF_AUTO encoded = BUF(4000);
    buf_putc(&token, '\0');
    buf_puts(&token, user);
    buf_putc(&token, '\0');
    buf_puts(&token, password);
    base64_encode(&encoded, token.data, token.len);
    return smtp_command(x, s->arena, reply, deadline, "AUTH PLAIN %s", buf_cstr(&encoded));
}

static enum stream_status login(struct smtp_delivery *s, struct smtp_session *x, const char *user, const char *password,
                                struct smtp_reply *reply, int64_t deadline)
{
    const char *answers[] = {user, password};
    enum stream_status st = smtp_command(x, s->arena, reply, deadline, "AUTH LOGIN");
    for (size_t i = 0; i < 2 && st == STREAM_OK && reply->code == 334; i++) {
        BUF_AUTO encoded = BUF(4000);
        base64_encode(&encoded, answers[i], strlen(answers[i]));
        st = smtp_command(x, s->arena, reply, deadline, "%s", buf_cstr(&encoded));
    }
    return st;
}

static bool log_in(struct smtp_delivery *s, struct smtp_session *x, const char *user, const char *password)
{
    struct smtp_reply reply;
    int64_t deadline = deadline_in(smtp_params.smtp_helo_timeout);
    bool use_plain = x->features & FEATURE_AUTH_PLAIN;
    enum stream_status st =
        use_plain ? plain(s, x, user, password, &reply, deadline) : login(s, x, user, password, &reply, deadline);
    if (st != STREAM_OK) {
        smtp_lost(s, x, st, "performing SASL authentication");
        return false;
    }
    if (reply.code / 100 == 2)
        return true;
    const char *text = arena_printf(s->arena, "SASL authentication failed; server %s said: %s", x->namaddr, reply.text);
    fail(s, x, &reply, reply.code / 100 == 5, text);
    return false;
}

bool smtp_sasl_login(struct smtp_delivery *s, struct smtp_session *x, const struct smtp_dest *dest)
{
    if (!(x->features & FEATURE_AUTH))
        return true; /* some destinations need it, others do not have it */
    BUF_AUTO entry = BUF(2000);
    enum map_status found = find_password(x, dest, &entry);
    if (found == MAP_NOT_FOUND)
        return true;
    char *colon = found == MAP_FOUND && entry.data ? strchr(entry.data, ':') : NULL;
    if (found == MAP_TRY_AGAIN || !colon) {
        fail(s, x, NULL, false, "SASL authentication failed; the password table cannot be read");
        return false;
    }
    if (!(x->features & (FEATURE_AUTH_PLAIN | FEATURE_AUTH_LOGIN)) || !plaintext_allowed(x)) {
        const char *text = arena_printf(
            s->arena, "SASL authentication failed; cannot authenticate to server %s: no mechanism available",
            x->namaddr);
        fail(s, x, NULL, false, text);
        return false;
    }
    *colon = '\0';
    return log_in(s, x, entry.data, colon + 1);
}
