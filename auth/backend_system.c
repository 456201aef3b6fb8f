/* backend_system.c - the system's users: shadow(5) passwords, PAM, and passwd(5) through the name service. All of it on
 * pool threads. */
#include "auth/auth.h"
#include "lib/base/mem.h"
#include "lib/rt/fiber.h"
#include "lib/sasl/password.h"

#include <errno.h>
#include <pwd.h>
#include <shadow.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef HAVE_PAM
#include <security/pam_appl.h>
#endif

#define ENTRY_MAX 65536

struct question {
    const char *user, *password, *service, *client;
    enum backend_status status;
    struct passwd *pw;
    char *memory;
};

static bool is_expired(const struct spwd *sp)
{
    long today = (long)(time(NULL) / 86400);
    return sp->sp_expire > 0 && today >= sp->sp_expire;
}

static void ask_shadow(void *arg)
{
    struct question *q = arg;
    struct spwd entry, *sp = NULL;
    char *memory = mem_alloc(ENTRY_MAX);
    int error = getspnam_r(q->user, &entry, memory, ENTRY_MAX, &sp);
    if (sp == NULL)
        q->status = error == 0 || error == ENOENT ? BACKEND_UNKNOWN : BACKEND_TRY_AGAIN;
    else if (password_check(sp->sp_pwdp, q->password) != PASSWORD_MATCH || is_expired(sp))
        q->status = BACKEND_MISMATCH;
    else
        q->status = BACKEND_OK;
    explicit_bzero(memory, ENTRY_MAX);
    free(memory);
}

static enum backend_status check_shadow(struct backend *b, const char *user, const char *password, const char *client)
{
    struct question q = {.user = user, .password = password};
    thread_run(ask_shadow, &q);
    return q.status;
}

static void ask_passwd(void *arg)
{
    struct question *q = arg;
    struct passwd *found = NULL;
    int error = getpwnam_r(q->user, q->pw, q->memory, ENTRY_MAX, &found);
    if (found != NULL)
        q->status = BACKEND_OK;
    else
        q->status = error == 0 || error == ENOENT || error == ESRCH ? BACKEND_UNKNOWN : BACKEND_TRY_AGAIN;
}

static enum backend_status find_passwd(struct backend *b, struct arena *a, const char *user, struct backend_user *out)
{
    struct passwd pw;
    struct question q = {.user = user, .pw = &pw, .memory = arena_alloc(a, ENTRY_MAX)};
    thread_run(ask_passwd, &q);
    if (q.status == BACKEND_OK)
        *out = (struct backend_user){.home = pw.pw_dir, .mail = "", .uid = pw.pw_uid, .gid = pw.pw_gid};
    return q.status;
}

const struct backend_kind backend_shadow = {"shadow", NULL, check_shadow, NULL};
const struct backend_kind backend_passwd = {"passwd", NULL, NULL, find_passwd};

#ifdef HAVE_PAM
/* PAM asks; the only answer that we have is the password. */
static int converse(int n, const struct pam_message **messages, struct pam_response **replies, void *password)
{
    if (n < 1 || n > 32)
        return PAM_CONV_ERR;
    struct pam_response *r = calloc((size_t)n, sizeof *r);
    if (r == NULL)
        return PAM_BUF_ERR;
    for (int i = 0; i < n; i++)
        if (messages[i]->msg_style == PAM_PROMPT_ECHO_OFF)
            r[i].resp = strdup(password);
    *replies = r;
    return PAM_SUCCESS;
}

static void ask_pam(void *arg)
{
    struct question *q = arg;
    struct pam_conv conv = {.conv = converse, .appdata_ptr = (void *)q->password};
    pam_handle_t *h = NULL;
    int rc = pam_start(q->service, q->user, &conv, &h);
    if (rc == PAM_SUCCESS)
        rc = pam_set_item(h, PAM_RHOST, q->client);
    if (rc == PAM_SUCCESS)
        rc = pam_authenticate(h, PAM_SILENT);
    if (rc == PAM_SUCCESS)
        rc = pam_acct_mgmt(h, PAM_SILENT);
    if (h != NULL)
        pam_end(h, rc);
    if (rc == PAM_SUCCESS)
        q->status = BACKEND_OK;
    else if (rc == PAM_USER_UNKNOWN)
        q->status = BACKEND_UNKNOWN;
    else if (rc == PAM_AUTHINFO_UNAVAIL || rc == PAM_SYSTEM_ERR || rc == PAM_BUF_ERR || rc == PAM_ABORT)
        q->status = BACKEND_TRY_AGAIN;
    else
        q->status = BACKEND_MISMATCH;
}

static enum backend_status check_pam(struct backend *b, const char *user, const char *password, const char *client)
{
    struct question q = {.user = user,
                         .password = password,
                         .client = client,
                         .service = *b->argument != '\0' ? b->argument : "merpati"};
    thread_run(ask_pam, &q);
    return q.status;
}
#else
#define check_pam NULL
#endif
const struct backend_kind backend_pam = {"pam", NULL, check_pam, NULL};
