/* conf_bind.c - from text to typed values, with errors that say where to look and what is allowed. */
#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/conf/conf_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

static int64_t unit_seconds(char unit)
{
    switch (unit) {
    case 's':
        return 1;
    case 'm':
        return 60;
    case 'h':
        return 3600;
    case 'd':
        return 86400;
    case 'w':
        return 7 * 86400;
    }
    return 0;
}

static bool parse_int(const char *text, int64_t *value, const char **end)
{
    char *e;
    errno = 0;
    long long v = strtoll(text, &e, 10);
    if (e == text || errno == ERANGE)
        return false;
    *value = v;
    *end = e;
    return true;
}

bool conf_parse_time(const char *text, char default_unit, int64_t *seconds)
{
    const char *end;
    int64_t n, factor;
    if (!parse_int(text, &n, &end))
        return false;
    factor = unit_seconds(*end ? ascii_lower(*end) : default_unit);
    if (factor == 0 || (*end && end[1]))
        return false;
    return !__builtin_mul_overflow(n, factor, seconds);
}

/* "FILE, line N: name = value: what" */
static bool bad_value(struct conf *c, const struct param *p, const char *value, struct buf *err, const char *what)
{
    const char *origin = conf_origin(c, p->name), *raw = conf_raw(c, p->name);
    buf_printf(err, "%s: %s = %s: ", origin ? origin : "default", p->name, raw ? raw : p->preset);
    if (strcmp(value, raw ? raw : p->preset) != 0)
        buf_printf(err, "(that is, %s) ", value);
    buf_puts(err, what);
    return false;
}

static void range_text(const struct param *p, const char *kind, struct buf *out)
{
    buf_puts(out, kind);
    if (p->max > 0)
        buf_printf(out, " from %" PRId64 " to %" PRId64, p->min, p->max);
    else
        buf_printf(out, " of at least %" PRId64, p->min);
    if (p->unit && *p->unit)
        buf_printf(out, " (%s)", p->unit);
}

static bool in_range(const struct param *p, int64_t v)
{
    return v >= p->min && (p->max <= 0 || v <= p->max);
}

static bool bind_number(struct conf *c, const struct param *p, const char *value, int64_t *dest, struct buf *err)
{
    bool time = p->type == PARAM_T_TIME;
    const char *end = "";
    int64_t v;
    bool ok = time ? conf_parse_time(value, p->unit && *p->unit ? *p->unit : 's', &v)
                   : parse_int(value, &v, &end) && *end == '\0';
    if (ok && in_range(p, v)) {
        *dest = v;
        return true;
    }
    BUF_AUTO what = BUF(300);
    buf_puts(&what, "expected ");
    range_text(p, time ? "a time with one of the units s m h d w," : "a whole number", &what);
    return bad_value(c, p, value, err, buf_cstr(&what));
}

static bool bind_bool(struct conf *c, const struct param *p, const char *value, bool *dest, struct buf *err)
{
    *dest = str_eq_fold(value, "yes");
    if (*dest || str_eq_fold(value, "no"))
        return true;
    return bad_value(c, p, value, err, "expected yes or no");
}

static bool bind_text(struct conf *c, const struct param *p, const char *value, const char **dest, struct buf *err)
{
    int64_t n = (int64_t)strlen(value);
    *dest = value;
    if (n < p->min)
        return bad_value(c, p, value, err, p->min == 1 ? "must not be empty" : "too short");
    if (p->max > 0 && n > p->max)
        return bad_value(c, p, value, err, "too long");
    return true;
}

static const char *text_for(struct conf *c, const struct param *p, struct buf *err)
{
    if (p->type != PARAM_T_RAW)
        return conf_value(c, p->name, err);
    const char *raw = conf_raw(c, p->name);
    return raw ? raw : p->preset;
}

static bool bind_one(struct conf *c, const struct param *p, void *dest, struct buf *err)
{
    void *member = (char *)dest + p->offset;
    const char *value = text_for(c, p, err);
    if (!value) {
        if (err->len == 0)
            buf_printf(err, "%s: no value", p->name);
        return false;
    }
    switch (p->type) {
    case PARAM_T_INT:
    case PARAM_T_TIME:
        return bind_number(c, p, value, member, err);
    case PARAM_T_BOOL:
        return bind_bool(c, p, value, member, err);
    case PARAM_T_STR:
    case PARAM_T_RAW:
        return bind_text(c, p, value, member, err);
    }
    return false;
}

bool conf_bind(struct conf *c, const struct param *table, size_t n, void *dest, struct buf *err)
{
    conf_register(table, n);
    for (size_t i = 0; i < n; i++)
        if (!bind_one(c, &table[i], dest, err))
            return false;
    return true;
}

const char *conf_transport_str(struct conf *c, const char *transport, const char *suffix, const char *fallback)
{
    BUF_AUTO name = BUF(300);
    BUF_AUTO err = BUF(1000);
    buf_printf(&name, "%s%s%s", transport, *suffix == '_' ? "" : "_", suffix);
    const char *raw = conf_raw(c, buf_cstr(&name));
    if (!raw)
        return fallback;
    const char *value = conf_value(c, buf_cstr(&name), &err);
    if (!value)
        log_warn("%s", buf_cstr(&err));
    return value ? value : fallback;
}

int64_t conf_transport_int(struct conf *c, const char *transport, const char *suffix, int64_t fallback)
{
    const char *end, *value = conf_transport_str(c, transport, suffix, NULL);
    int64_t v;
    if (!value)
        return fallback;
    if (parse_int(value, &v, &end) && *end == '\0')
        return v;
    log_warn("%s_%s = %s: expected a whole number; using %" PRId64, transport, suffix, value, fallback);
    return fallback;
}

int64_t conf_transport_time(struct conf *c, const char *transport, const char *suffix, int64_t fallback)
{
    const char *value = conf_transport_str(c, transport, suffix, NULL);
    int64_t v;
    if (!value)
        return fallback;
    if (conf_parse_time(value, 's', &v))
        return v;
    log_warn("%s_%s = %s: expected a time; using %" PRId64 "s", transport, suffix, value, fallback);
    return fallback;
}
