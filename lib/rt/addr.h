/* addr.h - socket addresses as text and back; no name service. */
#pragma once
#include "lib/base/slice.h"

#include <stdint.h>
#include <sys/socket.h>

#define ADDR_TEXT_MAX 64

/* "192.0.2.1" or "2001:db8::1", without port or scope. Maps ::ffff:a.b.c.d to a.b.c.d. Other families: "unknown". */
const char *addr_text(const struct sockaddr *sa, char dst[ADDR_TEXT_MAX]);
uint16_t addr_port(const struct sockaddr *sa);
void addr_set_port(struct sockaddr *sa, uint16_t port);
/* Numeric text to address; false when it is none. Accepts [brackets] and the "IPv6:" prefix of RFC 5321. */
bool addr_parse(const char *text, uint16_t port, struct sockaddr_storage *out, socklen_t *len);
bool addr_equal(const struct sockaddr *a, const struct sockaddr *b); /* without the port */
/* UNIX socket path; false when it is too long. */
bool addr_unix(const char *path, struct sockaddr_storage *out, socklen_t *len);
