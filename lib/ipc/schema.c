/* schema.c - see schema.h. Wire form: fields in order, numbers little-endian, strings as u32 length and bytes, arrays
 * as u32 count. */
#include "lib/ipc/messages.h"

#include <stdio.h>
#include <stdlib.h>

enum { STRS_ELEMENT_MAX = 65536, DEPTH_MAX = 4 };

/* ---- tables from the macros ---- */

#define FIELD(kind, ...) FIELD_##kind(kind, __VA_ARGS__)
#define FIELD_SIMPLE(k, field, most) {#field, IPC_##k, offsetof(THIS, field), 0, most, NULL},
#define FIELD_STR(k, field, most) FIELD_SIMPLE(k, field, most)
#define FIELD_BYTES(k, field, most) FIELD_SIMPLE(k, field, most)
#define FIELD_BOOL(k, field, most) FIELD_SIMPLE(k, field, most)
#define FIELD_U32(k, field, most) FIELD_SIMPLE(k, field, most)
#define FIELD_U64(k, field, most) FIELD_SIMPLE(k, field, most)
#define FIELD_I64(k, field, most) FIELD_SIMPLE(k, field, most)
#define FIELD_FD(k, field, most) FIELD_SIMPLE(k, field, most)
#define FIELD_STRS(k, field, most) {#field, IPC_STRS, offsetof(THIS, field), offsetof(THIS, n_##field), most, NULL},
#define FIELD_LIST(k, field, most, sub) \
    {#field, IPC_LIST, offsetof(THIS, field), offsetof(THIS, n_##field), most, &ipc_type_##sub},

/* A function for each message, because only there the macro's fields can name the struct that they belong to. */
#define TABLE(msg)                                                                       \
    static struct ipc_layout *layout_##msg(void)                                         \
    {                                                                                    \
        typedef struct msg_##msg THIS;                                                   \
        static const struct ipc_field fields[] = {MSG_##msg(FIELD)};                     \
        static struct ipc_layout layout = {0, fields, sizeof fields / sizeof fields[0]}; \
        return &layout;                                                                  \
    }                                                                                    \
    const struct ipc_type ipc_type_##msg = {#msg, sizeof(struct msg_##msg), layout_##msg};
#define POINTER(msg) &ipc_type_##msg,

IPC_MESSAGES(TABLE)
const struct ipc_type *const ipc_all_types[] = {IPC_MESSAGES(POINTER) NULL};

static uint32_t hash_text(uint32_t h, const char *s)
{
    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 16777619u;
    return h;
}

uint32_t ipc_type_id(const struct ipc_type *t)
{
    struct ipc_layout *l = t->layout();
    if (l->id)
        return l->id;
    uint32_t h = hash_text(2166136261u, t->name);
    for (size_t i = 0; i < l->n_fields; i++) {
        h = hash_text(h, l->fields[i].name) * 31 + (uint32_t)l->fields[i].kind;
        if (l->fields[i].sub)
            h ^= ipc_type_id(l->fields[i].sub);
    }
    return l->id = h | 1;
}

/* ---- encoding ---- */

static void put_number(struct buf *out, uint64_t v, size_t bytes)
{
    unsigned char b[8];
    for (size_t i = 0; i < bytes; i++)
        b[i] = (unsigned char)(v >> (8 * i));
    buf_append(out, b, bytes);
}

static bool put_bytes(struct buf *out, const char *p, size_t n, size_t max)
{
    put_number(out, n, 4);
    buf_append(out, p, n);
    return n <= max;
}

static bool encode_at(const struct ipc_type *t, const char *msg, struct buf *out, int depth);

static bool put_field(const struct ipc_field *f, const char *msg, struct buf *out, int depth)
{
    const char *at = msg + f->offset;
    switch (f->kind) {
    case IPC_STR: {
        const char *s = *(const char *const *)(const void *)at;
        return put_bytes(out, s ? s : "", s ? strlen(s) : 0, f->max);
    }
    case IPC_BYTES: {
        const struct slice *s = (const struct slice *)(const void *)at;
        return put_bytes(out, s->p, s->n, f->max);
    }
    case IPC_BOOL:
        put_number(out, *(const bool *)(const void *)at, 1);
        return true;
    case IPC_U32:
        put_number(out, *(const uint32_t *)(const void *)at, 4);
        return true;
    case IPC_U64:
    case IPC_I64:
        put_number(out, *(const uint64_t *)(const void *)at, 8);
        return true;
    case IPC_STRS: {
        const char *const *strings = *(const char *const *const *)(const void *)at;
        size_t n = *(const size_t *)(const void *)(msg + f->count_offset);
        put_number(out, n, 4);
        bool ok = n <= f->max;
        for (size_t i = 0; i < n && ok; i++)
            ok = put_bytes(out, strings[i], strlen(strings[i]), STRS_ELEMENT_MAX);
        return ok;
    }
    case IPC_LIST: {
        const char *items = *(const char *const *)(const void *)at;
        size_t n = *(const size_t *)(const void *)(msg + f->count_offset);
        put_number(out, n, 4);
        bool ok = n <= f->max;
        for (size_t i = 0; i < n && ok; i++)
            ok = encode_at(f->sub, items + i * f->sub->size, out, depth + 1);
        return ok;
    }
    case IPC_FD:
        return true;
    }
    return false;
}

static bool encode_at(const struct ipc_type *t, const char *msg, struct buf *out, int depth)
{
    const struct ipc_layout *l = t->layout();
    bool ok = depth <= DEPTH_MAX;
    for (size_t i = 0; i < l->n_fields && ok; i++)
        ok = put_field(&l->fields[i], msg, out, depth);
    return ok && !out->overflow;
}

bool ipc_encode(const struct ipc_type *t, const void *msg, struct buf *out)
{
    return encode_at(t, msg, out, 0);
}

/* ---- decoding ---- */

struct input {
    const unsigned char *p;
    size_t n;
    struct arena *arena;
};

static bool get_number(struct input *in, size_t bytes, uint64_t *v)
{
    if (in->n < bytes)
        return false;
    *v = 0;
    for (size_t i = 0; i < bytes; i++)
        *v |= (uint64_t)in->p[i] << (8 * i);
    in->p += bytes;
    in->n -= bytes;
    return true;
}

static bool get_bytes(struct input *in, size_t max, struct slice *out)
{
    uint64_t n;
    if (!get_number(in, 4, &n) || n > max || n > in->n)
        return false;
    *out = slice_make((const char *)in->p, n);
    in->p += n;
    in->n -= n;
    return true;
}

/* A string that holds a NUL byte would be another one after decoding. */
static bool get_string(struct input *in, size_t max, const char **out)
{
    struct slice s;
    if (!get_bytes(in, max, &s) || (s.n && memchr(s.p, '\0', s.n)))
        return false;
    *out = arena_slice(in->arena, s);
    return true;
}

static bool decode_at(const struct ipc_type *t, struct input *in, char *msg, int depth);

static bool get_field(const struct ipc_field *f, struct input *in, char *msg, int depth)
{
    char *at = msg + f->offset;
    uint64_t v = 0;
    switch (f->kind) {
    case IPC_STR:
        return get_string(in, f->max, (const char **)(void *)at);
    case IPC_BYTES:
        return get_bytes(in, f->max, (struct slice *)(void *)at);
    case IPC_BOOL:
        if (!get_number(in, 1, &v) || v > 1)
            return false;
        *(bool *)(void *)at = v;
        return true;
    case IPC_U32:
        if (!get_number(in, 4, &v))
            return false;
        *(uint32_t *)(void *)at = (uint32_t)v;
        return true;
    case IPC_U64:
    case IPC_I64:
        if (!get_number(in, 8, &v))
            return false;
        *(uint64_t *)(void *)at = v;
        return true;
    case IPC_STRS: {
        if (!get_number(in, 4, &v) || v > f->max || v > in->n / 4)
            return false;
        const char **strings = ARENA_ARRAY(in->arena, const char *, v + 1);
        for (size_t i = 0; i < v; i++)
            if (!get_string(in, STRS_ELEMENT_MAX, &strings[i]))
                return false;
        *(const char ***)(void *)at = strings;
        *(size_t *)(void *)(msg + f->count_offset) = v;
        return true;
    }
    case IPC_LIST: {
        if (!get_number(in, 4, &v) || v > f->max || v > in->n)
            return false;
        char *items = arena_alloc(in->arena, f->sub->size * (v + 1));
        for (size_t i = 0; i < v; i++)
            if (!decode_at(f->sub, in, items + i * f->sub->size, depth + 1))
                return false;
        *(void **)(void *)at = items;
        *(size_t *)(void *)(msg + f->count_offset) = v;
        return true;
    }
    case IPC_FD:
        *(int *)(void *)at = -1;
        return true;
    }
    return false;
}

static bool decode_at(const struct ipc_type *t, struct input *in, char *msg, int depth)
{
    const struct ipc_layout *l = t->layout();
    bool ok = depth <= DEPTH_MAX;
    memset(msg, 0, t->size);
    for (size_t i = 0; i < l->n_fields && ok; i++)
        ok = get_field(&l->fields[i], in, msg, depth);
    return ok;
}

bool ipc_decode(const struct ipc_type *t, struct slice body, struct arena *a, void *msg)
{
    struct input in = {(const unsigned char *)body.p, body.n, a};
    return decode_at(t, &in, msg, 0) && in.n == 0;
}

/* ---- for the log ---- */

static void describe_field(const struct ipc_field *f, const char *msg, struct buf *out)
{
    const char *at = msg + f->offset;
    buf_printf(out, "%s=", f->name);
    if (strncmp(f->name, "secret_", 7) == 0) {
        buf_puts(out, "***");
        return;
    }
    switch (f->kind) {
    case IPC_STR:
        buf_puts(out, *(const char *const *)(const void *)at ? *(const char *const *)(const void *)at : "");
        break;
    case IPC_BYTES:
        buf_printf(out, "[%zu bytes]", ((const struct slice *)(const void *)at)->n);
        break;
    case IPC_BOOL:
        buf_puts(out, *(const bool *)(const void *)at ? "yes" : "no");
        break;
    case IPC_U32:
        buf_printf(out, "%u", *(const uint32_t *)(const void *)at);
        break;
    case IPC_U64:
        buf_printf(out, "%llu", *(const unsigned long long *)(const void *)at);
        break;
    case IPC_I64:
        buf_printf(out, "%lld", *(const long long *)(const void *)at);
        break;
    case IPC_STRS:
    case IPC_LIST:
        buf_printf(out, "[%zu]", *(const size_t *)(const void *)(msg + f->count_offset));
        break;
    case IPC_FD:
        buf_printf(out, "%d", *(const int *)(const void *)at);
        break;
    }
}

void ipc_describe(const struct ipc_type *t, const void *msg, struct buf *out)
{
    const struct ipc_layout *l = t->layout();
    buf_printf(out, "%s{", t->name);
    for (size_t i = 0; i < l->n_fields; i++) {
        buf_puts(out, i ? ", " : "");
        describe_field(&l->fields[i], msg, out);
    }
    buf_putc(out, '}');
}
