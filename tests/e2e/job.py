# SPDX-License-Identifier: Apache-2.0
"""Runs jobs under `ringkeep run` and under plain mpirun, and tells what happened: for tests, campaigns and benchmarks.

The programs come from a build directory: $RINGKEEP_BUILD, else build/release, else build/dev. What a run left behind is
judged from outside: every process that it starts inherits a mark in its environment, and /proc tells who bears it.
"""
import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import threading
import time
import uuid

import events

ROOT = pathlib.Path(__file__).resolve().parents[2]
MARK = "RINGKEEP_TEST_MARK"
PATIENCE_S = 300  # a job that takes longer hangs


def build_directory():
    named = os.environ.get("RINGKEEP_BUILD")
    candidates = [pathlib.Path(named)] if named else [ROOT / "build/release", ROOT / "build/dev"]
    for folder in candidates:
        if (folder / "bin/ringkeep").exists():
            return folder.resolve()
    raise SystemExit(f"no ringkeep command in {' or '.join(map(str, candidates))}: build it, or set RINGKEEP_BUILD")


def program(name):
    path = build_directory() / "bin" / name
    if not path.exists():
        raise SystemExit(f"{path} does not exist: build it first")
    return str(path)


def mpirun():
    found = shutil.which("mpirun.openmpi")
    if not found:
        raise SystemExit("mpirun.openmpi is missing: install openmpi-bin")
    return found


@dataclasses.dataclass
class Outcome:
    """What one job did."""
    code: int
    stdout: str
    stderr: str
    seconds: float
    report: dict = dataclasses.field(default_factory=dict)
    pids: dict = dataclasses.field(default_factory=dict)  # rank -> its pids, one a life
    left: list = dataclasses.field(default_factory=list)  # processes of the job that were still there 10 s after its end

    def lines(self):
        return self.stdout.splitlines()


class Watch(threading.Thread):
    """Samples /proc for the processes that bear the mark, and remembers each rank's pids."""

    def __init__(self, mark, interval_s=0.1):
        super().__init__(daemon=True)
        self.mark, self.interval_s = mark, interval_s
        self.pids, self._known, self._ended = {}, {}, threading.Event()

    def run(self):
        while not self._ended.wait(self.interval_s):
            self.sample()

    def stop(self):
        self._ended.set()
        self.join()

    def sample(self):
        for pid, variables in marked(self.mark, self._known):
            rank = variables.get("RINGKEEP_RANK")
            if rank is not None:
                lives = self.pids.setdefault(int(rank), [])
                if pid not in lives:
                    lives.append(pid)


def marked(mark, known=None):
    """(pid, environment) of the processes that bear the mark. `known` caches the pids that never will."""
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or (known is not None and known.get(entry, 0) > 40):
            continue
        try:
            raw = pathlib.Path("/proc", entry, "environ").read_bytes()
        except OSError:
            continue
        if f"{MARK}={mark}".encode() not in raw:
            if known is not None:
                known[entry] = known.get(entry, 0) + 1
            continue
        yield int(entry), dict(part.split("=", 1) for part in raw.decode(errors="replace").split("\0") if "=" in part)


def remains(mark, patience_s=10):
    """The marked processes that are still alive after `patience_s`; none is the right answer."""
    end = time.monotonic() + patience_s
    while True:
        left = [pid for pid, _ in marked(mark) if not is_zombie(pid)]
        if not left or time.monotonic() > end:
            return left
        events.await_ends(left, end - time.monotonic())


def is_zombie(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def run_job(command, ranks, communities, options=(), cwd=None, watch=True, timeout_s=PATIENCE_S, during=None):
    """`ringkeep run` of that command, on a ring of its own. The report of the run (JSON) is in `report`. `during` runs
    beside it, in a thread, and takes the launcher's process."""
    cwd = pathlib.Path(cwd or os.getcwd())
    report = cwd / f"report-{uuid.uuid4().hex[:8]}.json"
    words = [program("ringkeep"), "run", "--embedded", "-n", str(ranks), "--communities", str(communities), "--report",
             str(report), *options, "--", *map(str, command)]
    outcome = run(words, cwd, watch, timeout_s, during)
    if report.exists():
        outcome.report = json.loads(report.read_text())
        report.unlink()
    return outcome


def plain_job(command, ranks, cwd=None, timeout_s=PATIENCE_S, options=()):
    """Plain mpirun of that command, with what it needs as root and with more ranks than cores."""
    words = [mpirun(), "--oversubscribe", "--bind-to", "none", "-n", str(ranks), *options]
    if os.geteuid() == 0:
        words.insert(1, "--allow-run-as-root")
    return run([*words, *map(str, command)], pathlib.Path(cwd or os.getcwd()), False, timeout_s)


def run(words, cwd, watch, timeout_s, during=None):
    mark = uuid.uuid4().hex
    watcher = Watch(mark) if watch else None
    if watcher:
        watcher.start()
    start = time.monotonic()
    job = subprocess.Popen(words, cwd=cwd, env={**os.environ, MARK: mark}, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")
    beside = threading.Thread(target=during, args=(job,), daemon=True) if during else None
    if beside:
        beside.start()
    try:
        stdout, stderr = job.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        stdout, stderr = end_all(job, mark)
        stderr += f"\n[ended after {timeout_s} s: the job hangs]\n"
    seconds = time.monotonic() - start
    if beside:
        beside.join(timeout=5)
    if watcher:
        watcher.stop()
    left = remains(mark) if watch else []
    return Outcome(job.returncode, stdout, stderr, seconds, pids=watcher.pids if watcher else {}, left=left)


def end_all(job, mark):
    """Ends a job that hangs, with everything that it started."""
    job.terminate()
    try:
        return job.communicate(timeout=15)
    except subprocess.TimeoutExpired:
        for pid, _ in marked(mark):
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                pass
        return job.communicate()

