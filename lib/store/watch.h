/* watch.h - notice of changes in a Maildir folder, by whomever: one inotify descriptor for the process, however many
 * sessions watch. */
#pragma once

struct watch_handle;

/* path: a Maildir folder; its new/ and cur/ are watched. NULL when the kernel gives no more watches: then one has to
 * look by oneself now and then. */
struct watch_handle *watch_start(const char *path);
/* A descriptor that is readable after a change; read it empty with watch_clear. It is the caller's from now on, who
 * closes it after watch_stop. */
int watch_take_fd(struct watch_handle *w);
void watch_clear(struct watch_handle *w);
/* Accepts NULL, clears. */
void watch_stop(struct watch_handle **w);
