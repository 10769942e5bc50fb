// SPDX-License-Identifier: Apache-2.0
// The core of a job against a simulated world of mpiruns and processes: random delays and orders, pauses of processes,
// crashes of processes and of mpirun at any moment (in a recovery too), processes that vanish without a word from
// mpirun, ends that are told twice, aborts, signals, failing fences, programs that exit with a status. The invariants
// are checked here, from what the world knows.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <set>

#include "base/prng.h"
#include "recovery/job.h"
#include "sim/campaign.h"

namespace rk::recovery {
namespace {

struct Life {
  bool mpirun = true;                 // lives
  std::set<std::uint32_t> processes;  // alive
  std::set<std::uint32_t> finalized;
  bool broken = false;  // will not end by itself
};

// Mistakes of a launcher; the checks must see each of them.
enum class PlantedBug { kNone, kSaysDeadTooEarly, kForgetsToFence };

struct Counts {
  std::uint64_t restarts = 0;
  std::uint64_t failures_in_recovery = 0;
  std::uint64_t successes = 0;
  std::uint64_t given_up = 0;
  std::uint64_t lost_mpiruns = 0;
  std::uint64_t pauses = 0;
  std::uint64_t told_twice = 0;
};

class World {
 public:
  World(std::uint64_t seed, sim::Trace& trace, PlantedBug bug, Counts& counts)
      : random_(seed), trace_(trace), bug_(bug), counts_(counts), job_(make_config()) {
    for (std::uint32_t i = 0; i < job_.communities(); ++i) communities_.emplace_back();
    failures_left_ = random_.below(8);
    if (random_.chance(1, 6)) plan_end();
  }

  std::string run() {
    feed(Start{});
    tick();
    std::uint64_t steps = 0;
    while (violation_.empty() && clock_.step())
      if (++steps > 200000) return "the job does not end";
    if (!violation_.empty()) return violation_;
    if (!ended_) return "nothing happens any more and the job has not ended";
    return "";
  }

 private:
  struct Community {
    std::map<std::uint64_t, Life> lives;
    std::uint64_t failures = 0;
    std::uint64_t fenced = 1;
    bool success = false;
    std::uint64_t restarts = 0;
  };

  JobConfig make_config() {
    const std::uint32_t communities = static_cast<std::uint32_t>(random_.between(1, 4));
    for (std::uint32_t i = 0; i < communities; ++i)
      config_.community_of.insert(config_.community_of.end(), random_.between(1, 3), CommunityId(i));
    config_.max_idle_restarts = static_cast<std::uint32_t>(random_.between(1, 9));
    return config_;
  }

  void later(std::uint64_t low_ms, std::uint64_t high_ms, sim::Scheduler::Action action) {
    clock_.after(random_.between(low_ms, high_ms) * 1000, std::move(action));
  }

  void plan_end() {
    later(1, 3000, [this] {
      if (ended_) return;
      if (random_.chance(1, 2)) {
        wanted_codes_.insert(42);
        feed(AbortRequested{42, "asked for"});
      } else {
        wanted_codes_.insert(143);
        feed(SignalReceived{SignalReceived::Kind::kTerminate, 15});
      }
    });
  }

  void tick() {
    if (ended_) return;
    feed(Tick{});
    clock_.after(100000, [this] { tick(); });
  }

  template <class What>
  void feed(What what) {
    if (!violation_.empty()) return;
    Effects effects;
    job_.step(Event{clock_.now_ms(), std::move(what)}, effects);
    for (const Effect& effect : effects) {
      trace_.note(clock_, {effect.index()}, [&] { return "effect " + std::to_string(effect.index()); });
      if (ended_) violation_ = "an effect after EndJob";
      std::visit([this](const auto& one) { carry_out(one); }, effect);
    }
  }

  template <class What>
  void feed_later(What what) {
    clock_.after(0, [this, what] { feed(what); });
  }

  Life* life_of(CommunityId community, Incarnation incarnation) {
    auto& lives = communities_[community.value].lives;
    const auto found = lives.find(incarnation.value);
    return found == lives.end() ? nullptr : &found->second;
  }

  void carry_out(const StartCommunity& effect) {
    Community& community = communities_[effect.community.value];
    for (const auto& [number, life] : community.lives) {
      if (life.mpirun || !life.processes.empty()) violation_ = "two incarnations of a community live at once";
      if (number >= effect.incarnation.value) violation_ = "an incarnation number is used again";
    }
    if (community.success) violation_ = "a community that ended with 0 is started again";
    if (effect.incarnation.value > 1 && community.fenced != effect.incarnation.value)
      violation_ = "an incarnation starts before the server has fenced the older ones";
    if (effect.incarnation.value > 1 && ++community.restarts > community.failures)
      violation_ = "a community without a failure was rolled back";
    if (effect.incarnation.value > 1) ++counts_.restarts;
    if (ending_) violation_ = "a community starts after the job was told to end";
    Life& life = community.lives[effect.incarnation.value];
    for (const Rank rank : job_.members(effect.community)) life.processes.insert(rank.value);
    for (const Rank rank : job_.members(effect.community)) live(effect.community, effect.incarnation, rank);
    if (failures_left_ > 0 && random_.chance(2, 3)) {
      --failures_left_;
      later(0, 2500, [this, effect] { fail(effect.community, effect.incarnation); });
    }
  }

  // A process's way: connect, leave MPI_Init, catch up, perhaps checkpoint, finalize, end.
  void live(CommunityId community, Incarnation incarnation, Rank rank) {
    const auto alive = [this, community, incarnation, rank] {
      const Life* life = life_of(community, incarnation);
      return life != nullptr && life->processes.count(rank.value) != 0;
    };
    const std::uint64_t connect = random_.between(1, 300) + pause();
    const std::uint64_t ready = connect + random_.between(1, 300) + pause();
    const std::uint64_t end = ready + random_.between(1, 2000) + pause();
    clock_.after(connect * 1000, [=, this] {
      if (alive()) feed(ProcessConnected{rank, incarnation, 1});
    });
    clock_.after(ready * 1000, [=, this] {
      if (!alive()) return;
      feed(LayerReady{rank, incarnation});
      if (incarnation.value > 1) feed(PhaseReached{rank, incarnation, PhaseReached::Kind::kReplayed, {}});
      if (random_.chance(1, 4))
        feed(PhaseReached{rank, incarnation, PhaseReached::Kind::kCheckpointed, Version(random_.between(1, 20))});
    });
    clock_.after(end * 1000, [=, this] {
      if (!alive()) return;
      Life* life = life_of(community, incarnation);
      feed(LayerFinished{rank, incarnation});
      life->finalized.insert(rank.value);
      later(0, 20, [=, this] {
        if (!alive()) return;
        life->processes.erase(rank.value);
        gone(community, incarnation, rank);
        if (!life->processes.empty() || !life->mpirun || life->broken) return;
        later(0, 20, [=, this] { mpirun_exits(community, incarnation, own_status()); });
      });
    });
  }

  // Milliseconds for which a process stands still now.
  std::uint64_t pause() {
    if (!random_.chance(1, 20)) return 0;
    ++counts_.pauses;
    return random_.between(500, 9000);
  }

  std::int32_t own_status() { return random_.chance(1, 60) ? 3 : 0; }

  void gone(CommunityId, Incarnation incarnation, Rank rank) {
    later(0, 10, [=, this] { feed(ProcessGone{rank, incarnation}); });
    if (!random_.chance(1, 5)) return;
    ++counts_.told_twice;
    later(0, 500, [=, this] {
      if (!ended_) feed(ProcessGone{rank, incarnation, false});
    });
  }

  void mpirun_exits(CommunityId community, Incarnation incarnation, std::int32_t status) {
    Life* life = life_of(community, incarnation);
    if (!life->mpirun) return;
    life->mpirun = false;
    if (status == 3) wanted_codes_.insert(3);
    if (status == 0) communities_[community.value].lives[incarnation.value].broken = false;
    later(0, 10, [=, this] {
      if (status == 0 && job_.expects(community, incarnation)) communities_[community.value].success = true;
      feed(MpirunExited{community, incarnation, status});
    });
  }

  void fail(CommunityId community, Incarnation incarnation) {
    Life* life = life_of(community, incarnation);
    if (!life->mpirun || life->processes.empty()) return;
    ++communities_[community.value].failures;
    if (incarnation.value > 1) ++counts_.failures_in_recovery;
    life->broken = true;
    wanted_codes_.insert(137);
    switch (random_.below(3)) {
      case 0:  // a process dies, mpirun kills the others and says so
        die(community, incarnation, *life->processes.begin());
        later(0, 30, [=, this] {
          while (!life->processes.empty()) die(community, incarnation, *life->processes.begin());
          mpirun_exits(community, incarnation, 137);
        });
        return;
      case 1:  // mpirun dies, its processes live on
        ++counts_.lost_mpiruns;
        mpirun_exits(community, incarnation, 137);
        return;
      default:  // a process dies and mpirun hangs; noticed if it was out of MPI_Init, else mpirun wakes up late
        die(community, incarnation, *life->processes.begin());
        later(8000, 9000, [=, this] { mpirun_exits(community, incarnation, 137); });
        return;
    }
  }

  void die(CommunityId community, Incarnation incarnation, std::uint32_t rank) {
    life_of(community, incarnation)->processes.erase(rank);
    gone(community, incarnation, Rank(rank));
  }

  void carry_out(const KillCommunity& effect) {
    Community& community = communities_[effect.community.value];
    Life* life = life_of(effect.community, effect.incarnation);
    if (!life->broken && !community.success && wanted_codes_.empty())
      violation_ = "a healthy community is killed without a reason to end the job";
    if (bug_ == PlantedBug::kSaysDeadTooEarly) feed_later(AllDead{effect.community, effect.incarnation});
    later(0, 50, [=, this] {
      while (!life->processes.empty()) die(effect.community, effect.incarnation, *life->processes.begin());
      life->mpirun = false;
      later(0, 20, [=, this] { feed(AllDead{effect.community, effect.incarnation}); });
    });
  }

  void carry_out(const FenceCommunity& effect) {
    later(0, 30, [=, this] {
      if (random_.chance(1, 50)) {
        wanted_codes_.insert(69);
        return feed(AbortRequested{69, "the server is gone"});
      }
      if (bug_ != PlantedBug::kForgetsToFence) communities_[effect.community.value].fenced = effect.incarnation.value;
      feed(Fenced{effect.community, effect.incarnation});
    });
  }

  void carry_out(const SignalProcesses&) {}
  void carry_out(const Note& note) {
    if (note.kind == Note::Kind::kEnding) ending_ = true;
  }

  void carry_out(const EndJob& effect) {
    ended_ = true;
    ++(effect.exit_code == 0 ? counts_.successes : counts_.given_up);
    for (Community& community : communities_) {
      for (const auto& [number, life] : community.lives)
        if (life.mpirun || !life.processes.empty()) violation_ = "something lives when the job ends";
      if (effect.exit_code == 0 && !community.success) violation_ = "exit code 0 although a community did not succeed";
      if (community.restarts > config_.max_restarts) violation_ = "more restarts than the limit";
    }
    if (effect.exit_code != 0 && wanted_codes_.count(effect.exit_code) == 0)
      violation_ = "exit code " + std::to_string(effect.exit_code) + " that nobody asked for";
  }

  Prng random_;
  sim::Trace& trace_;
  PlantedBug bug_;
  Counts& counts_;
  JobConfig config_;
  Job job_;
  sim::Scheduler clock_;
  std::vector<Community> communities_;
  std::set<std::int32_t> wanted_codes_;
  std::uint64_t failures_left_ = 0;
  bool ending_ = false;
  bool ended_ = false;
  std::string violation_;
};

sim::RunSeed world_with(PlantedBug bug, Counts& counts) {
  return [bug, &counts](std::uint64_t seed, sim::Trace& trace) { return World(seed, trace, bug, counts).run(); };
}

constexpr std::uint64_t kSeeds = 2000;

TEST(JobSim, SurvivesAnyOrderOfFailures) {
  Counts counts;
  const sim::CampaignResult result =
      sim::run_campaign("JobSim.SurvivesAnyOrderOfFailures", {1, kSeeds}, world_with(PlantedBug::kNone, counts));
  EXPECT_FALSE(result.failing_seed) << result.report;
  // RINGKEEP_SIM_SEED and RINGKEEP_SIM_SEEDS may ask for fewer.
  if (result.failing_seed || result.seeds_run < kSeeds) return;
  // Everything that the world can do happened, often.
  for (const std::uint64_t count : {counts.restarts, counts.failures_in_recovery, counts.successes, counts.given_up,
                                    counts.lost_mpiruns, counts.pauses, counts.told_twice})
    EXPECT_GT(count, 100U);
}

TEST(JobSim, ASeedReplaysExactly) {
  Counts counts;
  for (std::uint64_t seed = 1; seed <= 20; ++seed)
    EXPECT_TRUE(sim::replays_exactly(seed, world_with(PlantedBug::kNone, counts))) << seed;
}

TEST(JobSim, AnIncarnationThatStartsBesideALivingOneIsSeen) {
  Counts counts;
  const sim::CampaignResult result = sim::find_bug("JobSim.AnIncarnationThatStartsBesideALivingOneIsSeen", 200,
                                                   world_with(PlantedBug::kSaysDeadTooEarly, counts));
  EXPECT_NE(result.violation.find("live"), std::string::npos) << result.violation;
}

TEST(JobSim, AForgottenFenceIsSeen) {
  Counts counts;
  const sim::CampaignResult result =
      sim::find_bug("JobSim.AForgottenFenceIsSeen", 200, world_with(PlantedBug::kForgetsToFence, counts));
  EXPECT_NE(result.violation.find("fenced"), std::string::npos) << result.violation;
}

}  // namespace
}  // namespace rk::recovery
