#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""MPI programs under `ringkeep run`, judged from outside: jobs.py TEST, with RINGKEEP_BUILD and MPIRUN set.
PRELOAD_FIRST is what a sanitized build loads in front of the layer, with a colon after it, else empty.

same         what a program prints in 1, 2 and 3 communities is what it prints under plain mpirun
killed       the same with a process killed; the order of arrival that a program has shown stays as it was
refused      each call that cannot cross communities ends the job, by name
abort        MPI_Abort ends all communities with its code
without_job  the library under plain mpirun changes nothing
before_restore  between the restart question and the restore output is set aside, and spanning calls are refused by name
messages     rk_send and rk_recv in an MPI program, its processes killed, from checkpoints and from the start
yields       a process that yields in vain on a shared core sleeps
checkpoints  a restart goes on from the newest checkpoint; what a checkpoint cannot keep is refused by name
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

BUILD = pathlib.Path(os.environ["RINGKEEP_BUILD"])
HANG_S = 120  # only for hangs
UNSUPPORTED = 78


def program(name):
    return str(BUILD / "bin" / f"mpi_{name}")


def run(command, environment=None):
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_S, env={**os.environ, **(environment or {})})
    return done.returncode, done.stdout, done.stderr


def plain(ranks, name, *arguments, environment=None):
    # A file a rank: mpirun's own forwarding mixes the lines of ranks that write at the same time.
    with tempfile.TemporaryDirectory() as folder:
        command = [os.environ["MPIRUN"], "--oversubscribe", "--bind-to", "none", "-n", str(ranks), "--output-filename",
                   f"{folder}:nocopy"]
        if os.geteuid() == 0:
            command.insert(1, "--allow-run-as-root")
        for variable in environment or {}:
            command += ["-x", variable]
        code, _, err = run([*command, program(name), *arguments], environment)
        require(code == 0, f"plain {name} ended with {code}: {err}")
        lines = []
        for output in pathlib.Path(folder).rglob("stdout"):
            lines += output.read_text().splitlines()
    require(lines, f"plain {name} printed nothing")
    return sorted(lines)


def ringkeep(ranks, communities, name, *arguments, options=()):
    return run([str(BUILD / "bin" / "ringkeep"), "run", "--embedded", "-n", str(ranks), "--communities", str(communities),
                "--summary", *options, "--", program(name), *arguments])


def require(condition, message):
    if not condition:
        sys.exit(f"FAILED: {message}")


def rolled_back(err):
    return len(re.findall(r"rolled back", err))


def test_same():
    for name in ("point_to_point", "communicators", "collectives", "wildcards"):
        for ranks in (4, 5):
            expected = plain(ranks, name)
            for communities in (1, 2, 3):
                code, out, err = ringkeep(ranks, communities, name)
                what = f"{name} with {ranks} ranks in {communities} communities"
                require(code == 0, f"{what} ended with {code}: {err}")
                require(sorted(out.splitlines()) == expected, f"{what} printed something else:\n{out}")
                require(rolled_back(err) == 0, f"{what} rolled back: {err}")


def test_killed():
    for name, kill in (("point_to_point", "1@msg:3"), ("communicators", "2@msg:9"), ("collectives", "0@msg:40"),
                       ("collectives", "2@msg:90")):
        code, out, err = ringkeep(4, 2, name, options=["--kill", kill])
        require(code == 0, f"{name} with {kill} ended with {code}: {err}")
        require(sorted(out.splitlines()) == plain(4, name), f"{name} with {kill} printed something else:\n{out}")
        require(rolled_back(err) == 1, f"{name} with {kill}: not one community rolled back: {err}")
    for kill in ("0@msg:60", "1@msg:40", "3@msg:70", "2@msg:20"):
        code, out, err = ringkeep(4, 2, "wildcards", "--order", options=["--kill", kill])
        require(code == 0, f"wildcards with {kill} ended with {code}: {err}")
        require(rolled_back(err) == 1, f"wildcards with {kill}: not one community rolled back: {err}")
        require("wrong" not in out, f"wildcards with {kill} found a wrong message:\n{out}")
        require(not re.search(r"[1-9]\d* of them different", err), f"wildcards with {kill} repeated another order: {err}")


CALLS = ("MPI_Ssend", "MPI_Issend", "MPI_Send_init", "MPI_Recv_init", "MPI_Ibarrier", "MPI_Iallreduce", "MPI_Win_create",
         "MPI_File_open", "MPI_Comm_group", "MPI_Comm_spawn", "MPI_Intercomm_create")


def test_refused():
    for call in CALLS:
        code, _, err = ringkeep(4, 2, "refused", call)
        require(code == UNSUPPORTED, f"{call} ended with {code}: {err}")
        require(f"{call} cannot cross communities; " in err, f"{call} is not named: {err}")
    code, out, err = ringkeep(4, 2, "refused", "thread")
    require(code == 0 and out.count("funneled 1") == 4, f"the thread level is not told: {out} {err}")


def test_abort():
    for code in (7, 1, 42):
        ended, _, err = ringkeep(4, 2, "refused", "abort", str(code))
        require(ended == code, f"MPI_Abort({code}) ended with {ended}: {err}")
        require(rolled_back(err) == 0, f"MPI_Abort was taken for a failure: {err}")


def test_without_job():
    layer = {"LD_PRELOAD": os.environ["PRELOAD_FIRST"] + str(BUILD / "lib" / "libringkeep-mpi.so")}
    for name in ("point_to_point", "collectives", "communicators"):
        require(plain(4, name, environment=layer) == plain(4, name), f"{name} under the idle layer printed something else")


def test_checkpoints():
    expected = plain(4, "checkpoints", "run")
    for kill in ((), ("--kill", "1@msg:30"), ("--kill", "2@msg:55"), ("--kill", "3@msg:20")):
        code, out, err = ringkeep(4, 2, "checkpoints", "run", options=kill)
        require(code == 0, f"checkpoints with {kill} ended with {code}: {err}")
        require(sorted(out.splitlines()) == expected, f"checkpoints with {kill} printed something else:\n{out}\n{err}")
        require(not kill or "from checkpoint" in err or "from the start" in err, f"{kill} killed nobody: {err}")
    code, out, err = ringkeep(4, 2, "checkpoints", "run", options=["--kill", "2@msg:55"])
    require("from checkpoint" in err, f"the restart did not use a checkpoint: {err}")
    for mistake, words in (("request", "active requests"), ("undrained", "has sent"), ("communicator", "spans communities"),
                           ("unasked", "rk_job_restart_version")):
        code, out, err = ringkeep(4, 2, "checkpoints", mistake)
        require(code == 0, f"{mistake} ended with {code}: {err}")
        answers = re.findall(r"^\d: refused: (.*)$", out, re.M)
        require(len(answers) == 4 and all(words in answer for answer in answers), f"{mistake} was not refused: {out} {err}")


def test_before_restore():
    kill = ["--kill", "2@msg:55"]
    expected = sorted([*plain(4, "checkpoints", "run"), *(f"{rank}: no checkpoint found" for rank in range(4))])
    code, out, err = ringkeep(4, 2, "checkpoints", "talk", options=[*kill, "--strict-output"])
    require(code == 0, f"talk ended with {code}: {err}")
    require("from checkpoint" in err, f"the restart did not use a checkpoint: {err}")
    require(sorted(out.splitlines()) == expected, f"lines are lost, or shown that a first life did not print:\n{out}\n{err}")
    require("1000 lines printed between" in err, f"what was set aside is not counted: {err}")
    for call in ("MPI_Send", "MPI_Isend", "MPI_Recv", "MPI_Irecv", "MPI_Iprobe", "MPI_Improbe", "MPI_Allreduce", "MPI_Barrier",
                 "MPI_Comm_dup", "MPI_Finalize", "rk_send"):
        code, out, err = ringkeep(4, 2, "checkpoints", "before", call, options=kill)
        require(code == UNSUPPORTED, f"{call} before the restore ended with {code}: {err}")
        named = f"{call}: no message goes" if call == "rk_send" else f"{call} comes between"
        require(named in err, f"{call} is not named: {err}")


def test_messages():
    total = sum((number * 100 + other) ** 2 for number in range(30) for other in (2, 3))
    for kill in (None, "0@msg:20", "0@msg:70", "1@msg:20", "2@msg:25", "3@msg:40"):
        code, out, err = ringkeep(4, 2, "messages", options=["--kill", kill, "--strict-output"] if kill else [])
        require(code == 0, f"messages with {kill} ended with {code}: {err}")
        require("wrong" not in out, f"messages with {kill}: {out}")
        rounds = re.findall(r"^round (\d+): (\d+) from (\d)$", out, re.M)
        require(len(set(rounds)) == len(rounds) == 60, f"messages with {kill} lost or repeated rounds:\n{out}")
        require(all(int(square) == (int(number) * 100 + int(source)) ** 2 for number, square, source in rounds),
                f"messages with {kill} mixed squares up:\n{out}")
        require(out.count(f": total {total}\n") == 4, f"messages with {kill} added up wrongly:\n{out}")
        require(rolled_back(err) == (1 if kill and "was carried out" in err else 0), f"messages with {kill}: {err}")


def test_yields():
    ranks = (os.cpu_count() or 1) + 1
    code, out, err = ringkeep(ranks, 2, "yields")
    require(code == 0, f"yields ended with {code}: {err}")
    require(sorted(out.splitlines()) == sorted(f"{rank}: others had the core" for rank in range(ranks)), f"{out}{err}")


if __name__ == "__main__":
    {name[5:]: test for name, test in globals().items() if name.startswith("test_")}[sys.argv[1]]()
    print("passed")
