// SPDX-License-Identifier: Apache-2.0
#include "launch/programs.h"

#include <elf.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <set>
#include <sstream>

namespace rk::launch {
namespace {

template <class T>
std::optional<T> at(std::string_view image, std::uint64_t offset) {
  if (offset > image.size() || image.size() - offset < sizeof(T)) return std::nullopt;
  T value{};
  std::memcpy(&value, image.data() + offset, sizeof value);
  return value;
}

std::string_view text_at(std::string_view image, std::uint64_t offset) {
  if (offset >= image.size()) return {};
  const std::string_view rest = image.substr(offset);
  return rest.substr(0, rest.find('\0'));
}

std::vector<Elf64_Phdr> segments_of(std::string_view image, const Elf64_Ehdr& head) {
  std::vector<Elf64_Phdr> segments;
  for (std::uint32_t i = 0; i < head.e_phnum; ++i)
    if (const auto segment = at<Elf64_Phdr>(image, head.e_phoff + std::uint64_t{i} * sizeof(Elf64_Phdr)))
      segments.push_back(*segment);
  return segments;
}

// File offset of a virtual address.
std::optional<std::uint64_t> offset_of(const std::vector<Elf64_Phdr>& segments, std::uint64_t address) {
  for (const Elf64_Phdr& segment : segments)
    if (segment.p_type == PT_LOAD && address >= segment.p_vaddr && address - segment.p_vaddr < segment.p_filesz)
      return segment.p_offset + (address - segment.p_vaddr);
  return std::nullopt;
}

bool is_executable_file(const std::string& path) {
  struct stat about {};
  return ::stat(path.c_str(), &about) == 0 && S_ISREG(about.st_mode) && ::access(path.c_str(), X_OK) == 0;
}

std::optional<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

MpiLibrary library_of(std::string_view soname) {
  if (soname.starts_with("libmpi.so.40")) return MpiLibrary::kOpenMpi;
  if (soname.starts_with("libmpich.so") || soname.starts_with("libmpi.so.12")) return MpiLibrary::kMpich;
  if (soname.starts_with("libmpi.so")) return MpiLibrary::kOther;
  return MpiLibrary::kNone;
}

std::vector<std::string> library_folders() {
  std::vector<std::string> folders;
  if (const char* path = std::getenv("LD_LIBRARY_PATH")) {
    std::stringstream parts{std::string(path)};
    for (std::string folder; std::getline(parts, folder, ':');)
      if (!folder.empty()) folders.push_back(folder);
  }
  for (const char* folder :
       {"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/usr/lib/aarch64-linux-gnu",
        "/usr/local/lib", "/lib64", "/usr/lib64", "/lib", "/usr/lib"})
    folders.emplace_back(folder);
  return folders;
}

std::string below(const std::string& folder, std::string_view name) {
  std::string path = folder;
  path += '/';
  path += name;
  return path;
}

// Walks what the image needs, breadth first, until an MPI library shows. Bounded by the number of libraries.
void look_for_mpi(const ElfNeeds& first, Program& program) {
  constexpr std::size_t kMaxLibraries = 500;
  std::vector<std::string> queue = first.needed;
  std::set<std::string> seen(queue.begin(), queue.end());
  const std::vector<std::string> folders = library_folders();
  for (std::size_t i = 0; i < queue.size() && i < kMaxLibraries; ++i) {
    const std::string soname = queue[i];
    program.mpi = library_of(soname);
    program.mpi_name = soname;
    if (program.mpi != MpiLibrary::kNone) return;
    for (const std::string& folder : folders) {
      const auto image = read_file(below(folder, soname));
      if (!image) continue;
      for (const std::string& next : read_elf_needs(*image).needed)
        if (seen.insert(next).second) queue.push_back(next);
      break;
    }
  }
  program.mpi_name.clear();
}

Result<std::string> beside_us(const std::vector<std::string>& places, const std::string& what, const char* variable) {
  if (const char* path = std::getenv(variable); path != nullptr && *path != '\0') return std::string(path);
  RK_TRY(const std::string self, own_executable());
  const std::string folder = self.substr(0, self.rfind('/'));
  for (const std::string& place : places) {
    const std::string path = below(folder, place);
    if (::access(path.c_str(), R_OK) == 0) {
      char real[PATH_MAX];
      return ::realpath(path.c_str(), real) != nullptr ? std::string(real) : path;
    }
  }
  return fail(ErrorCode::kNotFound,
              what + " is not beside " + self + ": install ringkeep as a whole, or set " + variable);
}

}  // namespace

ElfNeeds read_elf_needs(std::string_view image) {
  ElfNeeds needs;
  const auto head = at<Elf64_Ehdr>(image, 0);
  if (!head || std::memcmp(head->e_ident, ELFMAG, SELFMAG) != 0 || head->e_ident[EI_CLASS] != ELFCLASS64 ||
      head->e_ident[EI_DATA] != ELFDATA2LSB || head->e_phentsize != sizeof(Elf64_Phdr))
    return needs;
  needs.is_elf = true;
  const std::vector<Elf64_Phdr> segments = segments_of(image, *head);
  const auto dynamic = std::find_if(segments.begin(), segments.end(),
                                    [](const Elf64_Phdr& segment) { return segment.p_type == PT_DYNAMIC; });
  const bool interpreted = std::any_of(segments.begin(), segments.end(),
                                       [](const Elf64_Phdr& segment) { return segment.p_type == PT_INTERP; });
  needs.is_static = !interpreted;
  if (dynamic == segments.end()) return needs;
  std::vector<std::uint64_t> names;
  std::optional<std::uint64_t> strings;
  for (std::uint64_t i = 0; i < dynamic->p_filesz / sizeof(Elf64_Dyn); ++i) {
    const auto entry = at<Elf64_Dyn>(image, dynamic->p_offset + i * sizeof(Elf64_Dyn));
    if (!entry || entry->d_tag == DT_NULL) break;
    if (entry->d_tag == DT_NEEDED) names.push_back(entry->d_un.d_val);
    if (entry->d_tag == DT_STRTAB) strings = offset_of(segments, entry->d_un.d_ptr);
  }
  if (!strings) return needs;
  for (const std::uint64_t name : names) {
    const std::string_view text = name < image.size() ? text_at(image, *strings + name) : std::string_view{};
    if (!text.empty()) needs.needed.emplace_back(text);
  }
  return needs;
}

Result<std::string> find_program(const std::string& name) {
  const auto absent = [&](const std::string& where) {
    return fail(ErrorCode::kNotFound, "there is no program '" + name + "' " + where + ": check its name and path");
  };
  if (name.empty()) return absent("with an empty name");
  if (name.find('/') != std::string::npos) {
    struct stat about {};
    if (::stat(name.c_str(), &about) != 0) return absent("(" + std::string(std::strerror(errno)) + ")");
    if (S_ISDIR(about.st_mode)) return absent("(it is a directory)");
    if (!is_executable_file(name))
      return fail(ErrorCode::kPermission, "'" + name + "' may not be executed: check its permissions (chmod +x)");
    return name;
  }
  const char* variable = std::getenv("PATH");
  std::stringstream folders{std::string(variable != nullptr ? variable : "/usr/bin:/bin")};
  for (std::string folder; std::getline(folders, folder, ':');) {
    const std::string path = below(folder.empty() ? "." : folder, name);
    if (is_executable_file(path)) return path;
  }
  return absent("on the PATH");
}

Result<Program> examine_program(const std::string& name) {
  Program program;
  RK_TRY(program.path, find_program(name));
  const auto image = read_file(program.path);
  if (!image) return program;  // executable but not readable: nothing can be told
  const ElfNeeds needs = read_elf_needs(*image);
  if (!needs.is_elf) return program;
  if (needs.is_static)
    program.mpi = MpiLibrary::kStatic;
  else
    look_for_mpi(needs, program);
  return program;
}

Status check_supported(const Program& program, std::uint32_t communities) {
  if (program.mpi == MpiLibrary::kMpich || program.mpi == MpiLibrary::kOther)
    return fail(ErrorCode::kUnsupported, program.path + " uses " + program.mpi_name +
                                             ", an MPI library without ringkeep wrappers: build it with Open MPI "
                                             "(mpicc.openmpi)");
  if (program.mpi == MpiLibrary::kStatic && communities > 1)
    return fail(ErrorCode::kUnsupported, program.path +
                                             " is statically linked, so its MPI calls cannot be reached: link it "
                                             "dynamically, or use --communities 1");
  return {};
}

Result<std::string> find_mpirun() {
  if (auto path = find_program("mpirun.openmpi")) return *path;
  auto path = find_program("mpirun");
  if (path) {
    std::string said;
    FILE* pipe = ::popen(("'" + *path + "' --version 2>&1").c_str(), "re");
    if (pipe != nullptr) {
      char line[256];
      while (std::fgets(line, sizeof line, pipe) != nullptr && said.size() < 4096) said += line;
      ::pclose(pipe);
    }
    if (said.find("Open MPI") != std::string::npos || said.find("OpenRTE") != std::string::npos) return *path;
  }
  return fail(ErrorCode::kNotFound, "Open MPI's mpirun is not on the PATH: install Open MPI (on Debian: openmpi-bin)");
}

Result<std::string> own_executable() {
  char path[PATH_MAX];
  const ssize_t size = ::readlink("/proc/self/exe", path, sizeof path);
  if (size <= 0) return fail_errno("read /proc/self/exe", errno);
  return std::string(path, static_cast<std::size_t>(size));
}

Result<std::string> find_server_executable() {
  return beside_us({"ringkeepd", "../sbin/ringkeepd"}, "the server, ringkeepd,", "RINGKEEP_SERVER_PROGRAM");
}

Result<std::string> find_mpi_layer() {
  return beside_us({"../lib/libringkeep-mpi.so", "../lib/x86_64-linux-gnu/libringkeep-mpi.so",
                    "../lib/aarch64-linux-gnu/libringkeep-mpi.so", "../lib64/libringkeep-mpi.so"},
                   "the MPI layer, libringkeep-mpi.so,", "RINGKEEP_MPI_LAYER");
}

}  // namespace rk::launch
