/* lines.h - logical lines of configuration files and table sources (postconf(5), postmap(1)): a line that begins with
 * white space continues the one before; empty lines and lines whose first visible character is '#' are skipped, also in
 * the middle of a continued line. Works on text in memory, so that it can be fuzzed. */
#pragma once
#include "lib/base/buf.h"

struct lines {
    struct slice rest;
    int line; /* physical lines consumed so far */
};

/* text must outlive the reader. */
void lines_init(struct lines *l, struct slice text);
/* The next logical line into out (emptied first), newlines dropped and the white space of continuations kept; trailing
 * white space is cut. first and last (may be NULL) are its physical lines, from 1. False at the end. */
bool lines_next(struct lines *l, struct buf *out, int *first, int *last);
/* Reads a whole file, up to the buffer's maximum. False with "FILE: reason" in err. */
bool lines_read_file(const char *path, struct buf *out, struct buf *err);
