/* anvil_table.h - counts by service and client. Pure: the caller says what o'clock it is. */
#pragma once
#include <stdint.h>
#include <sys/types.h>

enum { ANVIL_RATES = 5 }; /* connections, messages, recipients, TLS sessions, AUTH commands */

struct anvil_table;
struct anvil_counts {
    uint32_t connections; /* open now */
    uint32_t rate;        /* of the kind asked for, in this time unit */
};

/* Of more than so many clients those are forgotten that are not connected and were silent longest; when all are
 * connected, a new one is not counted at all. */
struct anvil_table *anvil_table_new(int64_t unit, size_t most_clients);
void anvil_table_free(struct anvil_table **t);
/* An open connection is counted for the process that told of it. */
struct anvil_counts anvil_table_connect(struct anvil_table *t, const char *service, const char *client, pid_t process,
                                        int64_t now);
void anvil_table_disconnect(struct anvil_table *t, const char *service, const char *client, pid_t process);
/* An event of a kind from 1 on; adds n (0: only looks). */
struct anvil_counts anvil_table_event(struct anvil_table *t, const char *service, const char *client, unsigned kind,
                                      unsigned n, int64_t now);
/* The process is gone, and with it its connections. */
void anvil_table_process_gone(struct anvil_table *t, pid_t process);
/* Forgets clients without connections whose time unit is over. Returns how many are left. */
size_t anvil_table_expire(struct anvil_table *t, int64_t now);
/* The highest rate of a kind (0: connections) or open count (ANVIL_RATES) since the last call, with who and when; 0
 * when there was none. */
struct anvil_peak {
    uint32_t value;
    char who[200]; /* "smtp:192.0.2.1" */
    int64_t when;  /* seconds since the epoch */
};
struct anvil_peak anvil_table_peak(struct anvil_table *t, unsigned kind);
