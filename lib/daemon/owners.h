/* owners.h - whom the mail system belongs to. */
#pragma once
#include "lib/conf/common.h"

/* A main.cf of another mail system may name users and groups that this machine does not have: its mail_owner,
 * setgid_group. Where the one that is named does not exist and ours does, ours serves; tell (may be NULL) hears of
 * each. After conf_bind, in every program that looks at them, so that all of them agree. */
void owners_settle(struct conf *conf, struct common_params *p, void (*tell)(const char *text));
