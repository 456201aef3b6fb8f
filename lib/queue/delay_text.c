/* delay_text.c - see delay_text.h. */
#include "lib/queue/delay_text.h"

#include <stdio.h>

void delay_text_append(struct buf *b, int64_t usec, int digits)
{
    double v = usec < 0 ? 0 : (double)usec / 1e6;
    int decimals = 0;
    /* 9.95 would be rounded up to 10, which has its two digits before the point */
    for (double least = 9.95; decimals < digits && v < least; least /= 10)
        decimals++;
    char text[64];
    int n = snprintf(text, sizeof text, "%.*f", decimals, v);
    if (decimals > 0) {
        while (text[n - 1] == '0')
            n--;
        if (text[n - 1] == '.')
            n--;
    }
    buf_append(b, text, (size_t)n);
}
