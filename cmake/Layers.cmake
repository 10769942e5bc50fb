# SPDX-License-Identifier: Apache-2.0
# ringkeep_layer(NAME SOURCES file... USES layer... [LINKS library...])
#
# One folder under src/ is one static library, named ringkeep_NAME. A layer reaches another layer's headers only
# through the target it names in USES, so that a wrong include direction does not build.
function(ringkeep_layer name)
  cmake_parse_arguments(ARG "" "" "SOURCES;USES;LINKS" ${ARGN})
  set(target ringkeep_${name})
  add_library(${target} STATIC ${ARG_SOURCES})
  # src/NAME/include-root is src/: headers are included as "NAME/header.h".
  target_include_directories(${target} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  foreach(layer IN LISTS ARG_USES)
    target_link_libraries(${target} PUBLIC ringkeep_${layer})
  endforeach()
  target_link_libraries(${target} PUBLIC ${ARG_LINKS})
endfunction()

# For tests that run MPI jobs, in a sanitized build. The native library leaks at its end, from components that it has
# unloaded by then, so that no suppression can name them. And the sanitizer's allocator must not read clocks by itself:
# the MPI layer would record that as the program's doing.
set(RINGKEEP_MPI_TEST_ENVIRONMENT "ASAN_OPTIONS=path_list_append:detect_leaks=0:allocator_release_to_os_interval_ms=-1")

# ringkeep_test(NAME SOURCES file... USES layer... [LINKS library...] [LABELS label...] [ARGS ...])
# A GoogleTest program that ctest runs as one test per TEST() case.
function(ringkeep_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;USES;LINKS;LABELS" ${ARGN})
  find_package(GTest REQUIRED)
  include(GoogleTest)
  add_executable(${name} ${ARG_SOURCES})
  foreach(layer IN LISTS ARG_USES)
    target_link_libraries(${name} PRIVATE ringkeep_${layer})
  endforeach()
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${ARG_LINKS} GTest::gtest_main)
  set(labels unit)
  if(ARG_LABELS)
    set(labels ${ARG_LABELS})
  endif()
  # Their own code runs for moments and is a third of the project: what counts is how fast it compiles. Simulations run
  # for minutes.
  if(NOT "sim" IN_LIST labels)
    target_compile_options(${name} PRIVATE -g1 $<IF:$<BOOL:${RINGKEEP_SANITIZE}>,-O0,-O1>)
  endif()
  # The folder's name is a label too (unit/ring -> "ring"), so that one layer's tests can be run: ctest -L '^ring$'.
  get_filename_component(folder ${CMAKE_CURRENT_SOURCE_DIR} NAME)
  list(APPEND labels ${folder})
  list(REMOVE_DUPLICATES labels)
  # gtest_discover_tests would flatten a list of labels into one word each: they are set from a file of their own.
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60 TEST_LIST ${name}_cases)
  set(properties "LABELS \"${labels}\"")
  if("mpi" IN_LIST labels)
    string(APPEND properties " ENVIRONMENT_MODIFICATION ${RINGKEEP_MPI_TEST_ENVIRONMENT}")
  endif()
  file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/${name}_labels.cmake
       "if(${name}_cases)\n  set_tests_properties(\${${name}_cases} PROPERTIES ${properties})\nendif()\n")
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${CMAKE_CURRENT_BINARY_DIR}/${name}_labels.cmake)
endfunction()
