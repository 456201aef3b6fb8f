/* schema.h - messages between daemons, declared once. A message is a macro that lists its fields:
 *
 *     #define MSG_anvil_request(F) \
 *         F(STR, service, 100)     \
 *         F(U32, op, 0)
 *
 * and a row in a service table (lib/ipc/messages.h). From it come struct msg_anvil_request, its encoder, its bounded
 * decoder, its log form and its fuzz target. Kinds, with the meaning of the third column: STR  const char * longest
 * length in bytes; never NULL after decoding; NULL encodes as "" BYTES struct slice      longest length BOOL bool, U32
 * uint32_t, U64 uint64_t, I64 int64_t      0 STRS const char **name with size_t n_name               most elements
 * (each at most 64 KiB) LIST(sub) struct msg_SUB *name with size_t n_name       written F(LIST, name, most elements,
 * SUB) FD   int                descriptor that travels along; -1 none; received ones belong to the receiver. At most
 * one in a message. */
#pragma once
#include "lib/base/arena.h"
#include "lib/base/buf.h"

#include <stdint.h>

enum ipc_kind { IPC_STR, IPC_BYTES, IPC_BOOL, IPC_U32, IPC_U64, IPC_I64, IPC_STRS, IPC_LIST, IPC_FD };

struct ipc_type;
struct ipc_field {
    const char *name;
    enum ipc_kind kind;
    size_t offset, count_offset;
    size_t max;
    const struct ipc_type *sub;
};
struct ipc_layout {
    uint32_t id; /* of the wire; a hash of the name and the fields, so that programs of different builds notice */
    const struct ipc_field *fields;
    size_t n_fields;
};
struct ipc_type {
    const char *name;
    size_t size;
    struct ipc_layout *(*layout)(void);
};
uint32_t ipc_type_id(const struct ipc_type *t);

/* Struct members. */
#define IPC_MEMBER(kind, ...) IPC_MEMBER_##kind(__VA_ARGS__)
#define IPC_MEMBER_STR(name, max) const char *name;
#define IPC_MEMBER_BYTES(name, max) struct slice name;
#define IPC_MEMBER_BOOL(name, max) bool name;
#define IPC_MEMBER_U32(name, max) uint32_t name;
#define IPC_MEMBER_U64(name, max) uint64_t name;
#define IPC_MEMBER_I64(name, max) int64_t name;
#define IPC_MEMBER_STRS(name, max) \
    const char **name;             \
    size_t n_##name;
#define IPC_MEMBER_LIST(name, max, sub) \
    struct msg_##sub *name;             \
    size_t n_##name;
#define IPC_MEMBER_FD(name, max) int name;

/* Declares struct msg_NAME and ipc_type_NAME. */
#define IPC_DECLARE(msg)      \
    struct msg_##msg {        \
        MSG_##msg(IPC_MEMBER) \
    };                        \
    extern const struct ipc_type ipc_type_##msg;

/* Appends the body (without frame) to out; false when a field is past its maximum. */
bool ipc_encode(const struct ipc_type *t, const void *msg, struct buf *out);
/* Strict: every byte used, every bound kept. Strings are copied into the arena. FD members are set to -1. */
bool ipc_decode(const struct ipc_type *t, struct slice body, struct arena *a, void *msg);
/* "{queue_id=4F2A, sender=a@b, recipients=[2]}", for verbose logs; secrets (fields whose name begins with "secret_") as
 * "***". */
void ipc_describe(const struct ipc_type *t, const void *msg, struct buf *out);
