#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Programs written for VeloC over real rings: veloc.py MPI TEST, MPI openmpi or mpich; RINGKEEP_BUILD and MPIRUN are set.
PRELOAD_FIRST is what a sanitized build loads in front of anything else, with a colon after it, else empty.

killed       a rank is killed; the next run goes on from the checkpoint and ends with the same digits; file mode too
inside       a rank is killed in a commit that all others have done: all go on from the version before; also when that
             happens to another rank in the next run, so that all have parts of the same number, of two runs
refusals     two commits of one rank fail in a row and a rank dies then: the last complete version is still there
moved        ranks start again at each other's servers, several times; two versions are kept, wherever they were taken
server       a server is killed together with the job: the rest of the ring has it all
flipped      a byte of a part changes in memory: the other copy is read, and replaces this one
alone        a ring of one server commits nothing, and says so on all ranks
ranks        another number of ranks is refused with words; directories of the configuration tell programs apart
calls        wrong order, wrong arguments, selections, files, VELOC_Init_single
leftovers    files of a killed process are removed by the next one
job          inside of `ringkeep run` the interface refuses by name
"""
import contextlib
import fcntl
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

BUILD = pathlib.Path(os.environ["RINGKEEP_BUILD"])
MPI = sys.argv[1]
HANG_S = 120  # only for hangs
RANKS = 3


def require(condition, message):
    if not condition:
        sys.exit(f"FAILED: {message}")


class Ring:
    def __init__(self, directory, servers):
        self.directory, self.servers = directory, servers
        self.call("up", "--servers", str(servers), "--dir", directory)

    @staticmethod
    def call(*arguments, environment=None):
        done = subprocess.run([str(BUILD / "bin" / "ringkeep"), *arguments], capture_output=True, text=True, timeout=HANG_S,
                              env={**os.environ, **(environment or {})}, check=False)
        require(done.returncode == 0, f"ringkeep {arguments} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def socket(self, server):
        return f"{self.directory}/{server}/socket"

    def status(self, server):
        return json.loads(self.call("status", "--json", environment={"RINGKEEP_SOCKET": self.socket(server)}))

    def kill(self, server):
        os.kill(self.status(server)["pid"], signal.SIGKILL)


@contextlib.contextmanager
def ring(servers=3):
    with tempfile.TemporaryDirectory() as folder:
        made = Ring(f"{folder}/ring", servers)
        try:
            yield made
        finally:
            Ring.call("down", "--dir", made.directory)


def command_of(program, arguments, sockets, environment):
    """One part of the command line for each rank: it has its own server, as if each were a node."""
    command = [os.environ["MPIRUN"]]
    if MPI == "openmpi":
        command += ["--oversubscribe", "--bind-to", "none", *(["--allow-run-as-root"] if os.geteuid() == 0 else [])]
    for rank, socket in enumerate(sockets):
        command += [":"] if rank else []
        command += ["-n", "1"]
        for name, value in {"RINGKEEP_SOCKET": socket, **environment}.items():
            command += ["-x", f"{name}={value}"] if MPI == "openmpi" else ["-env", name, value]
        command += [str(BUILD / "bin" / f"mpi_{program}_{MPI}"), *arguments]
    return command


class Ended:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err
        self.words = f"exit code {code}\n{out}\n{err}"

    def start(self):
        found = re.search(r"^start at (\d+)$", self.out, re.M)
        require(found, f"the program did not start: {self.words}")
        return int(found.group(1))

    def sum(self):
        found = re.search(r"^sum (\S+)$", self.out, re.M)
        require(self.code == 0 and found, f"the program did not end well: {self.words}")
        return found.group(1)


def run(where, *arguments, program="veloc_heat", servers=(1, 2, 3), environment=None):
    sockets = [where.socket(server) for server in servers]
    done = subprocess.run(command_of(program, arguments, sockets, environment or {}), capture_output=True, text=True,
                          timeout=HANG_S, check=False)
    return Ended(done.returncode, done.stdout, done.stderr)


def faults(what, pipe=None):
    return {"LD_PRELOAD": os.environ.get("PRELOAD_FIRST", "") + str(BUILD / "lib" / "libveloc_faults.so"), "VELOC_FAULT": what,
            **({"VELOC_FAULT_PIPE": pipe} if pipe else {})}


def reference():
    with ring() as where:
        ended = run(where)
        require(ended.start() == 0, f"a first run did not start at 0: {ended.words}")
        return ended.sum()


def goes_on(ended, start, expected, what):
    require(ended.start() == start, f"{what}: the start is not {start}: {ended.words}")
    require(ended.sum() == expected, f"{what}: not {expected}: {ended.words}")


def killed(ended, what):
    require(ended.code != 0 and "sum" not in ended.out, f"{what}: nothing was killed: {ended.words}")


def test_killed():
    expected = reference()
    for options in ((), ("--files",)):
        with ring() as where:
            killed(run(where, *options, "--die", "1@35"), f"{options}")
            goes_on(run(where, *options), 30, expected, f"{options} after a kill")
            goes_on(run(where, *options), 60, expected, f"{options} after the end")
            require(not list(pathlib.Path("/dev/shm").glob(f"ringkeep-veloc-{os.getuid()}-*")), "routed files stayed behind")


def test_inside():
    expected = reference()
    with ring() as where:
        pipe = f"{where.directory}.pipe"
        os.mkfifo(pipe)
        keeper = os.open(pipe, os.O_RDWR)  # what is written stays there while nobody else has it open
        killed(run(where, environment=faults("1:3:die", pipe)), "the commit at 30")
        # Rank 0 has its part at 30 of the first run still, the others now have theirs of the second: no version.
        ended = run(where, environment=faults("0:1:die", pipe))
        require(ended.start() == 20, f"after a death in a commit: {ended.words}")
        killed(ended, "the commit at 30, again")
        goes_on(run(where), 20, expected, "with parts of two runs at 30")
        os.close(keeper)


def test_refusals():
    expected = reference()
    with ring() as where:
        ended = run(where, "--keep-going", "--die", "0@45", environment=faults("1:3:refuse,1:4:refuse"))
        killed(ended, "two refusals")
        for step in (30, 40):
            told = re.findall(rf"^(\d): no checkpoint at {step}: (.*)$", ended.out, re.M)
            require(sorted(rank for rank, _ in told) == ["0", "1", "2"], f"not all ranks failed at {step}: {ended.words}")
            require(all("rank 1 failed" in words for rank, words in told if rank != "1"), f"at {step}: {ended.words}")
        require(ended.err.count("veloc: rank 1: VELOC_Checkpoint: ") == 2, f"not one line a failure: {ended.words}")
        require(not re.search(r"veloc: rank [02]", ended.err), f"ranks without a failure print: {ended.words}")
        goes_on(run(where), 20, expected, "after two refusals")


def test_moved():
    expected = reference()
    with ring() as where:
        killed(run(where, "--die", "2@15"), "at home")
        for servers, start, die in (((2, 1, 3), 10, 25), ((3, 2, 1), 20, 45), ((1, 2, 3), 40, 55)):
            ended = run(where, "--die", f"0@{die}", servers=servers)
            require(ended.start() == start, f"at {servers}: {ended.words}")
            killed(ended, f"at {servers}")
        goes_on(run(where, servers=(2, 3, 1), environment={}), 50, expected, "at other servers")
        ended = run(where, "--steps", "120", servers=(2, 3, 1))
        require(ended.start() == 60 and ended.code == 0, f"a longer run: {ended.words}")
        for rank in range(RANKS):
            listed = subprocess.run([str(BUILD / "bin" / "mpi_veloc_places"), where.socket(1), "heat", str(rank)],
                                    capture_output=True, text=True, timeout=HANG_S, check=True).stdout
            require(len(listed.splitlines()) == 2, f"rank {rank} keeps not two versions but:\n{listed}")


def test_server():
    expected = reference()
    with ring() as where:
        killed(run(where, "--die", "1@35"), "first")
        where.kill(3)
        goes_on(run(where, servers=(1, 2, 2)), 30, expected, "with a server less")


def test_flipped():
    expected = reference()
    with ring() as where:
        killed(run(where, "--die", "0@35", environment=faults("1:3:flip")), "first")
        ended = run(where)
        require("passed over" not in ended.err, f"the other copy is good: {ended.words}")
        goes_on(ended, 30, expected, "after a flipped byte")
        require(where.status(2)["integrity"]["repaired"] == 1, f"the copy is not repaired: {where.status(2)}")
        require(run(where, "--steps", "60").start() == 60, "the version that was taken again is not found")


def test_alone():
    with ring(1) as where:
        ended = run(where, servers=(1, 1, 1))
        require(ended.code != 0, f"a ring of one server has no second copy: {ended.words}")
        told = re.findall(r"^(\d): checkpoint failed: (.*)$", ended.out, re.M)
        require(sorted(rank for rank, _ in told) == ["0", "1", "2"], f"not all ranks failed: {ended.words}")
        require("veloc: rank 0: VELOC_Checkpoint: nothing was committed" in ended.err, f"not told why: {ended.words}")
        require(run(where, servers=(1, 1, 1)).start() == 0, "a version without a second copy was found")


def test_ranks():
    expected = reference()
    with ring() as where:
        configuration = pathlib.Path(f"{where.directory}.cfg")
        configuration.write_text("# of a test\nscratch = /local\npersistent = /shared/one\nmode = sync\nmax_versions = 3\n")
        options = ("--config", str(configuration))
        killed(run(where, *options, "--die", "1@35"), "first")
        for servers in ((1, 2), (1, 2, 3, 1)):
            ended = run(where, *options, "--steps", "9", servers=servers)
            require(ended.start() == 0, f"parts of other ranks were taken: {ended.words}")
            words = f"\"heat\" was taken by 3 ranks, and these are {len(servers)}"
            require(ended.err.count(words) == 1, f"not told once: {ended.words}")
        require(run(where, "--steps", "9").start() == 0, "another directory's version was found")
        goes_on(run(where, *options), 30, expected, "with its own configuration")
        for text, words in (("mode = fast\n", "mode is 'fast'"), ("\nmax_versions\n", ":2: 'max_versions' is not")):
            configuration.write_text(text)
            ended = run(where, *options)
            require(ended.code != 0 and words in ended.err, f"{text!r} is taken: {ended.words}")


def test_calls():
    with ring() as where:
        ended = run(where, program="veloc_calls")
        require(ended.code == 0 and sorted(ended.out.splitlines()) == [f"{rank}: as it should be" for rank in range(RANKS)],
                ended.words)
        lines = [line for line in ended.err.splitlines() if line.startswith("veloc: ")]
        require(len(lines) > 40, f"failures are not told: {ended.words}")


def test_leftovers():
    with ring() as where:
        mine = f"ringkeep-veloc-{os.getuid()}-"
        with tempfile.TemporaryDirectory(prefix=mine, dir="/dev/shm") as left:
            pathlib.Path(left, "0-file").write_text("of a process that was killed")
            require(run(where, "--steps", "1").code == 0, "the run")
            require(not os.path.exists(left), "a killed process's files are still there")
            os.mkdir(left)
            lock = os.open(left, os.O_RDONLY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            require(run(where, "--steps", "1").code == 0, "the run")
            require(os.path.exists(left), "a living process's files are gone")
            os.close(lock)


def test_job():
    done = subprocess.run([str(BUILD / "bin" / "ringkeep"), "run", "--embedded", "-n", "2", "--communities", "2", "--",
                           str(BUILD / "bin" / f"mpi_veloc_heat_{MPI}")], capture_output=True, text=True, timeout=HANG_S,
                          check=False)
    require(done.returncode != 0 and "rk_job_protect" in done.stdout + done.stderr,
            f"not refused by name: {done.returncode} {done.stdout} {done.stderr}")


if __name__ == "__main__":
    {name[5:]: test for name, test in globals().items() if name.startswith("test_")}[sys.argv[2]]()
    print("passed")
