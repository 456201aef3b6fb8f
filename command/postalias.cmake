merpati_command(postalias postalias.c LINK merpati_postalias_build)
