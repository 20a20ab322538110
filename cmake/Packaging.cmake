# `cmake --install`, and the Debian package that `scripts/package` makes: the binary, the pages, the
# small model, the manual page, the completions, and the service.
include(GNUInstallDirs)
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)  # The package needs no tests built.

# Made by the binary itself, so that they cannot differ from its flags.
set(told ${CMAKE_BINARY_DIR}/told)
set(tell ${CMAKE_COMMAND} -E env SHOAL_CONFIG=/dev/null $<TARGET_FILE:shoal>)
add_custom_command(
  OUTPUT ${told}/shoal.1.gz ${told}/shoal.bash ${told}/_shoal ${told}/shoal.fish
  COMMAND ${CMAKE_COMMAND} -E make_directory ${told}
  COMMAND ${tell} man > ${told}/shoal.1
  COMMAND gzip -9nf ${told}/shoal.1
  COMMAND ${tell} completion bash > ${told}/shoal.bash
  COMMAND ${tell} completion zsh > ${told}/_shoal
  COMMAND ${tell} completion fish > ${told}/shoal.fish
  DEPENDS shoal
  VERBATIM)
add_custom_target(told DEPENDS ${told}/shoal.1.gz)

set(source ${CMAKE_SOURCE_DIR})
install(TARGETS shoal RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY ${source}/web/dist/ DESTINATION ${CMAKE_INSTALL_DATADIR}/shoal/web)
install(DIRECTORY ${source}/models/storyteller DESTINATION ${CMAKE_INSTALL_DATADIR}/shoal/models
        PATTERN reference.json EXCLUDE PATTERN samples.txt EXCLUDE PATTERN valid_excerpt.txt EXCLUDE)
install(FILES ${told}/shoal.1.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${told}/shoal.bash RENAME shoal
        DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${told}/_shoal DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions)
install(FILES ${told}/shoal.fish
        DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
install(FILES ${source}/README.md ${source}/docs/operating.md ${source}/docs/api.md
              ${source}/docs/lending.md ${source}/packaging/debian/copyright
        DESTINATION ${CMAKE_INSTALL_DOCDIR})
# Where systemd and the program look, whatever the prefix.
install(FILES ${source}/packaging/shoal.service DESTINATION /lib/systemd/system)
install(FILES ${source}/packaging/shoal.toml DESTINATION /etc/shoal)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME shoal)
set(CPACK_PACKAGE_VENDOR "Shoal")
set(CPACK_PACKAGE_CONTACT "The authors of Shoal <shoal@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "one language model over many browsers")
set(CPACK_PACKAGE_DESCRIPTION
"Runs a language model that fits on none of your devices across the browsers of many: a coordinator
with pages to chat and to lend a tab, an API for OpenAI's clients, a native volunteer, and the tools
that pack models. A small model that tells stories comes along and is served after installation.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_SET_DESTDIR ON)
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGE_DIRECTORY ${CMAKE_BINARY_DIR}/package)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "adduser, init-system-helpers (>= 1.62)")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "ca-certificates")
set(CPACK_DEBIAN_COMPRESSION_TYPE zstd)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
    ${source}/packaging/debian/postinst ${source}/packaging/debian/prerm
    ${source}/packaging/debian/postrm ${source}/packaging/debian/conffiles)
include(CPack)
