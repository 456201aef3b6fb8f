/* delivery.h - what local, virtual and pipe share: their parameters, deliveries done as another user, commands, and the
 * headers that a delivery puts before a message. */
#pragma once
#include "lib/conf/conf.h"
#include "lib/daemon/userproc.h"
#include "lib/queue/agent.h"

/* clang-format off */
struct local_params {
#include "lib/conf/param_struct.h"
#include "local/params.def"
#include "lib/conf/param_end.h"
};
/* clang-format on */
extern struct local_params local_params;
extern const struct param local_param_table[];
extern const size_t local_param_count;

#define LOCAL_CONTENT_MAX 10240 /* of a command's output that is kept */

/* ---- task.c: deliveries as a user ---- */
enum task_flags {
    TASK_DOTLOCK = 1,
    TASK_QUOTE_FROM = 2,
    TASK_EXTRA_LINE = 4,
    TASK_DOT = 8,
    TASK_FROM_LINE = 16,
    TASK_IS_MAILBOX = 32, /* the user's own */
    TASK_ANY_OWNER = 64,  /* whoever the mbox belongs to */
};
/* In before_sandbox: name shows in the process title. confined: the processes get no new privileges, start nothing, are
 * no user below the lowest id, and open files in virtual_mailbox_folders only; not where commands run. */
void task_pool_open(const char *name, bool confined, uid_t minimum_uid);
#define TASK_DIAGNOSTIC "x-unix; " /* what a diagnostic begins with */
/* Runs the task as this user, or in this process when it is the same one. *diagnostic (may be NULL): for the notice
 * when a command failed, in the arena, or NULL. */
struct result task_run_as(uid_t uid, gid_t gid, const char *user, const struct msg_user_delivery *t, struct arena *a,
                          const char **diagnostic, int64_t deadline);

/* Reads a file as this user: a .forward (kind "forward": his or root's, writable by no stranger) or an ":include:" file
 * (kind "include"). 1: read; 0: there is none that may be used; -1: try again. */
int task_read_as(uid_t uid, gid_t gid, const char *user, const char *kind, const char *path, struct arena *a,
                 struct slice *data);

/* ---- command.c ---- */
/* Runs t->argv, or t->target as a command line (with a shell only when it needs one), feeding it prefix and content.
 * The result's text is that of the log line. What the notice says of a failure (the command's output, or what its exit
 * status means) is appended to diagnostic. */
struct result command_run(const struct msg_user_delivery *t, struct buf *diagnostic);
/* Whether a command line needs a shell. */
bool command_needs_shell(const char *line);
/* What an exit status of sysexits(3) means; output is the command's, or "". */
struct result command_result(int wait_status, const char *command, const char *output, struct buf *diagnostic);
/* The environment of export_environment: NAME=VALUE, NULL-terminated, in the arena; *n their number. */
const char **command_environment(struct arena *a, const char *export_environment, size_t *n);

/* ---- headers.c ---- */
enum { PREFIX_RETURN_PATH = 1, PREFIX_ORIGINAL_TO = 2, PREFIX_DELIVERED_TO = 4 };
/* Header lines before the content of a delivery to this recipient. */
void delivery_prefix(struct buf *out, const char *sender, const struct msg_deliver_recipient *rcpt,
                     const char *delivered_to, unsigned which);
/* The addresses of the message's Delivered-To headers, in internal form, in the delivery's arena. */
const char **delivery_seen(const struct agent_delivery *d, size_t *n);
/* Whether the message's header holds a Delivered-To of this address. */
bool delivery_seen_before(const struct agent_delivery *d, const char *address);

/* ---- expand.c: local(8) ---- */
bool expand_open(struct buf *err);
void expand_start(void);
/* Delivers the recipient at this place of the request (aliases, .forward, mailbox) and reports it. */
void expand_recipient(struct agent_delivery *d, size_t place);

/* ---- forward.c: new recipients for the message, through cleanup ---- */
struct forward;
struct forward *forward_new(struct arena *a);
void forward_add(struct forward *f, const char *sender, const char *address);
/* Sends one message for each sender. OK text: "forwarded as QID". OK without text when there is nothing to send. */
struct result forward_send(struct forward *f, struct agent_delivery *d, const struct msg_deliver_recipient *rcpt);
void forward_open(const char *cleanup_service);
