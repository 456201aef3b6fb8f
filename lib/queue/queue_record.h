/* queue_record.h - the records of a queue file. Private to lib/queue; doc/internals/queue.md has the layout. */
#pragma once
#include "lib/ipc/messages.h"
#include "lib/queue/queue.h"

enum record_type {
    RECORD_HEADER = 'H',
    RECORD_CONTENT = 'C',
    RECORD_ENVELOPE = 'E',
    RECORD_RECIPIENT = 'R',
    RECORD_END = 'Z',
    RECORD_HISTORY = 'A'
};
enum {
    RECORD_HEAD = 16,
    HEADER_PAYLOAD = 48,
    HEADER_SIZE = RECORD_HEAD + HEADER_PAYLOAD,
    CONTENT_OFFSET = HEADER_SIZE + RECORD_HEAD
};
#define RECORD_PAYLOAD_MAX ((size_t)16 << 20)

/* The first record: where the others are. Final before the file has its name. */
struct record_header {
    uint64_t content_size, envelope_offset, end_offset; /* end: behind the END record */
    uint32_t n_recipients;
};

/* The 16 bytes before a payload. crc covers the type, the length and the payload. */
void record_head(char dst[RECORD_HEAD], enum record_type type, uint64_t length, uint32_t crc_of_payload);
/* The checksum of a payload, to be continued. */
uint32_t record_crc(uint32_t crc, const void *p, size_t n);
/* Appends a whole record with padding to a multiple of 8. */
void record_append(struct buf *out, enum record_type type, struct slice payload);
size_t record_padding(uint64_t length);
/* Reads the record at the front of *rest and takes it off. False when it is not whole or its checksum is wrong. */
bool record_next(struct slice *rest, enum record_type *type, struct slice *payload);
void record_header_write(char dst[HEADER_SIZE], const struct record_header *h);
bool record_header_read(struct slice file, struct record_header *h);
