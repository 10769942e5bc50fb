/* SPDX-License-Identifier: Apache-2.0
 * One checkpoint, its home and its copies, while servers crash, fall silent and come back: leases, epochs, holders.
 * Names are those of src/ring and src/keep. That the servers agree on one value for each view is agreement.pml's; here
 * a view is decided in one step, by whoever may, and every server learns of it later.
 *
 * The home says OK for a version once every holder of its view has it, and it has a lease. The leader grants leases
 * while a quorum holds for it. No hold ends before the leases that rest on it; who answers a PREPARE says whether it
 * holds, and holds no more for the leader of that view. A server that a view removes may have a lease still: the home
 * that takes its place acts once that has ended, or, after a takeover, the holds that the answers told of. A new
 * holder counts once the view records it, and is recorded once its copy is complete. A server that lost its copy is a
 * new incarnation, and no holder.
 *
 * Time is order: a lease may end at any moment, a hold at any moment after the leases.
 *
 * With four servers a takeover comes when a quorum holds no more. That it may come at once, because the new home waits for
 * the holds that the answers tell of, is searched with three.
 *
 * Variants known to be unsafe, each found by `models/check`: OK_BEFORE_ACK, NO_LEASE, NO_FENCE (neither lease nor
 * epoch), EMPTY_BACKUP, COUNT_INCOMPLETE, NO_LEADER_LEASE, NO_WAIT (for the lease of the home before), and one that this
 * model found: LEASE_OUTLIVES_VIEW.
 * Situations that must be reachable: REACH_LOST, REACH_TAKEOVER, REACH_REPAIRED, REACH_OK_AFTER_LOSS.
 * Holds too with AT_ONCE. */

#define N 4
#ifdef AT_ONCE
#define ALL 7
#else
#define ALL 15
#endif
#define VIEWS 3
#define VERSIONS 2
#define CRASHES 2

#define bit(i) (1 << (i))
#define count(s) (((s) & 1) + (((s) >> 1) & 1) + (((s) >> 2) & 1) + (((s) >> 3) & 1))
#define first(s) ((s) & 1 -> 0 : ((s) & 2 -> 1 : ((s) & 4 -> 2 : 3)))
#define majority(view, votes) (2 * count((view) & (votes)) > count(view) || \
                               (2 * count((view) & (votes)) == count(view) && ((view) & (votes) & bit(first(view)))))

/* The views that were decided. */
byte latest;
byte members[VIEWS + 1];
byte home[VIEWS + 1];
byte holders[VIEWS + 1];   /* recorded as complete */
byte filling[VIEWS + 1];   /* gets a copy, and is no holder yet */
bool lost[VIEWS + 1];      /* no holder was left: told as LOST, and started anew by its owner */
byte replaced[VIEWS + 1];  /* homes of the views before, removed by their leader */
byte owed[VIEWS + 1];      /* held when they answered the PREPAREs of takeovers so far */

byte at[N];                /* view installed */
bool alive[N];
byte copy[N];              /* version */
bool complete[N];          /* of the one that is being filled */
byte pending[N];           /* version that the home is writing; 0: none */
byte acks[N];
bool anew[N];              /* home of a lost checkpoint, which its owner has not started anew */
bool lease[N];
bool hold[N];
bool barred[N];            /* has answered one: holds no more for the leader of its view */

byte last_ok;              /* what a client was told */
byte newest_ok_view;
byte crashes;

#define is_home(i) (alive[i] && home[at[i]] == (i) && (members[at[i]] & bit(i)))
#define leads(i) (alive[i] && first(members[at[i]]) == (i))
#define is_at(i, v) (alive[i] && at[i] == (v) -> bit(i) : 0)
#define voters(v) (is_at(0, v) | is_at(1, v) | is_at(2, v) | is_at(3, v))
#define holds(i, v) (hold[i] && !barred[i] && alive[i] && at[i] == (v) -> bit(i) : 0)
#define holding(v) (holds(0, v) | holds(1, v) | holds(2, v) | holds(3, v))
#define free_at(i, v) (!hold[i] && alive[i] && at[i] == (v) -> bit(i) : 0)
#ifdef AT_ONCE
#define asked(i, v) is_at(i, v)
#define may_promise(i) true
#else
#define asked(i, v) free_at(i, v)
#define may_promise(i) (!hold[i])
#endif
#define no_lease (!lease[0] && !lease[1] && !lease[2] && !lease[3])
#define leased(i, s) (lease[i] && ((s) & bit(i)))
#ifdef NO_WAIT
#define waits(i) false
#else
#define waits_for(i, s) (leased(s, replaced[at[i]]) || (hold[s] && (owed[at[i]] & bit(s))))
#define waits(i) (waits_for(i, 0) || waits_for(i, 1) || waits_for(i, 2) || waits_for(i, 3))
#endif

#ifdef NO_LEADER_LEASE
#define may_grant(i) leads(i)
#else
#define may_grant(i) (leads(i) && majority(members[at[i]], holding(at[i])))
#endif
#if defined(NO_LEASE) || defined(NO_FENCE)
#define may_say_ok(i) true
#else
#define may_say_ok(i) (lease[i] && !waits(i))
#endif
#ifdef NO_FENCE
#define same_epoch(i, j) true
#else
#define same_epoch(i, j) (at[i] == at[j])
#endif
#ifdef OK_BEFORE_ACK
#define all_have_it(i) true
#else
#define all_have_it(i) ((acks[i] & holders[at[i]]) == holders[at[i]])
#endif
#ifdef COUNT_INCOMPLETE
#define is_complete(i) true
#else
#define is_complete(i) complete[i]
#endif

/* The view after `latest`, without `out`. Who calls it says what is new in `replaced` and `owed`. */
inline decide_without(out) {
  members[latest + 1] = members[latest] & ~bit(out);
  replaced[latest + 1] = replaced[latest + 1] | replaced[latest];
  owed[latest + 1] = owed[latest + 1] | owed[latest];
  holders[latest + 1] = holders[latest] & members[latest + 1];
  filling[latest + 1] = filling[latest] & members[latest + 1];
  if
  :: holders[latest + 1] == 0 ->
     lost[latest + 1] = true;
     home[latest + 1] = first(members[latest + 1]);
     holders[latest + 1] = bit(home[latest + 1]);
     filling[latest + 1] = 0
  :: holders[latest + 1] != 0 && (holders[latest + 1] & bit(home[latest])) -> home[latest + 1] = home[latest]
  :: else -> home[latest + 1] = first(holders[latest + 1])
  fi;
  if
  :: count(holders[latest + 1]) == 1 && filling[latest + 1] == 0 && members[latest + 1] != holders[latest + 1] ->
     filling[latest + 1] = bit(first(members[latest + 1] & ~holders[latest + 1]));
     complete[first(filling[latest + 1])] = false
  :: else
  fi;
  latest++;
#ifdef REACH_LOST
  assert(!lost[latest])
#endif
}

inline record_holder() {
  members[latest + 1] = members[latest];
  replaced[latest + 1] = replaced[latest];
  owed[latest + 1] = owed[latest];
  home[latest + 1] = home[latest];
  holders[latest + 1] = holders[latest] | filling[latest];
  latest++
}

inline install() {
  at[self]++;
  acks[self] = (pending[self] != 0 -> bit(self) : 0);  /* sent again in the new epoch, acknowledged there */
  barred[self] = false;
#ifndef LEASE_OUTLIVES_VIEW
  lease[self] = false;     /* the promises that it rests on were those of the old view's members */
#endif
  if
  :: lost[at[self]] && home[at[self]] == self -> anew[self] = true; pending[self] = 0; acks[self] = 0
  :: else
  fi;
  if
  :: pending[self] != 0 && home[at[self]] != self -> pending[self] = 0; acks[self] = 0
  :: else
  fi
}

inline evict(out) {
  replaced[latest + 1] = (home[latest] == (out) -> bit(out) : 0);
  decide_without(out);
  install()
}

/* The members that answered the PREPARE bar themselves from holding for the old leader, and say whether they did. */
#define answers(i) (members[latest] & asked(i, latest))
#define owes(i) (hold[i] && answers(i) -> bit(i) : 0)
inline take_over() {
#ifdef REACH_TAKEOVER
  assert(false);
#endif
  barred[0] = barred[0] || answers(0) != 0;
  barred[1] = barred[1] || answers(1) != 0;
  barred[2] = barred[2] || answers(2) != 0;
  barred[3] = barred[3] || answers(3) != 0;
  owed[latest + 1] = owes(0) | owes(1) | owes(2) | owes(3);
  decide_without(first(members[latest]));
  install()
}

inline ok() {
  last_ok = pending[self];
  pending[self] = 0;
  acks[self] = 0;
  /* At most one server can say OK at any instant: nobody in an older view, after one in a newer one. */
  assert(at[self] >= newest_ok_view);
  newest_ok_view = at[self];
#ifdef REACH_REPAIRED
  assert(at[self] < 2 || lost[1] || lost[2]);
#endif
#ifdef REACH_OK_AFTER_LOSS
  assert(!lost[at[self]] && (at[self] == 0 || !lost[at[self] - 1]));
#endif
}

inline die() {
  crashes++;
#ifdef EMPTY_BACKUP
  copy[self] = 0;
#else
  alive[self] = false;
  copy[self] = 0;
  complete[self] = false;
  hold[self] = false;
  barred[self] = false;
#endif
  lease[self] = false;
  pending[self] = 0;
  acks[self] = 0;
  anew[self] = false
}

#define can_decide(i) (alive[i] && at[i] == latest && latest < VIEWS && leads(i) && \
                       majority(members[latest], voters(latest)))
#define can_evict(i, out) (can_decide(i) && (i) != (out) && (members[latest] & bit(out)))
#define can_take_over(i) (alive[i] && at[i] == latest && latest < VIEWS && (members[latest] & bit(i)) && \
                          !leads(i) && may_promise(i) && majority(members[latest], \
                          asked(0, latest) | asked(1, latest) | asked(2, latest) | asked(3, latest)))
#define can_ack(i, h) (alive[i] && alive[h] && (i) != (h) && pending[h] != 0 && !(acks[h] & bit(i)) && \
                       (holders[at[h]] & bit(i)) && same_epoch(i, h))
/* To homes only: nobody else says OK or serves this checkpoint. */
#define grants(i, to) (may_grant(i) && is_home(to) && at[to] == at[i] && !lease[to])

inline ack(h) {
  copy[self] = pending[h];
  acks[h] = acks[h] | bit(self)
}

proctype Server(byte self) {
end:
  do
  :: atomic { alive[self] && at[self] < latest -> install() }
  /* The home: writes, says OK, serves. */
  :: atomic { is_home(self) && anew[self] && lease[self] && !waits(self) -> copy[self] = last_ok; anew[self] = false }
  :: atomic { is_home(self) && !anew[self] && pending[self] == 0 && copy[self] < VERSIONS ->
              copy[self]++; pending[self] = copy[self]; acks[self] = bit(self) }
  :: atomic { is_home(self) && pending[self] != 0 && count(holders[at[self]]) > 1 && all_have_it(self) &&
              may_say_ok(self) -> ok() }
  :: atomic { is_home(self) && !anew[self] && lease[self] && !waits(self) && copy[self] < last_ok -> assert(false) }  /* it would serve older data */
  /* Holders, and the one that becomes one. */
  :: atomic { can_ack(self, 0) -> ack(0) }
  :: atomic { can_ack(self, 1) -> ack(1) }
  :: atomic { can_ack(self, 2) -> ack(2) }
  :: atomic { can_ack(self, 3) -> ack(3) }
  :: atomic { alive[self] && (filling[at[self]] & bit(self)) && !complete[self] && alive[home[at[self]]] &&
              !anew[home[at[self]]] && at[home[at[self]]] == at[self] -> copy[self] = copy[home[at[self]]]; complete[self] = true }
  /* Leases. */
  :: atomic { alive[self] && !hold[self] && !barred[self] -> hold[self] = true }
  :: atomic { hold[self] && no_lease -> hold[self] = false }
  :: atomic { lease[self] -> lease[self] = false }
  :: atomic { grants(self, 0) -> lease[0] = true }
  :: atomic { grants(self, 1) -> lease[1] = true }
  :: atomic { grants(self, 2) -> lease[2] = true }
  :: atomic { grants(self, 3) -> lease[3] = true }
  /* Views. */
  :: atomic { can_evict(self, 1) -> evict(1) }
  :: atomic { can_evict(self, 2) -> evict(2) }
  :: atomic { can_evict(self, 3) -> evict(3) }
  :: atomic { can_take_over(self) -> take_over() }
  :: atomic { can_decide(self) && filling[latest] != 0 && is_complete(first(filling[latest])) ->
              record_holder(); install() }
  :: atomic { crashes < CRASHES && alive[self] -> die() }
  od
}

init {
  atomic {
    byte i = 0;
    do
    :: i < N -> alive[i] = (ALL & bit(i)) != 0; i++
    :: else -> break
    od;
    members[0] = ALL;
    /* The home is the leader, or another; the second copy is at its predecessor. */
    if
    :: home[0] = 0; holders[0] = bit(0) | (ALL == 7 -> bit(2) : bit(3))
    :: home[0] = 2; holders[0] = bit(2) | bit(1)
    fi;
    run Server(0); run Server(1); run Server(2);
#ifndef AT_ONCE
    run Server(3)
#endif
  }
}
