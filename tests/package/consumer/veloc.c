/* SPDX-License-Identifier: Apache-2.0
 * What a VeloC program includes and nothing else; no server is there.
 */
#include <mpi.h>
#include <stdio.h>
#include <veloc.h>

int main(void) {
  /* Without MPI, alone: no mpirun is needed. */
  if (VELOC_Init_single(1, NULL) != VELOC_FAILURE || strlen(rk_veloc_last_error()) == 0) {
    fprintf(stderr, "VELOC_Init_single found a server at a socket that does not exist\n");
    return 1;
  }
  return VELOC_Init(MPI_COMM_WORLD, NULL) == VELOC_SUCCESS;
}
