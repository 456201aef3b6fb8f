/* headers.c - the headers that final delivery puts before a message, and the loop check that reads them. */
#include "lib/syntax/address.h"
#include "local/delivery.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* A header larger than this is not searched to its end. */
#define HEADER_MAX ((size_t)1 << 20)

void delivery_prefix(struct buf *out, const char *sender, const struct msg_deliver_recipient *rcpt,
                     const char *delivered_to, unsigned which)
{
    if (which & PREFIX_RETURN_PATH) {
        buf_puts(out, "Return-Path: <");
        if (*sender != '\0')
            address_quote(out, sender);
        buf_puts(out, ">\n");
    }
    if ((which & PREFIX_ORIGINAL_TO) && rcpt->orig_address[0] != '\0') {
        buf_puts(out, "X-Original-To: ");
        address_quote(out, rcpt->orig_address);
        buf_putc(out, '\n');
    }
    if ((which & PREFIX_DELIVERED_TO) && *delivered_to != '\0') {
        buf_puts(out, "Delivered-To: ");
        address_quote(out, delivered_to);
        buf_putc(out, '\n');
    }
}

/* Reads the header: up to the first empty line or HEADER_MAX. */
static void read_header(const struct agent_delivery *d, struct buf *out)
{
    uint64_t at = 0;
    while (at < d->request.content_size && out->len < HEADER_MAX) {
        char *room = buf_room(out, 16384);
        if (room == NULL)
            return;
        uint64_t left = d->request.content_size - at;
        ssize_t n =
            pread(d->request.file, room, left < 16384 ? (size_t)left : 16384, (off_t)(d->request.content_offset + at));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        buf_added(out, (size_t)n);
        at += (uint64_t)n;
        if (memmem(out->data, out->len, "\n\n", 2) != NULL)
            return;
    }
}

static const char *internal_form(struct arena *a, struct slice value)
{
    BUF_AUTO internal = BUF(IPC_ADDR);
    value = slice_trim(value);
    return address_unquote(value, &internal) ? arena_strdup(a, buf_cstr(&internal)) : arena_slice(a, value);
}

const char **delivery_seen(const struct agent_delivery *d, size_t *n)
{
    enum { MOST = 10000 };
    const struct slice name = SLICE("Delivered-To:");
    const char **found = NULL;
    BUF_AUTO b = BUF(HEADER_MAX + 16384);
    *n = 0;
    read_header(d, &b);
    for (struct slice rest = buf_slice(&b); rest.n > 0 && rest.p[0] != '\n' && *n < MOST;) {
        ptrdiff_t lf = slice_find(rest, '\n');
        size_t len = lf < 0 ? rest.n : (size_t)lf;
        struct slice line = {rest.p, len};
        if (slice_starts_fold(line, name)) {
            if ((*n & (*n - 1)) == 0) { /* full: 0, 1, 2, 4, ... */
                const char **more = ARENA_ARRAY(d->arena, const char *, *n * 2 + 1);
                for (size_t i = 0; i < *n; i++)
                    more[i] = found[i];
                found = more;
            }
            found[(*n)++] = internal_form(d->arena, slice_make(line.p + name.n, len - name.n));
        }
        rest = slice_make(rest.p + len + (lf >= 0), rest.n - len - (lf >= 0));
    }
    return found;
}

bool delivery_seen_before(const struct agent_delivery *d, const char *address)
{
    size_t n;
    const char **seen = delivery_seen(d, &n);
    for (size_t i = 0; i < n; i++)
        if (str_eq_fold(seen[i], address))
            return true;
    return false;
}
