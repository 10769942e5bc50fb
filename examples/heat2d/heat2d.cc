// SPDX-License-Identifier: Apache-2.0
// heat2d: heat spreading over a square plate, an MPI stencil that checkpoints through rk_job_*.
//
// Each rank owns a band of rows and exchanges its edge rows with its neighbours on a Cartesian communicator. Under
// `ringkeep run` the ranks of a community checkpoint together every --checkpoint-every steps and go on from there after
// a failure; under plain mpirun the same program runs without. Every number that it prints is independent of the number
// of ranks: the residual is a maximum, the checksum goes over the field row by row.
#include <mpi.h>

#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <unistd.h>

#include "ringkeep/ringkeep.h"

namespace {

struct Options {
  int size = 512;  // cells a side
  int steps = 1000;
  int checkpoint_every = 100;  // steps; 0: never
  int report_every = 100;      // steps
  std::string picture;         // PPM file that rank 0 writes at the end; empty: none
  std::string trace;           // directory for a file a rank with the lines "pid step microseconds"; empty: none
};

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "heat2d: %s\n", why.c_str());
  MPI_Abort(MPI_COMM_WORLD, 1);
  std::exit(1);
}

void require(int code, const char* doing) {
  if (code != RK_OK) give_up(std::string(doing) + " failed: " + rk_last_error());
}

int number(const std::string& name, const char* text) {
  char* end = nullptr;
  const long value = std::strtol(text, &end, 10);
  if (end == text || *end != '\0' || value < 0 || value > 1000000000)
    give_up(name + " needs a number from 0 to 1000000000");
  return static_cast<int>(value);
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    if (i + 1 >= argc) give_up(name + " needs a value");
    if (name == "--size")
      options.size = number(name, argv[i + 1]);
    else if (name == "--steps")
      options.steps = number(name, argv[i + 1]);
    else if (name == "--checkpoint-every")
      options.checkpoint_every = number(name, argv[i + 1]);
    else if (name == "--report-every")
      options.report_every = std::max(1, number(name, argv[i + 1]));
    else if (name == "--picture")
      options.picture = argv[i + 1];
    else if (name == "--trace")
      options.trace = argv[i + 1];
    else
      give_up("unknown option " + name);
  }
  return options;
}

// A band of rows with one row of its neighbour above and below.
class Band {
 public:
  Band(const Options& options, MPI_Comm plate) : width_(options.size), plate_(plate) {
    MPI_Comm_rank(plate, &rank_);
    MPI_Comm_size(plate, &ranks_);
    if (width_ < ranks_ || width_ < 3) give_up("--size must be at least 3 and the number of ranks");
    MPI_Cart_shift(plate, 0, 1, &above_, &below_);
    rows_ = rows_of(rank_);
    field_.assign(static_cast<std::size_t>(rows_ + 2) * static_cast<std::size_t>(width_), 0.0);
    next_ = field_;
    const int first = first_row_of(rank_);
    for (int row = 0; row < rows_; ++row)
      for (int column = 0; column < width_; ++column) cell(field_, row, column) = initial(first + row, column);
  }

  int rows_of(int rank) const { return width_ / ranks_ + (rank < width_ % ranks_ ? 1 : 0); }
  int first_row_of(int rank) const { return rank * (width_ / ranks_) + std::min(rank, width_ % ranks_); }

  // One step; the largest change of a cell of this band.
  double step() {
    exchange_edges();
    const int first = first_row_of(rank_);
    double residual = 0;
    for (int row = 0; row < rows_; ++row) {
      const bool edge = first + row == 0 || first + row == width_ - 1;
      for (int column = 0; column < width_; ++column) {
        const double here = cell(field_, row, column);
        double value = here;
        if (!edge && column > 0 && column < width_ - 1)
          value = here + 0.2 * (cell(field_, row - 1, column) + cell(field_, row + 1, column) +
                                cell(field_, row, column - 1) + cell(field_, row, column + 1) - 4.0 * here);
        cell(next_, row, column) = value;
        residual = std::max(residual, std::fabs(value - here));
      }
    }
    // The memory of the field is protected: its address must stay the same, so the new values move, not the vectors.
    std::copy(next_.begin() + width_, next_.end() - width_, field_.begin() + width_);
    return residual;
  }

  // The whole field on rank 0, empty on the others.
  std::vector<double> gather() const {
    std::vector<int> counts, starts;
    std::vector<double> whole;
    if (rank_ == 0) {
      for (int rank = 0; rank < ranks_; ++rank) {
        counts.push_back(rows_of(rank) * width_);
        starts.push_back(first_row_of(rank) * width_);
      }
      whole.resize(static_cast<std::size_t>(width_) * static_cast<std::size_t>(width_));
    }
    MPI_Gatherv(field_.data() + width_, rows_ * width_, MPI_DOUBLE, whole.data(), counts.data(), starts.data(),
                MPI_DOUBLE, 0, plate_);
    return whole;
  }

  std::vector<double>& field() { return field_; }
  int rank() const { return rank_; }

 private:
  // A hot square off the middle, and a warm upper edge that stays so.
  double initial(int row, int column) const {
    if (row == 0) return 0.6;
    const bool hot = row > width_ / 4 && row < width_ / 2 && column > width_ / 3 && column < 2 * width_ / 3;
    return hot ? 1.0 : 0.0;
  }

  double& cell(std::vector<double>& field, int row, int column) const {
    return field[static_cast<std::size_t>(row + 1) * static_cast<std::size_t>(width_) +
                 static_cast<std::size_t>(column)];
  }

  void exchange_edges() {
    double* top = field_.data();
    MPI_Request requests[4];
    MPI_Irecv(top, width_, MPI_DOUBLE, above_, 1, plate_, &requests[0]);
    MPI_Irecv(top + (rows_ + 1) * width_, width_, MPI_DOUBLE, below_, 2, plate_, &requests[1]);
    MPI_Isend(top + width_, width_, MPI_DOUBLE, above_, 2, plate_, &requests[2]);
    MPI_Isend(top + rows_ * width_, width_, MPI_DOUBLE, below_, 1, plate_, &requests[3]);
    MPI_Waitall(4, requests, MPI_STATUSES_IGNORE);
  }

  int width_;
  int rows_ = 0;
  int rank_ = 0;
  int ranks_ = 1;
  int above_ = MPI_PROC_NULL;
  int below_ = MPI_PROC_NULL;
  MPI_Comm plate_;
  std::vector<double> field_, next_;
};

// The community's checkpoints; does nothing outside of `ringkeep run`.
class Checkpoints {
 public:
  Checkpoints(std::vector<double>& field, int& step, int every) : every_(every) {
    const int code = rk_job_open(nullptr, &job_);
    if (code == RK_ERR_UNAVAILABLE) return;
    require(code, "opening the job");
    require(rk_job_protect(job_, "step", &step, sizeof step), "protecting the step");
    require(rk_job_protect(job_, "field", field.data(), field.size() * sizeof(double)), "protecting the field");
    std::uint64_t version = 0;
    require(rk_job_restart_version(job_, &version), "asking for the version to restart from");
    if (version != 0) require(rk_job_restore(job_), "restoring");
  }
  ~Checkpoints() { rk_job_close(job_); }
  Checkpoints(const Checkpoints&) = delete;
  Checkpoints& operator=(const Checkpoints&) = delete;

  void after_step(int step) {
    if (job_ != nullptr && every_ > 0 && step % every_ == 0)
      require(rk_job_checkpoint(job_, nullptr), "taking a checkpoint");
  }

 private:
  rk_job* job_ = nullptr;
  int every_;
};

// Which steps this rank executed, in which process and when, over all its lives.
class Trace {
 public:
  Trace(const std::string& folder, int rank) {
    if (folder.empty()) return;
    const std::string path = folder + "/rank" + std::to_string(rank);
    file_ = std::fopen(path.c_str(), "a");
    if (file_ == nullptr) give_up("cannot write " + path);
  }
  ~Trace() {
    if (file_ != nullptr) std::fclose(file_);
  }
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  void executed(int step) {
    if (file_ == nullptr) return;
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    const auto microseconds = std::chrono::duration_cast<std::chrono::microseconds>(now).count();
    std::fprintf(file_, "%d %d %lld\n", static_cast<int>(getpid()), step, static_cast<long long>(microseconds));
    std::fflush(file_);
  }

 private:
  std::FILE* file_ = nullptr;
};

// FNV-1a over the bits of the field.
std::uint64_t checksum(const std::vector<double>& field) {
  std::uint64_t sum = 14695981039346656037ULL;
  const auto* bytes = reinterpret_cast<const unsigned char*>(field.data());
  for (std::size_t i = 0; i < field.size() * sizeof(double); ++i) sum = (sum ^ bytes[i]) * 1099511628211ULL;
  return sum;
}

void write_picture(const std::string& path, const std::vector<double>& field, int size) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) give_up("cannot write " + path);
  std::fprintf(file, "P6\n%d %d\n255\n", size, size);
  for (const double value : field) {
    // Black, red, yellow, white.
    const double heat = std::clamp(std::sqrt(std::max(value, 0.0)), 0.0, 1.0) * 3.0;
    const double parts[3] = {std::min(heat, 1.0), std::clamp(heat - 1.0, 0.0, 1.0), std::clamp(heat - 2.0, 0.0, 1.0)};
    for (const double part : parts) std::fputc(static_cast<int>(std::lround(part * 255.0)), file);
  }
  if (std::fclose(file) != 0) give_up("cannot write " + path);
}

void run(const Options& options, MPI_Comm plate) {
  Band band(options, plate);
  int step = 0;
  Checkpoints checkpoints(band.field(), step, options.checkpoint_every);
  Trace trace(options.trace, band.rank());
  while (step < options.steps) {
    const double change = band.step();
    ++step;
    trace.executed(step);
    if (step % options.report_every == 0) {
      double residual = 0;
      MPI_Allreduce(&change, &residual, 1, MPI_DOUBLE, MPI_MAX, plate);
      if (band.rank() == 0) {
        std::printf("step %d residual %.17g\n", step, residual);
        std::fflush(stdout);
      }
    }
    checkpoints.after_step(step);
  }
  const std::vector<double> whole = band.gather();
  if (band.rank() == 0) {
    std::printf("checksum %016" PRIx64 "\n", checksum(whole));
    if (!options.picture.empty()) write_picture(options.picture, whole, options.size);
  }
}

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  const Options options = parse(argc, argv);
  int ranks = 1;
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  const int periodic = 0;
  MPI_Comm plate = MPI_COMM_NULL;
  MPI_Cart_create(MPI_COMM_WORLD, 1, &ranks, &periodic, 0, &plate);
  run(options, plate);
  MPI_Comm_free(&plate);
  MPI_Finalize();
  return 0;
}
