# SPDX-License-Identifier: Apache-2.0
"""What clients were told (the lines of writers.py), held against what the keep promises.

An answer came at some instant between t0 and t1, so only what no choice of instants explains is called wrong:

- one version of a checkpoint has one content, and each content is some write's, whole;
- a write that was answered by an error other than "unknown" (RK_ERR_TIMEOUT) is never read;
- the number of a write is above every number that was written or read before it began;
- a read never gives less than what was written or read before it began, never "not found" after that, and "lost" only
  of a checkpoint that may be lost;
- the servers that report OK for a checkpoint do so one after the other: two lives of servers never take turns.
"""
import bisect
import collections

import client


class Names:
    """The answers about one checkpoint, in order of time."""

    def __init__(self, name, answers):
        self.name = name
        self.answers = sorted(answers, key=lambda a: a["t1"])
        seen = [a for a in self.answers if a["code"] == client.OK]
        self._ends = [a["t1"] for a in seen]
        self._newest = []  # running maximum of the versions
        for answer in seen:
            self._newest.append(max(answer["version"], self._newest[-1] if self._newest else 0))

    def floor(self, moment=None):
        """The newest version that was known for sure at that moment; 0: none."""
        place = len(self._ends) if moment is None else bisect.bisect_left(self._ends, moment)
        return self._newest[place - 1] if place else 0

    def puts(self, code=client.OK):
        return [a for a in self.answers if a["op"] == "put" and a["code"] == code]

    def homes_at(self, moment):
        """Servers that had acknowledged the newest version by then, or may have written a newer one."""
        before = [a for a in self.answers if a["op"] == "put" and a["t0"] < moment]
        known = [a for a in before if a["code"] == client.OK and a["t1"] <= moment]
        last = max(known, key=lambda a: a["version"], default=None)
        later = [a for a in before if a["code"] in (client.OK, client.TIMEOUT) and (not last or a["t1"] > last["t0"])]
        return {a["server"] for a in later} | ({last["server"]} if last else set())


def by_name(answers):
    sorted_out = collections.defaultdict(list)
    for answer in answers:
        sorted_out[answer["name"]].append(answer)
    return {name: Names(name, some) for name, some in sorted_out.items()}


def check(names, life_of, may_be_lost):
    """What is wrong, in words. `names` of by_name(); life_of(answer): which life of its server gave it;
    may_be_lost(homes): is "lost" an honest answer for what those servers wrote last?"""
    wrong = []
    for one in names.values():
        found = [*contents(one), *numbers_rise(one), *reads(one), *homes_follow(one, life_of),
                 *losses(one, may_be_lost)]
        wrong += [f"{one.name}: {text}" for text in found]
    return wrong


def contents(one):
    written, failed = {}, {}
    for answer in one.answers:
        if answer["op"] == "put" and answer["code"] not in (client.OK, client.TIMEOUT):
            failed[answer["write"]] = answer
    for answer in one.answers:
        if answer["code"] != client.OK:
            continue
        if answer["write"] is None:
            yield f"version {answer['version']} was read with bytes that nobody wrote: {told(answer)}"
        elif written.setdefault(answer["version"], answer["write"]) != answer["write"]:
            first = written[answer["version"]]
            yield f"version {answer['version']} is both {first} and {answer['write']}: {told(answer)}"
        elif answer["op"] == "get" and answer["write"] in failed:
            yield f"{told(answer)} is of a write that had failed: {told(failed[answer['write']])}"


def numbers_rise(one):
    for answer in one.puts():
        floor = one.floor(answer["t0"])
        if answer["version"] <= floor:
            yield f"a new version has the number {answer['version']}, and {floor} existed: {told(answer)}"


def reads(one):
    for answer in one.answers:
        if answer["op"] != "get":
            continue
        floor = one.floor(answer["t0"])
        if answer["code"] == client.OK and answer["version"] < floor:
            yield f"version {answer['version']} was read after {floor}: {told(answer)}"
        elif answer["code"] == client.NOT_FOUND and floor:
            yield f"not found, and version {floor} existed: {told(answer)}"


def losses(one, may_be_lost):
    for answer in one.answers:
        if answer["code"] == client.LOST and not may_be_lost(one.homes_at(answer["t1"])):
            yield f"said to be lost without need: {told(answer)}"


def homes_follow(one, life_of):
    tenures = collections.defaultdict(list)
    for answer in one.puts():
        tenures[life_of(answer)].append(answer)
    lives = sorted(tenures, key=lambda life: tenures[life][0]["t1"])
    for number, first in enumerate(lives):
        for second in lives[number + 1:]:
            before, after = turn(tenures[first], tenures[second]), turn(tenures[second], tenures[first])
            if before and after:
                yield (f"servers {first[0]} and {second[0]} take turns in reporting OK: {told(before[0])}, "
                       f"{told(before[1])}, {told(after[0])}, {told(after[1])}")


def turn(earlier, later):
    """A pair of answers which shows that not all of `earlier` came before all of `later`; None if there is none."""
    last, first = max(earlier, key=lambda a: a["t0"]), min(later, key=lambda a: a["t1"])
    return (first, last) if first["t1"] < last["t0"] else None


def late_answers(names, life_of):
    """How long after the first OK of a checkpoint's next home the home before still reported one, in seconds, for each
    pair of homes: a call can take that long, so it is no proof of anything, and with leases it stays near 0."""
    late = []
    for one in names.values():
        tenures = collections.defaultdict(list)
        for answer in one.puts():
            tenures[life_of(answer)].append(answer["t1"])
        lives = sorted(tenures.values(), key=lambda ends: ends[0])
        late += [ends[-1] - after[0] for ends, after in zip(lives, lives[1:]) if ends[-1] > after[0]]
    return late


def told(answer):
    what = f"{answer['op']} at server {answer['server']}, {answer['t0']:.3f} to {answer['t1']:.3f}"
    return f"{what}, version {answer['version']}" if answer["code"] == client.OK else f"{what}: {answer.get('text')}"
