# SPDX-License-Identifier: Apache-2.0
"""Several hosts on one machine: a network namespace each, joined by a bridge in one of its own, and their faults.

The machine's own network is not touched. A lab bears the pid and the start of the process that made it in the names of
its namespaces and of its directory, so that the next lab removes what a killed one left behind.
"""
import collections
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

import events

NAMED = re.compile(r"ringkeep-lab-(\d+)-(\d+)-")
NAMESPACES = pathlib.Path("/run/netns")
FAULTS = "ringkeep_faults"


class Missing(Exception):
    """Why this machine cannot have such hosts."""


def check():
    """Raises Missing if hosts cannot be made here."""
    if os.geteuid() != 0:
        raise Missing("network namespaces need root")
    for program, package in (("ip", "iproute2"), ("nft", "nftables"), ("nsenter", "util-linux")):
        if not shutil.which(program):
            raise Missing(f"{program} is missing: install {package}")
    probe = f"{name_of_ours()}probe"
    try:
        command(["ip", "netns", "add", probe])
        command([*inside(probe), "nft", "-f", "-"], rules([], 1))
    except OSError as error:
        raise Missing(f"no network namespace with nft here: {error}") from error
    finally:
        subprocess.run(["ip", "netns", "del", probe], capture_output=True, check=False)


def command(words, text=None):
    done = subprocess.run(words, input=text, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        raise OSError(f"{' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def inside(namespace):
    """Words before a command that is to run in that namespace; the pid stays the one that was started."""
    return ["nsenter", f"--net={NAMESPACES / namespace}", "--"]


def start_of(pid):
    """Start of a process in clock ticks since boot: with the pid it names one process for ever. None: it has ended."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


def name_of_ours():
    return f"ringkeep-lab-{os.getpid()}-{start_of(os.getpid())}-"


def is_left_over(name):
    found = NAMED.match(name)
    return bool(found) and start_of(int(found[1])) != int(found[2])


def sweep():
    """Removes what labs of processes that are gone have left: namespaces, the processes in them, directories."""
    names = [path.name for path in NAMESPACES.glob("ringkeep-lab-*")] if NAMESPACES.exists() else []
    remove_namespaces([name for name in names if is_left_over(name)])
    for path in pathlib.Path(tempfile.gettempdir()).glob("ringkeep-lab-*"):
        if is_left_over(path.name):
            shutil.rmtree(path, ignore_errors=True)


def remove_namespaces(names):
    names = [name for name in names if (NAMESPACES / name).exists()]
    for name in names:
        pids = [int(pid) for pid in command(["ip", "netns", "pids", name]).split()]
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        events.await_ends(pids, 10)
    if names:
        command(["ip", "-batch", "-"], "".join(f"netns del {name}\n" for name in names))


def rules(dropped, loss_percent):
    """Drops on arrival, so that each direction of a pair is cut by itself. What a host sends to itself passes."""
    lines = ['iifname "lo" accept', *(f"ip saddr {address} drop" for address in sorted(dropped))]
    if loss_percent:
        lines.append(f"numgen random mod 100 < {loss_percent} drop")
    chain = "\n".join(["type filter hook input priority 0; policy accept;", *lines])
    return f"table inet {FAULTS}\ndelete table inet {FAULTS}\ntable inet {FAULTS} {{\nchain input {{\n{chain}\n}}\n}}\n"


class Lab:
    """Hosts 1..count, and a private directory. With `count` 1: one host for everybody, a loopback of their own."""

    def __init__(self, count):
        sweep()
        self.count, self.prefix = count, name_of_ours()
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix=self.prefix))
        self._made, self._dropped, self._loss = [], collections.defaultdict(set), 0
        try:
            self._make()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        remove_namespaces(self._made)
        self._made = []
        shutil.rmtree(self.directory, ignore_errors=True)

    def namespace(self, host):
        # More than one lab of this process: the directory's name tells them apart.
        return f"{self.directory.name}-{host}"

    def address(self, host):
        return f"10.77.{host // 250}.{host % 250 + 1}" if self.count > 1 else "127.0.0.1"

    def inside(self, host):
        return inside(self.namespace(host))

    def _make(self):
        hosts = range(1, self.count + 1)
        names = [self.namespace(host) for host in hosts] + [self.namespace("net")]
        self._made = names
        batch = [f"netns add {name}" for name in names]
        if self.count == 1:
            command(["ip", "-batch", "-"], "\n".join(batch))
            command(["ip", "-n", names[0], "link", "set", "lo", "up"])
            return
        net = names[-1]
        batch += [f"link add eth0 netns {self.namespace(host)} type veth peer name host{host} netns {net}"
                  for host in hosts]
        command(["ip", "-batch", "-"], "\n".join(batch))
        bridge = ["link add bridge type bridge", "link set bridge up"]
        for host in hosts:
            bridge += [f"link set host{host} master bridge", f"link set host{host} up"]
            command(["ip", "-n", self.namespace(host), "-batch", "-"],
                    f"link set lo up\naddress add {self.address(host)}/16 dev eth0\nlink set eth0 up\n")
        command(["ip", "-n", net, "-batch", "-"], "\n".join(bridge))

    # --- faults of the network ---

    def cut(self, sources, targets):
        """Nothing that `sources` send arrives at `targets` from now on. The other direction is another cut."""
        for target in targets:
            self._dropped[target] |= {self.address(source) for source in sources if source != target}
            self._apply(target)

    def lose(self, percent):
        """That many of a hundred packets get lost on arrival, at every host."""
        self._loss = percent
        for host in range(1, self.count + 1):
            self._apply(host)

    def heal(self):
        self._loss = 0
        self._dropped.clear()
        for host in range(1, self.count + 1):
            self._apply(host)

    def _apply(self, host):
        command([*self.inside(host), "nft", "-f", "-"], rules(self._dropped[host], self._loss))
