/* claim.c - logins that wait to be claimed by the session part: each once, for a short while. */
#include "auth/auth.h"
#include "lib/base/clock.h"
#include "lib/base/hash.h"
#include "lib/base/list.h"
#include "lib/base/mem.h"

#include <stdlib.h>

#define CLAIMS_MOST 100000

struct login {
    struct list age; /* oldest first */
    char *key, *user;
    int64_t until;
};
static struct hash *logins;
static struct list oldest = {&oldest, &oldest};

static void drop(struct login *l)
{
    hash_remove(logins, l->key);
    list_remove(&l->age);
    free(l->key);
    free(l->user);
    free(l);
}

static void prune(void)
{
    int64_t now = clock_mono();
    LIST_EACH_SAFE (node, &oldest) {
        struct login *l = LIST_ENTRY(node, struct login, age);
        if (l->until > now && hash_count(logins) < CLAIMS_MOST)
            return;
        drop(l);
    }
}

void claim_add(unsigned pid, const char *id, const char *cookie, const char *user)
{
    if (logins == NULL)
        logins = hash_new();
    prune();
    struct login *l = MEM_NEW(struct login);
    l->key = mem_printf("%u %s %s", pid, id, cookie);
    l->user = mem_strdup(user);
    l->until = deadline_in(auth_params.auth_claim_time);
    struct login *old = hash_get(logins, l->key);
    if (old != NULL)
        drop(old);
    hash_put(logins, l->key, l);
    list_append(&oldest, &l->age);
}

char *claim_take(unsigned pid, const char *id, const char *cookie)
{
    if (logins == NULL)
        return NULL;
    prune();
    MEM_AUTO char *key = mem_printf("%u %s %s", pid, id, cookie);
    struct login *l = hash_get(logins, key);
    if (l == NULL)
        return NULL;
    char *user = l->user;
    l->user = NULL;
    drop(l);
    return user;
}
