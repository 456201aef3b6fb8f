/* postqueue_list.h - prints showq's list (support/showq/queue_report.h): as people know it from mailq, or as JSON. */
#pragma once
#include <stdbool.h>
#include <stdio.h>

/* Both read up to the end of the list. False when it breaks off or is no such list. */
bool postqueue_list_text(FILE *in, FILE *out, bool long_ids);
/* One JSON object in each line. utf8: text is UTF-8 (smtputf8_enable), otherwise ASCII; other bytes become '?'. */
bool postqueue_list_json(FILE *in, FILE *out, bool utf8);
