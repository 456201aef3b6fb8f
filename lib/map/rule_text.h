/* rule_text.h - "/pattern/flags" at the front of a rule. */
#pragma once
#include "lib/base/buf.h"

#define RULE_FLAGS_MAX 16

/* Cuts it off in place: *pattern without its delimiters, the letters of the flags, *text at what follows. The delimiter
 * is any character that is no letter or digit; a backslash before it in the pattern stays. False with err. */
bool rule_text_cut(char **text, char **pattern, char letters[RULE_FLAGS_MAX], struct buf *err);
