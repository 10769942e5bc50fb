// SPDX-License-Identifier: Apache-2.0
// Each rule of the model must be able to fail: traces of three servers, right ones and wrong ones.
#include "tests/sim/ring/model_rules.h"

#include <gtest/gtest.h>

namespace rk::ring {
namespace {

class ModelRulesTest : public testing::Test {
 protected:
  ModelRulesTest() {
    for (const NodeId node : {kA, kB, kC}) {
      checker_.on_start({node, Incarnation(1)}, false);
      rules_.on_start(node);
      Memory memory;
      memory.committed = roster_;
      durable(node, memory);
    }
  }

  void durable(NodeId node, const Memory& memory) {
    rules_.on_durable(node, memory);
    checker_.on_durable(node, memory);
  }
  // The server has promised that ballot for view 1, and accepted a value by it if there is one.
  void has(NodeId node, Ballot promised, const View& accepted = {}) {
    Memory memory = checker_.durable(node);
    memory.promised = promised;
    if (accepted.number) {
      memory.accepted = accepted;
      memory.accepted_ballot = promised;
    }
    durable(node, memory);
  }
  void commits(NodeId node, const View& view) {
    Memory memory;
    memory.committed = view;
    durable(node, memory);
  }
  void hears_promise(NodeId node, NodeId from, Ballot ballot, const View& accepted = {}, Ballot accepted_by = {}) {
    wire::RingPromise promise;
    promise.number = ViewNumber(1);
    promise.ballot = ballot;
    promise.accepted = accepted;
    promise.accepted_ballot = accepted_by;
    rules_.on_delivered(node, {from, Incarnation(1)}, promise);
  }
  void hears_ack(NodeId node, NodeId from, Ballot ballot, Incarnation memory_since = {}) {
    wire::RingAck ack;
    ack.number = ViewNumber(1);
    ack.ballot = ballot;
    ack.memory_since = memory_since;
    rules_.on_delivered(node, {from, Incarnation(1)}, ack);
  }
  void sends_promise(NodeId node, Ballot ballot, const View& accepted = {}) {
    wire::RingPromise promise;
    promise.number = ViewNumber(1);
    promise.ballot = ballot;
    promise.accepted = accepted;
    rules_.on_sent(node, promise);
  }
  void sends_prepare(NodeId node, Ballot ballot) {
    wire::RingPrepare prepare;
    prepare.ballot = ballot;
    prepare.committed = roster_;
    rules_.on_sent(node, prepare);
  }
  void sends_propose(NodeId node, Ballot ballot, const View& value) {
    wire::RingPropose propose;
    propose.ballot = ballot;
    propose.committed = roster_;
    propose.proposed = value;
    rules_.on_sent(node, propose);
  }
  void sends_ack(NodeId node, Ballot ballot) {
    wire::RingAck ack;
    ack.number = ViewNumber(1);
    ack.ballot = ballot;
    rules_.on_sent(node, ack);
  }
  void holds() { EXPECT_EQ(checker_.violation(), ""); }
  void fails(const std::string& what) {
    EXPECT_NE(checker_.violation().find(what), std::string::npos) << checker_.violation();
  }

  // All act in view 1; C's override, as the operator who asks there makes it.
  View after_view_1() {
    wire::RingCommit told;
    told.view = all_;
    has(kA, {}, all_);
    has(kB, {}, all_);
    for (const NodeId node : {kA, kB, kC}) {
      rules_.on_delivered(node, {kA, Incarnation(1)}, told);
      commits(node, all_);
    }
    View view = view_of({kC});
    view.number = override_number(ViewNumber(1), 2, 3);
    view.overridden = {kC, ViewNumber(1), 0};
    return view;
  }

  static View view_of(std::initializer_list<NodeId> nodes) {
    View view;
    view.number = ViewNumber(1);
    for (const NodeId node : nodes) {
      view.members.push_back({node, Incarnation(1)});
      view.ring.push_back(node);
    }
    return view;
  }

  static constexpr NodeId kA{1}, kB{2}, kC{3};
  const Ballot by_b_{1, kB}, by_c_{1, kC};
  const View all_ = view_of({kA, kB, kC});
  const View two_ = view_of({kA, kB});
  View roster_ = [] {
    View view;
    for (const NodeId node : {kA, kB, kC}) view.members.push_back({node, Incarnation()});
    return view;
  }();
  RingChecker checker_{{{kA, "a:1"}, {kB, "b:1"}, {kC, "c:1"}}};
  ModelRules rules_{checker_};
};

TEST_F(ModelRulesTest, OneRoundOfTheLeader) {
  has(kA, {}, all_);
  sends_propose(kA, {}, all_);
  has(kB, {}, all_);
  sends_ack(kB, {});
  hears_ack(kA, kB, {});
  commits(kA, all_);
  holds();
}

TEST_F(ModelRulesTest, CommitWithoutAcks) {
  has(kA, {}, all_);
  sends_propose(kA, {}, all_);
  commits(kA, all_);
  fails("without the ACKs of a quorum");
}

TEST_F(ModelRulesTest, CommitWithTheAckOfALostMemory) {
  has(kA, {}, all_);
  sends_propose(kA, {}, all_);
  hears_ack(kA, kB, {}, Incarnation(2));
  commits(kA, all_);
  fails("without the ACKs of a quorum");
}

TEST_F(ModelRulesTest, ARestartForgetsTheAcks) {
  has(kA, {}, all_);
  sends_propose(kA, {}, all_);
  hears_ack(kA, kB, {});
  rules_.on_start(kA);
  commits(kA, all_);
  fails("without the ACKs of a quorum");
}

TEST_F(ModelRulesTest, CommitBecauseSomebodySaidSo) {
  wire::RingCommit commit;
  commit.view = all_;
  has(kA, {}, all_);
  has(kB, {}, all_);
  rules_.on_delivered(kC, {kA, Incarnation(1)}, commit);
  commits(kC, all_);
  holds();
}

TEST_F(ModelRulesTest, ProposesWhatIsNotDurable) {
  sends_propose(kA, {}, all_);
  fails("has not accepted");
}

TEST_F(ModelRulesTest, ProposesASecondValue) {
  has(kA, {}, all_);
  sends_propose(kA, {}, two_);
  fails("has not accepted");
}

TEST_F(ModelRulesTest, ProposesByAnothersBallot) {
  has(kA, {}, all_);
  sends_propose(kB, {}, all_);
  fails("has not accepted");
}

TEST_F(ModelRulesTest, AcknowledgesWhatNobodyProposed) {
  has(kB, {}, all_);
  sends_ack(kB, {});
  fails("nobody proposed");
}

TEST_F(ModelRulesTest, AcknowledgesAnotherValue) {
  has(kA, {}, all_);
  has(kB, by_b_);
  sends_ack(kB, {});
  fails("another value than it has accepted");
}

TEST_F(ModelRulesTest, PreparesAnothersBallot) {
  sends_prepare(kC, by_b_);
  fails("not its own");
}

TEST_F(ModelRulesTest, PreparesBeforeItIsDurable) {
  sends_prepare(kB, by_b_);
  fails("not its own");
}

TEST_F(ModelRulesTest, PromisesWhatNobodyPrepared) {
  has(kA, by_b_);
  sends_promise(kA, by_b_);
  fails("nobody prepared");
}

TEST_F(ModelRulesTest, PromisesAndHidesWhatItHasAccepted) {
  has(kA, {}, all_);
  has(kB, by_b_);
  sends_promise(kA, by_b_);
  fails("tells of another value");
}

TEST_F(ModelRulesTest, TakesOverFreely) {
  has(kB, by_b_);
  sends_prepare(kB, by_b_);
  has(kC, by_b_);
  sends_promise(kC, by_b_);
  hears_promise(kB, kC, by_b_);
  has(kB, by_b_, two_);
  sends_propose(kB, by_b_, two_);
  holds();
}

TEST_F(ModelRulesTest, TakesOverWithoutPromises) {
  has(kB, by_b_);
  sends_prepare(kB, by_b_);
  has(kB, by_b_, two_);
  fails("without a quorum of promises");
}

TEST_F(ModelRulesTest, AdoptsWhatAPromiseTold) {
  has(kA, {}, all_);
  has(kB, by_b_);
  hears_promise(kB, kA, by_b_, all_);
  has(kB, by_b_, all_);
  holds();
}

TEST_F(ModelRulesTest, ChoosesAlthoughAPromiseToldOfAValue) {
  has(kA, {}, all_);
  has(kB, by_b_);
  hears_promise(kB, kA, by_b_, all_);
  has(kB, by_b_, two_);
  fails("adopts another value");
}

TEST_F(ModelRulesTest, AdoptsNoLowerThanItsOwn) {
  has(kA, {}, all_);
  has(kB, by_b_);
  hears_promise(kB, kC, by_b_);
  has(kB, by_b_, two_);
  const Ballot later{2, kC};
  has(kC, later);
  hears_promise(kC, kA, later, all_);
  hears_promise(kC, kB, later, two_, by_b_);
  has(kC, later, all_);
  // C itself and A alone would be a quorum that tells of A's value only.
  holds();
  const Ballot last{3, kC};
  Memory memory = checker_.durable(kC);
  memory.promised = last;
  durable(kC, memory);
  hears_promise(kC, kB, last, two_, by_b_);
  has(kC, last, two_);
  fails("adopts another value");  // its own acceptance, by ballot 2, is the higher one
}

TEST_F(ModelRulesTest, ProposesByBallotZeroAfterAPromise) {
  has(kB, by_b_);
  sends_prepare(kB, by_b_);
  has(kA, by_b_);
  Memory memory = checker_.durable(kA);
  memory.accepted = all_;
  memory.accepted_ballot = {};
  rules_.on_durable(kA, memory);
  fails("has promised another");
}

TEST_F(ModelRulesTest, AnOverrideThatAnOperatorAskedFor) {
  const View view = after_view_1();
  checker_.on_override({kC, Incarnation(1)});
  commits(kC, view);
  holds();
}

TEST_F(ModelRulesTest, AnOverrideThatNobodyAskedFor) {
  const View view = after_view_1();
  commits(kC, view);
  fails("without the ACKs of a quorum");
}

TEST_F(ModelRulesTest, AnOverrideThatAnotherServerWasAskedFor) {
  const View view = after_view_1();
  checker_.on_override({kB, Incarnation(1)});
  commits(kC, view);
  fails("without the ACKs of a quorum");
}

TEST_F(ModelRulesTest, AnOverrideWithoutMemoryOfTheViewBefore) {
  const View view = after_view_1();
  checker_.on_start({kC, Incarnation(2)}, true);
  commits(kC, all_);
  checker_.on_override({kC, Incarnation(1)});
  commits(kC, view);
  fails("without the ACKs of a quorum");
}

TEST_F(ModelRulesTest, ASecondOverrideAfterTheFirst) {
  View view = after_view_1();
  checker_.on_override({kC, Incarnation(1)});
  commits(kC, view);
  holds();
  view.number.value += 5;
  commits(kC, view);
  fails("without the ACKs of a quorum");
}

}  // namespace
}  // namespace rk::ring
