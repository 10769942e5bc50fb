/* SPDX-License-Identifier: Apache-2.0
 * How the servers agree on views: the whole protocol of the ring, takeover included. Names are those of src/ring.
 *
 * Each view number above 0 is decided once, by the members of the view before. Ballot 0 of a number belongs to rank 0
 * of that view: it proposes without asking first. Another member takes over with a ballot of its own (as does rank 0 when
 * its ballot 0 was overtaken): PREPARE, and from a quorum a PROMISE each, with what the voter has accepted; it adopts the
 * one of the highest ballot, or is free to choose. ACK of a quorum commits; COMMIT tells it.
 *
 * The network is what has been sent: a message can arrive late, many times, in any order, or never. A server keeps its
 * memory over a restart, or comes back without it: then it is no voter. What a server knows besides its memory is lost
 * with every restart.
 *
 * Variants known to be unsafe, each found by `models/check`: INSTALL_ON_PROPOSE, NO_MAJORITY, NO_ADOPTION,
 * VOTE_WITHOUT_MEMORY, COLD_START_BY_ROSTER. Situations that must be reachable: REACH_ADOPTED, REACH_TIE,
 * REACH_LAST_VIEW, REACH_TWO_TAKERS, REACH_LEADER_AGAIN.
 *
 * Holds too with: LEADER_PREPARES (rank 0 as well, of one number: with two the search would not end). */

#define N 3
#ifdef REACH_LEADER_AGAIN
#define LEADER_PREPARES
#endif
/* View numbers that are decided: 1 to VIEWS, above the roster, view 0. */
#ifdef LEADER_PREPARES
#define VIEWS 1
#else
#define VIEWS 2
#endif
#define ROSTER 7
#define BALLOTS (1 + N)    /* 0: of rank 0; 1 + i: of server i when it takes over */
#define NONE 255

#define bit(i) (1 << (i))
#define count(s) (((s) & 1) + (((s) >> 1) & 1) + (((s) >> 2) & 1))
#define first(s) ((s) & 1 -> 1 : ((s) & 2 -> 2 : 4))
/* More than half, or exactly half with rank 0 among them. */
#define majority(view, votes) (2 * count((view) & (votes)) > count(view) \
                               || (2 * count((view) & (votes)) == count(view) && ((view) & (votes) & first(view))))
#ifdef NO_MAJORITY
#define quorum(i, votes) true
#elif defined(COLD_START_BY_ROSTER)
#define quorum(i, votes) (majority(view[i], votes) || 2 * count((votes) & ROSTER) > count(ROSTER))
#else
#define quorum(i, votes) majority(view[i], votes)
#endif
#ifdef COLD_START_BY_ROSTER
#define in_line(i) true
#else
#define in_line(i) (view[i] & bit(i))
#endif
#ifdef LEADER_PREPARES
#define may_take_over(i) in_line(i)
#else
#define may_take_over(i) (in_line(i) && bit(i) != first(view[i]))
#endif
#define slot(n, b) ((n) * BALLOTS + (b))
#define here(b) slot(number[self], b)

/* Memory, durable before anything that depends on it is sent. */
byte number[N];            /* of the committed view */
byte view[N];              /* its members, a bit each; the lowest is rank 0 */
byte promised[N];          /* ballot, for the next number */
byte accepted_ballot[N];
byte accepted_value[N];
bool voter[N];             /* has never lost the memory of its votes */

/* Messages sent, by (number that they build on, ballot). */
byte proposed[VIEWS * BALLOTS];  /* the value; 0: none */
byte acked[VIEWS * BALLOTS];     /* by whom */
bool prepared[VIEWS * BALLOTS];
byte promises[VIEWS * BALLOTS];  /* by whom */
byte told_ballot[VIEWS * BALLOTS * N];
byte told_value[VIEWS * BALLOTS * N];
byte committed[VIEWS];           /* COMMIT of that value */

byte installed[VIEWS];     /* by whomever first: nobody else may install another one */
byte losses;

/* `value` is the server's scratch variable. */
inline install(value) {
  assert(installed[number[self]] == 0 || installed[number[self]] == value);
  installed[number[self]] = value;
  number[self]++;
  view[self] = value;
  promised[self] = 0;
  accepted_ballot[self] = NONE;
  accepted_value[self] = 0;
  value = 0;
#ifdef REACH_LAST_VIEW
  assert(number[self] < VIEWS);
#endif
}

inline accept(b, value) {
  promised[self] = b;
  accepted_ballot[self] = b;
  accepted_value[self] = value;
  acked[here(b)] = acked[here(b)] | bit(self);
}

/* Any change of one server: it leaves or is evicted, or it joins. */
inline choose(value) {
  if
  :: value = view[self] ^ 1
  :: value = view[self] ^ 2
  :: value = view[self] ^ 4
  fi
}

#define deciding (number[self] < VIEWS)

inline propose_as_leader(value) {
  choose(value);
  if
  :: value != 0 ->
     proposed[here(0)] = value;
     accept(0, value);
#ifdef INSTALL_ON_PROPOSE
     install(value)
#endif
  :: else
  fi;
  value = 0
}

/* PROPOSE arrives. Ballot 0 counts as promised to rank 0 from the start. */
inline on_propose(b) {
  accept(b, proposed[here(b)]);
#ifdef INSTALL_ON_PROPOSE
  value = proposed[here(b)];
  install(value)
#endif
}

inline commit(b) {
#ifdef REACH_TIE
  assert(2 * count(view[self] & acked[here(b)]) > count(view[self]));
#endif
#ifdef REACH_LEADER_AGAIN
  assert(b == 0 || bit(self) != first(view[self]));
#endif
  value = proposed[here(b)];
  committed[number[self]] = value;
  install(value)
}

#define told(b, j) (here(b) * N + (j))

/* The promise of server j, if it is one of those that were heard. */
inline hear(b, j) {
  if
  :: (heard & bit(j)) && told_ballot[told(b, j)] != NONE && (best == NONE || told_ballot[told(b, j)] > best) ->
     best = told_ballot[told(b, j)];
     value = told_value[told(b, j)]
  :: else
  fi
}

inline forget(b, j) {
  told_ballot[told(b, j)] = 0;
  told_value[told(b, j)] = 0
}

/* With the promises of any quorum of those who gave one. */
inline take_over(b) {
#ifdef REACH_TWO_TAKERS
  assert(!(prepared[here(2)] && prepared[here(3)]));
#endif
  best = NONE;
#ifndef NO_ADOPTION
  hear(b, 0);
  hear(b, 1);
  hear(b, 2);
#endif
#ifdef REACH_ADOPTED
  assert(best == NONE);
#endif
  if
  :: best == NONE -> choose(value)
  :: else
  fi;
  if
  :: value != 0 -> proposed[here(b)] = value; accept(b, value)
  :: else
  fi;
  /* Nobody asks for these promises again. */
  promises[here(b)] = 0;
  forget(b, 0);
  forget(b, 1);
  forget(b, 2);
  best = 0;
  heard = 0;
  value = 0
}

inline promise(b) {
  promised[self] = b;
  if
  :: proposed[here(b)] == 0 ->
     told_ballot[told(b, self)] = accepted_ballot[self];
     told_value[told(b, self)] = accepted_value[self];
     promises[here(b)] = promises[here(b)] | bit(self)
  :: else  /* too late for the one who asked */
  fi
}

#define can_accept(b) (deciding && voter[self] && proposed[here(b)] != 0 && b >= promised[self] \
                       && !(acked[here(b)] & bit(self)))
#define can_promise(b) (deciding && voter[self] && prepared[here(b)] && b > promised[self])
#define can_commit(b) (deciding && proposed[here(b)] != 0 && quorum(self, acked[here(b)]))
#define can_take_over(b, who) (deciding && prepared[here(b)] && promised[self] == b && proposed[here(b)] == 0 && \
                               (promises[here(b)] & (who)) == (who) && quorum(self, who))

proctype Server(byte self) {
  byte value;
  byte mine = 1 + self;
  byte heard, best;
end:
  do
  :: atomic { deciding && voter[self] && bit(self) == first(view[self]) && proposed[here(0)] == 0 &&
              promised[self] == 0 -> propose_as_leader(value) }
  :: atomic { can_accept(0) -> on_propose(0) }
  :: atomic { can_accept(1) -> on_propose(1) }
  :: atomic { can_accept(2) -> on_propose(2) }
  :: atomic { can_accept(3) -> on_propose(3) }
  :: atomic { bit(self) == first(view[self]) && can_commit(0) -> commit(0) }
  :: atomic { can_commit(mine) -> commit(mine) }
  :: atomic { deciding && committed[number[self]] != 0 -> value = committed[number[self]]; install(value) }
  :: atomic { deciding && voter[self] && may_take_over(self) && mine > promised[self] ->
              prepared[here(mine)] = true; promise(mine) }
  :: atomic { can_promise(1) -> promise(1) }
  :: atomic { can_promise(2) -> promise(2) }
  :: atomic { can_promise(3) -> promise(3) }
  :: atomic { can_take_over(mine, 3) -> heard = 3; take_over(mine) }
  :: atomic { can_take_over(mine, 5) -> heard = 5; take_over(mine) }
  :: atomic { can_take_over(mine, 6) -> heard = 6; take_over(mine) }
  :: atomic { can_take_over(mine, 7) -> heard = 7; take_over(mine) }
  /* A restart without memory: the committed view can be learnt again, the votes cannot. */
  :: atomic { losses == 0 ->
              losses++;
              number[self] = 0; view[self] = ROSTER; promised[self] = 0;
              accepted_ballot[self] = NONE; accepted_value[self] = 0;
#ifndef VOTE_WITHOUT_MEMORY
              voter[self] = false
#endif
            }
  od
}

init {
  atomic {
    byte i = 0;
    do
    :: i < N -> view[i] = ROSTER; accepted_ballot[i] = NONE; voter[i] = true; i++
    :: else -> break
    od;
    run Server(0); run Server(1); run Server(2)
  }
}
