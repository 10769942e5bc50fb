# SPDX-License-Identifier: Apache-2.0
"""Private rings of real servers, and what the kernel says of a process's memory."""
import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PATIENCE_S = 60  # for what takes at most seconds; it is no measure
BUILD = pathlib.Path(os.environ["RINGKEEP_BUILD"])


class Ring:
    """Servers 1 to `servers` of a ring of its own."""

    def __init__(self, servers=3):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ringkeep-python-"))
        self.servers = servers
        self._stopped = []
        self._command("up", "--servers", str(servers))

    def close(self):
        for pid in self._stopped:  # one that goes on would begin anew, beside `ringkeep down`
            kill(pid)
        self._command("down")
        shutil.rmtree(self.folder)

    def socket(self, server):
        return str(self.folder / "ring" / str(server) / "socket")

    def pid(self, server):
        return self.status(server)["pid"]

    def kill(self, server):
        """Returns when the process is gone."""
        kill(self.pid(server))

    def await_ring_of(self, members, server):
        """Until that server serves in a ring of that many; before it does, it refuses calls."""
        def serves():
            status = self.status(server)
            return status["state"] == "serving" and len(status["members"]) == members
        await_true(serves, f"a ring of {members}")

    def stop(self, server):
        """Returns when the process does not run any more."""
        pid = self.pid(server)
        os.kill(pid, signal.SIGSTOP)
        self._stopped.append(pid)
        state = pathlib.Path(f"/proc/{pid}/stat")
        await_true(lambda: state.read_text().rpartition(")")[2].split()[0] == "T", "the stop of a server")

    def status(self, server):
        command = [BUILD / "bin/ringkeep", "status", "--json"]
        done = subprocess.run(command, env={**os.environ, "RINGKEEP_SOCKET": self.socket(server)}, text=True,
                              capture_output=True, check=True)
        return json.loads(done.stdout)

    def _command(self, name, *arguments):
        done = subprocess.run([BUILD / "bin/ringkeep", name, "--dir", self.folder / "ring", *arguments], text=True,
                              capture_output=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"ringkeep {name}: {done.stdout}{done.stderr}")


def kill(pid):
    """Returns when the process is gone."""
    end = os.pidfd_open(pid)
    try:
        os.kill(pid, signal.SIGKILL)
        if not select.select([end], [], [], PATIENCE_S)[0]:
            raise AssertionError(f"process {pid} outlives SIGKILL by {PATIENCE_S} s")
    finally:
        os.close(end)


def await_true(question, what):
    end = time.monotonic() + PATIENCE_S
    while not question():
        if time.monotonic() > end:
            raise AssertionError(f"waited {PATIENCE_S} s for {what}")
        time.sleep(0.001)


def mappings():
    """(first address, address after the last, permissions) of the checkpoints' memory that is mapped here."""
    out = []
    for line in pathlib.Path("/proc/self/maps").read_text().splitlines():
        span, permissions, *_ = line.split()
        if "memfd:" in line:
            first, last = (int(number, 16) for number in span.split("-"))
            out.append((first, last, permissions))
    return out


def mapping_of(address):
    """Its permissions, or None if no checkpoint's memory is there."""
    return next((permissions for first, last, permissions in mappings() if first <= address < last), None)


def program(text, *arguments):
    """Runs a program of its own. A server that does not answer must not hold up the test."""
    return subprocess.run([sys.executable, "-X", "dev", "-c", text, *arguments], text=True, capture_output=True,
                          timeout=PATIENCE_S, check=False)
