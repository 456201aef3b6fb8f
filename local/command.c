/* command.c - running a command with the message on its standard input. No shell reads the command line unless it holds
 * characters that only a shell understands, or names something that is no program. The command is the leader of a
 * session of its own, so that all of it can be ended when its time is over. */
#include "lib/base/mem.h"
#include "lib/rt/fiber.h"
#include "lib/rt/stream.h"
#include "local/delivery.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

/* After the command's end: how long output of what it left behind is awaited. */
#define AFTER_SECONDS 2

static const struct {
    int status;
    const char *dsn, *text;
} exits[] = {
    {EX_USAGE, "5.3.0", "command line usage error"},    {EX_DATAERR, "5.6.0", "data format error"},
    {EX_NOINPUT, "5.3.0", "cannot open input"},         {EX_NOUSER, "5.1.1", "user unknown"},
    {EX_NOHOST, "5.1.2", "host name unknown"},          {EX_UNAVAILABLE, "5.3.0", "service unavailable"},
    {EX_SOFTWARE, "5.3.0", "internal software error"},  {EX_OSERR, "4.3.0", "system resource problem"},
    {EX_OSFILE, "5.3.0", "critical OS file missing"},   {EX_CANTCREAT, "5.2.0", "can't create user output file"},
    {EX_IOERR, "5.3.0", "input/output error"},          {EX_TEMPFAIL, "4.3.0", "temporary failure"},
    {EX_PROTOCOL, "5.5.0", "remote error in protocol"}, {EX_NOPERM, "5.7.0", "permission denied"},
    {EX_CONFIG, "5.3.5", "local configuration error"},
};

bool command_needs_shell(const char *line)
{
    static const char plain[] = "1234567890!@%-_=+:,./\\abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ \t";
    return line[strspn(line, plain)] != '\0' || line[strspn(line, " \t")] == '\0';
}

/* "5.7.42 text" at the beginning of the output says more than the status. */
static const char *own_dsn(const char *output, char dsn[16])
{
    size_t n = strspn(output, "0123456789.");
    const char *rest = output + n;
    bool fits = n >= 5 && n < 12 && (output[0] == '4' || output[0] == '5') && output[1] == '.' &&
                output[n - 1] != '.' && memchr(output + 2, '.', n - 2) != NULL && (*rest == ' ' || *rest == '\0');
    if (!fits)
        return output;
    memcpy(dsn, output, n);
    dsn[n] = '\0';
    return rest + strspn(rest, " ");
}

struct result command_result(int wait_status, const char *command, const char *output, struct buf *diagnostic)
{
    char dsn[16] = "5.3.0";
    const char *sep = *output != '\0' ? ". Command output: " : "", *rest = own_dsn(output, dsn), *meaning = NULL;
    if (WIFSIGNALED(wait_status)) {
        buf_puts(diagnostic, *output != '\0' ? output : "internal software error");
        return result_try_again("4.3.0", "Command died with signal %d: \"%s\"%s%s", WTERMSIG(wait_status), command, sep,
                                output);
    }
    int status = WEXITSTATUS(wait_status);
    if (status == 0) {
        buf_puts(diagnostic, output);
        return result_ok("2.0.0", "delivered to command: %s", command);
    }
    if (rest != output) { /* its own words for it */
        buf_puts(diagnostic, rest);
        return dsn[0] == '4' ? result_try_again(dsn, "%s", rest) : result_never(dsn, "%s", rest);
    }
    for (size_t i = 0; i < sizeof exits / sizeof *exits; i++)
        if (exits[i].status == status) {
            memcpy(dsn, exits[i].dsn, strlen(exits[i].dsn) + 1);
            meaning = exits[i].text;
        }
    buf_puts(diagnostic, *output != '\0' ? output : meaning != NULL ? meaning : "internal software error");
    if (meaning == NULL)
        return result_never(dsn, "Command died with status %d: \"%s\"%s%s", status, command, sep, output);
    return dsn[0] == '4' ? result_try_again(dsn, "%s%s%s", meaning, sep, output)
                         : result_never(dsn, "%s%s%s", meaning, sep, output);
}

const char **command_environment(struct arena *a, const char *export_environment, size_t *n)
{
    struct slice rest = slice_of(export_environment), word;
    const char **env = ARENA_ARRAY(a, const char *, 203);
    env[(*n)++] = "PATH=/usr/bin:/bin";
    while (*n < 100 && slice_token(&rest, ", \t\r\n", &word)) {
        const char *name = arena_slice(a, word), *value;
        if (strchr(name, '=') != NULL)
            env[(*n)++] = name;
        else if ((value = getenv(name)) != NULL)
            env[(*n)++] = arena_printf(a, "%s=%s", name, value);
    }
    return env;
}

struct run {
    const struct msg_user_delivery *t;
    pid_t pid;
    struct stream *in, *out;
    struct buf output;
    bool in_done, out_done;
    struct waitq ended;
    int64_t deadline;
};

/* The block with the transport's line ends, quoting and dots. */
static bool feed_lines(struct run *r, const char *block, size_t n, uint64_t at, bool *line_start)
{
    const struct msg_user_delivery *t = r->t;
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++) {
        uint64_t rest = t->content_size - at - i;
        char five[5];
        if (*line_start && (t->flags & TASK_QUOTE_FROM) && block[i] == 'F' && rest >= 5 &&
            pread(t->file, five, 5, (off_t)(t->content_offset + at + i)) == 5 && memcmp(five, "From ", 5) == 0)
            stream_write(r->in, ">", 1, r->deadline);
        if (*line_start && (t->flags & TASK_DOT) && block[i] == '.')
            stream_write(r->in, ".", 1, r->deadline);
        *line_start = block[i] == '\n';
        ok = (*line_start ? stream_puts(r->in, t->eol, r->deadline) : stream_write(r->in, &block[i], 1, r->deadline)) ==
             STREAM_OK;
    }
    return ok;
}

static void feed(void *arg)
{
    struct run *r = arg;
    char block[16384];
    const struct msg_user_delivery *t = r->t;
    bool plain = strcmp(t->eol, "\n") == 0 && (t->flags & (TASK_QUOTE_FROM | TASK_DOT)) == 0, line_start = true;
    bool ok = stream_write(r->in, t->prefix.p, t->prefix.n, r->deadline) == STREAM_OK;
    for (uint64_t at = 0; ok && at < t->content_size;) {
        uint64_t left = t->content_size - at;
        ssize_t n =
            pread(t->file, block, left < sizeof block ? (size_t)left : sizeof block, (off_t)(t->content_offset + at));
        if (n <= 0)
            break;
        if (!plain) {
            ok = feed_lines(r, block, (size_t)n, at, &line_start);
        } else {
            ok = stream_write(r->in, block, (size_t)n, r->deadline) == STREAM_OK;
            line_start = block[n - 1] == '\n';
        }
        at += (uint64_t)n;
    }
    if (ok && !line_start)
        stream_puts(r->in, t->eol, r->deadline);
    if (ok && (t->flags & TASK_EXTRA_LINE))
        stream_puts(r->in, t->eol, r->deadline);
    stream_close(&r->in, r->deadline); /* a command that does not read all of it is its own business */
    r->in_done = true;
    waitq_wake_all(&r->ended);
}

static void collect(void *arg)
{
    struct run *r = arg;
    while (stream_fill(r->out, r->deadline + AFTER_SECONDS * NSEC_PER_SEC) == STREAM_OK) {
        struct slice s = stream_peek(r->out);
        buf_append_slice(&r->output, s);
        stream_consume(r->out, s.n);
    }
    stream_free(&r->out);
    r->out_done = true;
    waitq_wake_all(&r->ended);
}

/* errno, 0 when it runs. */
static int spawn(struct run *r, char *const argv[], char *const env[], const int in[2], const int out[2])
{
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t at;
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    posix_spawn_file_actions_init(&fa);
    posix_spawnattr_init(&at);
    posix_spawn_file_actions_adddup2(&fa, in[0], 0);
    posix_spawn_file_actions_adddup2(&fa, out[1], 1);
    posix_spawn_file_actions_adddup2(&fa, out[1], 2);
    posix_spawn_file_actions_addclosefrom_np(&fa, 3);
    if (*r->t->chdir_to != '\0')
        posix_spawn_file_actions_addchdir_np(&fa, r->t->chdir_to);
    posix_spawnattr_setsigdefault(&at, &all);
    posix_spawnattr_setsigmask(&at, &none);
    posix_spawnattr_setflags(&at, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID);
    int error = posix_spawnp(&r->pid, argv[0], &fa, &at, argv, env);
    posix_spawn_file_actions_destroy(&fa);
    posix_spawnattr_destroy(&at);
    return error;
}

/* Starts argv, or the command line, directly or by a shell. */
static int start(struct run *r, struct arena *a, const int in[2], const int out[2])
{
    const struct msg_user_delivery *t = r->t;
    const char **env = ARENA_ARRAY(a, const char *, t->n_environment + 1);
    for (size_t i = 0; i < t->n_environment; i++) {
        env[i] = t->environment[i];
        if (strncmp(env[i], "PATH=", 5) == 0) /* programs are looked for where the command would look */
            setenv("PATH", env[i] + 5, 1);
    }
    const char **argv = ARENA_ARRAY(a, const char *, t->n_argv + strlen(t->target) / 2 + 4);
    for (size_t i = 0; i < t->n_argv; i++)
        argv[i] = t->argv[i];
    if (t->n_argv == 0 && !command_needs_shell(t->target)) {
        struct slice rest = slice_of(t->target), word;
        for (size_t n = 0; slice_token(&rest, " \t", &word); n++)
            argv[n] = arena_slice(a, word);
    }
    int error = ENOENT;
    if (argv[0] != NULL) {
        error = spawn(r, (char *const *)argv, (char *const *)env, in, out);
        if (error != ENOENT || t->n_argv > 0 || strchr(argv[0], '/') != NULL)
            return error;
    }
    if (t->n_argv > 0)
        return error;
    char *const shell[] = {"/bin/sh", "-c", (char *)t->target, NULL};
    return spawn(r, shell, (char *const *)env, in, out);
}

/* Wait status; -1 when time was over. */
static int await_end(struct run *r)
{
    int status = 0, fd = (int)syscall(SYS_pidfd_open, r->pid, 0);
    struct io io;
    enum wait w = WAIT_TIMEOUT;
    if (fd >= 0) {
        io_init(&io, fd);
        w = io_wait(&io, IO_READ, r->deadline);
        io_fini(&io);
        close(fd);
    }
    if (w != WAIT_OK)
        kill(-r->pid, SIGKILL);
    while (waitpid(r->pid, &status, 0) < 0 && errno == EINTR)
        ;
    int64_t until = deadline_in(AFTER_SECONDS);
    while (!r->out_done && waitq_wait(&r->ended, until) == WAIT_OK)
        ;
    kill(-r->pid, SIGKILL); /* what it left behind */
    while (!r->out_done || !r->in_done)
        if (waitq_wait(&r->ended, DEADLINE_NEVER) != WAIT_OK)
            fiber_yield();
    return w == WAIT_OK ? status : -1;
}

/* One line: later lines are joined by blanks, control bytes replaced. */
static const char *output_text(struct buf *b)
{
    for (size_t i = 0; i < b->len; i++)
        if ((unsigned char)b->data[i] < ' ' || b->data[i] == 0x7f)
            b->data[i] = b->data[i] == '\n' && i + 1 < b->len ? ' ' : b->data[i] == '\n' ? '\0' : '?';
    return buf_cstr(b);
}

struct result command_run(const struct msg_user_delivery *t, struct buf *diagnostic)
{
    int in[2], out[2];
    struct run r = {.t = t, .deadline = deadline_in(t->time_limit), .output = BUF(LOCAL_CONTENT_MAX)};
    waitq_init(&r.ended);
    if (pipe2(in, O_CLOEXEC) != 0)
        return result_try_again("4.3.0", "cannot make a pipe: %s", strerror(errno));
    if (pipe2(out, O_CLOEXEC) != 0) {
        int error = errno;
        close(in[0]);
        close(in[1]);
        return result_try_again("4.3.0", "cannot make a pipe: %s", strerror(error));
    }
    ARENA_AUTO a = arena_new();
    int error = start(&r, a, in, out);
    close(in[0]);
    close(out[1]);
    const char *command = t->n_argv > 0 ? t->argv[0] : t->target;
    if (error != 0) {
        close(in[1]);
        close(out[0]);
        return result_try_again("4.3.0", "temporary failure. Command output: %s: execvp %s: %s",
                                t->n_argv > 0 ? "pipe: fatal: pipe_command" : "local: fatal", command, strerror(error));
    }
    r.in = stream_new(in[1], 0);
    r.out = stream_new(out[0], 0);
    fiber_start("command-input", feed, &r);
    fiber_start("command-output", collect, &r);
    int status = await_end(&r);
    struct result result = status >= 0 ? command_result(status, command, output_text(&r.output), diagnostic)
                                       : result_never("5.3.0", "Command time limit exceeded: \"%s\"", command);
    buf_fini(&r.output);
    return result;
}
