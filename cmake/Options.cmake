# SPDX-License-Identifier: Apache-2.0
# Compiler settings that hold for every target of the project.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)

find_program(CCACHE ccache)
if(CCACHE)
  # Paths are relative to the repository, so that a second clone or worktree finds what the first one has compiled.
  set(ccache_here ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${ccache_here})
  set(CMAKE_C_COMPILER_LAUNCHER ${ccache_here})
endif()

add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -fno-omit-frame-pointer)
if(RINGKEEP_WERROR)
  add_compile_options(-Werror)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 sees an overlap in std::operator+(const char*, std::string&&) at -O3 that cannot be.
  add_compile_options(-Wno-restrict)
endif()

if(RINGKEEP_SANITIZE)
  # The instrumentation makes g++ warn about code of the standard library; the other builds keep warnings errors.
  add_compile_options(-Wno-error)
endif()
if(RINGKEEP_SANITIZE STREQUAL "address")
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all)
  if(NOT RINGKEEP_FUZZ)
    # Two checks at every member that is touched double the time to compile. What goes through a null pointer ends in the
    # address sanitizer anyway, and the fuzz targets, which read what others wrote, are built with both.
    add_compile_options(-fno-sanitize=null,alignment)
  endif()
  add_link_options(-fsanitize=address,undefined)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # The run-time wants to be the first library of a process, also of a program that only the MPI layer is loaded into.
    execute_process(COMMAND ${CMAKE_CXX_COMPILER} -print-file-name=libasan.so OUTPUT_VARIABLE asan_library
                    OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
    set(RINGKEEP_PRELOAD_FIRST ${asan_library}:)
  endif()
elseif(RINGKEEP_SANITIZE STREQUAL "thread")
  add_compile_options(-fsanitize=thread)
  add_link_options(-fsanitize=thread)
elseif(RINGKEEP_SANITIZE)
  message(FATAL_ERROR "RINGKEEP_SANITIZE is '${RINGKEEP_SANITIZE}': use 'address' or 'thread'")
endif()

if(RINGKEEP_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
