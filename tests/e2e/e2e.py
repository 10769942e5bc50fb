#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""End to end: real jobs under `ringkeep run`, short forms of the campaigns.

    e2e.py SCENARIO      one of: lammps heat2d taskfarm again clean api ring queue

The exit code is 77 if this machine cannot run the scenario; the reason is printed.
"""
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import uuid

import checks
import hosts
import job


CANNOT_RUN = 77  # ctest counts it as skipped


def lammps(folder):
    """A rank of each community killed; thermo lines and files as without a failure; plain mpirun for 250 steps."""
    program = checks.Lammps(folder, checks.Setting(8, 2), steps=300)
    yield "without a failure", program.reference_is_right()
    for rank, share in ((1, 0.1), (6, 0.6)):
        kill = checks.kill_at(program.reference, rank, share)
        yield f"kill {kill[0]}@{kill[1]}", program.killed([kill])[0]


def heat2d(folder):
    """A rank killed between checkpoints repeats at most one interval, and only its community does."""
    program = checks.Heat2d(folder, checks.Setting(6, 2), steps=400, every=80, size=384)
    yield "without a failure", program.reference_is_right()
    for kill in ((1, 40), (5, 130), (0, 300)):
        yield f"rank {kill[0]} killed after step {kill[1]}", program.killed([kill])[0]
    yield "two communities, one after the other", program.killed([(2, 100), (4, 250)])[0]


def taskfarm(folder):
    """The master and workers killed: the order that was shown is matched again, the results are plain mpirun's."""
    program = checks.Taskfarm(folder, checks.Setting(5, 2), tasks=150)
    wrong, reference = program.killed([], "reference")
    yield "without a failure", wrong
    for rank, share in ((0, 0.2), (0, 0.8), (1, 0.5), (3, 0.4), (4, 0.9)):
        kill = checks.kill_at(reference, rank, share)
        yield f"kill {kill[0]}@{kill[1]}", program.killed([kill])[0]


def again(folder):
    """A community that is killed again while it replays, from the start and from a checkpoint; both at once."""
    setting = checks.Setting(4, 2)
    program = checks.Taskfarm(folder / "taskfarm", setting, tasks=200, work=200000)
    wrong, reference = program.killed([], "reference")
    yield "without a failure", wrong
    kills = checks.kill_twice(reference, 0, 0.5, 0.3)
    wrong, outcome = program.killed(kills)
    yield f"kills {kills}", wrong + checks.killed_while_replaying(outcome.report, 0, 0)
    kills = [checks.kill_at(reference, rank, 0.5) for rank in (0, 2)]
    yield f"kills {kills}", program.killed(kills)[0]
    heat = checks.Heat2d(folder / "heat2d", setting, steps=400, every=80, size=384)
    kills = checks.kill_twice(heat.reference, 2, 0.35, 0.08)  # rank 2 sends its edge to the other community each step
    wrong, outcome = heat.killed_by_messages(kills)
    yield f"heat2d, kills {kills}", wrong + checks.killed_while_replaying(outcome.report, 2, 1) + restored(outcome, 1)


def restored(outcome, community):
    versions = [one["version"] for one in outcome.report["communities"][community]["recoveries"]]
    return [] if all(versions) else [f"the recoveries began at the versions {versions}, 0 is the start"]


# --- the end of a run ---------------------------------------------------------------------------------------------------

class Running:
    """A taskfarm of some seconds under `ringkeep run`, with a temporary directory of its own."""

    def __init__(self, folder):
        self.mark, self.temporary = uuid.uuid4().hex, checks.fresh(folder / "tmp")
        self.shm = set(os.listdir("/dev/shm"))
        words = [job.program("ringkeep"), "run", "-n", "4", "--communities", "2", "--", job.program("taskfarm"),
                 "--tasks", "2000", "--work", "300000"]
        self.process = subprocess.Popen(words, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True,
                                        env={**os.environ, job.MARK: self.mark, "TMPDIR": str(self.temporary)})
        self.shown = [self.process.stdout.readline() for _ in range(20)]  # it is in the middle of its work
        self.own = set(os.listdir(self.temporary))  # its directories in /dev/shm have the same names

    def end(self):
        """What is left over once the launcher is gone."""
        try:
            self.process.communicate(timeout=job.PATIENCE_S)
        except subprocess.TimeoutExpired:
            job.end_all(self.process, self.mark)
            return ["the launcher does not end"]
        # The guard is one of them: once it has ended, it has removed the files.
        wrong = [f"process {pid} remains" for pid in job.remains(self.mark)]
        return wrong + [f"{file} remains" for file in self.files()]

    def files(self):
        """Files in the temporary directory, and new ones in /dev/shm that no process maps; other jobs may run beside us."""
        left = [str(path.relative_to(self.temporary)) for path in self.temporary.rglob("*")]
        new = set(os.listdir("/dev/shm")) - self.shm
        return left + [name for name in new
                       if name in self.own or not (name.startswith("ringkeep-job-") or mapped(name))]

    def pids(self, word):
        """Processes of the run whose program is `word`."""
        for pid, _ in job.marked(self.mark):
            try:
                if pathlib.Path(f"/proc/{pid}/comm").read_text().strip().startswith(word):
                    yield pid
            except OSError:
                pass


def mapped(name):
    for maps in pathlib.Path("/proc").glob("[0-9]*/maps"):
        try:
            if f"/dev/shm/{name}" in maps.read_text():
                return True
        except OSError:
            pass
    return False


def clean(folder):
    """After Ctrl-C, and kill -9 of the launcher or of mpirun, nothing remains, and the next run works."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        run = Running(folder)
        run.process.send_signal(number)
        wrong = run.end()
        if run.process.returncode == 0:
            wrong.append("the exit code is 0")
        yield f"launcher ended by {number.name}", wrong
    run = Running(folder)
    victim = next(run.pids("mpirun"), None)
    if victim is not None:
        os.kill(victim, signal.SIGKILL)
    wrong = run.end() + ([] if victim else ["no mpirun was found"])
    if run.process.returncode != 0:
        wrong.append(f"the job ended with {run.process.returncode} after the loss of one mpirun")
    yield "mpirun killed", wrong
    after = job.run_job([job.program("taskfarm"), "--tasks", 20], 4, 2, cwd=folder)
    yield "the next run", checks.basics(after, checks.Setting(4, 2), [])


def api(folder):
    """The README's example: a counter that outlives its process, and its server's connection."""
    ring, environment = ["--dir", str(folder / "ring")], {"RINGKEEP_SOCKET": str(folder / "ring/1/socket")}
    up = subprocess.run([job.program("ringkeep"), "up", "--servers", "3", *ring], text=True, capture_output=True,
                        check=False)
    yield "up", [] if up.returncode == 0 else [up.stderr]
    for life in (1, 2, 3):
        run = subprocess.run([job.program("example_api")], text=True, capture_output=True, check=False,
                             env={**os.environ, **environment})
        yield f"life {life}", [] if run.stdout.startswith(f"life {life},") else [run.stdout + run.stderr]
    down = subprocess.run([job.program("ringkeep"), "down", *ring], text=True, capture_output=True, check=False)
    yield "down", [] if down.returncode == 0 and "3 servers" in down.stdout else [down.stdout + down.stderr]


def ring(folder):
    """Two cycles of the ring's campaign: a server killed, and the leader killed, with writers."""
    hosts.check()
    campaign = [sys.executable, str(job.ROOT / "campaign/ring-namespaces"), "--seed", "1719", "--nodes", "3",
                "--cycles", "6", "--patience", "300", "--results", str(folder / "results")]
    run = subprocess.run(campaign, text=True, capture_output=True, check=False)
    print(run.stdout)
    good = run.returncode == 0 and "2 passed, 0 failed" in run.stdout
    yield "2 cycles with 3 servers", [] if good else [run.stdout + run.stderr]


def queue(folder):
    """Two rounds of the job queue's campaign: a client, the service, a server and a node killed under load."""
    hosts.check()
    campaign = [sys.executable, str(job.ROOT / "campaign/queue-kills"), "--seed", "17", "--cycles", "8", "--patience",
                "300", "--results", str(folder / "results")]
    run = subprocess.run(campaign, text=True, capture_output=True, check=False)
    print(run.stdout)
    good = run.returncode == 0 and "1 passed, 0 failed" in run.stdout and "cycles 8," in run.stdout
    yield "8 kills", [] if good else [run.stdout + run.stderr]


SCENARIOS = {"lammps": lammps, "heat2d": heat2d, "taskfarm": taskfarm, "again": again, "clean": clean,
             "api": api, "ring": ring, "queue": queue}


def main():
    if len(sys.argv) != 2 or sys.argv[1] not in SCENARIOS:
        print(__doc__)
        return 2
    failures = 0
    with tempfile.TemporaryDirectory(prefix="ringkeep-e2e-") as name:
        try:
            for step, wrong in SCENARIOS[sys.argv[1]](pathlib.Path(name)):
                words = "".join(f"\n      {text}" for text in wrong)
                print(f"{'WRONG' if wrong else 'ok':5} {step}{words}", flush=True)
                failures += bool(wrong)
        except hosts.Missing as missing:
            print(f"skipped: {missing}")
            return CANNOT_RUN
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
