/* cleanup_notify.c - tells the queue manager of a new message, over a connection that stays open, and passes the open
 * file. If the queue manager is away, its scan finds the file: nobody waits for it here. */
#include "cleanup/cleanup.h"

#include <stdio.h>

enum { PATIENCE_MS = 200 };

void cleanup_notify_qmgr(const char *queue_id, int fd)
{
    static struct ipc_pool *pool;
    struct msg_qmgr_new m = {.queue_id = queue_id, .file = fd};
    if (!pool) {
        char service[200];
        snprintf(service, sizeof service, "private/%s", cleanup_params.queue_service_name);
        pool = ipc_pool_new(service, 4);
    }
    for (int attempt = 0; attempt < 2; attempt++) {
        struct ipc_conn *c = ipc_pool_take(pool, deadline_in_ms(PATIENCE_MS));
        if (!c)
            return;
        bool ok = ipc_send(c, &ipc_type_qmgr_new, &m, deadline_in_ms(PATIENCE_MS)) == IPC_OK;
        ipc_pool_give(pool, &c, ok);
        if (ok)
            return;
    }
}
