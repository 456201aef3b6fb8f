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

static bool names_address(struct slice value, const char *address)
{
    BUF_AUTO internal = BUF(IPC_ADDR);
    value = slice_trim(value);
    return slice_eq_fold(value, slice_of(address)) ||
           (address_unquote(value, &internal) && slice_eq_fold(buf_slice(&internal), slice_of(address)));
}

bool delivery_seen_before(const struct agent_delivery *d, const char *address)
{
    const struct slice name = SLICE("Delivered-To:");
    BUF_AUTO b = BUF(HEADER_MAX + 16384);
    read_header(d, &b);
    struct slice rest = buf_slice(&b);
    while (rest.n > 0 && rest.p[0] != '\n') {
        ptrdiff_t lf = slice_find(rest, '\n');
        size_t n = lf < 0 ? rest.n : (size_t)lf;
        struct slice line = {rest.p, n};
        if (slice_starts_fold(line, name) && names_address(slice_make(line.p + name.n, n - name.n), address))
            return true;
        rest = slice_make(rest.p + n + (lf >= 0), rest.n - n - (lf >= 0));
    }
    return false;
}
