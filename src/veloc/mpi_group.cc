// SPDX-License-Identifier: Apache-2.0
#include "veloc/mpi_group.h"

#include <string>

namespace rk::veloc {
namespace {

Status checked(int code, const char* function) {
  if (code == MPI_SUCCESS) return {};
  char words[MPI_MAX_ERROR_STRING + 1] = "";
  int length = 0;
  MPI_Error_string(code, words, &length);
  return fail(ErrorCode::kIo, std::string(function) + " failed: " + words);
}

class MpiGroup : public Group {
 public:
  explicit MpiGroup(MPI_Comm own) : own_(own) {}
  ~MpiGroup() override {
    int over = 0;
    if (MPI_Finalized(&over) == MPI_SUCCESS && over == 0) MPI_Comm_free(&own_);
  }
  Status open() {
    RK_TRY_VOID(checked(MPI_Comm_rank(own_, &rank_), "MPI_Comm_rank"));
    return checked(MPI_Comm_size(own_, &ranks_), "MPI_Comm_size");
  }
  std::uint32_t rank() const override { return static_cast<std::uint32_t>(rank_); }
  std::uint32_t ranks() const override { return static_cast<std::uint32_t>(ranks_); }
  Status maximum(std::span<std::uint64_t> values) override {
    return checked(
        MPI_Allreduce(MPI_IN_PLACE, values.data(), static_cast<int>(values.size()), MPI_UINT64_T, MPI_MAX, own_),
        "MPI_Allreduce");
  }
  Status take_from_first(std::span<std::uint64_t> values) override {
    return checked(MPI_Bcast(values.data(), static_cast<int>(values.size()), MPI_UINT64_T, 0, own_), "MPI_Bcast");
  }
  Result<std::vector<std::uint64_t>> gather(std::uint64_t mine) override {
    std::vector<std::uint64_t> all(ranks());
    RK_TRY_VOID(checked(MPI_Allgather(&mine, 1, MPI_UINT64_T, all.data(), 1, MPI_UINT64_T, own_), "MPI_Allgather"));
    return all;
  }

 private:
  MPI_Comm own_;
  int rank_ = 0;
  int ranks_ = 1;
};

}  // namespace

Result<std::unique_ptr<Group>> group_of(MPI_Comm communicator) {
  int begun = 0;
  int over = 0;
  RK_TRY_VOID(checked(MPI_Initialized(&begun), "MPI_Initialized"));
  RK_TRY_VOID(checked(MPI_Finalized(&over), "MPI_Finalized"));
  if (begun == 0 || over != 0)
    return fail(ErrorCode::kInvalidArgument, "MPI is not running: call it after MPI_Init and before MPI_Finalize");
  if (communicator == MPI_COMM_NULL) return fail(ErrorCode::kInvalidArgument, "the communicator is MPI_COMM_NULL");
  int between = 0;
  RK_TRY_VOID(checked(MPI_Comm_test_inter(communicator, &between), "MPI_Comm_test_inter"));
  if (between != 0)
    return fail(ErrorCode::kUnsupported, "the communicator is between two groups: merge it by MPI_Intercomm_merge");
  MPI_Comm own = MPI_COMM_NULL;
  RK_TRY_VOID(checked(MPI_Comm_dup(communicator, &own), "MPI_Comm_dup"));
  auto group = std::make_unique<MpiGroup>(own);
  // What fails is an error of ours, told by its call, and not the program's end.
  RK_TRY_VOID(checked(MPI_Comm_set_errhandler(own, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler"));
  RK_TRY_VOID(group->open());
  return group;
}

}  // namespace rk::veloc
