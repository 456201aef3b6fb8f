/* match_list.h - mynetworks, mydestination and the like: patterns, !negation, /file/names, tables, .parent domains. */
#pragma once
#include "lib/map/map.h"

#include <sys/socket.h>

struct match_list;

/* parents: example.com also matches sub.example.com (parent_domain_matches_subdomains names this parameter); otherwise
 * .example.com does. On failure NULL with err. */
struct match_list *match_list_open(struct conf *conf, const char *parameter, const char *value, bool parents,
                                   struct buf *err);
void match_list_close(struct match_list **l);
bool match_list_is_empty(const struct match_list *l);
/* MAP_TRY_AGAIN when a table could not be asked. */
enum map_status match_list_domain(struct match_list *l, const char *domain);
/* Exact string match, folded: user names, host names without parents. */
enum map_status match_list_string(struct match_list *l, const char *s);
/* Name (may be NULL or "unknown") and address patterns, net/mask included. */
enum map_status match_list_host(struct match_list *l, const char *name, const struct sockaddr *addr);
