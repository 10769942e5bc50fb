# SPDX-License-Identifier: Apache-2.0
"""What must hold for each example program after a failure: each check runs one job and returns what was wrong with it.

An empty list is a pass. The references are runs without a failure, made once in a directory of their own.
"""
import dataclasses
import os
import pathlib
import re
import shutil
import signal
import sys

import events
import job

sys.path.insert(0, str(job.ROOT / "examples/melt"))
from compare import FILES, thermo, without_clock  # noqa: E402  (found through the line above)

MELT = job.ROOT / "examples/melt/in.melt"


@dataclasses.dataclass
class Setting:
    ranks: int = 8
    communities: int = 2

    def community(self, rank):
        """Ranks are dealt out in blocks, as `ringkeep run` does."""
        return rank * self.communities // self.ranks

    def members(self, community):
        return [rank for rank in range(self.ranks) if self.community(rank) == community]


def moment(outcome, share):
    """Seconds of the job after which that share of its program's work is done, for `--kill RANK@Ts`."""
    start, end = outcome.report["ready_s"], outcome.report["finished_s"]
    return start + share * (end - start)


def kill_at(outcome, rank, share):
    """(rank, when): at the message to another community that lies at that share of all that the rank sent in the run
    without a failure, so that it can be repeated; at that share of the time for a rank that sends none."""
    sent = outcome.report["ranks"][rank]["messages_sent"]
    if sent == 0:
        return rank, f"{moment(outcome, share):.2f}s"
    return rank, f"msg:{max(1, round(share * sent))}"


def fresh(folder):
    folder = pathlib.Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def basics(outcome, setting, kills):
    """Holds for every program: the code, nothing left, only the communities of the killed ranks lived twice."""
    wrong = []
    if outcome.code != 0:
        wrong.append(f"exit code {outcome.code}: {outcome.stderr.strip()[-400:]}")
    if outcome.left:
        wrong.append(f"processes remain: {outcome.left}")
    hit = {setting.community(rank) for rank in kills}
    wrong += survivors(outcome, setting, hit)
    wrong += reported(outcome.report, hit)
    return wrong


def survivors(outcome, setting, hit):
    """Every rank was seen; those of communities without a failure are one process each, which repeats nothing."""
    ranks = {entry["rank"]: entry for entry in outcome.report.get("ranks", [])}
    wrong = []
    for what, found in (("seen", outcome.pids), ("reported", ranks)):
        if set(found) != set(range(setting.ranks)):
            wrong.append(f"the ranks that were {what} are {sorted(found)}, not 0 to {setting.ranks - 1}")
    for rank, entry in sorted(ranks.items()):
        if setting.community(rank) in hit:
            continue
        if len(entry["pids"]) != 1 or outcome.pids.get(rank) != entry["pids"]:
            wrong.append(f"rank {rank} of a community without a failure had the pids {outcome.pids.get(rank)}, "
                         f"the report says {entry['pids']}")
        for count in ("messages_resent", "determinants_replayed"):
            if entry[count] != 0:
                wrong.append(f"rank {rank} of a community without a failure has {count} {entry[count]}")
    return wrong


def killed_while_replaying(report, rank, community):
    """What is wrong with a run whose rank was to be killed, and once more before its next life had caught up."""
    if not report:
        return ["the run left no report"]
    entry = report["communities"][community]
    wrong = [f"--kill {kill['kill']} was not carried out" for kill in report["kills"] if kill["done_s"] is None]
    if entry["restarts"] != 2 or len(entry["recoveries"]) != 2:
        return wrong + [f"community {community} restarted {entry['restarts']} times, not twice"]
    first, second = entry["recoveries"]
    if report["ranks"][rank]["lives"][1]["ready_s"] is None:
        wrong.append("the second kill came before the new life was out of MPI_Init")
    if first["replayed_s"] is not None:
        wrong.append(f"the second kill came after the first recovery's end at {first['replayed_s']} s")
    if second["replayed_s"] is None:
        wrong.append("the second recovery did not come to its end")
    return wrong


def kill_twice(outcome, rank, share, again):
    """Kills for killed_while_replaying(): at that share of the rank's messages to other communities, and in the next
    life after `again` of the share of all messages, which is one that it sends once more."""
    sent = outcome.report["ranks"][rank]["messages_sent"]
    first, second = round(share * sent), max(1, round(again * sent))
    if not 0 < second < first:
        raise ValueError(f"rank {rank} sends {sent} messages: none to kill it at twice")
    return [(rank, f"msg:{first}"), (rank, f"msg:{second}")]


def listing(folder):
    """The files below that folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def other_files(expected, folder):
    found = listing(folder)
    return [] if found == expected else [f"the files are {found}, not {expected}"]


def reported(report, hit):
    """The run's own report names exactly the communities that were hit."""
    if not report:
        return ["the run left no report"]
    rolled = restarted(report)
    return [] if rolled == hit else [f"{MISSED} {sorted(hit)} should roll back, the report says {sorted(rolled)} did"]


MISSED = "communities"


def restarted(report):
    return {community["community"] for community in report["communities"] if community["restarts"] > 0}


def carried_out(report):
    return all(kill["done_s"] is not None for kill in report["kills"])


def earlier(when):
    """Two thirds of "2.5s" or "msg:5000"."""
    if when.startswith("msg:"):
        return f"msg:{max(1, int(when[4:]) * 2 // 3)}"
    return f"{float(when.rstrip('s')) * 2 / 3:.2f}s"


def kill_options(kills):
    """[(rank, "2.5s" or "msg:5000"), ...] as options of `ringkeep run`."""
    return [word for rank, when in kills for word in ("--kill", f"{rank}@{when}")]


# --- LAMMPS -----------------------------------------------------------------------------------------------------------

def lammps_command(steps):
    return ["lmp", "-in", MELT, "-var", "steps", str(steps)]


class Lammps:
    def __init__(self, folder, setting, steps):
        self.setting, self.steps = setting, steps
        self.folder = fresh(folder)
        self.reference = job.run_job(lammps_command(steps), setting.ranks, setting.communities, cwd=self.folder)
        self.files = listing(self.folder)

    def reference_is_right(self):
        """Compares the run without a failure with plain mpirun, as far as the order of sums does not show."""
        wrong = basics(self.reference, self.setting, [])
        plain = job.plain_job(lammps_command(min(self.steps, 250)), self.setting.ranks, cwd=fresh(self.folder / "plain"))
        ours, theirs = thermo(self.reference.stdout), thermo(plain.stdout)
        for step, line in sorted(theirs.items()):
            if step <= 250 and ours.get(step) != line:
                wrong.append(f"step {step}: '{ours.get(step)}' where plain mpirun shows '{line}'")
        if len(theirs) < 2:
            wrong.append(f"plain mpirun showed {len(theirs)} steps: {plain.stderr.strip()[-300:]}")
        return wrong

    def killed(self, kills, name="killed"):
        """Runs the same job with those kills and compares all that it showed and wrote."""
        folder = fresh(self.folder / name)
        outcome = job.run_job(lammps_command(self.steps), self.setting.ranks, self.setting.communities,
                              kill_options(kills), cwd=folder)
        wrong = basics(outcome, self.setting, [rank for rank, _ in kills])
        try:
            if thermo(outcome.stdout) != thermo(self.reference.stdout):
                wrong.append("thermo lines differ from the run without a failure")
        except ValueError as error:
            wrong.append(str(error))
        if without_clock(outcome.stdout) != without_clock(self.reference.stdout):
            wrong.append("other lines of the output differ: " + first_difference(self.reference.stdout, outcome.stdout))
        wrong += other_files(self.files, folder)
        for file in FILES:
            if not same_bytes(self.folder / file, folder / file):
                wrong.append(f"{file} differs")
        ours, theirs = (read_text(place / "log.lammps") for place in (folder, self.folder))
        if without_clock(ours) != without_clock(theirs):
            wrong.append("log.lammps differs: " + first_difference(theirs, ours))
        if not wrong:
            shutil.rmtree(folder)
        return wrong, outcome


def read_text(path):
    return path.read_text(errors="replace") if path.exists() else ""


def same_bytes(a, b):
    return a.exists() and b.exists() and a.read_bytes() == b.read_bytes()


def first_difference(expected, found):
    expected, found = without_clock(expected), without_clock(found)
    for number, (a, b) in enumerate(zip(expected, found), 1):
        if a != b:
            return f"line {number} is {b!r}, expected {a!r}"
    return f"{len(found)} lines, expected {len(expected)}"


# --- heat2d -----------------------------------------------------------------------------------------------------------

class Heat2d:
    def __init__(self, folder, setting, steps=600, every=100, size=384):
        self.setting, self.steps, self.every, self.size = setting, steps, every, size
        self.folder = fresh(folder)
        self.reference, self.traces = self._run([], "reference")
        self.plain = job.plain_job(self._command(fresh(self.folder / "plain")), setting.ranks, cwd=self.folder)

    def _command(self, folder):
        return [job.program("heat2d"), "--size", self.size, "--steps", self.steps, "--checkpoint-every", self.every,
                "--report-every", 50, "--picture", folder / "field.ppm", "--trace", folder]

    def _run(self, kills, name, options=()):
        folder = fresh(self.folder / name)
        outcome = job.run_job(self._command(folder), self.setting.ranks, self.setting.communities, options, cwd=folder,
                              during=lambda launcher: self._kill(folder, kills, launcher))
        return outcome, {rank: self._trace(folder, rank) for rank in range(self.setting.ranks)}

    def _kill(self, folder, kills, launcher):
        """Kills each rank as soon as its trace shows the step; from outside, as the loss of a process is."""
        with events.Changes(folder, launcher.pid) as changes:
            for rank, step in kills:
                while not ((trace := self._trace(folder, rank)) and trace[-1][1] >= step):
                    if not changes.wait():
                        return
                os.kill(trace[-1][0], signal.SIGKILL)

    @staticmethod
    def _trace(folder, rank):
        """[(pid, step, microseconds), ...] in the order in which the rank executed them."""
        lines = read_text(folder / f"rank{rank}").split("\n")[:-1]  # the last one may be unfinished
        return [tuple(map(int, line.split())) for line in lines]

    def reference_is_right(self):
        wrong = basics(self.reference, self.setting, [])
        if self.reference.stdout != self.plain.stdout:
            wrong.append("the output differs from plain mpirun's")
        if "checksum" not in self.plain.stdout:
            wrong.append(f"plain mpirun failed: {self.plain.stderr.strip()[-300:]}")
        for rank, trace in self.traces.items():
            if [step for _, step, _ in trace] != list(range(1, self.steps + 1)):
                wrong.append(f"rank {rank} did not execute each step once")
        return wrong

    def killed(self, kills, name="killed"):
        """kills: [(rank, step), ...], one after the other."""
        outcome, traces = self._run(kills, name)
        return self._judge(kills, name, outcome, traces), outcome

    def killed_by_messages(self, kills, name="killed"):
        """kills: [(rank, "msg:5"), ...], as options of `ringkeep run`."""
        outcome, traces = self._run([], name, kill_options(kills))
        return self._judge(kills, name, outcome, traces), outcome

    def _judge(self, kills, name, outcome, traces):
        wrong = basics(outcome, self.setting, [rank for rank, _ in kills])
        wrong += other_files(listing(self.folder / "reference"), self.folder / name)
        if outcome.stdout != self.reference.stdout:
            wrong.append("the output differs from the run without a failure")
        if not same_bytes(self.folder / "reference/field.ppm", self.folder / name / "field.ppm"):
            wrong.append("the picture differs")
        hit = [self.setting.community(rank) for rank, _ in kills]
        for rank, trace in traces.items():
            again = len(trace) - self.steps
            limit = self.every * hit.count(self.setting.community(rank))  # an interval a kill of its community
            if {step for _, step, _ in trace} != set(range(1, self.steps + 1)):
                wrong.append(f"rank {rank} did not execute every step")
            if again > limit:
                wrong.append(f"rank {rank} executed {again} steps again, at most {limit} may be")
        outcome.report["steps_again"], outcome.report["steps_again_of_all"] = self._steps_again(traces)
        if not wrong:
            shutil.rmtree(self.folder / name)
        return wrong

    def _steps_again(self, traces):
        """Rank-steps executed again, and those that a restart of all ranks from the same checkpoint would have cost.

        For the second, each rank's progress at the moment of the failure counts: the last step that the community
        that failed had executed by then.
        """
        lives = {rank: [line for line in trace if line[0] == trace[0][0]] for rank, trace in traces.items()}
        failed = [rank for rank, trace in traces.items() if len(lives[rank]) < len(trace)]
        if not failed:
            return 0, 0
        again = sum(len(traces[rank]) - self.steps for rank in failed)
        checkpoint = min(traces[rank][len(lives[rank])][1] for rank in failed) - 1
        moment = max(lives[rank][-1][2] for rank in failed)
        reached = {rank: sum(1 for line in lives[rank] if line[2] <= moment) for rank in traces}
        return again, sum(reached[rank] - checkpoint for rank in traces)


# --- taskfarm ---------------------------------------------------------------------------------------------------------

class Taskfarm:
    RESULT = re.compile(r"^result (\d+) from (\d+): ([0-9a-f]{16})$", re.M)

    def __init__(self, folder, setting, tasks=300, work=100000):
        self.setting, self.tasks, self.work = setting, tasks, work
        self.folder = fresh(folder)
        self.plain = job.plain_job(self._command(self.folder / "plain-order"), setting.ranks, cwd=self.folder)

    def _command(self, order):
        return [job.program("taskfarm"), "--tasks", self.tasks, "--work", self.work, "--order", order]

    def killed(self, kills, name="killed"):
        """Also without kills: the first run of all.

        Who sends how many messages is different in every run. A kill that came after the rank's last one is tried
        again earlier; the run without it must be right as well.
        """
        wrong, outcome = self._killed_once(kills, name)
        for _ in range(6):
            if not kills or outcome.code != 0 or not outcome.report or carried_out(outcome.report):
                break
            wrong = [text for text in wrong if not text.startswith(MISSED)]
            if wrong:
                break
            kills = [(rank, earlier(when)) for rank, when in kills]
            wrong, outcome = self._killed_once(kills, name)
        return wrong, outcome

    def _killed_once(self, kills, name):
        folder = fresh(self.folder / name)
        outcome = job.run_job(self._command(folder / "order"), self.setting.ranks, self.setting.communities,
                              kill_options(kills), cwd=folder)
        wrong = basics(outcome, self.setting, [rank for rank, _ in kills])
        wrong += other_files(["order"], folder)
        shown = self.RESULT.findall(outcome.stdout)
        # The file is written at the end by the master's last life from its memory; the lines were shown by whichever
        # life came first. They agree only if the master saw the same matches again.
        written = [tuple(line.split()) for line in read_text(folder / "order").splitlines()]
        if [(task, rank) for task, rank, _ in shown] != written:
            wrong.append("the order that was shown is not the order that the master's last life saw")
        expected = sorted((task, value) for task, _, value in self.RESULT.findall(self.plain.stdout))
        if len(expected) != self.tasks:
            wrong.append(f"plain mpirun gave {len(expected)} results of {self.tasks}")
        if sorted((task, value) for task, _, value in shown) != expected:
            wrong.append(f"{len(shown)} results were shown; they are not those of plain mpirun")
        if last_word(outcome.stdout, "results") != last_word(self.plain.stdout, "results"):
            wrong.append("the checksum over the results differs")
        if not wrong:
            shutil.rmtree(folder)
        return wrong, outcome


def last_word(text, name):
    found = re.search(rf"^{name} (\w+)$", text, re.M)
    return found.group(1) if found else None
