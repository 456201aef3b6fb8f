/* address.h - mail addresses. The internal form is unquoted: john doe@example.com; the external form is RFC 5321's,
 * quoted where needed. */
#pragma once
#include "lib/base/arena.h"
#include "lib/base/buf.h"

/* Index of the '@' that parts local part and domain (the last one) in internal form, or -1. */
ptrdiff_t address_at(const char *address);
const char *address_domain(const char *address); /* after the '@'; NULL when there is none */
/* Local part quoted as RFC 5321 asks: "john doe"@example.com. */
void address_quote(struct buf *out, const char *internal);
const char *address_external(struct arena *a, const char *internal);
/* External (quoted) to internal form; false when it is not well formed (RFC 5321 Mailbox, also without domain; source
 * routes are kept as text). */
bool address_unquote(struct slice external, struct buf *out);
/* Splits "user+ext@domain" by the delimiter characters: user, ext (NULL without). The owner- and -request forms are not
 * split (owner_request_special), nor is a name that begins with the delimiter, nor mailer-daemon and double-bounce. */
void address_split_extension(struct arena *a, const char *local, const char *delimiters, const char **user,
                             const char **extension);

/* RFC 5322 address lists as in To:, for header rewriting and sendmail -t. Tolerant, as mail in the wild needs. */
struct address_token {
    size_t start, end;   /* the addr-spec's place in the header text, comments and phrase left out */
    const char *address; /* internal form */
};
/* Calls fn for each address; returns their number. */
size_t address_list_parse(struct arena *a, struct slice header_value, struct address_token **tokens);

/* RFC 5321 Path in MAIL FROM:<...> and RCPT TO:<...>. strict: angle brackets needed. *rest is what follows. */
bool address_parse_path(struct slice in, bool strict, struct buf *internal, struct slice *rest);
/* Host names and literals: RFC 952/1123 and RFC 5321 address-literal. */
bool hostname_valid(const char *name); /* labels of letters, digits, hyphen, underscore; up to 255; not all numeric */
bool hostname_is_fqdn(const char *name);
bool address_literal_valid(const char *literal); /* "[192.0.2.1]", "[IPv6:2001:db8::1]" */
