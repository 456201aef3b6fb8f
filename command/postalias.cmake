merpati_command(postalias postalias.c LINK merpati_postalias_build)

# The same program under the name that rebuilds all of $alias_database.
add_custom_command(TARGET postalias POST_BUILD
  COMMAND ${CMAKE_COMMAND} -E create_symlink postalias ${CMAKE_BINARY_DIR}/sbin/newaliases)
install(FILES ${CMAKE_BINARY_DIR}/sbin/newaliases DESTINATION sbin)
