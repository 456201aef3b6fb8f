/* queue_record.c - see queue_record.h. */
#include "lib/queue/queue_record.h"

#include "lib/syntax/codec.h"

static const char magic[8] = "merpatiQ";

static void put64(char *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (char)(v >> (8 * i));
}

static uint64_t get64(const char *p)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v |= (uint64_t)(unsigned char)p[i] << (8 * i);
    return v;
}

size_t record_padding(uint64_t length)
{
    return (size_t)(-length & 7);
}

uint32_t record_crc(uint32_t crc, const void *p, size_t n)
{
    return crc32c(crc, p, n);
}

/* The payload's checksum, bound to this type and length. */
static uint32_t bind(enum record_type type, uint64_t length, uint32_t crc)
{
    char bytes[9];
    bytes[0] = (char)type;
    put64(bytes + 1, length);
    return crc32c(crc, bytes, sizeof bytes);
}

void record_head(char dst[RECORD_HEAD], enum record_type type, uint64_t length, uint32_t crc_of_payload)
{
    uint32_t crc = bind(type, length, crc_of_payload);
    memset(dst, 0, RECORD_HEAD);
    dst[0] = (char)type;
    for (int i = 0; i < 4; i++)
        dst[4 + i] = (char)(crc >> (8 * i));
    put64(dst + 8, length);
}

void record_append(struct buf *out, enum record_type type, struct slice payload)
{
    static const char zeros[8];
    char head[RECORD_HEAD];
    record_head(head, type, payload.n, record_crc(0, payload.p, payload.n));
    buf_append(out, head, sizeof head);
    buf_append_slice(out, payload);
    buf_append(out, zeros, record_padding(payload.n));
}

bool record_next(struct slice *rest, enum record_type *type, struct slice *payload)
{
    if (rest->n < RECORD_HEAD)
        return false;
    uint64_t length = get64(rest->p + 8);
    uint32_t crc = 0;
    for (int i = 0; i < 4; i++)
        crc |= (uint32_t)(unsigned char)rest->p[4 + i] << (8 * i);
    if (length > RECORD_PAYLOAD_MAX || length + record_padding(length) > rest->n - RECORD_HEAD)
        return false;
    *type = (unsigned char)rest->p[0];
    *payload = slice_make(rest->p + RECORD_HEAD, length);
    if (bind(*type, length, record_crc(0, payload->p, length)) != crc)
        return false;
    size_t whole = RECORD_HEAD + length + record_padding(length);
    *rest = slice_make(rest->p + whole, rest->n - whole);
    return true;
}

void record_header_write(char dst[HEADER_SIZE], const struct record_header *h)
{
    char *p = dst + RECORD_HEAD;
    memset(dst, 0, HEADER_SIZE);
    memcpy(p, magic, sizeof magic);
    put64(p + 8, h->content_size);
    put64(p + 16, h->envelope_offset);
    put64(p + 24, h->end_offset);
    put64(p + 32, h->n_recipients);
    record_head(dst, RECORD_HEADER, HEADER_PAYLOAD, record_crc(0, p, HEADER_PAYLOAD));
}

bool record_header_read(struct slice file, struct record_header *h)
{
    enum record_type type;
    struct slice p;
    if (!record_next(&file, &type, &p) || type != RECORD_HEADER || p.n != HEADER_PAYLOAD ||
        memcmp(p.p, magic, sizeof magic) != 0)
        return false;
    *h = (struct record_header){get64(p.p + 8), get64(p.p + 16), get64(p.p + 24), (uint32_t)get64(p.p + 32)};
    return h->envelope_offset >= CONTENT_OFFSET && h->content_size <= h->envelope_offset - CONTENT_OFFSET &&
           h->end_offset > h->envelope_offset;
}
