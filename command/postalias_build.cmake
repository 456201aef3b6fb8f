# Shared by postmap, postalias and "sendmail -bi".
merpati_library(postalias_build postalias_build.c table_command.c LINK merpati_map)
merpati_unit_test(postalias_build ${CMAKE_CURRENT_LIST_DIR}/postalias_build_test.c LINK merpati_postalias_build)
