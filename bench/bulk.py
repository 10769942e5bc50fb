# SPDX-License-Identifier: Apache-2.0
"""Figures of large checkpoints: what a program waits for, beside the copies and transfers that nobody can do without.

All servers of a ring are on one host and talk over its loopback, without encryption, as their references do. They and
their clients share its cores, so that a server is suspected late: no figure here depends on it.
"""
import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import time

import hosts
import job
import pairs
import servers

MIB = 1 << 20
PART_BYTES = 256 * MIB       # of each of two ranks
REPLICATED_BYTES = 128 * MIB  # of each of four servers
MAPPED = {"1KiB": 1024, "1MiB": MIB, "64MiB": 64 * MIB, "1GiB": 1024 * MIB}
COMMITS = 6                  # until two versions are kept and memory is reused
NOTHING_BYTES = 8 * MIB      # what servers that keep nothing differ by
SUSPICION_MS = 10_000
PATIENCE_S = 60              # for memory that is to be given back; it is no measure


@contextlib.contextmanager
def ring_of(count, memory):
    with contextlib.ExitStack() as stack:
        lab = stack.enter_context(hosts.Lab(1))
        ring = servers.Ring(lab, count, memory=memory, encrypt=False, suspicion_ms=SUSPICION_MS)
        stack.callback(ring.close)
        nodes = list(range(1, count + 1))
        ring.start(*nodes)
        if ring.await_view(nodes) is None:
            raise SystemExit(f"no view of all servers: {ring.state()}")
        yield lab, ring


def rows_of(words):
    done = subprocess.run([str(word) for word in words], text=True, capture_output=True, check=False)
    if done.returncode != 0:
        raise SystemExit(done.stderr.strip())
    return [tuple(map(float, line.split())) for line in done.stdout.splitlines()]


def bulk(lab, *words):
    return rows_of([*lab.inside(1), job.program("bench_bulk"), *words])


def compared(rows):
    return {"us": round(statistics.median(row[0] for row in rows)),
            "their_us": round(statistics.median(row[1] for row in rows))}


def ratio(name, rows, target, against, **facts):
    return pairs.figure(name, [row[0] / row[1] for row in rows], target, against, **compared(rows), **facts)


def absolute(name, values, unit, target, against, **facts):
    low, high = pairs.interval(values)
    return {"figure": name, "value": round(statistics.median(values), 1), "unit": unit, "target": target,
            "better": "less", "against": against, "low": round(low, 1), "high": round(high, 1), "count": len(values),
            **facts}


def single(name, value, unit, target, against, **facts):
    return {"figure": name, "value": round(value, 4), "unit": unit, "target": target, "better": "less",
            "against": against, **facts}


def checkpoint(options, emit, note):
    with ring_of(2, "6G") as (lab, ring):
        socket = ring.servers[1].socket
        facts = {"ranks": 2, "bytes_each": PART_BYTES, "cores": os.cpu_count()}
        what = "memcpy into warm shared memory by both ranks at once; ours is rk_put_async, until it returns"
        for name, permille, target in (("checkpoint_blocking", 1000, 1.2), ("checkpoint_10pct", 100, 0.6)):
            note(f"checkpoint of 2 x 256 MiB, {permille / 10:g}% of the pages changed")
            rows = bulk(lab, "checkpoint", socket, PART_BYTES, options.bulk_pairs, permille, "keep", "memcpy")
            emit(ratio(f"{name}_vs_memcpy", rows, target, what, changed=permille / 1000, **facts))
            emit(absolute(f"{name}_until_replicated", [row[2] / 1000 for row in rows], "ms", None,
                          "for the record: from the call to its outcome", changed=permille / 1000, **facts))
            emit(pairs.figure(f"{name}_until_replicated_vs_memcpy", [row[2] / row[1] for row in rows], None,
                              "the same memcpy; for the record", changed=permille / 1000, **facts))
        rows = bulk(lab, "checkpoint", socket, PART_BYTES, options.bulk_pairs, 1000, "memcpy", "memcpy")
        emit(ratio("checkpoint_null", rows, None, "memcpy against itself", **facts))


def replicated(options, emit, note):
    with ring_of(4, "2G") as (lab, ring):
        note("4 servers x 128 MiB, replicated")
        meeting = lab.directory / "meeting"
        sockets = [server.socket for server in ring.servers.values()]

        def rows(a, b):
            meeting.write_bytes(b"")
            outcome = job.plain_job([job.program("bench_replicated"), REPLICATED_BYTES, options.bulk_pairs, a, b, meeting,
                                     *sockets], 4, cwd=lab.directory, options=("--mca", "mpi_yield_when_idle", "1"))
            if outcome.code != 0:
                raise SystemExit(f"bench_replicated ended with {outcome.code}: {(outcome.stdout + outcome.stderr).strip()[:2000]}")
            return [tuple(map(float, line.split())) for line in outcome.lines()]

        facts = {"servers": 4, "bytes_each": REPLICATED_BYTES, "cores": os.cpu_count()}
        emit(ratio("replicated_vs_floor", rows("keep", "floor"), 1.5,
                   "memcpy and one transfer by MPI_Sendrecv (Open MPI), 4 ranks; ours is rk_put", **facts))
        emit(ratio("replicated_null", rows("floor", "floor"), None, "that against itself", **facts))


def wire(options, emit, note):
    with ring_of(2, "2G") as (lab, ring):
        note("bytes on the wire, 1% of the pages changed")
        rows = bulk(lab, "wire", ring.servers[1].socket, PART_BYTES, options.bulk_pairs, 10)
        emit({**pairs.figure("delta_wire_bytes", [sent / changed for sent, changed in rows], 1.1,
                             "bytes of the changed pages; ours is what the network interface counts, all headers too",
                             bytes=PART_BYTES, changed=0.01),
              "sent": round(statistics.median(row[0] for row in rows))})


def successor(socket):
    """Of that server in the ring."""
    done = subprocess.run([job.program("ringkeep"), "status", "--json"], text=True, capture_output=True, check=True,
                          env={**os.environ, "RINGKEEP_SOCKET": socket})
    status = json.loads(done.stdout)
    order = [member["node"] for member in status["members"]]
    return order[(order.index(status["node"]) + 1) % len(order)]


def restore(options, emit, note):
    with ring_of(3, "4G") as (lab, ring):
        home = ring.servers[1].socket
        note("restore on the same node")
        for name, size in MAPPED.items():
            rows = bulk(lab, "map", home, size, options.bulk_pairs)
            emit(absolute("map_us" if name == "1GiB" else f"map_us_{name}", [row[0] for row in rows], "us", 100,
                          "for the record: until the newest version is mapped", bytes=size))
        facts = {"bytes": PART_BYTES}
        rows = bulk(lab, "read", home, PART_BYTES, options.bulk_pairs, "keep", "memcpy")
        emit(ratio("verified_read_vs_memcpy", rows, 1.2, "memcpy from warm shared memory", **facts))
        rows = bulk(lab, "read", home, PART_BYTES, options.bulk_pairs, "memcpy", "memcpy")
        emit(ratio("verified_read_null", rows, None, "memcpy against itself", **facts))
        note("restore on another node")
        other = ring.servers[successor(home)].socket  # of three, neither the home nor its predecessor
        rows = bulk(lab, "restore", home, other, PART_BYTES, options.bulk_pairs, "keep", "tcp")
        emit(ratio("restore_remote_vs_transfer", rows, 1.3, "one TCP connection over the same loopback", **facts))
        rows = bulk(lab, "restore", home, other, PART_BYTES, options.bulk_pairs, "tcp", "tcp")
        emit(ratio("restore_remote_null", rows, None, "the TCP connection against itself", **facts))


# --- memory ---

def memory_of(server):
    """Bytes of the server's processes: their own, and the shared memory that any of them holds or maps, once each."""
    pids, own, shared = {server.process.pid}, 0, {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == server.process.pid:
                pids.add(int(stat.parent.name))
    for pid in pids:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        own += 1024 * int(next(line for line in status.splitlines() if line.startswith("RssAnon")).split()[1])
        for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                if os.readlink(entry).startswith("/memfd:"):
                    of = os.stat(entry)
                    shared[of.st_ino] = of.st_blocks * 512
    return own + sum(shared.values())


def memory(_options, emit, note):
    with ring_of(2, "4G") as (lab, ring):
        note("memory of the servers")
        socket, name = ring.servers[1].socket, lab.directory / "data"
        with open(name, "wb") as file:
            for _ in range(PART_BYTES // MIB):
                file.write(os.urandom(MIB))

        def command(*words):
            done = subprocess.run([job.program("ringkeep"), *map(str, words)], text=True, capture_output=True,
                                  check=False, env={**os.environ, "RINGKEEP_SOCKET": socket})
            if done.returncode != 0:
                raise SystemExit(f"ringkeep {words[0]}: {done.stderr.strip()}")

        def total():
            return sum(memory_of(server) for server in ring.servers.values())

        empty = total()
        for _ in range(COMMITS):
            command("put", "bench", name)
        full = total()
        command("rm", "bench")
        # The second copy goes when its holder hears of it, and nobody is told when.
        removed, left = time.monotonic(), total()
        while left > empty + NOTHING_BYTES and time.monotonic() < removed + PATIENCE_S:
            time.sleep(0.1)
            left = total()
        facts = {"bytes": PART_BYTES, "copies": 2, "versions": 2}
        emit(single("memory_factor", (full - empty) / PART_BYTES / 2, "ratio", 2.2,
                    "bytes of one version; for each of the two copies, two versions kept",
                    over_both_versions=round((full - empty) / PART_BYTES / 4, 4), **facts))
        emit(single("memory_after_delete", (left - empty) / PART_BYTES / 2, "ratio", None,
                    "the same after `ringkeep rm`; 0 is back to the start",
                    seconds=round(time.monotonic() - removed, 1), **facts))


PARTS = {"checkpoint": checkpoint, "replicated": replicated, "wire": wire, "restore": restore, "memory": memory}
