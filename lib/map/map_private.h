/* map_private.h - what a map type is made of. A new type: its own file and one row in types.def. */
#pragma once
#include "lib/base/clock.h"
#include "lib/base/hash.h"
#include "lib/base/vec.h"
#include "lib/conf/conf.h"
#include "lib/map/map.h"

#include <sys/stat.h>

struct map_type {
    const char *name;
    bool pattern; /* gets whole subjects only */
    bool folds;   /* keys are compared in lower case */
    bool (*open)(struct map *m, struct buf *err);
    enum map_status (*lookup)(struct map *m, const char *key, struct buf *out);
    void (*close)(struct map *m);
    bool (*each)(struct map *m, bool (*fn)(void *ctx, const char *key, const char *value), void *ctx, struct buf *err);
};

/* A file that may be replaced while it is open. It is looked at through its folder's descriptor, so that this works
 * after chroot as well. */
struct map_file {
    char *path;
    const char *base; /* the last part of path */
    int dirfd;
    struct stat seen;
    int64_t next_look;
};

struct map {
    const struct map_type *type;
    struct conf *conf;
    char *title;      /* "hash:/etc/aliases" */
    const char *name; /* "/etc/aliases", in title */
    unsigned flags;
    bool pattern;
    void *state; /* the type's */
    struct map_file file;
    bool warned; /* about a failed look-up or a failed reload */
};

/* Remembers path; true when it could be looked at, otherwise errno says why. */
bool map_file_init(struct map_file *f, const char *path);
void map_file_fini(struct map_file *f);
/* Whether another file (or other content) is there than when last asked; looks at most once a second. */
bool map_file_changed(struct map_file *f);
/* Opens it for reading, through its folder. */
int map_file_open(struct map_file *f);
/* The whole text. False with err. */
void map_file_denied(int error); /* calls what map_on_denied named, if the error is one of rights */
bool map_file_read(struct map_file *f, struct buf *out, struct buf *err);

/* Cuts the next item of a list: separators are white space and commas outside of { }; outer braces are kept. */
bool map_next_item(struct slice *rest, struct slice *item);
/* "{ a, b }" to "a, b", trimmed; false when s is not in braces. */
bool map_strip_braces(struct slice *s);
/* Logs once per map (until it works again) that a look-up failed, writes the reason to out, and gives MAP_TRY_AGAIN. */
enum map_status map_fail(struct map *m, struct buf *out, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The folded (or plain) form of key in small, or allocated when too long: free *heap. */
const char *map_fold(const struct map *m, const char *key, char *small, size_t size, char **heap);

#define MAP_TYPE(name) extern const struct map_type map_type_##name;
#include "lib/map/types.def"
#undef MAP_TYPE
