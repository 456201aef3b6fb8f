/* task.c - a delivery as a user: sent to a process that is this user, or done here when this process is. */
#include "lib/base/log.h"
#include "lib/rt/fiber.h"
#include "lib/store/deliver.h"
#include "local/delivery.h"

#include "lib/base/mem.h"
#include "lib/daemon/daemon.h"
#include "lib/daemon/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct userproc_pool *pool;
static bool held; /* this process opens files in virtual_mailbox_folders only */

#define READ_MAX ((size_t)1000000)

/* The whole file into out; false when there is none that may be used, *again when it could not be read now. */
static bool read_file(const char *path, bool forward, struct buf *out, bool *again)
{
    struct stat st;
    FD_AUTO fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    *again = fd < 0 && errno != ENOENT && errno != ENOTDIR && errno != EACCES && errno != EPERM && errno != ELOOP;
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (size_t)st.st_size > READ_MAX)
        return false;
    if (forward && ((st.st_uid != geteuid() && st.st_uid != 0) || (st.st_mode & S_IWOTH) != 0))
        return false;
    char *room = buf_room(out, (size_t)st.st_size + 1);
    ssize_t n = room != NULL ? pread(fd, room, (size_t)st.st_size, 0) : -1;
    *again = n < 0;
    if (n > 0)
        buf_added(out, (size_t)n);
    return n >= 0;
}

struct read_job {
    const struct msg_user_delivery *t;
    struct buf data;
    bool usable, again;
};
static void run_read(void *arg)
{
    struct read_job *j = arg;
    j->usable = read_file(j->t->target, strcmp(j->t->kind, "forward") == 0, &j->data, &j->again);
}

static bool is_read(const struct msg_user_delivery *t)
{
    return strcmp(t->kind, "forward") == 0 || strcmp(t->kind, "include") == 0;
}

static struct result perform(const struct msg_user_delivery *t, struct buf *diagnostic)
{
    unsigned mbox = (t->flags & TASK_DOTLOCK ? STORE_DOTLOCK : 0U) | (t->flags & TASK_ANY_OWNER ? STORE_ANY_OWNER : 0U);
    struct store_source m = {.fd = t->file, .offset = t->content_offset, .size = t->content_size, .prefix = t->prefix};
    if (strcmp(t->kind, "maildir") == 0)
        return store_deliver_maildir(t->target, &m, t->size_limit);
    if (strcmp(t->kind, "mbox") == 0)
        return store_deliver_mbox(t->target, &m, t->sender, t->size_limit, mbox);
    if (strcmp(t->kind, "file") == 0)
        return store_deliver_file(t->target, &m, t->sender, t->size_limit, mbox);
    if (strcmp(t->kind, "command") == 0 && geteuid() == 0) /* whatever local asks for: it reads what strangers write */
        return result_try_again("4.3.5", "mail system configuration error: a command with root's rights");
    if (strcmp(t->kind, "command") == 0)
        return command_run(t, diagnostic);
    return result_try_again("4.3.5", "mail system configuration error: delivery of kind %s", t->kind);
}

/* Whether symbolic links lead from this path out of virtual_mailbox_folders, where this process may not go.
 */
static bool leads_outside(const char *path)
{
    ARENA_AUTO a = arena_new();
    char real[PATH_MAX], folder[PATH_MAX];
    char *there = arena_strdup(a, path), *slash;
    struct slice rest = slice_of(local_params.virtual_mailbox_folders), word;
    bool any = false;
    while (realpath(there, real) == NULL && (slash = strrchr(there, '/')) != NULL)
        *slash = '\0';
    while (slice_token(&rest, ", \t\r\n", &word)) {
        any = true;
        if (realpath(arena_slice(a, word), folder) == NULL)
            continue;
        size_t n = strlen(folder);
        if (strncmp(real, folder, n) == 0 && (real[n] == '/' || real[n] == '\0' || n == 1))
            return false;
    }
    return any && *there != '\0';
}

/* Nobody's mail comes back because the operator has to complete a parameter. */
static struct result explain(const struct msg_user_delivery *t, struct result r)
{
    if (!held || r.outcome != OUTCOME_NEVER || strcmp(r.dsn, "5.2.0") != 0 || !leads_outside(t->target))
        return r;
    log_warn("%s: symbolic links lead to a folder that virtual_mailbox_folders does not name", t->target);
    return result_try_again("4.3.5", "mail system configuration error");
}

/* In the user's process. */
static void serve(struct ipc_conn *c)
{
    struct arena *a = arena_new();
    struct msg_user_delivery t;
    ipc_conn_lockstep(c);
    while (ipc_recv(c, &ipc_type_user_delivery, a, &t, DEADLINE_NEVER) == IPC_OK) {
        /* the prefix points into the connection's buffer, which nobody touches until the answer */
        struct read_job j = {.t = &t, .data = BUF(READ_MAX)};
        struct result r = result_ok("2.0.0", "%s", "");
        if (is_read(&t))
            thread_run(run_read, &j);
        else
            r = explain(&t, perform(&t, &j.data));
        struct msg_user_delivery_reply reply = {.outcome = j.again ? OUTCOME_TRY_AGAIN : r.outcome,
                                                .dsn = r.dsn,
                                                .text = r.text,
                                                .exit_status = j.usable ? 0 : 1,
                                                .data = buf_slice(&j.data)};
        if (t.file >= 0)
            close(t.file);
        enum ipc_status st = ipc_send(c, &ipc_type_user_delivery_reply, &reply, deadline_in(60));
        buf_fini(&j.data);
        if (st != IPC_OK)
            break;
        arena_reset(a);
    }
    arena_free(&a);
    ipc_conn_free(&c);
}

/* In the user's process, once. */
static void keep_to_mailboxes(void)
{
    const char *folders[100];
    size_t n = 0;
    ARENA_AUTO a = arena_new();
    struct slice rest = slice_of(local_params.virtual_mailbox_folders), word;
    while (n < sizeof folders / sizeof *folders && slice_token(&rest, ", \t\r\n", &word))
        folders[n++] = arena_slice(a, word);
    for (size_t i = 0; i < n; i++)
        if (access(folders[i], F_OK) != 0) { /* it may come, and rules are for what is there now */
            log_warn("deliveries are not held to virtual_mailbox_folders: %s: %s", folders[i], strerror(errno));
            return;
        }
    held = n > 0 && sandbox_files_beneath(folders, n);
    if (n > 0 && !held)
        log_warn("deliveries are not held to virtual_mailbox_folders: Landlock: %s", strerror(errno));
}

void task_pool_open(const char *name, bool confined, uid_t minimum_uid)
{
    struct userproc_config c = {.name = name,
                                .serve = serve,
                                .start = confined ? keep_to_mailboxes : NULL,
                                .idle_seconds = 100,
                                .most_processes = (unsigned)local_params.local_process_limit,
                                .confined = confined,
                                .minimum_uid = minimum_uid};
    pool = userproc_pool_new(&c);
    agent_configure(&daemon_env->common);
}

static const char *keep_diagnostic(struct arena *a, struct slice said)
{
    enum { MOST = 2000 };
    if (said.n > MOST)
        said.n = MOST;
    return said.n > 0 ? arena_printf(a, TASK_DIAGNOSTIC "%.*s", SLICE_ARG(said)) : NULL;
}

struct result task_run_as(uid_t uid, gid_t gid, const char *user, const struct msg_user_delivery *t, struct arena *a,
                          const char **diagnostic, int64_t deadline)
{
    const char *unused;
    if (diagnostic == NULL)
        diagnostic = &unused;
    *diagnostic = NULL;
    if (pool == NULL) {
        BUF_AUTO said = BUF(READ_MAX);
        struct result r = perform(t, &said);
        *diagnostic = keep_diagnostic(a, buf_slice(&said));
        return r;
    }
    struct ipc_conn *c = userproc_take(pool, uid, gid, user, deadline);
    if (c == NULL)
        return result_try_again("4.3.0", "cannot start a process for user id %u: %s", (unsigned)uid, strerror(errno));
    struct msg_user_delivery_reply reply;
    enum ipc_status st = ipc_send(c, &ipc_type_user_delivery, t, deadline);
    if (st == IPC_OK)
        st = ipc_recv(c, &ipc_type_user_delivery_reply, a, &reply, deadline);
    if (st == IPC_OK)
        *diagnostic = keep_diagnostic(a, reply.data);
    userproc_give(pool, &c, st == IPC_OK);
    if (st != IPC_OK)
        return result_try_again("4.3.0", "delivery process: %s", ipc_strerror(st));
    if (reply.outcome == OUTCOME_OK)
        return result_ok(reply.dsn, "%s", reply.text);
    if (reply.outcome == OUTCOME_NEVER)
        return result_never(reply.dsn, "%s", reply.text);
    return result_try_again(reply.dsn, "%s", reply.text);
}

int task_read_as(uid_t uid, gid_t gid, const char *user, const char *kind, const char *path, struct arena *a,
                 struct slice *data)
{
    struct msg_user_delivery t = {.kind = kind, .target = path, .file = -1};
    if (pool == NULL) {
        struct read_job j = {.t = &t, .data = BUF(READ_MAX)};
        thread_run(run_read, &j);
        *data = slice_make(arena_slice(a, buf_slice(&j.data)), j.data.len);
        buf_fini(&j.data);
        return j.again ? -1 : j.usable;
    }
    int64_t deadline = deadline_in(60);
    struct ipc_conn *c = userproc_take(pool, uid, gid, user, deadline);
    if (c == NULL)
        return -1;
    struct msg_user_delivery_reply reply;
    enum ipc_status st = ipc_send(c, &ipc_type_user_delivery, &t, deadline);
    if (st == IPC_OK)
        st = ipc_recv(c, &ipc_type_user_delivery_reply, a, &reply, deadline);
    if (st == IPC_OK)
        *data = slice_make(arena_slice(a, reply.data), reply.data.n);
    userproc_give(pool, &c, st == IPC_OK);
    if (st != IPC_OK || reply.outcome == OUTCOME_TRY_AGAIN)
        return -1;
    return reply.exit_status == 0;
}
