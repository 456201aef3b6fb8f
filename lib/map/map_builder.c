/* map_builder.c - making a compiled table: entries are gathered in memory, then written in key order to a new file that
 * takes the place of the old one by rename. Readers see the old table or the new one, never a part. */
#include "lib/map/map_private.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define KEY_MAX 510 /* LMDB's, less the NUL */

struct map_builder {
    char *title, *source, *path, *temporary;
    mode_t mode;
    bool omit_nul, copy_owner;
    struct arena *arena;
    struct hash *entries; /* key to value */
    size_t bytes;
};

static bool is_compiled_type(const char *title, size_t n)
{
    static const char *const names[] = {"lmdb", "hash", "btree"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == n && memcmp(names[i], title, n) == 0)
            return true;
    return false;
}

struct map_builder *map_builder_new(struct conf *conf, const char *type_name, mode_t mode, struct buf *err)
{
    const char *colon = strchr(type_name, ':');
    if (!colon || !is_compiled_type(type_name, (size_t)(colon - type_name))) {
        buf_printf(err, "%s: a table of this type is not compiled (compiled types: lmdb hash btree)", type_name);
        return NULL;
    }
    struct map_builder *b = MEM_NEW(struct map_builder);
    b->title = mem_strdup(type_name);
    b->source = mem_strdup(colon + 1);
    b->path = mem_printf("%s.lmdb", colon + 1);
    b->temporary = mem_printf("%s.lmdb.tmp%ld", colon + 1, (long)getpid());
    b->mode = mode;
    b->copy_owner = true;
    b->arena = arena_new();
    b->entries = hash_new();
    return b;
}

void map_builder_omit_nul(struct map_builder *b)
{
    b->omit_nul = true;
}

void map_builder_copy_owner(struct map_builder *b, bool copy)
{
    b->copy_owner = copy;
}

const char *map_builder_file(const struct map_builder *b)
{
    return b->path;
}

bool map_builder_replace(struct map_builder *b, const char *key, const char *value, struct buf *err)
{
    size_t n = strlen(key);
    if (n == 0 || n > KEY_MAX) {
        buf_printf(err, "%s: key of %zu bytes (allowed: 1 to %d): \"%.40s...\"", b->path, n, KEY_MAX, key);
        return false;
    }
    hash_put(b->entries, key, arena_strdup(b->arena, value));
    b->bytes += n + strlen(value) + 64;
    return true;
}

int map_builder_add(struct map_builder *b, const char *key, const char *value, struct buf *err)
{
    if (hash_get(b->entries, key))
        return 0;
    return map_builder_replace(b, key, value, err) ? 1 : -1;
}

bool map_builder_remove(struct map_builder *b, const char *key)
{
    return hash_remove(b->entries, key) != NULL;
}

struct loading {
    struct map_builder *builder;
    struct buf *err;
    bool ok;
};

static bool load_entry(void *ctx, const char *key, const char *value)
{
    struct loading *l = ctx;
    l->ok = map_builder_replace(l->builder, key, value, l->err);
    return l->ok;
}

bool map_builder_load(struct map_builder *b, struct buf *err)
{
    if (access(b->path, F_OK) != 0 && errno == ENOENT)
        return true;
    struct map *m = map_open(NULL, b->title, err);
    struct loading l = {b, err, true};
    bool ok = m && map_each(m, load_entry, &l, err) && l.ok;
    map_close(&m);
    return ok;
}

/* LMDB's order: bytes, the shorter first. */
static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int put_all(struct map_builder *b, MDB_txn *txn, MDB_dbi dbi)
{
    size_t n = 0, it = 0, count = hash_count(b->entries);
    const char **keys = mem_alloc((count + 1) * sizeof *keys);
    void *value;
    int rc = 0;
    while (n < count && hash_next(b->entries, &it, &keys[n], &value))
        n++;
    qsort(keys, n, sizeof *keys, compare_keys);
    for (size_t i = 0; i < n && rc == 0; i++) {
        const char *text = hash_get(b->entries, keys[i]);
        MDB_val k = {strlen(keys[i]) + !b->omit_nul, (void *)keys[i]};
        MDB_val v = {strlen(text) + !b->omit_nul, (void *)text};
        rc = mdb_put(txn, dbi, &k, &v, MDB_APPEND);
    }
    free(keys);
    return rc;
}

static int write_file(struct map_builder *b, size_t mapsize)
{
    MDB_env *env = NULL;
    MDB_txn *txn = NULL;
    MDB_dbi dbi;
    unlink(b->temporary);
    int rc = mdb_env_create(&env);
    if (rc == 0)
        rc = mdb_env_set_mapsize(env, mapsize);
    if (rc == 0)
        rc = mdb_env_open(env, b->temporary, MDB_NOSUBDIR | MDB_NOLOCK, 0600);
    if (rc == 0)
        rc = mdb_txn_begin(env, NULL, 0, &txn);
    if (rc == 0)
        rc = mdb_dbi_open(txn, NULL, 0, &dbi);
    if (rc == 0)
        rc = put_all(b, txn, dbi);
    if (rc == 0) {
        rc = mdb_txn_commit(txn);
        txn = NULL;
    }
    if (txn)
        mdb_txn_abort(txn);
    mdb_env_close(env);
    return rc;
}

/* Who may read it is settled before it gets its name. */
static bool set_owner_and_mode(struct map_builder *b)
{
    struct stat st;
    FD_AUTO fd = open(b->temporary, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return false;
    if (b->copy_owner && geteuid() == 0 && stat(b->source, &st) == 0 && fchown(fd, st.st_uid, st.st_gid) != 0)
        return false;
    return fchmod(fd, b->mode & 0666) == 0;
}

bool map_builder_commit(struct map_builder **bp, struct buf *err)
{
    struct map_builder *b = *bp;
    size_t mapsize = ((b->bytes * 3) & ~(size_t)0xfffff) + ((size_t)16 << 20);
    int rc;
    while ((rc = write_file(b, mapsize)) == MDB_MAP_FULL && mapsize < (size_t)1 << 40)
        mapsize *= 2;
    if (rc == 0 && (!set_owner_and_mode(b) || rename(b->temporary, b->path) != 0))
        rc = errno;
    if (rc != 0) {
        unlink(b->temporary);
        buf_printf(err, "create %s: %s", b->path, mdb_strerror(rc));
    }
    map_builder_abort(bp);
    return rc == 0;
}

void map_builder_abort(struct map_builder **bp)
{
    struct map_builder *b = *bp;
    if (!b)
        return;
    hash_free(&b->entries, NULL);
    arena_free(&b->arena);
    free(b->title);
    free(b->source);
    free(b->path);
    free(b->temporary);
    free(b);
    *bp = NULL;
}
