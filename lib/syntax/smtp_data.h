/* smtp_data.h - the content of a message as it comes after DATA or BDAT: line ends, dots, the end. Incremental and
 * pure: pieces may be cut anywhere. What goes out has LF line ends.
 *
 * A bare CR is content. A bare LF ends a line, and with SMTP_DATA_ANY_EOD (smtpd_forbid_bare_newline = no) "." between
 * any two such ends also ends the message; with SMTP_DATA_STANDARD_EOD only CR LF "." CR LF does, so that nobody can
 * hide a second message from us or another server (SMTP smuggling). */
#pragma once
#include "lib/base/slice.h"

#include <stdint.h>

enum smtp_data_eod { SMTP_DATA_ANY_EOD, SMTP_DATA_STANDARD_EOD, SMTP_DATA_NO_EOD /* BDAT: dots mean nothing */ };

struct smtp_data {
    enum smtp_data_eod eod;
    bool strict_cr;   /* only one CR belongs to a line end; otherwise all before the LF do */
    bool done;        /* the end was seen */
    bool saw_bare_lf; /* ever */
    bool prev_bare;   /* the line before ended in a bare LF */
    bool dot;         /* this line began with a dot, which was taken off */
    bool in_line;     /* something of this line was seen, the dot not counted */
    uint32_t cr;      /* CRs that may belong to a line end */
    uint64_t size;    /* content so far with CR LF line ends */
};

typedef void smtp_data_emit(void *ctx, const char *p, size_t n);

void smtp_data_init(struct smtp_data *d, enum smtp_data_eod eod, bool strict_cr);
/* Returns how much of `in` was taken: all of it, or up to the end of the message (then done is set). */
size_t smtp_data_feed(struct smtp_data *d, struct slice in, smtp_data_emit *emit, void *ctx);
/* After the last BDAT chunk: completes an unfinished last line. */
void smtp_data_finish(struct smtp_data *d, smtp_data_emit *emit, void *ctx);
