# SPDX-License-Identifier: Apache-2.0
# Open MPI by its own compiler wrapper, so that MPICH beside it does not matter.
# Defines OpenMpi_FOUND, OpenMpi_MPICXX, OpenMpi_MPIRUN and the target OpenMpi::OpenMpi (C interface).
find_program(OpenMpi_MPICXX NAMES mpicxx.openmpi)
find_program(OpenMpi_MPIRUN NAMES mpirun.openmpi)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(OpenMpi REQUIRED_VARS OpenMpi_MPICXX OpenMpi_MPIRUN)
if(OpenMpi_FOUND AND NOT TARGET OpenMpi::OpenMpi)
  execute_process(COMMAND ${OpenMpi_MPICXX} --showme:incdirs OUTPUT_VARIABLE folders
                  OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  execute_process(COMMAND ${OpenMpi_MPICXX} --showme:libdirs OUTPUT_VARIABLE libraries
                  OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  separate_arguments(folders UNIX_COMMAND "${folders}")
  separate_arguments(libraries UNIX_COMMAND "${libraries}")
  find_library(OpenMpi_LIBRARY NAMES mpi HINTS ${libraries} NO_DEFAULT_PATH REQUIRED)
  add_library(OpenMpi::OpenMpi INTERFACE IMPORTED)
  set_target_properties(OpenMpi::OpenMpi PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${folders}"
                        INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${folders}"
                        INTERFACE_COMPILE_DEFINITIONS "OMPI_SKIP_MPICXX" INTERFACE_LINK_LIBRARIES "${OpenMpi_LIBRARY}")
endif()
