merpati_command(merpati merpati.c merpati_check.c merpati_permissions.c merpati_user.c
  LINK merpati_all_params merpati_queue merpati_sasl merpati_daemon merpati_conf merpati_base)
install(CODE "file(CREATE_LINK merpati \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/sbin/postfix\" SYMBOLIC)")
install(CODE "file(WRITE \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/libexec/merpati/.merpati\" \"${PROJECT_VERSION}\\n\")")
file(WRITE ${CMAKE_BINARY_DIR}/libexec/merpati/.merpati "${PROJECT_VERSION}\n")
