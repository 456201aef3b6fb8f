merpati_command(postsuper postsuper.c LINK merpati_queue merpati_ipc merpati_conf merpati_rt merpati_base)
merpati_command(postcat postcat.c LINK merpati_queue merpati_conf merpati_syntax merpati_base)
