# SPDX-License-Identifier: Apache-2.0
"""Other membership services on the hosts of a lab, as Debian packages them: corosync, and etcd for its leader.

Each says by itself what it has agreed on, on its standard error; lines are stamped as they arrive.
"""
import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time

import servers

PACKAGES = {"corosync": "corosync", "etcd": "etcd-server"}


def missing():
    return [package for program, package in PACKAGES.items() if not shutil.which(program)]


def die_with_us():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Peer:
    """Nodes 1..count of one cluster; subclasses say how a node is started and what its lines mean."""

    def __init__(self, lab, folder):
        self.lab, self.folder = lab, folder
        self.nodes = list(range(1, lab.count + 1))
        self.processes, self.changed = {}, threading.Condition()
        self.told = {node: [] for node in self.nodes}  # (moment, what the node agrees on)
        folder.mkdir()
        self.prepare()
        for node in self.nodes:
            self.start(node)

    def close(self):
        for process in self.processes.values():
            process.kill()
            process.wait()

    def start(self, node):
        with self.changed:
            self.told[node] = []
        process = subprocess.Popen(self.command(node), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, text=True, errors="replace", preexec_fn=die_with_us)
        self.processes[node] = process
        threading.Thread(target=self._read, args=(node, process), daemon=True).start()

    def _read(self, node, process):
        with (self.folder / f"log.{node}").open("a") as log:
            for line in process.stderr:
                moment = time.monotonic()
                log.write(line)
                said = self.meaning(line)
                if said is not None:
                    with self.changed:
                        self.told[node].append((moment, said))
                        self.changed.notify_all()

    def agreed(self, nodes, right, after=0.0):
        """When the last of `nodes` had said something that is right(), after that moment; None if one has not."""
        moments = []
        for node in nodes:
            if not self.told[node] or not right(self.told[node][-1][1]) or self.told[node][-1][0] < after:
                return None
            moments.append(next(moment for moment, said in self.told[node] if moment >= after and right(said)))
        return max(moments)

    def await_agreed(self, nodes, right, after=0.0, patience_s=servers.PATIENCE_S):
        with self.changed:
            if not self.changed.wait_for(lambda: self.agreed(nodes, right, after) is not None, patience_s):
                raise SystemExit(f"{self.title}: no agreement in {patience_s} s; its logs were in {self.folder}: "
                                 f"{ {node: told[-2:] for node, told in self.told.items()} }")
            return self.agreed(nodes, right, after)

    def fail(self, node, how):
        """Seconds from the failure of that node to the survivors' agreement without it."""
        others = [other for other in self.nodes if other != node]
        before = time.monotonic()
        self.processes[node].send_signal(signal.SIGKILL if how == "killed" else signal.SIGSTOP)
        return self.await_agreed(others, lambda said: self.without(said, node), before) - before

    def restore(self, node, how):
        before = time.monotonic()
        if how == "killed":
            self.processes[node].wait()
            self.start(node)
        else:
            self.processes[node].send_signal(signal.SIGCONT)
        self.await_whole(before)


class Corosync(Peer):
    def __init__(self, lab, folder, token_ms):
        self.token_ms = token_ms
        self.title = f"corosync_{token_ms}" if token_ms else "corosync_default"
        super().__init__(lab, folder)

    def prepare(self):
        token = f"  token: {self.token_ms}\n" if self.token_ms else ""
        nodes = "".join(f"  node {{\n    ring0_addr: {self.lab.address(node)}\n    nodeid: {node}\n    name: n{node}\n"
                        "  }\n" for node in self.nodes)
        (self.folder / "corosync.conf").write_text(
            f"totem {{\n  version: 2\n  cluster_name: bench\n  transport: knet\n{token}}}\n"
            f"nodelist {{\n{nodes}}}\nquorum {{\n  provider: corosync_votequorum\n}}\n"
            "logging {\n  to_stderr: yes\n  to_syslog: no\n  to_logfile: no\n}\n")
        for node in self.nodes:
            (self.folder / f"state.{node}").mkdir()

    def command(self, node):
        # Its pid file and its ring's id have fixed places.
        script = (f"mount -t tmpfs tmpfs /run && mount --bind {self.folder}/state.{node} /var/lib/corosync && "
                  f"exec corosync -f -c {self.folder}/corosync.conf")
        return [*self.lab.inside(node), "unshare", "--mount", "--propagation", "private", "sh", "-c", script]

    def meaning(self, line):
        found = re.search(r"\[QUORUM\] Members\[\d+\]:((?: \d+)+)", line)
        return [int(node) for node in found[1].split()] if found else None

    @staticmethod
    def without(said, node):
        return node not in said

    def await_whole(self, after=0.0):
        self.await_agreed(self.nodes, lambda said: said == self.nodes, after)

    def victim(self, number):
        return self.nodes[number % len(self.nodes)]


class Etcd(Peer):
    """It takes no node out of its members by itself: what can be compared is the time to a new leader."""
    title = "etcd"

    def prepare(self):
        self.cluster = ",".join(f"n{node}=http://{self.lab.address(node)}:2380" for node in self.nodes)

    def command(self, node):
        own = f"http://{self.lab.address(node)}"
        return [*self.lab.inside(node), "etcd", "--name", f"n{node}", "--data-dir", f"{self.folder}/data.{node}",
                "--listen-peer-urls", f"{own}:2380", "--initial-advertise-peer-urls", f"{own}:2380",
                "--listen-client-urls", f"{own}:2379", "--advertise-client-urls", f"{own}:2379",
                "--initial-cluster", self.cluster, "--initial-cluster-state", "new", "--logger", "zap"]

    def meaning(self, line):
        """The leader's id, or "" while there is none."""
        found = re.search(r"raft.node: \w+ (?:elected leader (\w+)|changed leader from \w+ to (\w+)|lost leader)", line)
        return (found[1] or found[2] or "") if found else None

    def await_whole(self, _after=0.0):
        """A leader that all name, as etcd's own status has it."""
        end = time.monotonic() + servers.PATIENCE_S
        while len({self.leader_of(node) for node in self.nodes}) != 1 or not self.leader_of(1):
            if time.monotonic() > end:
                raise SystemExit("etcd: no leader")
            time.sleep(0.05)

    def leader_of(self, node):
        """The leader that the node names at its HTTP interface; None: it does not answer, or names none."""
        ask = ["curl", "-s", "-m", "2", "-X", "POST", "-d", "{}",
               f"http://{self.lab.address(node)}:2379/v3/maintenance/status"]
        done = subprocess.run([*self.lab.inside(node), *ask], text=True, capture_output=True, check=False)
        try:
            leader = json.loads(done.stdout).get("leader", "0")
            return None if leader == "0" else leader
        except json.JSONDecodeError:
            return None

    @staticmethod
    def without(said, _):
        return bool(said)

    def victim(self, _):
        """The leader, whoever it is."""
        leader = self.leader_of(self.nodes[0])
        for node in self.nodes:
            ask = ["curl", "-s", "-m", "2", "-X", "POST", "-d", "{}",
                   f"http://{self.lab.address(node)}:2379/v3/maintenance/status"]
            done = subprocess.run([*self.lab.inside(node), *ask], text=True, capture_output=True, check=True)
            if json.loads(done.stdout)["header"]["member_id"] == leader:
                return node
        raise SystemExit("etcd: nobody is the leader")
