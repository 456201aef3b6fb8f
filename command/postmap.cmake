merpati_command(postmap postmap.c LINK merpati_postalias_build)
