/* imap_name.h - mailbox names on the wire: modified UTF-7 (RFC 3501 section 5.1.3), which is also how Maildir++ writes
 * them on disk, and the wildcards of LIST. */
#pragma once
#include "lib/base/buf.h"

/* False when in is not valid UTF-8. */
bool imap_name_from_utf8(struct buf *out, struct slice in);
/* Strict: one spelling for each name. False when malformed. */
bool imap_name_to_utf8(struct buf *out, struct slice in);
/* '*' matches anything, '%' anything without the separator. INBOX is compared without regard to case by the caller. */
bool imap_name_matches(struct slice pattern, struct slice name, char separator);
