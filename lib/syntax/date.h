/* date.h - dates of RFC 5322 and IMAP. */
#pragma once
#include "lib/base/buf.h"

#include <stdint.h>
#include <time.h>

/* "Mon, 23 Nov 2026 12:52:46 +0000 (UTC)" in local time. */
void date_rfc5322(struct buf *out, time_t t);
/* Tolerant parse of a Date: header; false when it makes no sense. zone_minutes may be NULL. */
bool date_parse_rfc5322(struct slice s, time_t *t, int *zone_minutes);
/* "23-Nov-2026 12:52:46 +0000" */
void date_imap(struct buf *out, time_t t);
bool date_parse_imap(struct slice s, time_t *t);     /* date-time, quotes removed */
bool date_parse_imap_day(struct slice s, time_t *t); /* "23-Nov-2026": 00:00 UTC */
