merpati_command(postconf postconf.c postconf_main.c postconf_master.c LINK merpati_all_params merpati_map)
