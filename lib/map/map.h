/* map.h - lookup tables "type:name" (postmap(1)). A failed look-up is never "not found". */
#pragma once
#include "lib/base/arena.h"
#include "lib/base/buf.h"

#include <sys/types.h>

struct conf;
struct map;

enum map_status { MAP_NOT_FOUND = 0, MAP_FOUND = 1, MAP_TRY_AGAIN = 2 };

/* Opens one table. fold: keys are compared in lower case. Tables open before the daemon gives up its privileges, and
 * notice by themselves (by time, size and inode; looked at most once a second) when their file was replaced. On failure
 * NULL with a text in err that names the table; an unknown type names the known ones. A compiled table older than its
 * source is warned about once. */
struct map *map_open(struct conf *conf, const char *type_name, struct buf *err);
void map_close(struct map **m);
/* "hash:/etc/aliases" */
const char *map_title(const struct map *m);
/* Whether partial keys make no sense (regexp, pcre, cidr ...): they get the whole subject once. */
bool map_is_pattern(const struct map *m);
/* The value is appended to out. On MAP_TRY_AGAIN the reason is logged and appended to out instead. */
enum map_status map_lookup(struct map *m, const char *key, struct buf *out);
/* Types that this program knows, NULL-terminated. */
const char *const *map_types(void);

/* A list of tables as in alias_maps: white space or commas between, { } around one that holds blanks; first hit wins.
 */
struct maps;
struct maps *maps_open(struct conf *conf, const char *parameter, const char *value, struct buf *err);
void maps_close(struct maps **m);
bool maps_is_empty(const struct maps *m);
enum map_status maps_lookup(struct maps *m, const char *key, struct buf *out);
/* The same, and the title of the table that answered. */
enum map_status maps_lookup_title(struct maps *m, const char *key, struct buf *out, const char **title);

/* Address look-up order of canonical(5), virtual(5): user+ext@domain, user@domain, user+ext, user (when the domain is
 * local per is_local), @domain. Pattern tables are asked once, with the whole address. *extension (may be NULL) is set
 * to the unmatched "+ext" within address, or NULL. strategy bits: */
enum { MAPS_FULL = 1, MAPS_NOEXT = 2, MAPS_LOCALPART = 4, MAPS_AT_DOMAIN = 8, MAPS_DEFAULT = 15 };
enum map_status maps_lookup_address(struct maps *m, const char *address, const char *delimiters, unsigned strategy,
                                    bool (*is_local)(void *ctx, const char *domain), void *ctx, struct buf *out,
                                    struct slice *extension);

/* Building (postmap, postalias). */
struct map_builder;
struct map_builder *map_builder_new(struct conf *conf, const char *type_name, mode_t mode, struct buf *err);
/* 1 added, 0 duplicate (first one kept), -1 failed with err. */
int map_builder_add(struct map_builder *b, const char *key, const char *value, struct buf *err);
/* Publishes by rename. */
bool map_builder_commit(struct map_builder **b, struct buf *err);
void map_builder_abort(struct map_builder **b);
