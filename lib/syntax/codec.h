/* codec.h - base64, xtext (RFC 3461), hex, quoted strings. */
#pragma once
#include "lib/base/buf.h"

#include <stdint.h>

void base64_encode(struct buf *out, const void *p, size_t n);
/* Strict: canonical padding, no white space. False when malformed. */
bool base64_decode(struct buf *out, struct slice in);
void xtext_encode(struct buf *out, struct slice in);
bool xtext_decode(struct buf *out, struct slice in);
uint32_t crc32c(uint32_t crc, const void *p, size_t n);
bool utf8_valid(struct slice s);
bool is_ascii(struct slice s);
