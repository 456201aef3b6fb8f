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
/* With flags: MAP_NO_FOLD compares keys as they are. */
enum { MAP_NO_FOLD = 1 };
struct map *map_open_flags(struct conf *conf, const char *type_name, unsigned flags, struct buf *err);
void map_close(struct map **m);
/* "hash:/etc/aliases" */
const char *map_title(const struct map *m);
/* Whether partial keys make no sense (regexp, pcre, cidr ...): they get the whole subject once. */
bool map_is_pattern(const struct map *m);
/* The value is appended to out. On MAP_TRY_AGAIN the reason is logged and appended to out instead. */
enum map_status map_lookup(struct map *m, const char *key, struct buf *out);
/* Every entry of a table that can be walked (lmdb, texthash, inline), in its own order; fn returning false ends the
 * walk. False when this type cannot be walked, or on failure, with err. */
bool map_each(struct map *m, bool (*fn)(void *ctx, const char *key, const char *value), void *ctx, struct buf *err);
/* Cuts a line of a table source, "key white space value", the key perhaps in double quotes. False when there is no
 * value. In place; key and value point into line. */
bool map_source_line(char *line, char **key, char **value);
/* Types that this program knows, NULL-terminated. */
const char *const *map_types(void);

/* A list of tables as in alias_maps: white space or commas between, { } around one that holds blanks; first hit wins.
 * A table that cannot be opened is logged as an error, its look-ups give MAP_TRY_AGAIN, and opening is tried again (at
 * most once a second): mail waits, and the daemon lives. Only a list that cannot be understood gives NULL. */
struct maps;
struct maps *maps_open(struct conf *conf, const char *parameter, const char *value, struct buf *err);
void maps_close(struct maps **m);
bool maps_is_empty(const struct maps *m);
enum map_status maps_lookup(struct maps *m, const char *key, struct buf *out);
/* The same, and the title of the table that answered. */
enum map_status maps_lookup_title(struct maps *m, const char *key, struct buf *out, const char **title);

/* The same for a part of a subject (a domain, ".parent", "user@"): with `partial`, pattern tables are not asked. title
 * may be NULL. */
enum map_status maps_lookup_part(struct maps *m, const char *key, bool partial, struct buf *out, const char **title);

/* Address look-up order of canonical(5), virtual(5): user+ext@domain, user@domain, user+ext, user (when the domain is
 * local per is_local), @domain. Pattern tables are asked once, with the whole address. *extension (may be NULL) is set
 * to the unmatched "+ext" within address, or NULL. strategy bits: */
enum { MAPS_FULL = 1, MAPS_NOEXT = 2, MAPS_LOCALPART = 4, MAPS_AT_DOMAIN = 8, MAPS_DEFAULT = 15 };
enum map_status maps_lookup_address(struct maps *m, const char *address, const char *delimiters, unsigned strategy,
                                    bool (*is_local)(void *ctx, const char *domain), void *ctx, struct buf *out,
                                    struct slice *extension);

/* fn is called, in the loop's thread, when a table was replaced by one that this process may not read (any more): a new
 * process could, before it gives up its privileges. The old content serves on. */
void map_on_denied(void (*fn)(void));

/* Building (postmap, postalias). */
struct map_builder;
struct map_builder *map_builder_new(struct conf *conf, const char *type_name, mode_t mode, struct buf *err);
/* 1 added, 0 duplicate (first one kept), -1 failed with err. Keys are stored as given: fold them first. */
int map_builder_add(struct map_builder *b, const char *key, const char *value, struct buf *err);
/* Begins with what the present table holds (none: nothing); false with err. */
bool map_builder_load(struct map_builder *b, struct buf *err);
/* The key gets this value, whether it was there or not. False with err when it is too long. */
bool map_builder_replace(struct map_builder *b, const char *key, const char *value, struct buf *err);
/* False: it was not there. */
bool map_builder_remove(struct map_builder *b, const char *key);
/* Keys and values without the NUL byte at their end. */
void map_builder_omit_nul(struct map_builder *b);
/* The new file belongs to the user and group of the table's source, when run as root; otherwise to the caller. Default:
 * true. */
void map_builder_copy_owner(struct map_builder *b, bool copy);
/* The file that will be written. */
const char *map_builder_file(const struct map_builder *b);
/* Publishes by rename. */
bool map_builder_commit(struct map_builder **b, struct buf *err);
void map_builder_abort(struct map_builder **b);
