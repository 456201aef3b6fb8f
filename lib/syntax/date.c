/* date.c - see date.h. */
#include "lib/syntax/date.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};

static void put_zone(struct buf *out, long offset_seconds)
{
    long minutes = offset_seconds / 60;
    char sign = minutes < 0 ? '-' : '+';
    buf_printf(out, "%c%02ld%02ld", sign, labs(minutes) / 60, labs(minutes) % 60);
}

void date_rfc5322(struct buf *out, time_t t)
{
    struct tm tm;
    localtime_r(&t, &tm);
    buf_printf(out, "%s, %d %s %04d %02d:%02d:%02d ", days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon],
               tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
    put_zone(out, tm.tm_gmtoff);
    buf_printf(out, " (%s)", tm.tm_zone);
}

void date_imap(struct buf *out, time_t t)
{
    struct tm tm;
    localtime_r(&t, &tm);
    buf_printf(out, "%02d-%s-%04d %02d:%02d:%02d ", tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour,
               tm.tm_min, tm.tm_sec);
    put_zone(out, tm.tm_gmtoff);
}

/* ---- parsing ---- */

struct cursor {
    const char *p, *end;
};

/* Blanks and comments in parentheses. */
static void skip(struct cursor *c)
{
    int depth = 0;
    for (; c->p < c->end; c->p++) {
        if (*c->p == '(')
            depth++;
        else if (*c->p == ')' && depth)
            depth--;
        else if (!depth && *c->p != ' ' && *c->p != '\t' && *c->p != '\r' && *c->p != '\n')
            return;
    }
}

static bool number(struct cursor *c, int least, int most, int *value)
{
    int n = 0;
    for (*value = 0; c->p < c->end && *c->p >= '0' && *c->p <= '9' && n < most; c->p++, n++)
        *value = *value * 10 + (*c->p - '0');
    return n >= least;
}

static bool literal(struct cursor *c, char ch)
{
    if (c->p >= c->end || *c->p != ch)
        return false;
    c->p++;
    return true;
}

static bool month(struct cursor *c, int *m)
{
    for (*m = 0; *m < 12; ++*m)
        if (c->end - c->p >= 3 && slice_eq_fold(slice_make(c->p, 3), slice_of(months[*m]))) {
            for (c->p += 3; c->p < c->end && ((*c->p | 32) >= 'a' && (*c->p | 32) <= 'z');)
                c->p++;
            return true;
        }
    return false;
}

static bool clock_time(struct cursor *c, struct tm *tm)
{
    if (!number(c, 1, 2, &tm->tm_hour) || !literal(c, ':') || !number(c, 1, 2, &tm->tm_min))
        return false;
    tm->tm_sec = 0;
    if (literal(c, ':') && !number(c, 1, 2, &tm->tm_sec))
        return false;
    return tm->tm_hour < 24 && tm->tm_min < 60 && tm->tm_sec <= 60;
}

/* "+0100", "GMT", "EST" (RFC 5322 section 4.3); none at all counts as UTC. */
static bool zone(struct cursor *c, int *minutes)
{
    static const struct {
        const char *name;
        int hours;
    } named[] = {{"UT", 0},   {"GMT", 0},  {"UTC", 0},  {"EST", -5}, {"EDT", -4}, {"CST", -6},
                 {"CDT", -5}, {"MST", -7}, {"MDT", -6}, {"PST", -8}, {"PDT", -7}};
    *minutes = 0;
    if (c->p < c->end && (*c->p == '+' || *c->p == '-')) {
        int sign = *c->p++ == '-' ? -1 : 1, hhmm;
        if (!number(c, 4, 4, &hhmm) || hhmm % 100 > 59)
            return false;
        *minutes = sign * (hhmm / 100 * 60 + hhmm % 100);
        return true;
    }
    struct slice word = {c->p, 0};
    while (c->p < c->end && ((*c->p | 32) >= 'a' && (*c->p | 32) <= 'z'))
        c->p++, word.n++;
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++)
        if (slice_eq_fold(word, slice_of(named[i].name)))
            *minutes = named[i].hours * 60;
    return true;
}

static bool finish(struct tm *tm, int zone_minutes, time_t *t)
{
    if (tm->tm_mday < 1 || tm->tm_mday > 31 || tm->tm_year < -1900 || tm->tm_year > 8099)
        return false;
    *t = timegm(tm) - zone_minutes * 60;
    return true;
}

bool date_parse_rfc5322(struct slice s, time_t *t, int *zone_minutes)
{
    struct cursor c = {s.p, s.p + s.n};
    struct tm tm = {0};
    int minutes = 0, year;
    skip(&c);
    while (c.p < c.end && ((*c.p | 32) >= 'a' && (*c.p | 32) <= 'z')) /* the day's name, which says nothing new */
        c.p++;
    literal(&c, ',');
    skip(&c);
    if (!number(&c, 1, 2, &tm.tm_mday))
        return false;
    skip(&c);
    literal(&c, '-');
    if (!month(&c, &tm.tm_mon))
        return false;
    skip(&c);
    literal(&c, '-');
    const char *start = c.p;
    if (!number(&c, 2, 4, &year))
        return false;
    if (c.p - start <= 3) /* RFC 5322 section 4.3 */
        year += c.p - start == 2 && year < 50 ? 2000 : 1900;
    tm.tm_year = year - 1900;
    skip(&c);
    if (c.p < c.end && !clock_time(&c, &tm))
        return false;
    skip(&c);
    if (!zone(&c, &minutes))
        return false;
    if (zone_minutes)
        *zone_minutes = minutes;
    return finish(&tm, minutes, t);
}

static bool imap_day(struct cursor *c, struct tm *tm)
{
    literal(c, ' ');
    if (!number(c, 1, 2, &tm->tm_mday) || !literal(c, '-') || !month(c, &tm->tm_mon) || !literal(c, '-') ||
        !number(c, 4, 4, &tm->tm_year))
        return false;
    tm->tm_year -= 1900;
    return true;
}

bool date_parse_imap(struct slice s, time_t *t)
{
    struct cursor c = {s.p, s.p + s.n};
    struct tm tm = {0};
    int minutes;
    if (!imap_day(&c, &tm) || !literal(&c, ' ') || !clock_time(&c, &tm) || !literal(&c, ' ') || c.p >= c.end ||
        (*c.p != '+' && *c.p != '-') || !zone(&c, &minutes) || c.p != c.end)
        return false;
    return finish(&tm, minutes, t);
}

bool date_parse_imap_day(struct slice s, time_t *t)
{
    struct cursor c = {s.p, s.p + s.n};
    struct tm tm = {0};
    return imap_day(&c, &tm) && c.p == c.end && finish(&tm, 0, t);
}
