/* rule_text.c - see rule_text.h. */
#include "lib/map/rule_text.h"

#include <ctype.h>

bool rule_text_cut(char **text, char **pattern, char letters[RULE_FLAGS_MAX], struct buf *err)
{
    char *p = *text, delimiter = *p;
    size_t n = 0;
    if (!delimiter || isalnum((unsigned char)delimiter) || isspace((unsigned char)delimiter)) {
        buf_printf(err, "expected /pattern/flags, found \"%.40s\"", p);
        return false;
    }
    *pattern = ++p;
    while (*p && *p != delimiter)
        p += *p == '\\' && p[1] ? 2 : 1;
    if (!*p) {
        buf_printf(err, "no closing '%c' after the pattern", delimiter);
        return false;
    }
    *p++ = '\0';
    while (*p && !isspace((unsigned char)*p) && n + 1 < RULE_FLAGS_MAX)
        letters[n++] = *p++;
    letters[n] = '\0';
    *text = p;
    return true;
}
