// SPDX-License-Identifier: Apache-2.0
// The executables of a job: the program itself and which MPI library it uses, mpirun, and our own.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace rk::launch {

enum class MpiLibrary {
  kNone,  // no MPI library among what it needs, or a script: it may still load one later
  kOpenMpi,
  kMpich,   // or another library with MPICH's ABI
  kOther,   // a libmpi that is neither
  kStatic,  // statically linked: nothing can be preloaded into it
};

struct Program {
  std::string path;
  MpiLibrary mpi = MpiLibrary::kNone;
  std::string mpi_name;  // soname found, for people
};

// Finds a program as the shell does. kNotFound, kPermission for one that may not be executed.
Result<std::string> find_program(const std::string& name);
// Looks into the program: ELF, what it needs directly and through the libraries it needs.
Result<Program> examine_program(const std::string& name);
// kUnsupported, with the cure, if a job in that many communities cannot be made of it.
Status check_supported(const Program& program, std::uint32_t communities);

// Open MPI's mpirun: "mpirun.openmpi", or "mpirun" if it says that it is Open MPI's.
Result<std::string> find_mpirun();

// Our own parts lie beside this executable, in the build tree and installed alike.
Result<std::string> own_executable();
Result<std::string> find_server_executable();
Result<std::string> find_mpi_layer();

// The sonames that an ELF image of this machine needs (DT_NEEDED); sets `is_elf`, `is_static`.
struct ElfNeeds {
  bool is_elf = false;
  bool is_static = false;
  std::vector<std::string> needed;
};
ElfNeeds read_elf_needs(std::string_view image);

}  // namespace rk::launch
