# SPDX-License-Identifier: Apache-2.0
# What a program needs to be built against Ringkeep: headers, libringkeep, find_package(ringkeep), pkg-config.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(TARGETS ringkeep EXPORT ringkeep-targets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/ringkeep DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT ringkeep-targets NAMESPACE ringkeep:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/ringkeep)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/ringkeep-config.cmake.in ${CMAKE_BINARY_DIR}/ringkeep-config.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/ringkeep)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/ringkeep-config-version.cmake COMPATIBILITY SameMajorVersion)
# Relative, so that what is installed elsewhere (cmake --install --prefix) or moved is found. All .pc files have it.
file(RELATIVE_PATH to_prefix /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
string(REGEX REPLACE "/$" "" to_prefix ${to_prefix})
set(RINGKEEP_PC_TO_PREFIX ${to_prefix} CACHE INTERNAL "from the directory of the .pc files to the prefix")
configure_file(${CMAKE_CURRENT_LIST_DIR}/ringkeep.pc.in ${CMAKE_BINARY_DIR}/ringkeep.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/ringkeep-config.cmake ${CMAKE_BINARY_DIR}/ringkeep-config-version.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/ringkeep)
install(FILES ${CMAKE_BINARY_DIR}/ringkeep.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
