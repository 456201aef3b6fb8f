/* log.h - log lines in Postfix's form: "TIME HOST TAG[PID]: TEXT". Text below `info` starts with "warning: ",
 * "error: ", "fatal: " or "panic: ". Control bytes in the text are replaced by '?', so that no untrusted byte makes
 * a line of its own. Lines are collected and written by log_flush, which the event loop calls before it sleeps;
 * warnings and worse are flushed at once. */
#pragma once
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR, LOG_LEVEL_FATAL, LOG_LEVEL_PANIC };

/* Where lines go. FD writes complete lines with time and host to a descriptor (a log file opened with O_APPEND, or
 * standard output); SYSLOG sends datagrams to /dev/log with facility mail; STDERR prints "tag: text" as commands do. */
enum log_sink { LOG_SINK_STDERR, LOG_SINK_SYSLOG, LOG_SINK_FD };

/* tag is for example "postfix/smtpd"; it is copied. Before the first call lines go to standard error. */
void log_open(const char *tag, enum log_sink sink, int fd);
/* Another tag for the lines to come, for daemons whose lines carry another program's name. */
void log_set_tag(const char *tag);
/* Verbosity: 0 normal; debug lines are written when it is above 0. */
void log_set_verbose(int level);
bool log_is_verbose(void);

void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Logs, flushes and exits with status 1. Not for anything that a peer can cause. */
void log_fatal(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
/* A broken invariant: logs, flushes and aborts. */
void log_panic(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
void log_vat(enum log_level level, const char *fmt, va_list ap);
void log_at(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void log_flush(void);
/* The descriptor that lines go to, -1 when there is none: for those who close all others. */
int log_fd(void);
/* Text to be quoted into a log line: at most `max` bytes of s with control and non-ASCII bytes as '?'. Returns dst. */
char *log_quote(char *dst, size_t dst_size, const char *s, size_t n);
