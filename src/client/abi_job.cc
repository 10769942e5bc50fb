// SPDX-License-Identifier: Apache-2.0
// rk_job_*: to libringkeep-mpi if it is loaded, else for a process on its own.
#include "client/error.h"
#include "client/job.h"

using rk::Status;
using rk::client::at_edge;
using rk::client::from_layer;
using rk::client::invalid;
using rk::client::Job;
using rk::client::layer_hooks;

extern "C" {

int rk_job_open(const rk_options* options, rk_job** job) {
  if (const auto* hooks = layer_hooks()) return from_layer(*hooks, hooks->job_open(options, job));
  return at_edge([&]() -> Status {
    if (job == nullptr) return invalid("the place for the job handle must not be NULL");
    *job = nullptr;
    RK_TRY(auto opened, Job::open());
    *job = new rk_job{std::move(opened), false};
    return {};
  });
}

void rk_job_close(rk_job* job) {
  if (const auto* hooks = layer_hooks()) return hooks->job_close(job);
  at_edge([&]() -> Status {
    delete job;
    return {};
  });
}

uint32_t rk_job_rank(const rk_job* job) {
  if (const auto* hooks = layer_hooks()) return hooks->job_rank(job);
  return job == nullptr ? 0 : job->job->rank();
}

uint32_t rk_job_size(const rk_job* job) {
  if (const auto* hooks = layer_hooks()) return hooks->job_size(job);
  return job == nullptr ? 0 : job->job->size();
}

uint32_t rk_job_community(const rk_job* job) {
  if (const auto* hooks = layer_hooks()) return hooks->job_community(job);
  return job == nullptr ? 0 : job->job->community();
}

int rk_job_protect(rk_job* job, const char* section, void* data, size_t size) {
  if (const auto* hooks = layer_hooks()) return from_layer(*hooks, hooks->job_protect(job, section, data, size));
  if (job == nullptr || section == nullptr)
    return at_edge([] { return invalid("the job and the section's name must not be NULL"); });
  return at_edge(job->poisoned, [&] { return job->job->protect(section, data, size); });
}

int rk_job_restart_version(rk_job* job, uint64_t* version) {
  if (const auto* hooks = layer_hooks()) return from_layer(*hooks, hooks->job_restart_version(job, version));
  if (job == nullptr || version == nullptr)
    return at_edge([] { return invalid("the job and the place for the version must not be NULL"); });
  return at_edge(job->poisoned, [&]() -> Status {
    RK_TRY(const rk::Version found, job->job->restart_version());
    *version = found.value;
    return {};
  });
}

int rk_job_restore(rk_job* job) {
  if (const auto* hooks = layer_hooks()) return from_layer(*hooks, hooks->job_restore(job));
  if (job == nullptr) return at_edge([] { return invalid("the job must not be NULL"); });
  return at_edge(job->poisoned, [&] { return job->job->restore(); });
}

int rk_job_checkpoint(rk_job* job, uint64_t* version) {
  if (const auto* hooks = layer_hooks()) return from_layer(*hooks, hooks->job_checkpoint(job, version));
  if (job == nullptr) return at_edge([] { return invalid("the job must not be NULL"); });
  return at_edge(job->poisoned, [&]() -> Status {
    RK_TRY(const rk::Version taken, job->job->checkpoint());
    if (version != nullptr) *version = taken.value;
    return {};
  });
}

}  // extern "C"
