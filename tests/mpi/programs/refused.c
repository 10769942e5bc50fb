/* SPDX-License-Identifier: Apache-2.0
 * refused CALL: makes one call that cannot cross communities, on MPI_COMM_WORLD. `abort CODE` calls MPI_Abort. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char** argv) {
  int rank, size, value = 0, other = 0;
  const char* call = argc > 1 ? argv[1] : "";
  int provided = -1;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &provided);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  MPI_Request request;
  MPI_Win win;
  MPI_File file;
  MPI_Group group;
  MPI_Comm comm;
  const int peer = (rank + size / 2) % size;
  if (!strcmp(call, "thread")) printf("%d: funneled %d\n", rank, provided == MPI_THREAD_FUNNELED);
  if (!strcmp(call, "abort") && rank == size - 1) MPI_Abort(MPI_COMM_WORLD, atoi(argv[2]));
  if (!strcmp(call, "abort")) sleep(60);
  if (!strcmp(call, "MPI_Ssend")) MPI_Ssend(&value, 1, MPI_INT, peer, 0, MPI_COMM_WORLD);
  if (!strcmp(call, "MPI_Issend")) MPI_Issend(&value, 1, MPI_INT, peer, 0, MPI_COMM_WORLD, &request);
  if (!strcmp(call, "MPI_Send_init")) MPI_Send_init(&value, 1, MPI_INT, peer, 0, MPI_COMM_WORLD, &request);
  if (!strcmp(call, "MPI_Recv_init")) MPI_Recv_init(&value, 1, MPI_INT, peer, 0, MPI_COMM_WORLD, &request);
  if (!strcmp(call, "MPI_Ibarrier")) MPI_Ibarrier(MPI_COMM_WORLD, &request);
  if (!strcmp(call, "MPI_Iallreduce")) MPI_Iallreduce(&value, &other, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD, &request);
  if (!strcmp(call, "MPI_Win_create")) MPI_Win_create(&value, sizeof value, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &win);
  if (!strcmp(call, "MPI_File_open"))
    MPI_File_open(MPI_COMM_WORLD, "refused.tmp", MPI_MODE_CREATE | MPI_MODE_WRONLY, MPI_INFO_NULL, &file);
  if (!strcmp(call, "MPI_Comm_group")) MPI_Comm_group(MPI_COMM_WORLD, &group);
  if (!strcmp(call, "MPI_Comm_spawn"))
    MPI_Comm_spawn("true", MPI_ARGV_NULL, 1, MPI_INFO_NULL, 0, MPI_COMM_SELF, &comm, MPI_ERRCODES_IGNORE);
  if (!strcmp(call, "MPI_Intercomm_create")) MPI_Intercomm_create(MPI_COMM_SELF, 0, MPI_COMM_WORLD, peer, 0, &comm);
  MPI_Finalize();
  return 0;
}
