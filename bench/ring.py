# SPDX-License-Identifier: Apache-2.0
"""Figures of the ring: real servers on hosts of their own, beside corosync and etcd in the same rounds."""
import contextlib
import math
import os
import random
import re
import signal
import statistics
import subprocess
import time

import client
import hosts
import job
import pairs
import peers
import servers

FAILURES = ("killed", "stopped", "cut", "left")
ONE_ROUND = ("propose", "ack", "commit")
TAKEOVER = ("prepare", "promise", *ONE_ROUND)
KILLED_OF_64 = 8


def prepare(note):
    """Ends the program with the reason if this machine cannot measure; installs what is missing if it can."""
    if os.geteuid() != 0:
        raise SystemExit("bench/run ring needs root: its hosts are network namespaces")
    try:
        subprocess.run([str(job.ROOT / "packaging/install-packages"), "bench"], check=True)
        hosts.check()
    except subprocess.CalledProcessError:
        raise SystemExit("bench/run ring needs the packages of the group bench") from None
    except hosts.Missing as missing:
        raise SystemExit(f"bench/run ring: {missing}") from None
    if peers.missing():
        raise SystemExit(f"bench/run ring: not on the PATH: {' '.join(peers.missing())}")
    client.load()
    note("hosts are network namespaces of this machine")


def figure(name, values, unit, target, against, **facts):
    low, high = pairs.interval(values)
    return {"figure": name, "value": round(statistics.median(values), 4), "unit": unit, "target": target,
            "better": "less", "against": against, "low": round(low, 4), "high": round(high, 4), "count": len(values),
            **facts}


def single(name, value, unit, target, against, **facts):
    return {"figure": name, "value": round(value, 4), "unit": unit, "target": target, "better": "less",
            "against": against, **facts}


def percentile(values, share):
    return sorted(values)[math.ceil(share * len(values)) - 1]


# --- failures, beside the others' ------------------------------------------------------------------------------------

class Ours:
    """A ring in which one server fails at a time and comes back. Times in seconds."""

    def __init__(self, lab, nodes, memory="64M"):
        self.lab, self.ring = lab, servers.Ring(lab, nodes, memory=memory)
        self.all = list(self.ring.servers)
        self.ring.start(*self.all)
        self.view(self.all)

    def close(self):
        self.ring.close()

    def view(self, nodes):
        at = self.ring.await_view(nodes)
        if at is None:
            raise SystemExit(f"no one view of {nodes}: {self.ring.state()}")
        return at

    def fail(self, node, how):
        others = [other for other in self.all if other != node]
        before = time.monotonic()
        if how == "killed":
            before = self.ring.kill(node)
        elif how == "stopped":
            self.ring.signal(node, signal.SIGSTOP)
        elif how == "left":
            self.ring.signal(node, signal.SIGTERM)
        else:
            self.lab.cut([node], others)
            self.lab.cut(others, [node])
        return self.view(others) - before

    def restore(self, node, how):
        """How long a server that starts again needs until all have it; None: it begins anew by itself."""
        if how == "stopped":
            self.ring.signal(node, signal.SIGCONT)
        self.lab.heal()
        if how in ("stopped", "cut"):
            self.view(self.all)
            return None
        self.ring.await_end(node)
        before = time.monotonic()
        self.ring.start(node)
        return self.view(self.all) - before


def failures(options, emit, progress):
    chance = random.Random(options.seed)
    with contextlib.ExitStack() as open_things:
        ours = Ours(open_things.enter_context(hosts.Lab(3)), 3)
        open_things.callback(ours.close)
        others = []
        for make in (lambda lab: peers.Corosync(lab, lab.directory / "peer", 1000),
                     lambda lab: peers.Corosync(lab, lab.directory / "peer", None),
                     lambda lab: peers.Etcd(lab, lab.directory / "peer")):
            peer = make(open_things.enter_context(hosts.Lab(3)))
            open_things.callback(peer.close)
            peer.await_whole()
            others.append(peer)
        times = {(how, led): [] for how in FAILURES for led in (False, True)}
        rejoins, theirs = [], {(peer.title, how): [] for peer in others for how in ("killed", "stopped")}
        for number in range(options.rounds):
            for how in FAILURES:
                node = chance.choice(ours.all)
                led = ours.ring.leader() == node
                times[how, led].append(ours.fail(node, how) * 1000)
                took_s = ours.restore(node, how)
                if took_s is not None:
                    rejoins.append(took_s * 1000)
            # The others are slower: fewer rounds, spread over ours.
            turns = [one * options.peer_rounds // options.rounds for one in (number, number + 1)]
            for peer in others if turns[0] != turns[1] else []:
                for how in ("killed", "stopped"):
                    victim = peer.victim(number)
                    theirs[peer.title, how].append(peer.fail(victim, how) * 1000)
                    peer.restore(victim, how)
            progress(number + 1, options.rounds)
    tell_failures(emit, times, rejoins, theirs)


def tell_failures(emit, times, rejoins, theirs):
    for (title, how), values in theirs.items():
        what = "a new leader at the survivors" if title == "etcd" else "the members at the survivors"
        if values:
            emit(figure(f"{title}_{how}_ms_p50", values, "ms", None, what))

    def medians(how):
        return "; ".join(f"{title} {statistics.median(values):.0f} ms" for (title, one), values in theirs.items()
                         if one == how and values)

    def both(*hows):
        return [value for how in hows for led in (False, True) for value in times[how, led]]

    def by_role(*hows):
        return {name: round(statistics.median(values), 1) for name, led in (("leader_ms", True), ("other_ms", False))
                if (values := [value for how in hows for value in times[how, led]])}

    emit(figure("crash_to_view_ms_p50", both("killed"), "ms", 50, medians("killed"), **by_role("killed")))
    silent = both("stopped", "cut")
    emit(figure("silent_to_view_ms_p50", silent, "ms", 700, medians("stopped"), **by_role("stopped", "cut")))
    emit(single("silent_to_view_ms_p99", percentile(silent, 0.99), "ms", 1000, medians("stopped"), worst=max(silent)))
    emit(figure("leave_ms", both("left"), "ms", 20, "none", **by_role("left")))
    emit(figure("rejoin_ms", rejoins, "ms", 300, "none"))


# --- messages ---------------------------------------------------------------------------------------------------------

def counted(ring, nodes, kinds=None):
    """Ring messages that these servers have sent so far, of those kinds or of all."""
    total = 0
    for node in nodes:
        counts = ring.ask(node)["messages"]
        total += sum(count["sent"] for kind, count in counts.items() if kinds is None or kind in kinds)
    return total


def messages(options, emit, note):
    for nodes, led, kinds, least in ((3, False, ONE_ROUND, 6), (8, False, ONE_ROUND, 21), (32, False, ONE_ROUND, 93),
                                     (8, True, TAKEOVER, 30)):
        shares = []
        with hosts.Lab(1) as lab, contextlib.closing(Ours(lab, nodes, memory="16M")) as ours:
            for number in range(options.repeats):
                leader = ours.ring.leader()
                victim = leader if led else [node for node in ours.all if node != leader][number % (nodes - 1)]
                others = [node for node in ours.all if node != victim]
                before = counted(ours.ring, others, kinds)
                ours.fail(victim, "killed")
                shares.append((counted(ours.ring, others, kinds) - before) / least)
                ours.restore(victim, "killed")
        name = f"messages_per_{'leader_' if led else ''}crash_N{nodes}"
        sent = [round(share * least) for share in shares]
        emit(figure(name, shares, "ratio", 1.0, f"{least} messages", messages=sent))
        note(f"messages, {nodes} servers{', the leader killed' if led else ''}")


def heartbeat_s():
    """The period that the servers were built with."""
    text = (job.ROOT / "src/ring/config.h").read_text()
    return int(re.search(r"heartbeat_ms = (\d+)", text)[1]) / 1000


def idle(options, emit):
    with hosts.Lab(1) as lab, servers.Ring(lab, 8) as ring:
        nodes = list(ring.servers)
        ring.start(*nodes)
        if ring.await_view(nodes) is None:
            raise SystemExit(f"8 servers form no ring: {ring.state()}")
        time.sleep(2)  # links and first copies are done
        pids = [ring.servers[node].process.pid for node in nodes]
        began, sent, before = time.monotonic(), counted(ring, nodes), [cpu_of(pid) for pid in pids]
        time.sleep(options.idle_s)
        took, sent = time.monotonic() - began, counted(ring, nodes) - sent
        used = [(cpu_s - earlier_s, turns - earlier) for pid, (earlier_s, earlier) in zip(pids, before)
                for cpu_s, turns in [cpu_of(pid)]]
    shares = [100 * cpu_s / took for cpu_s, _ in used]
    wakes_a_s = statistics.mean(turns for _, turns in used) / took
    per_period = sent / (took / heartbeat_s())
    emit(single("idle_messages_N8", per_period / 30, "ratio", 1.0, "30 messages a period",
                messages=round(per_period, 2), heartbeat_ms=heartbeat_s() * 1000))
    null = nothing_but_waking(8, wakes_a_s, options.idle_s)
    emit(single("idle_cpu_percent_N8", statistics.mean(shares), "percent", 0.5,
                f"one core; processes that only wake as often: {null:.3f}", worst=round(max(shares), 3),
                wakes_a_s=round(wakes_a_s, 1)))


def cpu_of(pid):
    """CPU time of a process so far in seconds, and how often its threads got a core."""
    entries = [path.read_text().split() for path in job.pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return sum(int(entry[0]) for entry in entries) / 1e9, sum(int(entry[2]) for entry in entries)


def nothing_but_waking(count, wakes_a_s, seconds):
    """Percent of a core that each of so many processes takes: what this machine takes for the waking alone."""
    sleepers = [subprocess.Popen(["perl", "-e", f"select(undef, undef, undef, {1 / wakes_a_s}) while 1"])
                for _ in range(count)]
    try:
        time.sleep(0.5)  # they have started
        before = [cpu_of(sleeper.pid)[0] for sleeper in sleepers]
        time.sleep(seconds)
        used = [cpu_of(sleeper.pid)[0] - earlier for sleeper, earlier in zip(sleepers, before)]
    finally:
        for sleeper in sleepers:
            sleeper.kill()
            sleeper.wait()
    return 100 * statistics.mean(used) / seconds


# --- a link that is broken one way -----------------------------------------------------------------------------------

def one_way(options, emit):
    """Several rings at a time, each with another link cut; corosync beside them."""
    ways = {"leader to member": (1, 3), "member to leader": (3, 1), "member to member": (2, 4),
            "to its successor": (2, 3), "to its predecessor": (3, 2)}
    with contextlib.ExitStack() as open_things:
        rings = []
        for _ in ways:
            lab = open_things.enter_context(hosts.Lab(5))
            ring = open_things.enter_context(servers.Ring(lab, 5))
            ring.start(*ring.servers)
            rings.append(ring)
        lab = open_things.enter_context(hosts.Lab(3))
        corosync = peers.Corosync(lab, lab.directory / "peer", 1000)
        open_things.callback(corosync.close)
        corosync.await_whole()
        before = [ring.newest_view().number for ring in rings if ring.await_view(list(ring.servers))]
        told = len(corosync.told[1])
        for ring, (source, target) in zip(rings, ways.values(), strict=True):
            ring.lab.cut([source], [target])
        corosync.lab.cut([1], [2])
        time.sleep(options.cut_s)
        views = {way: ring.newest_view() for way, ring in zip(ways, rings, strict=True)}
        after = {way: view.number - number for (way, view), number in zip(views.items(), before, strict=True)}
        theirs = len(corosync.told[1]) - told
        evicted = {way: sorted(set(ring.servers) - set(views[way].nodes())) for way, ring in zip(ways, rings)}
    facts = {"seconds": options.cut_s, "views": after}
    emit(single("oneway_cut_views", max(after.values()), "views", 1, f"corosync_1000 {theirs} memberships", **facts))
    emit(single("oneway_cut_evictions", sum(map(len, evicted.values())), "servers", 0, "none", evicted=evicted))


# --- 64 servers ------------------------------------------------------------------------------------------------------

def many(options, emit, note):
    with hosts.Lab(1) as lab, servers.Ring(lab, 64, memory="16M") as ring:
        nodes = list(ring.servers)
        began = time.monotonic()
        ring.start(*nodes)
        formed = ring.await_view(nodes)
        if formed is None:
            raise SystemExit(f"64 servers form no ring: {ring.state()}")
        emit(single("form_64_s", formed - began, "s", 10, "none"))
        written = {}
        for node in nodes:
            at = client.Client(ring.servers[node].socket, 10_000)
            name = f"c{node}"
            written[name] = at.put(name, client.content(name, "1", 1000))
            at.close()
        order = ring.servers[1].view.nodes()
        dead = order[options.seed % 8::64 // KILLED_OF_64]
        left = [node for node in nodes if node not in dead]
        before = ring.kill(*dead)
        at = ring.await_view(left)
        if at is None:
            raise SystemExit(f"no one view of {len(left)} servers: {ring.state()}")
        emit(single("killed_8_of_64_to_view_ms", (at - before) * 1000, "ms", None, "none",
                    views=ring.newest_view().number - 1))
        lost = unreadable(ring, left, written, note)
        emit(single("killed_8_of_64_unreadable", len(lost), "checkpoints", 0, f"{len(written)} written", names=lost))


def unreadable(ring, nodes, written, note):
    """Names that no server gives back as they were written, with patience: copies may be under way."""
    end, lost = time.monotonic() + servers.PATIENCE_S, []
    for number, (name, version) in enumerate(written.items()):
        at = client.Client(ring.servers[nodes[number % len(nodes)]].socket, 10_000)
        while True:
            try:
                found, data = at.read(name)
                good = found >= version and client.writer_of(name, data) == "1"
                why = "" if good else f"version {found} of {version}"
                break
            except client.Failure as failure:
                why = failure.text
                if failure.code != client.UNAVAILABLE or time.monotonic() > end:
                    break
                time.sleep(0.05)
        if why:
            note(f"{name}: {why}")
            lost.append(name)
        at.close()
    return lost


def run(options, emit, note, progress):
    prepare(note)
    signal.signal(signal.SIGTERM, lambda *_: exit(128 + signal.SIGTERM))
    parts = {"failures": lambda: failures(options, emit, progress),
             "messages": lambda: messages(options, emit, note), "idle": lambda: idle(options, emit),
             "oneway": lambda: one_way(options, emit), "many": lambda: many(options, emit, note)}
    for name in [options.part] if options.part else parts:
        parts[name]()
