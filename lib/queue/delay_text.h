/* delay_text.h - seconds as delivery log lines have them (delay=, delays=). */
#pragma once
#include "lib/base/buf.h"

#include <stdint.h>

/* Two significant digits, at most `digits` of them behind the point, no trailing zeros: 0.05 1.2 35 0. From ten seconds
 * on whole numbers. Negative times, of a clock that was set back, are 0. */
void delay_text_append(struct buf *b, int64_t usec, int digits);
