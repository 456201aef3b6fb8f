/* owners.c - see owners.h. */
#include "lib/daemon/owners.h"

#include "lib/base/mem.h"

#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

static const char *preset_of(const char *name)
{
    for (size_t i = 0; i < common_param_count; i++)
        if (strcmp(common_param_table[i].name, name) == 0)
            return common_param_table[i].preset;
    return NULL;
}

static void settle(struct conf *conf, const char *name, const char **value, bool group, void (*tell)(const char *))
{
    const char *ours = preset_of(name), *origin = conf_origin(conf, name);
    if (!ours || strcmp(*value, ours) == 0 || (group ? (void *)getgrnam(*value) : (void *)getpwnam(*value)))
        return;
    if (!(group ? (void *)getgrnam(ours) : (void *)getpwnam(ours)))
        return;
    MEM_AUTO char *text = mem_printf("%s: %s = %s: there is no such %s here; using %s", origin ? origin : "default",
                                     name, *value, group ? "group" : "user", ours);
    if (tell)
        tell(text);
    *value = ours;
}

void owners_settle(struct conf *conf, struct common_params *p, void (*tell)(const char *text))
{
    if (geteuid() != 0)
        return;
    settle(conf, "mail_owner", &p->mail_owner, false, tell);
    settle(conf, "setgid_group", &p->setgid_group, true, tell);
}
