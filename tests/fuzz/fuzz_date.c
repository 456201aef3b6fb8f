/* Dates: one that was read and is printed is read again as the same. */
#include "lib/syntax/date.h"
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_make((const char *)data, size);
    BUF_AUTO text = BUF(1000);
    time_t t, again;
    int zone;
    if (date_parse_rfc5322(in, &t, &zone) && (zone < -(99 * 60 + 59) || zone > 99 * 60 + 59))
        __builtin_trap();
    date_parse_imap_day(in, &t);
    if (!date_parse_imap(in, &t) || t < -(time_t)62100000000 || t > (time_t)253000000000) /* years of four digits */
        return 0;
    date_imap(&text, t);
    if (!date_parse_imap(buf_slice(&text), &again) || again != t)
        __builtin_trap();
    buf_reset(&text);
    date_rfc5322(&text, t);
    if (!date_parse_rfc5322(buf_slice(&text), &again, NULL) || again != t)
        __builtin_trap();
    return 0;
}
