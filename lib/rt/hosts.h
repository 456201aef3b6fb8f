/* hosts.h - the system's table of hosts, for processes that cannot open it any more. */
#pragma once
#include <stddef.h>
#include <sys/socket.h>

/* Opens the file; to be called before the privileges go. Every daemon that speaks to the network has /etc/hosts open.
 */
void hosts_open(const char *file);
/* Calls found for each address of a name (any case); returns their number. */
size_t hosts_find(const char *name, void (*found)(void *ctx, const struct sockaddr *sa), void *ctx);
/* The first name of an address; NULL when there is none. Valid until the next call of this header. */
const char *hosts_name_of(const struct sockaddr *sa);
