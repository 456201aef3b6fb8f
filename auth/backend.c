/* backend.c - the lists of password and user databases, asked in order. A password is right when one database says so;
 * a database that cannot be asked makes the answer "try again", never "wrong". */
#include "auth/auth.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/rt/fiber.h"
#include "lib/sasl/password.h"

#include <stdlib.h>
#include <string.h>

static struct backend *passdbs, *userdbs;
static const char *own[3];

static const struct backend_kind *const kinds[] = {
    &backend_passwd_file,
    &backend_shadow,
    &backend_passwd,
#ifdef HAVE_PAM
    &backend_pam,
#endif
};

static struct backend *open_one(struct slice title, struct buf *err)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        size_t n = strlen(kinds[i]->name);
        if (title.n < n || memcmp(title.p, kinds[i]->name, n) != 0 || (title.n > n && title.p[n] != ':'))
            continue;
        struct backend *b = MEM_NEW(struct backend);
        b->kind = kinds[i];
        b->argument = title.n > n ? mem_strndup(title.p + n + 1, title.n - n - 1) : "";
        if (b->kind->open == NULL || b->kind->open(b, b->argument, err))
            return b;
        free(b);
        return NULL;
    }
    buf_printf(err, "unknown database \"%.*s\" (known: passwd-file:/path, shadow, passwd, pam)", SLICE_ARG(title));
    return NULL;
}

static bool open_list(const char *value, bool passwords, struct backend **first, struct buf *err)
{
    struct slice rest = slice_of(value), title;
    while (slice_token(&rest, ", \t\r\n", &title)) {
        struct backend *b = open_one(title, err);
        if (b == NULL)
            return false;
        if (passwords ? b->kind->check == NULL : b->kind->find == NULL) {
            buf_printf(err, "%.*s does not fit here", SLICE_ARG(title));
            return false;
        }
        *first = b;
        first = &b->next;
    }
    return true;
}

/* The user databases that go with the password databases. */
static void default_userdbs(void)
{
    struct backend **end = &userdbs;
    bool system_users = false;
    for (struct backend *p = passdbs; p != NULL; p = p->next) {
        if (p->kind->find == NULL) {
            system_users = true;
            continue;
        }
        struct backend *b = MEM_NEW(struct backend);
        *b = *p;
        b->next = NULL;
        *end = b;
        end = &b->next;
    }
    if (system_users) {
        *end = MEM_NEW(struct backend);
        (*end)->kind = &backend_passwd;
    }
}

bool backends_open(const char *const own_domains[3], struct buf *err)
{
    memcpy(own, own_domains, sizeof own);
    BUF_AUTO why = BUF(1000);
    if (!open_list(auth_params.auth_passdb, true, &passdbs, &why)) {
        buf_printf(err, "auth_passdb: %s", buf_cstr(&why));
        return false;
    }
    if (!open_list(auth_params.auth_userdb, false, &userdbs, &why)) {
        buf_printf(err, "auth_userdb: %s", buf_cstr(&why));
        return false;
    }
    if (userdbs == NULL)
        default_userdbs();
    return true;
}

/* Names to be tried for a login name: as it is; without the domain when that is our own; with the default realm. */
static const char *other_name(struct arena *a, const char *user)
{
    const char *at = strrchr(user, '@');
    if (at == NULL)
        return *auth_params.auth_default_realm != '\0' ? arena_printf(a, "%s@%s", user, auth_params.auth_default_realm)
                                                       : NULL;
    for (size_t i = 0; i < 3; i++)
        if (own[i] != NULL && str_eq_fold(own[i], at + 1))
            return arena_strndup(a, user, (size_t)(at - user));
    return NULL;
}

static void log_failure(const struct backend *b, const char *user, const char *client, enum backend_status st)
{
    static const char *const texts[] = {[BACKEND_UNKNOWN] = "unknown user",
                                        [BACKEND_MISMATCH] = "Password mismatch",
                                        [BACKEND_TRY_AGAIN] = "temporary failure",
                                        [BACKEND_REFUSED] = "login refused"};
    char shown[200];
    if (b->kind != &backend_pam || st == BACKEND_TRY_AGAIN)
        log_info("auth: %s(%s,%s): %s", b->kind->name, log_quote(shown, sizeof shown, user, strlen(user)), client,
                 texts[st]);
    else
        log_info("auth: pam(%s,%s): pam_authenticate() failed: %s", log_quote(shown, sizeof shown, user, strlen(user)),
                 client,
                 st == BACKEND_UNKNOWN ? "User not known to the underlying authentication module"
                                       : "Authentication failure (Password mismatch?)");
}

/* A database's answer for the name or its other form. */
static enum backend_status check_one(struct backend *b, struct arena *a, const char **user, const char *password,
                                     const char *client)
{
    enum backend_status st = b->kind->check(b, *user, password, client);
    const char *other = st == BACKEND_UNKNOWN ? other_name(a, *user) : NULL;
    if (other == NULL || !user_name_valid(other))
        return st;
    st = b->kind->check(b, other, password, client);
    if (st == BACKEND_OK)
        *user = other;
    return st;
}

static void waste_time(void *password)
{
    password_waste_time(password);
}

enum backend_status backends_check(struct arena *a, const char **user, const char *password, const char *client)
{
    enum backend_status worst = BACKEND_UNKNOWN;
    bool valid = user_name_valid(*user);
    for (struct backend *b = passdbs; b != NULL; b = b->next) {
        enum backend_status st = valid ? check_one(b, a, user, password, client) : BACKEND_UNKNOWN;
        if (st == BACKEND_OK)
            return BACKEND_OK;
        log_failure(b, *user, client, st);
        if (st == BACKEND_TRY_AGAIN || (st != BACKEND_UNKNOWN && worst != BACKEND_TRY_AGAIN))
            worst = st;
        if (st == BACKEND_REFUSED)
            return st;
    }
    if (worst == BACKEND_UNKNOWN)
        thread_run(waste_time, (void *)password); /* so that the time does not tell who exists */
    return worst;
}

enum backend_status backends_find(struct arena *a, const char **user, struct backend_user *out)
{
    for (struct backend *b = userdbs; b != NULL; b = b->next) {
        enum backend_status st = b->kind->find(b, a, *user, out);
        const char *other = st == BACKEND_UNKNOWN ? other_name(a, *user) : NULL;
        if (other != NULL && user_name_valid(other) && (st = b->kind->find(b, a, other, out)) == BACKEND_OK)
            *user = other;
        if (st != BACKEND_UNKNOWN)
            return st;
    }
    return BACKEND_UNKNOWN;
}
