# SPDX-License-Identifier: Apache-2.0
"""Figures of the keep: commits of one value, beside Redis with one replica on the same hosts, in alternating blocks; and
large checkpoints (bulk.py)."""
import contextlib
import os
import statistics
import subprocess

import bulk
import hosts
import job
import pairs
import redis
import servers

SIZES = {"1KiB": 1024, "64KiB": 65536, "1MiB": 1048576}
TARGETS = {"1KiB": 0.6, "64KiB": 0.4, "1MiB": 0.5}
IN_FLIGHT = 64
RATE_COMMITS = 2048  # in a block
COMMITS = {"1KiB": 200, "64KiB": 100, "1MiB": 30}  # in a block: some tens of milliseconds each


def prepare():
    """Ends the program with the reason if this machine cannot measure; installs what is missing if it can."""
    if os.geteuid() != 0:
        raise SystemExit("bench/run keep needs root: its hosts are network namespaces")
    try:
        subprocess.run([str(job.ROOT / "packaging/install-packages"), "bench"], check=True)
        hosts.check()
    except subprocess.CalledProcessError:
        raise SystemExit("bench/run keep needs the packages of the group bench") from None
    except hosts.Missing as missing:
        raise SystemExit(f"bench/run keep: {missing}") from None


class Both:
    """Two hosts with a ring of two servers and a Redis with its replica."""

    def __init__(self, stack, tls):
        self.lab = stack.enter_context(hosts.Lab(2))
        ring = servers.Ring(self.lab, 2, memory="256M", encrypt=tls)
        stack.callback(ring.close)
        ring.start(1, 2)
        if ring.await_view([1, 2]) is None:
            raise SystemExit(f"no view of both servers: {ring.state()}")
        self.ours = f"ringkeep:{ring.servers[1].socket}"
        self.redis = redis.Pair(self.lab, tls)
        stack.callback(self.redis.close)

    def measure(self, size, count, commits, a, b, *flight):
        """[(a's median in us, b's)] of that many pairs of blocks. flight: how many commits at a time, and of how many Redis
        has one WAIT; a block's time over its commits then."""
        done = subprocess.run([*self.lab.inside(1), job.program("bench_commits"), str(size), str(count), str(commits),
                               a, b, *map(str, flight)], text=True, capture_output=True, check=False)
        if done.returncode != 0:
            raise SystemExit(done.stderr.strip())
        return [tuple(map(float, line.split())) for line in done.stdout.splitlines()]


def latency(options, emit, note, both, tls):
    for name, size in SIZES.items():
        def told(figure, target, against, a, b, name=name, size=size):
            rows = both.measure(size, options.pairs, COMMITS[name], a, b)
            emit(pairs.figure(figure, [x / y for x, y in rows], target, against,
                              us=round(statistics.median(x for x, _ in rows), 1),
                              their_us=round(statistics.median(y for _, y in rows), 1)))

        note(f"commits of {name}{', TLS' if tls else ''}")
        title = f"commit_{name}_tls" if tls else f"commit_{name}"
        against = "Redis SET + WAIT 1, one replica"
        if tls:
            told(f"{title}_vs_redis", TARGETS[name], f"{against}, TLS", both.ours, both.redis.store(True))
        else:
            told(f"{title}_vs_redis", TARGETS[name], f"{against}, its local socket", both.ours, both.redis.store(False))
            told(f"{title}_vs_redis_tcp", None, f"{against}, TCP", both.ours, both.redis.store(True))
        peer = both.redis.store(tls)
        told(f"{title}_null", None, "Redis against itself", peer, peer)


def rate(options, emit, note, both):
    """Commits a second, Redis' over ours: the time of one over that of one of Redis."""
    note(f"commits of 1KiB, {IN_FLIGHT} in flight")

    def told(figure, target, against, a, b, per_wait):
        rows = both.measure(SIZES["1KiB"], options.pairs, RATE_COMMITS, a, b, IN_FLIGHT, per_wait)
        emit(pairs.figure(figure, [x / y for x, y in rows], target, against,
                          per_s=round(1e6 / statistics.median(x for x, _ in rows)),
                          their_per_s=round(1e6 / statistics.median(y for _, y in rows))))

    against = f"Redis, {IN_FLIGHT} of SET + WAIT 1 in flight, one replica, its local socket"
    peer = both.redis.store(False)
    told("commit_rate_vs_redis", 1.0, against, both.ours, peer, 1)
    # What a client of Redis can do that has many values at hand: fewer answers, and none for a value alone.
    for per_wait in (IN_FLIGHT // 4, IN_FLIGHT):
        told(f"commit_rate_vs_redis_wait_for_{per_wait}", None, f"{against}, one WAIT for {per_wait} of SET", both.ours,
             peer, per_wait)
    told("commit_rate_null", None, "Redis against itself", peer, peer, 1)


def beside_redis(options, emit, note):
    if redis.missing():
        raise SystemExit(f"bench/run keep: not on the PATH: {' '.join(redis.missing())}")
    for tls in (False, True):
        with contextlib.ExitStack() as stack:
            both = Both(stack, tls)
            latency(options, emit, note, both, tls)
            if not tls:
                rate(options, emit, note, both)


PARTS = {"redis": beside_redis, **bulk.PARTS}


def run(options, emit, note):
    prepare()
    for name, part in PARTS.items():
        if options.part in (None, name):
            part(options, emit, note)
