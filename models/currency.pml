/* SPDX-License-Identifier: Apache-2.0
 * One checkpoint: who knows its newest version, and what is said of it when servers are gone. Names are those of
 * src/keep, the rules those of src/keep/currency.cc.
 *
 * Servers crash, with all that they hold, and come back empty. Views are decided in one step and installed by each member
 * at a time of its own, in order. A home that a view removed says nothing more: leases and fences are copies.pml's. A
 * message counts if both sides are in the same view; it, or its answer, may be lost. The home claims the name, writes
 * versions, offers and copies them to its predecessor, gives up waiting, lets others drop what they hold. Reads are
 * answered by the home, or by all members of the view together.
 *
 * Promised: a read never gives an older version than was confirmed or read before; and LOST is not said if one server
 * only has crashed.
 *
 * Variants known to be unsafe, each found by `models/check`: OLDER_AFTER_LOSS (what is left counts as the newest),
 * NOT_OUTDATED (a version is confirmed before all that knew the one before were told), OUTDATED_FIRST (they are told
 * before the predecessor knows more), NOT_ASKED (a new home forgets who is current), SHOW_ALL (what one member has and
 * another that must know it has not is shown).
 * Situations that must be reachable: REACH_LOST, REACH_OUTDATED, REACH_HIDDEN, REACH_THIRD_HOME. */

#define N 4
#define VIEWS 3
#define VERSIONS 2         /* searched with 3 once: it holds, in 8 million states */
#define CRASHES 2
#define NONE N

#define bit(i) (1 << (i))
#define version(v) (1 << (v))
#define newest_of(s) ((s) & 16 -> 4 : ((s) & 8 -> 3 : ((s) & 4 -> 2 : ((s) & 2 -> 1 : 0))))
#define up_to(v) ((2 << (v)) - 1)
#define max(a, b) ((a) > (b) -> (a) : (b))
#define min(a, b) ((a) < (b) -> (a) : (b))

byte latest;
byte members[VIEWS + 1];

byte at[N];                /* view installed */
bool alive[N];
byte have[N];              /* versions of which a complete copy is here */
bool current[N];
byte owed[N];              /* what a reader must get, or a newer one */

/* Of the home. */
byte home;                 /* NONE: nobody, for all that a reader can know */
byte informed;             /* who may be current */
byte pending;
bool complete;             /* the predecessor of the home's view has `pending` */
byte highest;              /* number given */

byte last_ok;
byte last_read;
byte crashes;
byte homes;

#define is_member(i, v) (members[v] & bit(i))
#define same_view(i, j) (alive[i] && alive[j] && at[i] == at[j])
#define below(i, d) (((i) + N - (d)) % N)
#define predecessor(i) (is_member(below(i, 1), at[i]) -> below(i, 1) : (is_member(below(i, 2), at[i]) -> below(i, 2) : \
                        (is_member(below(i, 3), at[i]) -> below(i, 3) : NONE)))
#define reach(i) max(owed[i], newest_of(have[i]))
#define has_bit(i, v) (have[i] & version(v) -> bit(i) : 0)
#define holders_of(v) (has_bit(0, v) | has_bit(1, v) | has_bit(2, v) | has_bit(3, v))
#define of_live(i) (alive[i] -> have[i] : 0)
#define all_copies (of_live(0) | of_live(1) | of_live(2) | of_live(3))
#define here(i) (!is_member(i, latest) || (alive[i] && at[i] == latest))
#define all_here (here(0) && here(1) && here(2) && here(3))
#define says(i) (is_member(i, latest) && current[i])
#define anybody_says (says(0) || says(1) || says(2) || says(3))
#define reach_of(i) (says(i) -> reach(i) : VERSIONS)
#ifdef SHOW_ALL
#define shown_up_to max(max(reach(0), reach(1)), max(reach(2), reach(3)))
#else
#define shown_up_to min(min(reach_of(0), reach_of(1)), min(reach_of(2), reach_of(3)))
#endif
#define others_told(i) ((informed & ~bit(predecessor(i)) & ~holders_of(pending)) == 0)

inline forget(i) {
  have[i] = 0;
  current[i] = false;
  owed[i] = 0
}

inline die() {
  crashes++;
  alive[self] = false;
  forget(self);
  if
  :: home == self -> home = NONE; pending = 0; complete = false; informed = 0
  :: else
  fi
}

inline install() {
  at[self]++;
  if
  :: home == self -> informed = informed & members[at[self]]; complete = false
  :: else
  fi
}

/* `offer`: the predecessor is current from then on, if the message arrives. `copy`: and has the version's bytes. */
inline offer() {
  to = predecessor(self);
  informed = informed | bit(to);
  if
  :: current[to] = true; owed[to] = max(owed[to], owed[self])
  :: skip
  fi;
  to = 0
}

inline copy(v) {
  to = predecessor(self);
  informed = informed | bit(to);
  current[to] = true;
  owed[to] = max(owed[to], owed[self]);
  have[to] = have[to] | version(v);
  if
  :: v == pending -> complete = true
  :: skip
  fi;
  to = 0
}

inline outdate(other) {
  current[other] = false;
#ifdef REACH_OUTDATED
  assert(false);
#endif
  if
  :: informed = informed & ~bit(other)
  :: skip
  fi
}

inline ok() {
  last_ok = pending;
  owed[self] = max(owed[self], pending);
  pending = 0;
  complete = false
}

/* Of the versions that it need not keep, at the home, its predecessor and any other server. */
inline retain(other) {
  if
  :: other == self || other == predecessor(self) -> have[other] = have[other] & ~(up_to(owed[self]) & ~version(owed[self]))
  :: else -> have[other] = have[other] & ~up_to(owed[self])
  fi;
  if
  :: other != self -> owed[other] = max(owed[other], owed[self])
  :: else
  fi
}

inline claim() {
  home = self;
  homes++;
#ifdef REACH_THIRD_HOME
  assert(homes < 3);
#endif
#ifdef NOT_ASKED
  informed = 0;
#else
  informed = ((says(0) -> 1 : 0) | (says(1) -> 2 : 0) | (says(2) -> 4 : 0) | (says(3) -> 8 : 0)) & ~bit(self);
#endif
  if
  :: anybody_says ->
     owed[self] = shown_up_to;
     have[self] = have[self] & up_to(owed[self])
  :: else ->
#ifdef OLDER_AFTER_LOSS
     owed[self] = newest_of(all_copies)
#else
     highest++;            /* a number that no version has */
     owed[self] = highest
#endif
  fi;
  current[self] = false
}

/* `result` 0: LOST. */
inline told() {
  if
  :: result == 0 -> assert(crashes > 1 || last_ok == 0);
#ifdef REACH_LOST
     assert(last_ok == 0)
#endif
  :: else -> assert(result >= last_ok && result >= last_read); last_read = result
  fi;
  result = 0
}

inline read_without_home() {
#ifdef REACH_HIDDEN
  assert(!anybody_says || (all_copies & ~up_to(shown_up_to)) == 0);
#endif
  if
  :: anybody_says -> result = (all_copies & version(shown_up_to) -> shown_up_to : 0)
  :: else ->
#ifdef OLDER_AFTER_LOSS
     result = newest_of(all_copies)
#else
     skip
#endif
  fi;
  told()
}

#define serves (home == self && alive[self] && is_member(self, latest))
#ifdef NOT_OUTDATED
#define may_confirm true
#else
#define may_confirm others_told(self)
#endif
#ifdef OUTDATED_FIRST
#define may_outdate true
#else
#define may_outdate complete
#endif
#define can_outdate(m) (pending != 0 && may_outdate && (informed & bit(m)) && m != self && m != predecessor(self) && \
                        same_view(self, m))
#define to_predecessor (home == self && predecessor(self) != NONE && same_view(self, predecessor(self)))

proctype Server(byte self) {
  byte to;
  byte result;
end:
  do
  :: atomic { alive[self] && at[self] < latest -> install() }
  :: atomic { serves && pending == 0 && highest < VERSIONS -> highest++; pending = highest;
              have[self] = have[self] | version(pending) }
  :: atomic { serves && pending != 0 && complete && may_confirm -> ok() }
  :: atomic { serves && pending != 0 -> pending = 0; complete = false }
  :: atomic { to_predecessor -> offer() }
  :: atomic { to_predecessor && pending != 0 && !complete -> copy(pending) }
  :: atomic { to_predecessor && (have[self] & version(owed[self])) && !(have[predecessor(self)] & version(owed[self])) ->
              copy(owed[self]) }
  :: atomic { serves && !(have[self] & version(owed[self])) && (all_copies & version(owed[self])) ->
              have[self] = have[self] | version(owed[self]) }
  :: atomic { serves && can_outdate(0) -> outdate(0) }
  :: atomic { serves && can_outdate(1) -> outdate(1) }
  :: atomic { serves && can_outdate(2) -> outdate(2) }
  :: atomic { serves && can_outdate(3) -> outdate(3) }
  :: atomic { to_predecessor && (have[self] & have[predecessor(self)] & version(owed[self])) ->
              if
              :: same_view(self, 0) -> retain(0)
              :: same_view(self, 1) -> retain(1)
              :: same_view(self, 2) -> retain(2)
              :: same_view(self, 3) -> retain(3)
              fi }
  :: atomic { serves && owed[self] > 0 ->
              result = (all_copies & version(owed[self]) -> owed[self] : 0); told() }
  :: atomic { home == NONE && is_member(self, latest) && all_here -> read_without_home() }
  :: atomic { home == NONE && is_member(self, latest) && all_here && highest < VERSIONS -> claim() }
  /* Views. */
  :: atomic { alive[self] && at[self] == latest && latest < VIEWS && (members[latest] & ~bit(self)) ->
              if
              :: is_member(0, latest) && !alive[0] -> members[latest + 1] = members[latest] & ~bit(0); latest++
              :: is_member(1, latest) && !alive[1] -> members[latest + 1] = members[latest] & ~bit(1); latest++
              :: is_member(2, latest) && !alive[2] -> members[latest + 1] = members[latest] & ~bit(2); latest++
              :: is_member(3, latest) && !alive[3] -> members[latest + 1] = members[latest] & ~bit(3); latest++
              :: else -> skip
              fi }
  :: atomic { !alive[self] && !is_member(self, latest) && latest < VIEWS ->
              members[latest + 1] = members[latest] | bit(self); latest++; alive[self] = true; at[self] = latest }
  :: atomic { crashes < CRASHES && alive[self] -> die() }
  od
}

init {
  atomic {
    /* The home's predecessor is 2, and 3 as soon as that joins. */
    members[0] = 7;
    alive[0] = true; alive[1] = true; alive[2] = true;
    home = 0;
    homes = 1;
    run Server(0); run Server(1); run Server(2); run Server(3)
  }
}
