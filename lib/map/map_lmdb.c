/* map_lmdb.c - compiled tables: lmdb, and hash and btree as other names of it. PATH.lmdb is written by postmap and
 * published by rename, so readers need no lock: one read transaction is kept, renewed for a look-up and reset after it,
 * and a replaced file is opened anew. Keys may carry a NUL at their end (Postfix's do) or not. */
#include "lib/base/log.h"
#include "lib/map/map_private.h"
#include "lib/rt/fiber.h"

#include <errno.h>
#include <lmdb.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

struct lmdb_table {
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
};

static void table_free(struct lmdb_table *t)
{
    if (!t)
        return;
    if (t->txn)
        mdb_txn_abort(t->txn);
    if (t->env)
        mdb_env_close(t->env);
    free(t);
}

static int table_start(struct lmdb_table *t, const char *path)
{
    int rc = mdb_env_create(&t->env);
    if (rc == 0)
        rc = mdb_env_open(t->env, path, MDB_RDONLY | MDB_NOLOCK | MDB_NOSUBDIR | MDB_NOTLS | MDB_NORDAHEAD, 0);
    if (rc == 0)
        rc = mdb_txn_begin(t->env, NULL, MDB_RDONLY, &t->txn);
    if (rc == 0)
        rc = mdb_dbi_open(t->txn, NULL, 0, &t->dbi);
    if (rc == 0)
        mdb_txn_reset(t->txn);
    return rc;
}

static struct lmdb_table *table_open(const char *path, int *rc)
{
    struct lmdb_table *t = MEM_NEW(struct lmdb_table);
    *rc = table_start(t, path);
    if (*rc != 0) {
        table_free(t);
        t = NULL;
    }
    return t;
}

struct reopening {
    struct map_file *file;
    struct lmdb_table *table;
    int rc;
};

/* LMDB opens by path only, and after chroot the path is gone: a thread with a working directory of its own can still
 * open the file through the folder that was kept open. */
static void *reopen_thread(void *arg)
{
    struct reopening *r = arg;
    r->rc = EACCES;
    if (unshare(CLONE_FS) == 0 && fchdir(r->file->dirfd) == 0)
        r->table = table_open(r->file->base, &r->rc);
    return NULL;
}

static void reopen(struct map *m)
{
    struct reopening r = {.file = &m->file};
    pthread_t thread;
    r.table = table_open(m->file.path, &r.rc);
    if (!r.table && pthread_create(&thread, NULL, reopen_thread, &r) == 0)
        pthread_join(thread, NULL);
    if (!r.table) {
        map_file_denied(r.rc);
        log_warn("%s: the file was replaced and cannot be opened: %s; keeping the old content", m->title,
                 mdb_strerror(r.rc));
        return;
    }
    table_free(m->state);
    m->state = r.table;
    m->warned = false;
}

static void compare_ages(struct map *m)
{
    struct stat source;
    if (stat(m->name, &source) == 0 && source.st_mtime > m->file.seen.st_mtime)
        log_warn("database %s is older than source file %s", m->file.path, m->name);
}

static bool lmdb_open_map(struct map *m, struct buf *err)
{
    MEM_AUTO char *path = mem_printf("%s.lmdb", m->name);
    int rc = map_file_init(&m->file, path) ? 0 : errno;
    if (rc == 0)
        m->state = table_open(path, &rc);
    if (m->state) {
        compare_ages(m);
        return true;
    }
    buf_printf(err, "open database %s: %s", path, mdb_strerror(rc));
    if (rc == ENOENT && access(m->name, F_OK) == 0)
        buf_printf(err, "; run \"postmap %s\" (\"postalias %s\" for aliases) to make it of %s", m->title, m->title,
                   m->name);
    return false;
}

static int get(struct lmdb_table *t, const char *key, size_t n, MDB_val *value)
{
    MDB_val k = {.mv_size = n, .mv_data = (void *)key};
    return mdb_get(t->txn, t->dbi, &k, value);
}

static void append_value(struct buf *out, MDB_val v)
{
    size_t n = v.mv_size;
    if (n > 0 && ((const char *)v.mv_data)[n - 1] == '\0')
        n--;
    buf_append(out, v.mv_data, n);
}

static enum map_status lmdb_lookup(struct map *m, const char *key, struct buf *out)
{
    if (map_file_changed(&m->file))
        reopen(m);
    struct lmdb_table *t = m->state;
    MDB_val value;
    size_t n = strlen(key);
    if (n == 0 || n >= (size_t)mdb_env_get_maxkeysize(t->env))
        return MAP_NOT_FOUND;
    fiber_forbid_wait();
    int rc = mdb_txn_renew(t->txn);
    if (rc == 0) {
        rc = get(t, key, n + 1, &value);
        if (rc == MDB_NOTFOUND)
            rc = get(t, key, n, &value);
        if (rc == 0)
            append_value(out, value);
        mdb_txn_reset(t->txn);
    }
    fiber_allow_wait();
    if (rc != 0 && rc != MDB_NOTFOUND)
        return map_fail(m, out, "look-up failed: %s", mdb_strerror(rc));
    return rc == 0 ? MAP_FOUND : MAP_NOT_FOUND;
}

static void lmdb_close_map(struct map *m)
{
    table_free(m->state);
}

static bool lmdb_each(struct map *m, bool (*fn)(void *ctx, const char *key, const char *value), void *ctx,
                      struct buf *err)
{
    struct lmdb_table *t = m->state;
    MDB_cursor *cursor = NULL;
    MDB_val k, v;
    fiber_forbid_wait();
    int rc = mdb_txn_renew(t->txn);
    if (rc == 0)
        rc = mdb_cursor_open(t->txn, t->dbi, &cursor);
    while (rc == 0 && (rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) == 0) {
        BUF_AUTO key = BUF(BUF_MAX_DEFAULT);
        BUF_AUTO value = BUF(BUF_MAX_DEFAULT);
        append_value(&key, k);
        append_value(&value, v);
        if (!fn(ctx, buf_cstr(&key), buf_cstr(&value)))
            break;
    }
    if (cursor)
        mdb_cursor_close(cursor);
    mdb_txn_reset(t->txn);
    fiber_allow_wait();
    if (rc != 0 && rc != MDB_NOTFOUND)
        buf_printf(err, "%s: %s", m->title, mdb_strerror(rc));
    return rc == 0 || rc == MDB_NOTFOUND;
}

#define COMPILED(type_name)                                                                                      \
    {                                                                                                            \
        .name = type_name, .folds = true, .open = lmdb_open_map, .lookup = lmdb_lookup, .close = lmdb_close_map, \
        .each = lmdb_each                                                                                        \
    }
const struct map_type map_type_lmdb = COMPILED("lmdb");
const struct map_type map_type_hash = COMPILED("hash");
const struct map_type map_type_btree = COMPILED("btree");
