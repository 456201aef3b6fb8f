/* merpati.h - what the subcommands of merpati share. */
#pragma once
#include "lib/conf/common.h"

struct merpati {
    struct conf *conf;
    struct common_params common;
    int argc; /* after the subcommand's name */
    char **argv;
};

/* The pid of the running master of this configuration, or 0. */
int merpati_master_pid(const struct merpati *m);
/* Users, groups, owners and modes; users_only: leaves the directories alone. Exit status. */
int merpati_set_permissions(struct merpati *m);
/* Makes what is missing below queue_directory and data_directory. False with err. */
bool merpati_make_directories(struct merpati *m, struct buf *err);
/* `merpati check`: exit status. */
int merpati_check(struct merpati *m);
