/* qmgr_schedule.c - see qmgr_schedule.h. */
#include "qmgr/qmgr_schedule.h"

#include "lib/base/mem.h"
#include "lib/base/slice.h"

#include <math.h>

bool schedule_parse_feedback(const char *text, struct feedback *f)
{
    char *end;
    f->value = strtod(text, &end);
    if (end == text || !(f->value >= 0 && f->value <= 1))
        return false;
    struct slice rest = slice_trim(slice_of(end));
    f->kind = FEEDBACK_FIXED;
    if (rest.n == 0)
        return true;
    if (rest.p[0] != '/')
        return false;
    rest = slice_trim(slice_make(rest.p + 1, rest.n - 1));
    if (slice_eq(rest, SLICE("concurrency")))
        f->kind = FEEDBACK_BY_WINDOW;
    else if (slice_eq(rest, SLICE("sqrt_concurrency")))
        f->kind = FEEDBACK_BY_SQRT;
    else
        return false;
    return true;
}

static double feedback_for(const struct feedback *f, int window)
{
    switch (f->kind) {
    case FEEDBACK_BY_WINDOW:
        return f->value / window;
    case FEEDBACK_BY_SQRT:
        return f->value / sqrt(window);
    case FEEDBACK_FIXED:
        break;
    }
    return f->value;
}

enum { STEP = 1 }; /* the window moves by whole deliveries */

struct transport *transport_new(const char *name, const struct schedule_settings *s)
{
    struct transport *t = MEM_NEW(struct transport);
    t->name = mem_strdup(name);
    t->settings = *s;
    t->destinations = hash_new();
    list_init(&t->ready);
    return t;
}

static void destination_free(void *p)
{
    struct destination *d = p;
    free(d->nexthop);
    free(d->route);
    free(d->dead_dsn);
    free(d->dead_text);
    free(d);
}

void transport_free(struct transport **t)
{
    if (!*t)
        return;
    hash_free(&(*t)->destinations, destination_free);
    free((*t)->name);
    free(*t);
    *t = NULL;
}

struct destination *transport_destination(struct transport *t, const char *nexthop)
{
    struct destination *d = hash_get(t->destinations, nexthop);
    if (d)
        return d;
    d = MEM_NEW(struct destination);
    d->transport = t;
    d->nexthop = mem_strdup(nexthop);
    d->window = (int)t->settings.initial;
    if (t->settings.limit && d->window > (int)t->settings.limit)
        d->window = (int)t->settings.limit;
    list_init(&d->entries);
    list_init(&d->ready_link);
    hash_put(t->destinations, nexthop, d);
    return d;
}

/* Keeps the transport's list of ready destinations true. */
static void update_ready(struct destination *d)
{
    unsigned room = d->transport->settings.rate_delay ? 1 : (unsigned)d->window;
    bool ready = !list_empty(&d->entries) && d->busy < room && !d->dead_until;
    if (ready && !d->is_ready)
        list_append(&d->transport->ready, &d->ready_link);
    else if (!ready && d->is_ready)
        list_remove(&d->ready_link);
    d->is_ready = ready;
}

void schedule_add(struct destination *d, struct entry *e)
{
    e->destination = d;
    list_append(&d->entries, &e->link);
    update_ready(d);
}

struct entry *schedule_next(struct transport *t)
{
    if ((t->settings.maxproc && t->busy >= t->settings.maxproc) || list_empty(&t->ready))
        return NULL;
    struct destination *d = LIST_ENTRY(t->ready.next, struct destination, ready_link);
    struct entry *e = LIST_ENTRY(list_pop(&d->entries), struct entry, link);
    d->busy++;
    t->busy++;
    /* Its next turn comes after the others. */
    list_remove(&d->ready_link);
    d->is_ready = false;
    update_ready(d);
    return e;
}

static void succeed(struct destination *d)
{
    const struct schedule_settings *s = &d->transport->settings;
    double f = feedback_for(&s->positive, d->window);
    d->failed_cohorts = 0;
    if ((s->limit && d->window >= (int)s->limit) || d->window >= (int)d->busy + (int)s->initial)
        return;
    d->success_credit += f;
    /* Half a feedback more, so that sums of fractions that should make one do. */
    while (d->success_credit + f / 2 >= STEP) {
        d->window += STEP;
        d->success_credit -= STEP;
        d->failure_credit = 0;
        if (s->limit && d->window > (int)s->limit)
            d->window = (int)s->limit;
    }
}

static bool fail(struct destination *d)
{
    const struct schedule_settings *s = &d->transport->settings;
    double f = feedback_for(&s->negative, d->window);
    d->failed_cohorts += 1.0 / d->window;
    if (s->cohort_limit > 0 && d->failed_cohorts >= s->cohort_limit)
        return true;
    d->failure_credit -= f;
    while (d->failure_credit - f / 2 < 0 && d->window > 1) {
        d->window -= STEP;
        d->failure_credit += STEP;
        d->success_credit = 0;
        if (d->window < 1)
            d->window = 1;
    }
    return false;
}

bool schedule_done(struct entry *e, bool ok)
{
    struct destination *d = e->destination;
    bool dead = false;
    d->busy--;
    d->transport->busy--;
    if (ok)
        succeed(d);
    else
        dead = fail(d);
    update_ready(d);
    return dead;
}

void schedule_kill(struct destination *d, int64_t until, const char *dsn, const char *text)
{
    d->dead_until = until;
    free(d->dead_dsn);
    free(d->dead_text);
    d->dead_dsn = mem_strdup(dsn);
    d->dead_text = mem_strdup(text);
    update_ready(d);
}

struct entry *schedule_take_waiting(struct destination *d)
{
    struct list *l = list_pop(&d->entries);
    update_ready(d);
    return l ? LIST_ENTRY(l, struct entry, link) : NULL;
}

void schedule_revive(struct destination *d)
{
    if (!d->dead_until)
        return;
    d->dead_until = 0;
    d->window = d->busy ? (int)d->busy : (int)d->transport->settings.initial;
    d->success_credit = d->failure_credit = d->failed_cohorts = 0;
    update_ready(d);
}

bool schedule_is_dead(struct destination *d, int64_t now)
{
    if (d->dead_until && d->dead_until <= now)
        schedule_revive(d);
    return d->dead_until != 0;
}

void schedule_forget_idle(struct destination *d)
{
    if (d->busy || !list_empty(&d->entries) || d->dead_until)
        return;
    hash_remove(d->transport->destinations, d->nexthop);
    destination_free(d);
}

void schedule_remove(struct entry *e)
{
    list_remove(&e->link);
    update_ready(e->destination);
}
