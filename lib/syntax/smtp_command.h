/* smtp_command.h - one SMTP command line (RFC 5321 section 4.1): verb, path, and the parameters of MAIL and RCPT
 * (SIZE RFC 1870, BODY RFC 6152, SMTPUTF8 RFC 6531, DSN RFC 3461, AUTH RFC 4954). Pure. */
#pragma once
#include "lib/base/arena.h"
#include "lib/base/buf.h"

#include <stdint.h>

/* Finds the first line of what has come. *used is its length with the line end, *line is without the LF and the CRs
 * before it; *bare_lf tells that no CR stood there. False when there is no LF yet. */
bool smtp_command_line(struct slice in, struct slice *line, size_t *used, bool *bare_lf);
/* Cuts the next word off *rest; false at the end. Blanks part words, and so does the colon of "FROM:" and "TO:"; what
 * stands in <...> or quotes belongs to one word. *broken (may be NULL): brackets or quotes were never closed. */
bool smtp_command_word(struct arena *a, struct slice *rest, const char **word, bool *broken);
/* All words that are left, one blank between them. */
const char *smtp_command_words(struct arena *a, struct slice rest);

/* The one address in a word such as "<user@host>", unquoted; "" for "<>". With strict nothing but RFC 5321's brackets
 * and one address; otherwise phrases, comments and missing brackets are let through. Whether its domain can be one is
 * another matter. */
bool smtp_command_path(struct arena *a, const char *word, bool strict, bool empty_ok, const char **address);

enum smtp_param_status {
    SMTP_PARAM_OK,
    SMTP_PARAM_UNSUPPORTED,
    SMTP_PARAM_BAD_SIZE,
    SMTP_PARAM_HUGE_SIZE,
    SMTP_PARAM_BAD_RET,
    SMTP_PARAM_BAD_ENVID,
    SMTP_PARAM_BAD_AUTH,
    SMTP_PARAM_BAD_NOTIFY,
    SMTP_PARAM_BAD_ORCPT,
};
enum smtp_ret { SMTP_RET_NONE, SMTP_RET_FULL, SMTP_RET_HDRS };
enum smtp_notify { SMTP_NOTIFY_NEVER = 1, SMTP_NOTIFY_SUCCESS = 2, SMTP_NOTIFY_FAILURE = 4, SMTP_NOTIFY_DELAY = 8 };

/* Strings live in the arena; NULL when not given. */
struct smtp_mail_params {
    uint64_t size; /* 0: not given */
    const char *body;
    bool smtputf8;
    enum smtp_ret ret;
    const char *envid; /* decoded xtext */
    const char *auth;  /* decoded xtext, "<>" included */
};
struct smtp_rcpt_params {
    unsigned notify;   /* enum smtp_notify */
    const char *orcpt; /* "type;address", decoded */
};
/* On any status but OK *offending is the parameter at fault. */
enum smtp_param_status smtp_command_mail_params(struct slice params, struct arena *a, struct smtp_mail_params *out,
                                                const char **offending);
enum smtp_param_status smtp_command_rcpt_params(struct slice params, struct arena *a, struct smtp_rcpt_params *out,
                                                const char **offending);
