/* queue_report.h - what is in the queue, in the form that Postfix's showq(8) sends to postqueue(1): names and values,
 * each ended by a NUL byte.
 *
 *     protocol mail_queue_list_protocol, empty name
 *     for each message: queue_name queue_id time size forced_expire sender,
 *         for each recipient that is not done: recipient reason,
 *         empty name
 *     empty name
 *
 * The reason is "" when none is known. Messages come in no particular order, queue by queue. */
#pragma once
#include "lib/base/buf.h"

struct queue_report;

/* Over the queue below the working directory. null_sender: shown for the null sender ($empty_address_recipient). */
struct queue_report *queue_report_new(const char *null_sender);
/* Accepts NULL, clears. */
void queue_report_free(struct queue_report **r);
/* Appends whole messages until `out` holds `enough` bytes. False at the end, when the end of the list was appended too.
 * Reads files: call it on a thread of the pool. Files that vanish meanwhile, or cannot be read, are left out. */
bool queue_report_fill(struct queue_report *r, struct buf *out, size_t enough);
