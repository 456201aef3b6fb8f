/* imap_state.h - one authenticated IMAP session: what its commands share. */
#pragma once
#include "imapd/imap_session.h"
#include "imapd/imapd.h"
#include "lib/base/vec.h"
#include "lib/store/folders.h"
#include "lib/store/mailbox.h"
#include "lib/syntax/imap_set.h"
#include "lib/syntax/imap_text.h"

/* A message as the client was last told of it; sequence numbers are places in this list. */
struct imap_seen {
    uint32_t uid;
    uint32_t keywords;
    uint64_t modseq;
    uint16_t flags; /* enum maildir_flag */
    bool recent;
};

struct imap {
    struct stream *stream;
    const struct msg_session_open *open;
    const char *root;   /* of the user's Maildir++ */
    struct arena *call; /* the command's */
    struct slice tag;
    struct mailbox *mailbox; /* selected; NULL none */
    char *path;              /* its folder */
    bool read_only;
    VEC(struct imap_seen) view;
    uint32_t keywords_told; /* bits of keywords that FLAGS named */
    bool condstore;         /* the client asked for modseqs (RFC 7162 section 3.1) */
    bool by_uid;            /* the command came as UID x */
    bool logged_out;
};

/* What a command's function says: the tagged answer was given (DONE), or the arguments are malformed (BAD is answered).
 */
enum imap_verdict { IMAP_DONE, IMAP_MALFORMED };

/* ---- imap_session.c ---- */
void imap_say(struct imap *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void imap_write(struct imap *s, struct slice text);
/* "TAG OK text": after telling what changed in the mailbox. keep_expunged: sequence numbers must not move now (FETCH,
 * STORE, SEARCH). */
enum imap_verdict imap_ok(struct imap *s, bool keep_expunged, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
enum imap_verdict imap_no(struct imap *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int64_t imap_deadline(void);
const char *imap_capabilities(void);

/* ---- imap_view.c ---- */
/* A command that only CONDSTORE clients give was given. */
void imap_enable_condstore(struct imap *s);
/* Looks at the mailbox and tells the client what changed. */
void imap_tell_changes(struct imap *s, bool keep_expunged);
/* The same without telling: what the client will be told by the SELECT itself. */
void imap_take_view(struct imap *s);
void imap_print_flags(struct imap *s, struct buf *out, unsigned flags, uint32_t keywords, bool recent);
/* "* FLAGS" and PERMANENTFLAGS, when there are keywords that were not named yet (or always). */
void imap_tell_keywords(struct imap *s, bool always);
/* "*" in the set gets its meaning; to be called before imap_in_set is asked about many. */
void imap_settle_set(struct imap *s, struct imap_set *set);
/* Whether a message is in the set, by UID or by number. */
bool imap_in_set(struct imap *s, const struct imap_set *set, size_t place);
void imap_close_mailbox(struct imap *s);

/* ---- commands ---- */
/* c stands behind the verb. */
typedef enum imap_verdict imap_handler(struct imap *s, struct imap_cursor *c);
#define COMMAND(verb, handler, state, uid) imap_handler handler;
#include "imapd/commands.def"
#undef COMMAND

/* A mailbox argument, with INBOX in capitals; in the call's arena. */
bool imap_mailbox_name(struct imap *s, struct imap_cursor *c, const char **name);
/* Flags in parentheses or (bare_too) without; keywords get bits in `box`. */
bool imap_flag_list(struct imap *s, struct imap_cursor *c, struct mailbox *box, bool bare_too, unsigned *flags,
                    uint32_t *keywords);
/* Opens a mailbox by name. NULL after answering NO (TRYCREATE for the target of a copy). */
struct mailbox *imap_open_mailbox(struct imap *s, const char *name, bool try_create);
