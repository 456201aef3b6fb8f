/* all_params.h - the parameters of all daemons. */
#pragma once

/* Makes the names of every daemon's params.def known (conf_register): for reports on names, not for conf_bind. */
void all_params_register(void);
