# Shared by postmap, postalias and "sendmail -bi".
merpati_library(postalias_build postalias_build.c table_command.c LINK merpati_map)
