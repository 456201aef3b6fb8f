/* anvil_table.c - see anvil_table.h. */
#include "support/anvil/anvil_table.h"

#include "lib/base/hash.h"
#include "lib/base/list.h"
#include "lib/base/mem.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

struct client {
    struct list idle; /* without connections: longest untouched first */
    char key[200];
    uint32_t connections;
    uint32_t rates[ANVIL_RATES];
    int64_t start; /* of its time unit */
};

struct process {
    pid_t pid;
    struct hash *connections; /* key to a count */
};

struct anvil_table {
    int64_t unit;
    size_t most;
    struct list idle;
    struct hash *clients, *processes;
    struct anvil_peak peaks[ANVIL_RATES + 1];
};

struct anvil_table *anvil_table_new(int64_t unit, size_t most_clients)
{
    struct anvil_table *t = MEM_NEW(struct anvil_table);
    t->unit = unit;
    t->most = most_clients;
    list_init(&t->idle);
    t->clients = hash_new();
    t->processes = hash_new();
    return t;
}

static void process_free(void *p)
{
    struct process *process = p;
    hash_free(&process->connections, free);
    free(process);
}

void anvil_table_free(struct anvil_table **t)
{
    if (!*t)
        return;
    hash_free(&(*t)->clients, free);
    hash_free(&(*t)->processes, process_free);
    free(*t);
    *t = NULL;
}

static const char *key_of(char key[200], const char *service, const char *client)
{
    snprintf(key, 200, "%.100s:%.64s", service, client);
    return key;
}

static void forget(struct anvil_table *t, struct client *c)
{
    hash_remove(t->clients, c->key);
    list_remove(&c->idle);
    free(c);
}

/* NULL when the table is full of clients that are connected now. */
static struct client *client_new(struct anvil_table *t, const char *key, int64_t now)
{
    if (hash_count(t->clients) >= t->most) {
        if (list_empty(&t->idle))
            return NULL;
        forget(t, LIST_ENTRY(t->idle.next, struct client, idle));
    }
    struct client *c = MEM_NEW(struct client);
    snprintf(c->key, sizeof c->key, "%s", key);
    c->start = now;
    list_init(&c->idle);
    hash_put(t->clients, key, c);
    return c;
}

/* With its rates, if the time unit is over, begun anew. */
static struct client *client_of(struct anvil_table *t, const char *key, int64_t now)
{
    struct client *c = hash_get(t->clients, key);
    if (!c && !(c = client_new(t, key, now)))
        return NULL;
    if (now - c->start >= t->unit) {
        c->start = now;
        memset(c->rates, 0, sizeof c->rates);
    }
    return c;
}

/* After each change: where it stands among those that may be forgotten. */
static void touch(struct anvil_table *t, struct client *c)
{
    list_remove(&c->idle);
    if (!c->connections)
        list_append(&t->idle, &c->idle);
}

static void note_peak(struct anvil_table *t, unsigned kind, uint32_t value, const struct client *c)
{
    struct anvil_peak *p = &t->peaks[kind];
    if (value <= p->value)
        return;
    p->value = value;
    snprintf(p->who, sizeof p->who, "%s", c->key);
    p->when = time(NULL);
}

/* Its count for this client; NULL when there is none and none is wanted. */
static uint32_t *process_count(struct anvil_table *t, pid_t pid, const char *key, bool wanted)
{
    char name[20];
    snprintf(name, sizeof name, "%d", (int)pid);
    struct process *p = hash_get(t->processes, name);
    if (!p && !wanted)
        return NULL;
    if (!p) {
        p = MEM_NEW(struct process);
        p->pid = pid;
        p->connections = hash_new();
        hash_put(t->processes, name, p);
    }
    uint32_t *n = hash_get(p->connections, key);
    if (!n && wanted) {
        n = MEM_NEW(uint32_t);
        hash_put(p->connections, key, n);
    }
    return n;
}

struct anvil_counts anvil_table_connect(struct anvil_table *t, const char *service, const char *client, pid_t process,
                                        int64_t now)
{
    char key[200];
    struct client *c = client_of(t, key_of(key, service, client), now);
    if (!c)
        return (struct anvil_counts){1, 1};
    c->connections++;
    c->rates[0]++;
    touch(t, c);
    ++*process_count(t, process, key, true);
    note_peak(t, 0, c->rates[0], c);
    note_peak(t, ANVIL_RATES, c->connections, c);
    return (struct anvil_counts){c->connections, c->rates[0]};
}

void anvil_table_disconnect(struct anvil_table *t, const char *service, const char *client, pid_t process)
{
    char key[200];
    struct client *c = hash_get(t->clients, key_of(key, service, client));
    uint32_t *n = process_count(t, process, key, false);
    if (!n)
        return;
    if (c && c->connections) {
        c->connections--;
        touch(t, c);
    }
    if (--*n)
        return;
    char name[20];
    snprintf(name, sizeof name, "%d", (int)process);
    free(hash_remove(((struct process *)hash_get(t->processes, name))->connections, key));
}

struct anvil_counts anvil_table_event(struct anvil_table *t, const char *service, const char *client, unsigned kind,
                                      unsigned n, int64_t now)
{
    char key[200];
    struct client *c = client_of(t, key_of(key, service, client), now);
    if (!c)
        return (struct anvil_counts){0, n};
    touch(t, c);
    if (kind >= ANVIL_RATES)
        return (struct anvil_counts){c->connections, 0};
    c->rates[kind] += n;
    note_peak(t, kind, c->rates[kind], c);
    return (struct anvil_counts){c->connections, c->rates[kind]};
}

void anvil_table_process_gone(struct anvil_table *t, pid_t process)
{
    char name[20];
    snprintf(name, sizeof name, "%d", (int)process);
    struct process *p = hash_remove(t->processes, name);
    size_t it = 0;
    const char *key;
    void *n;
    if (!p)
        return;
    while (hash_next(p->connections, &it, &key, &n)) {
        struct client *c = hash_get(t->clients, key);
        uint32_t held = *(uint32_t *)n;
        if (!c)
            continue;
        c->connections -= held < c->connections ? held : c->connections;
        touch(t, c);
    }
    process_free(p);
}

size_t anvil_table_expire(struct anvil_table *t, int64_t now)
{
    size_t it = 0;
    const char *key;
    void *v;
    while (hash_next(t->clients, &it, &key, &v)) {
        struct client *c = v;
        if (!c->connections && now - c->start >= t->unit)
            forget(t, c);
    }
    return hash_count(t->clients);
}

struct anvil_peak anvil_table_peak(struct anvil_table *t, unsigned kind)
{
    struct anvil_peak p = t->peaks[kind];
    t->peaks[kind] = (struct anvil_peak){0};
    return p;
}
