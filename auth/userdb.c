/* userdb.c - from a user's name to home, ids and mail location. */
#include "auth/auth.h"
#include "lib/base/log.h"

#include <string.h>
#include <unistd.h>

bool user_name_valid(const char *user)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_@+=";
    size_t n = strlen(user);
    const char *at = strchr(user, '@');
    return n > 0 && n < 320 && strspn(user, allowed) == n && *user != '.' && *user != '-' && *user != '@' &&
           strstr(user, "..") == NULL && (at == NULL || (at[1] != '\0' && at[1] != '.' && strchr(at + 1, '@') == NULL));
}

/* A whole number, or "static:number". */
static int64_t id_of(const char *text)
{
    unsigned long long v;
    if (strncmp(text, "static:", 7) == 0)
        text += 7;
    return slice_to_u64(slice_trim(slice_of(text)), UINT32_MAX - 1, &v) ? (int64_t)v : -1;
}

static int64_t first_id(int64_t own, const char *preset, const char *maps, int64_t caller)
{
    if (own >= 0)
        return own;
    int64_t id = id_of(preset);
    if (id < 0)
        id = id_of(maps);
    return id < 0 && geteuid() != 0 ? caller : id;
}

/* False when the text asks for something that this user does not have. */
static bool expand(struct buf *out, const char *text, const char *user, const char *home)
{
    const char *at = strchr(user, '@');
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '~' && (p == text || p[-1] == ':') && (p[1] == '/' || p[1] == '\0')) {
            if (*home == '\0')
                return false;
            buf_puts(out, home);
        } else if (*p != '%') {
            buf_putc(out, *p);
        } else {
            switch (*++p) {
            case 'u':
                buf_puts(out, user);
                break;
            case 'n':
                buf_append(out, user, at ? (size_t)(at - user) : strlen(user));
                break;
            case 'd':
                buf_puts(out, at ? at + 1 : "");
                break;
            case 'h':
                if (*home == '\0')
                    return false;
                buf_puts(out, home);
                break;
            case '%':
                buf_putc(out, '%');
                break;
            default:
                return false;
            }
        }
    }
    return !out->overflow;
}

static const char *location(struct arena *a, const struct backend_user *u)
{
    if (*u->mail != '\0')
        return u->mail;
    if (*auth_params.mail_location != '\0')
        return auth_params.mail_location;
    size_t n = strlen(auth_params.home_mailbox);
    if (*u->home != '\0')
        return n > 1 && auth_params.home_mailbox[n - 1] == '/'
                   ? arena_printf(a, "maildir:~/%.*s", (int)n - 1, auth_params.home_mailbox)
                   : "maildir:~/Maildir";
    if (*auth_params.virtual_mailbox_base != '\0')
        return arena_printf(a, "maildir:%s/%%d/%%n", auth_params.virtual_mailbox_base);
    return NULL;
}

static bool fill(struct arena *a, const char *user, const struct backend_user *u, struct account *out)
{
    int64_t uid = first_id(u->uid, auth_params.auth_default_uid, auth_params.virtual_uid_maps, geteuid());
    int64_t gid = first_id(u->gid, auth_params.auth_default_gid, auth_params.virtual_gid_maps, getegid());
    const char *where = location(a, u);
    BUF_AUTO home = BUF(1000), mail = BUF(1000);
    if (uid < 0 || gid < 0) {
        log_error("user %s has no user or group id: set auth_default_uid and auth_default_gid", user);
    } else if (!expand(&home, u->home, user, "") || where == NULL || !expand(&mail, where, user, buf_cstr(&home))) {
        log_error("user %s: mail_location \"%s\" cannot be expanded", user, where ? where : "");
    } else {
        *out = (struct account){.user = user,
                                .home = arena_strdup(a, buf_cstr(&home)),
                                .mail = arena_strdup(a, buf_cstr(&mail)),
                                .uid = (uint32_t)uid,
                                .gid = (uint32_t)gid};
        return true;
    }
    return false;
}

enum backend_status userdb_find(struct arena *a, const char *user, struct account *out)
{
    char *name = arena_strdup(a, user);
    str_lower(name);
    if (!user_name_valid(name))
        return BACKEND_UNKNOWN;
    struct backend_user u;
    const char *found = name;
    enum backend_status st = backends_find(a, &found, &u);
    if (st == BACKEND_OK && !fill(a, found, &u, out))
        return BACKEND_TRY_AGAIN;
    return st;
}
