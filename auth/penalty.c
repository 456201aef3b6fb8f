/* penalty.c - fairness between client addresses: only so many checks of one address run at a time, so that a stranger's
 * guesses do not take all threads, and answers to repeated failures are held back longer and longer. */
#include "auth/auth.h"
#include "lib/base/hash.h"
#include "lib/base/mem.h"
#include "lib/rt/fiber.h"

#include <stdlib.h>

#define REMEMBER_SECONDS 60
#define ADDRESSES_MOST 20000
#define DELAY_MOST 15
/* Failures that cost no more than the plain delay. */
#define FREE_FAILURES 3

struct address {
    unsigned running, waiting, failures;
    int64_t last;
    struct waitq places;
};
static struct hash *addresses;

static void forget_old(void)
{
    int64_t before = clock_mono() - REMEMBER_SECONDS * NSEC_PER_SEC;
    size_t it = 0;
    const char *key;
    void *value;
    while (hash_next(addresses, &it, &key, &value)) {
        struct address *a = value;
        if (a->running == 0 && a->waiting == 0 && (a->last < before || hash_count(addresses) > ADDRESSES_MOST)) {
            hash_remove(addresses, key);
            free(a);
        }
    }
}

static struct address *address_of(const char *client)
{
    static int64_t swept;
    if (addresses == NULL)
        addresses = hash_new();
    if (clock_mono() - swept > REMEMBER_SECONDS * NSEC_PER_SEC || hash_count(addresses) > ADDRESSES_MOST) {
        forget_old();
        swept = clock_mono();
    }
    struct address *a = hash_get(addresses, client);
    if (a == NULL) {
        a = MEM_NEW(struct address);
        waitq_init(&a->places);
        hash_put(addresses, client, a);
    }
    return a;
}

bool penalty_enter(const char *client)
{
    struct address *a = address_of(client);
    while (a->running >= auth_params.auth_address_checks_limit) {
        a->waiting++;
        enum wait w = waitq_wait(&a->places, DEADLINE_NEVER);
        a->waiting--;
        if (w != WAIT_OK)
            return false;
    }
    a->running++;
    return true;
}

int64_t penalty_leave(const char *client, bool failed)
{
    struct address *a = address_of(client);
    int64_t now = clock_mono();
    if (a->running > 0)
        a->running--;
    waitq_wake_one(&a->places);
    if (now - a->last > REMEMBER_SECONDS * NSEC_PER_SEC)
        a->failures = 0;
    a->last = now;
    if (!failed)
        return 0;
    a->failures++;
    unsigned doublings = a->failures > FREE_FAILURES ? a->failures - FREE_FAILURES : 0;
    int64_t delay = auth_params.auth_failure_delay << (doublings > 4 ? 4 : doublings);
    return delay > DELAY_MOST && auth_params.auth_failure_delay < DELAY_MOST ? DELAY_MOST : delay;
}
