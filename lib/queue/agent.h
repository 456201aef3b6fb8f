/* agent.h - the delivery agents' side of a delivery: takes qmgr's requests, logs a line for each recipient, answers. */
#pragma once
#include "lib/base/result.h"
#include "lib/conf/common.h"
#include "lib/ipc/ipc.h"

struct agent_delivery {
    struct msg_deliver_request request;
    struct arena *arena;    /* lives until the reply is sent */
    int64_t start_usec;     /* wall clock, when the agent took it: end of part b of delays= */
    int64_t connected_usec; /* when connection set-up was over; 0: part c is 0 */
    unsigned conn_use;      /* times that the connection was used; logged from 2 on */
    struct msg_deliver_reply reply;
    bool *reported; /* by place in request.recipients */
};

/* To be called at start (before_sandbox): soft_bounce, delay_logging_resolution_limit and ipc_timeout are taken from
 * it.
 */
void agent_configure(const struct common_params *c);
/* The request function of a delivery agent (struct daemon): for each request calls `deliver`, which reports every
 * recipient with agent_report (those left out are reported as deferred 4.3.0), then answers. */
void agent_serve(struct ipc_conn *c, void (*deliver)(struct agent_delivery *d));

struct agent_result {
    struct result result;
    const char *relay;                            /* "" or NULL: none */
    const char *status;                           /* NULL: sent, deferred or bounced by outcome */
    const char *remote_mta, *diagnostic, *action; /* NULL: "" */
    const char *address;                          /* whom it concerns after expansion; NULL: the recipient itself */
};
/* place: index into request.recipients. Logs "QID: to=<..>, orig_to=<..>, relay=.., conn_use=.., delay=..,
 * delays=a/b/c/d, dsn=.., status=.. (text)" and adds to the reply. With soft_bounce permanent becomes temporary here.
 */
void agent_report(struct agent_delivery *d, size_t place, const struct agent_result *r);
/* Logs as agent_report does, and reports nothing: for what became of a part of an expansion. */
void agent_log(const struct agent_delivery *d, size_t place, const struct agent_result *r);
/* What another delivery agent, which has logged it, said of this recipient. */
void agent_adopt(struct agent_delivery *d, size_t place, const struct msg_deliver_result *r);
/* All recipients that have no report yet. */
void agent_report_rest(struct agent_delivery *d, const struct agent_result *r);
/* Marks the destination as dead, for connect, greeting, TLS and EHLO trouble. */
void agent_site_dead(struct agent_delivery *d, const struct result *why);
/* Streams of the content: calls fn with pieces of whole lines (the last may lack its LF), reading through the
 * descriptor in blocks. False when reading failed or fn said so. */
bool agent_content(const struct agent_delivery *d, bool (*fn)(void *ctx, const char *p, size_t n), void *ctx);
