# SPDX-License-Identifier: Apache-2.0
# MPICH by its own compiler wrapper, so that Open MPI beside it does not matter.
# Defines Mpich_FOUND, Mpich_MPICC, Mpich_MPIRUN and the target Mpich::Mpich (C interface).
find_program(Mpich_MPICC NAMES mpicc.mpich)
find_program(Mpich_MPIRUN NAMES mpirun.mpich)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Mpich REQUIRED_VARS Mpich_MPICC Mpich_MPIRUN)
if(Mpich_FOUND AND NOT TARGET Mpich::Mpich)
  execute_process(COMMAND ${Mpich_MPICC} -show OUTPUT_VARIABLE shown OUTPUT_STRIP_TRAILING_WHITESPACE
                  COMMAND_ERROR_IS_FATAL ANY)
  separate_arguments(words UNIX_COMMAND "${shown}")
  set(folders ${words})
  list(FILTER folders INCLUDE REGEX "^-I")
  list(TRANSFORM folders REPLACE "^-I" "")
  set(libraries ${words})
  list(FILTER libraries INCLUDE REGEX "^-L")
  list(TRANSFORM libraries REPLACE "^-L" "")
  find_library(Mpich_LIBRARY NAMES mpich HINTS ${libraries} REQUIRED)
  add_library(Mpich::Mpich INTERFACE IMPORTED)
  set_target_properties(Mpich::Mpich PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${folders}"
                        INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${folders}"
                        INTERFACE_COMPILE_DEFINITIONS "MPICH_SKIP_MPICXX" INTERFACE_LINK_LIBRARIES "${Mpich_LIBRARY}")
endif()
