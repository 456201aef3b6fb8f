/* sandbox_caps.c - see sandbox_private.h. The system calls themselves: there are four. */
#include "lib/daemon/sandbox_private.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct __user_cap_header_struct self = {_LINUX_CAPABILITY_VERSION_3, 0};

static uint64_t joined(uint32_t low, uint32_t high)
{
    return low | (uint64_t)high << 32;
}

uint64_t caps_permitted(void)
{
    struct __user_cap_data_struct d[2] = {{0}};
    return syscall(SYS_capget, &self, d) == 0 ? joined(d[0].permitted, d[1].permitted) : 0;
}

static bool set(uint64_t permitted, uint64_t effective)
{
    struct __user_cap_data_struct d[2] = {
        {.permitted = (uint32_t)permitted, .effective = (uint32_t)effective},
        {.permitted = (uint32_t)(permitted >> 32), .effective = (uint32_t)(effective >> 32)},
    };
    return syscall(SYS_capset, &self, d) == 0;
}

bool caps_keep(uint64_t mask, struct buf *err)
{
    uint64_t left = caps_permitted() & mask;
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (set(left, left))
        return true;
    buf_printf(err, "cannot drop capabilities: %s", strerror(errno));
    return false;
}

bool caps_raise(uint64_t mask)
{
    uint64_t permitted = caps_permitted();
    return set(permitted, permitted & mask);
}

void caps_bound(uint64_t mask)
{
    for (int c = 0; c < 64 && prctl(PR_CAPBSET_READ, c, 0, 0, 0) >= 0; c++)
        if (!(mask & CAP_BIT(c)))
            prctl(PR_CAPBSET_DROP, c, 0, 0, 0);
}
