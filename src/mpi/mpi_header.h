// SPDX-License-Identifier: Apache-2.0
// mpi.h, with the declarations of the functions that MPI-3.0 removed (the library still exports them), and without the
// macros that hide functions.
#pragma once

#define OMPI_OMIT_MPI1_COMPAT_DECLS 0
#define OMPI_SKIP_MPICXX 1
#include <mpi.h>

#undef MPI_Aint_add
#undef MPI_Aint_diff
#undef PMPI_Aint_add
#undef PMPI_Aint_diff
