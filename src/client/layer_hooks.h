// SPDX-License-Identifier: Apache-2.0
// How libringkeep hands the rk_job_* and rk_send/rk_recv calls of an MPI program over to libringkeep-mpi, which knows
// the communicators and the replay. libringkeep-mpi defines the symbol; libringkeep looks it up once, with
// dlsym(RTLD_DEFAULT, kLayerHooksSymbol), and calls through it if the version is kLayerHooksVersion. Functions are
// those of ringkeep.h; an rk_job made by the layer goes only to the layer. After a failure libringkeep copies the
// layer's last_error().
#pragma once

#include <cstdint>

#include "ringkeep/ringkeep.h"

extern "C" {

struct rk_layer_hooks {
  uint32_t version;  // kLayerHooksVersion
  uint32_t struct_size;
  const char* (*last_error)(void);
  int (*job_open)(const rk_options* options, rk_job** job);
  void (*job_close)(rk_job* job);
  uint32_t (*job_rank)(const rk_job* job);
  uint32_t (*job_size)(const rk_job* job);
  uint32_t (*job_community)(const rk_job* job);
  int (*job_protect)(rk_job* job, const char* section, void* data, size_t size);
  int (*job_restart_version)(rk_job* job, uint64_t* version);
  int (*job_restore)(rk_job* job);
  int (*job_checkpoint)(rk_job* job, uint64_t* version);
  int (*send)(rk_job* job, uint32_t dest, int32_t tag, const void* data, size_t size);
  int (*recv)(rk_job* job, uint32_t source, int32_t tag, void* data, size_t capacity, uint32_t timeout_ms,
              rk_message* message);
};

// extern "C" RK_API const rk_layer_hooks ringkeep_layer_hooks = {...}; in libringkeep-mpi.
}

namespace rk::client {

inline constexpr std::uint32_t kLayerHooksVersion = 1;
inline constexpr char kLayerHooksSymbol[] = "ringkeep_layer_hooks";

}  // namespace rk::client
