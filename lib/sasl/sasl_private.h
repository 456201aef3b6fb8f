/* sasl_private.h - what the files of lib/sasl share about an exchange with auth. */
#pragma once
#include "lib/base/buf.h"
#include "lib/rt/fiber.h"
#include "lib/sasl/auth_line.h"
#include "lib/sasl/sasl_client.h"

struct connection;

struct sasl_exchange {
    struct connection *connection;
    struct arena *arena; /* of `line` */
    uint64_t id;
    char id_text[24];
    char cookie[65];
    struct auth_line line; /* the last answer */
    bool answered, started, finished;
    struct waitq wake;
    char *user;
};

/* NULL when auth cannot be reached. */
struct sasl_exchange *sasl_exchange_open(struct sasl_service *s, int64_t deadline);
bool sasl_exchange_offers(const struct sasl_exchange *x, const char *mechanism);
/* Sends the line (with its LF) and waits for the answer of this id in x->line. False without one. */
bool sasl_exchange_ask(struct sasl_exchange *x, const struct buf *line, int64_t deadline);
