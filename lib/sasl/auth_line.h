/* auth_line.h - lines of the Dovecot authentication protocol: fields parted by tabs, with \001 as the escape byte
 * before '0' (NUL), '1' (\001), 't' (tab), 'r' (CR) and 'n' (LF). */
#pragma once
#include "lib/base/arena.h"
#include "lib/base/buf.h"

#define AUTH_LINE_MAX 16384
#define AUTH_LINE_FIELDS 64

struct auth_line {
    size_t n;
    const char *field[AUTH_LINE_FIELDS]; /* unescaped; field[0] is the command */
};

/* Strings live in the arena. False when the line has too many fields, a bad escape, or a NUL byte in clear or escaped.
 */
bool auth_line_parse(struct arena *a, struct slice line, struct auth_line *out);
/* Value of "name=value" from field `from` on; "" when the field is the bare name; NULL when there is none. */
const char *auth_line_get(const struct auth_line *l, size_t from, const char *name);
/* Number in field i; false when there is none. */
bool auth_line_u64(const struct auth_line *l, size_t i, unsigned long long max, unsigned long long *value);
/* Appends text with escapes. */
void auth_line_escape(struct buf *out, const char *text);
/* Appends a tab and name=text, escaped; nothing when text is NULL or empty. */
void auth_line_put(struct buf *out, const char *name, const char *text);
