/* own_addr.h - the addresses that this mail system answers on (inet_interfaces) or is known by (proxy_interfaces): for
 * routing, loop detection and permit_inet_interfaces. */
#pragma once
#include "lib/base/buf.h"

#include <sys/socket.h>

struct own_addr;

/* "all", "loopback-only", or host names and addresses. Asks the name service, so it is called at start. A name that
 * cannot be resolved: NULL with err. */
struct own_addr *own_addr_new(const char *inet_interfaces, const char *proxy_interfaces, struct buf *err);
void own_addr_free(struct own_addr **o);
/* Compared without the port. */
bool own_addr_has(const struct own_addr *o, const struct sockaddr *sa);
/* Of proxy_interfaces alone. */
bool own_addr_is_proxy(const struct own_addr *o, const struct sockaddr *sa);
