/* imapd.h - the parameters and the part of imapd that talks to clients until their login. */
#pragma once
#include "lib/base/buf.h"
#include "lib/conf/conf.h"
#include "lib/rt/stream.h"

/* clang-format off */
struct imapd_params {
#include "lib/conf/param_struct.h"
#include "imapd/params.def"
#include "lib/conf/param_end.h"
};
/* clang-format on */
extern struct imapd_params imapd_params;
extern const struct param imapd_param_table[];
extern const size_t imapd_param_count;

/* ---- imap_front.c ---- */
bool imap_front_setup(struct buf *err);
void imap_front_session(struct stream *s, const struct sockaddr *peer, const struct sockaddr *local);
