/* status_text.c - see status_text.h. */
#include "support/error/status_text.h"

#include <stdio.h>

/* Length of ".123" at p; 0 when there is none. */
static size_t part_length(const char *p)
{
    size_t n = p[0] == '.' ? strspn(p + 1, "0123456789") : 0;
    return n >= 1 && n <= 3 ? n + 1 : 0;
}

/* Length of the code at the start of s; 0 when there is none. */
static size_t code_length(const char *s)
{
    if (*s != '2' && *s != '4' && *s != '5')
        return 0;
    size_t subject = part_length(s + 1);
    size_t detail = subject ? part_length(s + 1 + subject) : 0;
    size_t n = 1 + subject + detail;
    return detail && (s[n] == '\0' || s[n] == ' ' || s[n] == '\t') ? n : 0;
}

struct status_text status_text_split(const char *nexthop, const char *default_dsn)
{
    struct status_text t;
    nexthop += strspn(nexthop, " \t");
    size_t n = code_length(nexthop);
    if (n > 0)
        snprintf(t.dsn, sizeof t.dsn, "%.*s", (int)n, nexthop);
    else
        snprintf(t.dsn, sizeof t.dsn, "%s", default_dsn);
    t.text = nexthop + n;
    t.text += strspn(t.text, " \t");
    return t;
}
