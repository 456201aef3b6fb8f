/* login_auth.c - the SASL exchange between client and auth. */
#include "lib/base/mem.h"
#include "lib/daemon/daemon.h"
#include "lib/login/login.h"
#include "lib/sasl/password.h"
#include "lib/sasl/sasl_client.h"

#include <string.h>

enum { RESPONSE_MOST = 8192, MECHANISM_MOST = 20 };

static struct sasl_service *service(void)
{
    static struct sasl_service *s;
    if (!s)
        s = sasl_service_new(NULL);
    return s;
}

const char *login_mechanisms(struct login *l)
{
    const char *options = login_plaintext_allowed(l) ? "noanonymous" : "noanonymous, noplaintext";
    const char *list = sasl_mechanisms(service(), l->arena, options, stream_tls(l->stream) != NULL, l->deadline);
    return list ? list : "";
}

/* Sends the challenge and reads the response; false with *outcome. */
static bool ask_client(struct login *l, const char *challenge, const char **response, enum login_outcome *outcome)
{
    struct slice line;
    *outcome = LOGIN_LOST;
    enum stream_status st = stream_printf(l->stream, l->deadline, "+ %s\r\n", challenge);
    if (st == STREAM_OK)
        st = stream_flush(l->stream, l->deadline);
    if (st == STREAM_OK)
        st = stream_read_line(l->stream, RESPONSE_MOST, &line, l->deadline);
    if (st != STREAM_OK) {
        login_log_end(l, login_end_reason(l, st));
        return false;
    }
    if (slice_eq(line, SLICE("*"))) {
        *outcome = LOGIN_CANCELLED;
        return false;
    }
    *response = arena_slice(l->arena, line);
    return true;
}

static enum login_outcome outcome_of(struct login *l, enum sasl_status st)
{
    if (st == SASL_TRY_AGAIN)
        return LOGIN_UNAVAILABLE;
    if (st == SASL_MALFORMED)
        return LOGIN_MALFORMED;
    l->attempts++;
    return LOGIN_FAILED;
}

static bool is_plaintext(const char *mechanism)
{
    return strcmp(mechanism, "PLAIN") == 0 || strcmp(mechanism, "LOGIN") == 0;
}

static bool is_offered(struct login *l, const char *mechanism)
{
    struct slice rest = slice_of(login_mechanisms(l)), m;
    while (slice_token(&rest, " ", &m))
        if (slice_eq_fold(m, slice_of(mechanism)))
            return true;
    return false;
}

static enum login_outcome exchange(struct login *l, const struct sasl_request *r, const char *tag)
{
    struct sasl_exchange *x = NULL;
    const char *challenge, *response;
    enum login_outcome outcome;
    /* auth holds a failure back, and has deadlines of its own. */
    int64_t patience = 60 * NSEC_PER_SEC;
    enum sasl_status st = sasl_start(service(), &x, r, l->arena, &challenge, clock_mono() + patience);
    while (st == SASL_CONTINUE) {
        if (!ask_client(l, challenge, &response, &outcome)) {
            sasl_free(&x);
            return outcome;
        }
        st = sasl_continue(x, response, l->arena, &challenge, clock_mono() + patience);
    }
    if (x && *sasl_user(x))
        l->user = arena_strdup(l->arena, sasl_user(x));
    outcome = st == SASL_OK ? login_hand_over(l, x, tag) : outcome_of(l, st);
    sasl_free(&x);
    return outcome;
}

enum login_outcome login_sasl(struct login *l, const char *mechanism, const char *initial, const char *tag)
{
    if (strlen(mechanism) > MECHANISM_MOST)
        return LOGIN_MALFORMED;
    char *name = arena_strdup(l->arena, mechanism);
    for (char *p = name; *p; p++)
        *p = ascii_upper(*p);
    if (is_plaintext(name) && !login_plaintext_allowed(l)) {
        l->plaintext_used = true;
        return LOGIN_INSECURE;
    }
    if (!*login_mechanisms(l))
        return LOGIN_UNAVAILABLE;
    if (!is_offered(l, name))
        return LOGIN_MALFORMED;
    l->method = name;
    struct sasl_request r = {.service = login_settings.protocol,
                             .mechanism = name,
                             .initial = initial,
                             .local_addr = l->local,
                             .remote_addr = l->remote,
                             .session_id = l->session_id,
                             .tls = login_is_secured(l)};
    return exchange(l, &r, tag);
}

enum login_outcome login_password(struct login *l, struct slice user, struct slice password, const char *tag)
{
    BUF_AUTO message = BUF(RESPONSE_MOST), text = BUF(RESPONSE_MOST * 2);
    l->user = arena_slice(l->arena, user);
    buf_putc(&message, '\0');
    buf_append_slice(&message, user);
    buf_putc(&message, '\0');
    buf_append_slice(&message, password);
    password_base64_encode(&text, message.data, message.len);
    enum login_outcome o = message.overflow ? LOGIN_MALFORMED : login_sasl(l, "PLAIN", buf_cstr(&text), tag);
    explicit_bzero(message.data, message.len);
    explicit_bzero(text.data, text.len);
    return o;
}
