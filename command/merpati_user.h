/* merpati_user.h - "merpati user": accounts in the passwd-file that auth reads. */
#pragma once
#include "lib/conf/conf.h"

/* argv[0] is "add", "passwd", "del" or "list". Returns the exit status. */
int merpati_user(struct conf *conf, int argc, char **argv);
