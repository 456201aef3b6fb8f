/* rewrite.c - see rewrite.h. */
#include "trivial-rewrite/rewrite.h"

#include "lib/syntax/address.h"

#include <string.h>

/* "@a,@b:user@c": what is behind the route. */
static const char *skip_source_route(const char *address)
{
    if (*address != '@')
        return address;
    bool literal = false;
    for (const char *p = address; *p; p++) {
        if (*p == '[')
            literal = true;
        else if (*p == ']')
            literal = false;
        else if (*p == ':' && !literal)
            return p + 1;
    }
    return address;
}

/* Whether it must stand in quotes, so that its characters mean nothing. */
static bool is_opaque(const char *local)
{
    return strpbrk(local, " \t\"\\()<>,;:[]") != NULL;
}

static void append_origin(const struct rewrite_rules *r, const char *local, struct buf *out)
{
    const char *turn = NULL;
    if (!is_opaque(local)) {
        if (r->swap_bangpath && (turn = strchr(local, '!')) != NULL) {
            buf_printf(out, "%s@%.*s", turn + 1, (int)(turn - local), local);
            return;
        }
        if (r->allow_percent_hack && (turn = strrchr(local, '%')) != NULL) {
            buf_printf(out, "%.*s@%s", (int)(turn - local), local, turn + 1);
            return;
        }
    }
    buf_puts(out, local);
    if (r->append_at_myorigin && *r->origin)
        buf_printf(out, "@%s", r->origin);
}

static void finish_domain(const struct rewrite_rules *r, struct buf *out)
{
    const char *domain = address_domain(buf_cstr(out));
    if (!domain || *domain == 0)
        return;
    if (r->append_dot_mydomain && *r->domain && !strpbrk(domain, ".["))
        buf_printf(out, ".%s", r->domain);
    size_t n = out->len;
    if (n > 1 && out->data[n - 1] == '.' && out->data[n - 2] != '.' && out->data[n - 2] != '@')
        buf_truncate(out, n - 1);
}

void rewrite_address(const struct rewrite_rules *r, const char *address, struct buf *out)
{
    if (*address == 0)
        return;
    address = skip_source_route(address);
    if (address_at(address) >= 0)
        buf_puts(out, address);
    else
        append_origin(r, address, out);
    finish_domain(r, out);
}
