/* Three tables in one LMDB file: `header` (one record), `messages` (by UID), `changes` (modseq to UID: one row for each
 * message, and one for each that was removed). Without LMDB's own locks and syncs: the folder's lock keeps others away,
 * and a file that was written before the last system start is not believed (mailbox.c). */
#include "lib/store/index.h"

#include "lib/base/buf.h"
#include "lib/base/mem.h"
#include "lib/base/vec.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char file_name[] = "merpati.index";
enum { INDEX_VERSION = 1, RECORD_HEAD = 28, TEXT_MOST = 1000, HEAD_LEAST = 8192 };
#define INDEX_MOST ((size_t)4 << 30) /* bytes of address space, and of the file */

struct index {
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi header_table, messages, changes;
    struct index_header header;
    bool changed;
    int error; /* of LMDB; 0: none */
};

static int to_errno(int rc)
{
    return rc == MDB_MAP_FULL ? ENOSPC : rc < 0 ? EIO : rc;
}

static MDB_val value_of(const void *p, size_t n)
{
    return (MDB_val){n, (void *)(uintptr_t)p};
}

/* The bytes that the file must have: reading past its end would be a bus error. */
static off_t bytes_in_use(struct index *ix)
{
    MDB_envinfo info;
    MDB_stat st;
    if (mdb_env_info(ix->env, &info) != 0 || mdb_env_stat(ix->env, &st) != 0)
        return -1;
    return (off_t)(info.me_last_pgno + 1) * (off_t)st.ms_psize;
}

/* A file that was cut short is no use. */
static bool is_whole(struct index *ix)
{
    int fd;
    struct stat st;
    off_t needed = bytes_in_use(ix);
    return needed >= 0 && mdb_env_get_fd(ix->env, &fd) == 0 && fstat(fd, &st) == 0 && st.st_size >= needed;
}

/* The last pages may never have been written, when the transaction that took them gave them back. */
static void make_whole(struct index *ix)
{
    int fd;
    off_t needed = bytes_in_use(ix);
    if (!is_whole(ix) && needed > 0 && mdb_env_get_fd(ix->env, &fd) == 0 && ftruncate(fd, needed) != 0)
        return; /* then it is made anew the next time */
}

static int start(struct index *ix, const char *path)
{
    int rc = mdb_env_create(&ix->env);
    rc = rc ? rc : mdb_env_set_maxdbs(ix->env, 3);
    rc = rc ? rc : mdb_env_set_mapsize(ix->env, INDEX_MOST);
    rc =
        rc ? rc : mdb_env_open(ix->env, path, MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOSYNC | MDB_NOTLS | MDB_NORDAHEAD, 0600);
    rc = rc ? rc : is_whole(ix) ? 0 : MDB_CORRUPTED;
    rc = rc ? rc : mdb_txn_begin(ix->env, NULL, 0, &ix->txn);
    rc = rc ? rc : mdb_dbi_open(ix->txn, "header", MDB_CREATE, &ix->header_table);
    rc = rc ? rc : mdb_dbi_open(ix->txn, "messages", MDB_CREATE | MDB_INTEGERKEY, &ix->messages);
    return rc ? rc : mdb_dbi_open(ix->txn, "changes", MDB_CREATE | MDB_INTEGERKEY, &ix->changes);
}

static void read_header(struct index *ix)
{
    MDB_val key = value_of("h", 1), value;
    if (mdb_get(ix->txn, ix->header_table, &key, &value) != 0 || value.mv_size != sizeof ix->header)
        return;
    memcpy(&ix->header, value.mv_data, sizeof ix->header);
    if (ix->header.version != INDEX_VERSION)
        ix->header = (struct index_header){0};
}

void index_close(struct index **ixp)
{
    struct index *ix = *ixp;
    if (!ix)
        return;
    if (ix->txn)
        mdb_txn_abort(ix->txn);
    if (ix->env)
        mdb_env_close(ix->env);
    free(ix);
    *ixp = NULL;
}

/* LMDB opens by name: it must be the folder that is meant, not one that got its name since. */
static bool is_same_folder(int dir, const char *path)
{
    struct stat a, b;
    if (fstat(dir, &a) != 0 || stat(path, &b) != 0)
        return false;
    errno = ENOENT;
    return a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

struct index *index_open(int dir, const char *path)
{
    int rc = 0;
    MEM_AUTO char *file = mem_printf("%s/%s", path, file_name);
    struct stat st;
    if (!is_same_folder(dir, path))
        return NULL;
    if (fstatat(dir, file_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && (!S_ISREG(st.st_mode) || st.st_size < HEAD_LEAST))
        index_remove(dir);
    for (int attempt = 0; attempt < 2; attempt++) {
        struct index *ix = MEM_NEW(struct index);
        rc = start(ix, file);
        if (rc == 0) {
            read_header(ix);
            return ix;
        }
        index_close(&ix);
        if (rc > 0) /* of the system; another file would not help */
            break;
        index_remove(dir);
    }
    errno = to_errno(rc);
    return NULL;
}

void index_remove(int dir)
{
    unlinkat(dir, file_name, 0);
}

bool index_commit(struct index **ixp)
{
    struct index *ix = *ixp;
    int rc = ix->error;
    if (rc == 0 && ix->changed) {
        rc = mdb_txn_commit(ix->txn);
        ix->txn = NULL;
        make_whole(ix);
    }
    index_close(ixp);
    errno = to_errno(rc);
    return rc == 0;
}

struct index_header *index_header(struct index *ix)
{
    return &ix->header;
}

bool index_is_changed(const struct index *ix)
{
    return ix->changed;
}

static void put(struct index *ix, MDB_dbi table, const void *key, size_t n, const void *data, size_t size)
{
    MDB_val k = value_of(key, n), v = value_of(data, size);
    if (ix->error == 0)
        ix->error = mdb_put(ix->txn, table, &k, &v, 0);
    ix->changed = true;
}

static void forget_change(struct index *ix, uint64_t modseq)
{
    MDB_val k = value_of(&modseq, sizeof modseq);
    int rc = ix->error || modseq == 0 ? 0 : mdb_del(ix->txn, ix->changes, &k, NULL);
    if (rc != 0 && rc != MDB_NOTFOUND)
        ix->error = rc;
}

void index_put_header(struct index *ix)
{
    ix->header.version = INDEX_VERSION;
    put(ix, ix->header_table, "h", 1, &ix->header, sizeof ix->header);
}

/* A record: fixed numbers, the length of the name, the name, the UIDL. */
struct record_head {
    uint64_t modseq;
    int64_t virtual_size;
    uint32_t keywords;
    uint32_t flags;
    uint32_t name_length;
} __attribute__((packed));
_Static_assert(sizeof(struct record_head) == RECORD_HEAD, "the form on disk");

void index_put(struct index *ix, uint32_t uid, uint64_t old_modseq, const struct index_record *r)
{
    struct record_head head = {r->modseq, r->virtual_size, r->keywords, r->flags, (uint32_t)r->file.n};
    BUF_AUTO bytes = BUF(RECORD_HEAD + 2 * TEXT_MOST);
    buf_append(&bytes, (const char *)&head, sizeof head);
    buf_append_slice(&bytes, r->file);
    buf_append_slice(&bytes, r->uidl);
    if (bytes.overflow)
        ix->error = ix->error ? ix->error : ENAMETOOLONG;
    put(ix, ix->messages, &uid, sizeof uid, bytes.data, bytes.len);
    if (old_modseq == r->modseq)
        return;
    forget_change(ix, old_modseq);
    put(ix, ix->changes, &r->modseq, sizeof r->modseq, &uid, sizeof uid);
}

void index_delete(struct index *ix, uint32_t uid, uint64_t old_modseq, uint64_t modseq)
{
    MDB_val k = value_of(&uid, sizeof uid);
    int rc = ix->error ? 0 : mdb_del(ix->txn, ix->messages, &k, NULL);
    if (rc != 0 && rc != MDB_NOTFOUND)
        ix->error = rc;
    forget_change(ix, old_modseq);
    put(ix, ix->changes, &modseq, sizeof modseq, &uid, sizeof uid);
    ix->header.gone++;
}

void index_clear(struct index *ix)
{
    int rc = ix->error;
    rc = rc ? rc : mdb_drop(ix->txn, ix->messages, 0);
    ix->error = rc ? rc : mdb_drop(ix->txn, ix->changes, 0);
    ix->changed = true;
    ix->header = (struct index_header){0};
}

bool index_record_parse(struct slice bytes, struct index_record *r)
{
    struct record_head head;
    if (bytes.n < sizeof head)
        return false;
    memcpy(&head, bytes.p, sizeof head);
    struct slice text = slice_make(bytes.p + sizeof head, bytes.n - sizeof head);
    if (head.name_length > text.n || head.name_length < 5 || head.name_length > TEXT_MOST ||
        (memcmp(text.p, "cur/", 4) != 0 && memcmp(text.p, "new/", 4) != 0) || memchr(text.p, '\0', text.n) ||
        memchr(text.p + 4, '/', head.name_length - 4))
        return false;
    *r = (struct index_record){.modseq = head.modseq,
                               .virtual_size = head.virtual_size,
                               .keywords = head.keywords,
                               .flags = head.flags,
                               .file = slice_make(text.p, head.name_length),
                               .uidl = slice_make(text.p + head.name_length, text.n - head.name_length)};
    return true;
}

/* A record that does not parse was written by no version of ours: the file goes, with the job's other changes. */
static bool parse(struct index *ix, MDB_val v, struct index_record *r)
{
    if (index_record_parse(slice_make(v.mv_data, v.mv_size), r))
        return true;
    ix->error = MDB_CORRUPTED;
    return false;
}

bool index_get(struct index *ix, uint32_t uid, struct index_record *r)
{
    MDB_val k = value_of(&uid, sizeof uid), v;
    return ix->error == 0 && mdb_get(ix->txn, ix->messages, &k, &v) == 0 && parse(ix, v, r);
}

void index_each(struct index *ix, void (*fn)(void *ctx, uint32_t uid, const struct index_record *r), void *ctx)
{
    MDB_cursor *cursor;
    MDB_val k, v;
    struct index_record r;
    int rc = ix->error ? ix->error : mdb_cursor_open(ix->txn, ix->messages, &cursor);
    if (rc != 0) {
        ix->error = rc;
        return;
    }
    while ((rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) == 0 && k.mv_size == sizeof(uint32_t) && parse(ix, v, &r)) {
        uint32_t uid;
        memcpy(&uid, k.mv_data, sizeof uid);
        fn(ctx, uid, &r);
    }
    mdb_cursor_close(cursor);
    if (rc != MDB_NOTFOUND && ix->error == 0)
        ix->error = rc ? rc : MDB_CORRUPTED;
}

void index_each_change(struct index *ix, uint64_t after,
                       void (*fn)(void *ctx, uint32_t uid, const struct index_record *r), void *ctx)
{
    MDB_cursor *cursor;
    uint64_t from = after + 1;
    MDB_val k = value_of(&from, sizeof from), v;
    int rc = ix->error ? ix->error : mdb_cursor_open(ix->txn, ix->changes, &cursor);
    if (rc != 0) {
        ix->error = rc;
        return;
    }
    rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
    for (; rc == 0 && v.mv_size == sizeof(uint32_t); rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) {
        struct index_record r;
        uint32_t uid;
        memcpy(&uid, v.mv_data, sizeof uid);
        bool there = index_get(ix, uid, &r);
        fn(ctx, uid, there ? &r : NULL);
    }
    mdb_cursor_close(cursor);
    if (rc != MDB_NOTFOUND && ix->error == 0)
        ix->error = rc ? rc : MDB_CORRUPTED;
}

/* Removals: changes whose UID has no message. */
void index_forget_gone(struct index *ix)
{
    MDB_cursor *cursor;
    MDB_val k, v;
    VEC(uint64_t) gone = {0};
    int rc = ix->error ? ix->error : mdb_cursor_open(ix->txn, ix->changes, &cursor);
    if (rc != 0) {
        ix->error = rc;
        return;
    }
    while (mdb_cursor_get(cursor, &k, &v, MDB_NEXT) == 0) {
        struct index_record r;
        uint32_t uid = 0;
        uint64_t modseq = 0;
        memcpy(&uid, v.mv_data, v.mv_size < sizeof uid ? v.mv_size : sizeof uid);
        memcpy(&modseq, k.mv_data, k.mv_size < sizeof modseq ? k.mv_size : sizeof modseq);
        if (!index_get(ix, uid, &r))
            VEC_PUSH(&gone, modseq);
    }
    mdb_cursor_close(cursor);
    for (size_t i = 0; i < gone.n; i++)
        forget_change(ix, gone.items[i]);
    ix->header.gone = 0;
    ix->changed = true;
    VEC_FREE(&gone);
}
