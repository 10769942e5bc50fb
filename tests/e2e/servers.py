# SPDX-License-Identifier: Apache-2.0
"""A ring of real servers on the hosts of a lab: starts, faults of processes, and what each server says of its views."""
import dataclasses
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time

import job

PORT = 7800
PROXY_PORT = 9000
EVICTED = "evicted"
AGAIN_S = 0.05   # between attempts to hear the events of a server that has just begun anew
PATIENCE_S = 60  # for anything that a healthy ring does in at most seconds; it is no measure


@dataclasses.dataclass(frozen=True)
class Member:
    node: int
    incarnation: int


@dataclasses.dataclass(frozen=True)
class View:
    """As one server installed it."""
    server: int
    number: int
    members: tuple  # of Member, rank 0 first
    at: float       # time.monotonic()

    def nodes(self):
        return [member.node for member in self.members]


class Server:
    """One node of the ring. A process has one life more each time that the ring goes on without it."""

    def __init__(self, node, folder):
        self.node, self.folder = node, folder
        self.socket = str(folder / "socket")
        self.process = self.parent = None
        self.starts = self.lives = 0
        self.stopped = False   # by SIGSTOP
        self.expected = None   # exit codes that its end may have
        self.ends = []         # (when, exit code or EVICTED) of each life that has ended
        self.evicted = []      # incarnations that ended so
        self.evicted_at = None  # the present life, which the next one has not followed yet
        self.incarnation = 0   # of this life
        self.view = None       # the newest installed in this life
        self.serving = False

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def last_words(self):
        lines = (self.folder / "log").read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "nothing in its log"


class Ring:
    def __init__(self, lab, nodes, proxied=False, memory="64M", encrypt=True, suspicion_ms=None):
        self.lab, self.proxied, self.encrypt, self.suspicion_ms = lab, proxied, encrypt, suspicion_ms
        self.changed = threading.Condition()
        self.views = []  # every installation, in the order in which it was heard of
        self.servers = {}
        self.proxies = {}
        self._tail = Tail(self._heard)
        key = lab.directory / "key"
        key.touch(0o600)
        key.write_text(f"ringkeep-key-1 1 {os.urandom(32).hex()}\n")
        key.chmod(0o400)
        for node in range(1, nodes + 1):
            folder = lab.directory / str(node)
            folder.mkdir(mode=0o700)
            self.servers[node] = Server(node, folder)
            (folder / "config").write_text(self._config(node, nodes, key, memory))
            if proxied:
                self._start_proxy(node, nodes)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for server in self.servers.values():
            if server.alive():
                server.process.kill()
            if server.process:
                self.await_end(server.node)
        for proxy in self.proxies.values():
            proxy.stdin.close()
            proxy.kill()
            proxy.wait()
        self._tail.close()

    # --- configuration ---

    def host(self, node):
        return node if self.lab.count > 1 else 1

    def address(self, node):
        return f"{self.lab.address(self.host(node))}:{PORT + node}"

    def _config(self, node, nodes, key, memory):
        folder = self.lab.directory / str(node)
        lines = [f"node = {node}", 'cluster = "7e57"', f'key_file = "{key}"', f'socket = "{folder}/socket"',
                 f'state_directory = "{folder}/state"', f'memory = "{memory}"', 'reserve = "16M"',
                 'log_level = "info"', f'encrypt = {"true" if self.encrypt else "false"}']
        if self.suspicion_ms:
            lines.append(f"suspicion_ms = {self.suspicion_ms}")
        for other in range(1, nodes + 1):
            address = self.address(other)
            if self.proxied and other != node:
                address = f"127.0.0.1:{PROXY_PORT + other}"
            lines += ["[[server]]", f"node = {other}", f'address = "{address}"']
        return "\n".join(lines) + "\n"

    def _start_proxy(self, node, nodes):
        ways = [f"{PROXY_PORT + other}={self.address(other)}" for other in range(1, nodes + 1) if other != node]
        program = [sys.executable, str(job.ROOT / "tests/e2e/delay.py")]
        proxy = subprocess.Popen([*self.lab.inside(self.host(node)), *program, *ways], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, text=True)
        self.proxies[node] = proxy
        if not proxy.stdout.readline():
            raise RuntimeError(f"the proxy of server {node} does not start")

    def delay(self, low_ms, jitter_ms):
        """What servers dial takes that long each way; every pair has one dialling server, so each pair is slow."""
        for proxy in self.proxies.values():
            proxy.stdin.write(f"{low_ms} {jitter_ms}\n")
            proxy.stdin.flush()

    # --- processes ---

    def start(self, *nodes):
        for node in nodes:
            server = self.servers[node]
            reader, server.parent = os.pipe()
            ready, says_ready = os.pipe()
            server.starts += 1
            server.lives += 1
            server.incarnation, server.evicted_at = 0, None
            server.expected, server.stopped, server.view, server.serving = None, False, None, True
            command = [job.program("ringkeepd"), "--config", str(server.folder / "config"), "--parent-fd", str(reader),
                       "--ready-fd", str(says_ready)]
            server.process = subprocess.Popen([*self.lab.inside(self.host(node)), *command], stdin=subprocess.DEVNULL,
                                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                              pass_fds=[reader, says_ready])
            os.close(reader)
            os.close(says_ready)
            self._tail.add(server.process.stderr, Log(server, server.starts))
            self._tail.add(os.fdopen(ready, "rb"), Ready(server, server.starts))

    def signal(self, node, number):
        server = self.servers[node]
        server.process.send_signal(number)
        server.stopped = {signal.SIGSTOP: True, signal.SIGCONT: False}.get(number, server.stopped)

    def kill(self, *nodes):
        """All at once. Returns the moment before; the processes are gone when this returns."""
        before = time.monotonic()
        for node in nodes:
            self.servers[node].expected = (-signal.SIGKILL,)
            self.servers[node].process.kill()
        for node in nodes:
            self.await_end(node)
        return before

    def await_end(self, node, patience_s=PATIENCE_S):
        server = self.servers[node]
        server.process.wait(timeout=patience_s)
        self.note_end(node)
        return server.process.returncode

    def note_end(self, node):
        """Books the end of a life, once."""
        server = self.servers[node]
        if server.process is None or server.process.poll() is None or len(server.ends) == server.lives:
            return
        server.ends.append((time.monotonic(), server.process.returncode))
        os.close(server.parent)
        with self.changed:
            server.view, server.serving = None, False

    def ended(self):
        """Nodes whose present life has ended."""
        for node in self.servers:
            self.note_end(node)
        return [node for node, server in self.servers.items() if server.lives and not server.alive()]

    def alive(self):
        return [node for node in self.servers if node not in self.ended()]

    # --- what they say ---

    def ask(self, node):
        """What `ringkeep ring --json` prints there."""
        done = subprocess.run([job.program("ringkeep"), "ring", "--json"], text=True, capture_output=True, check=False,
                              env={**os.environ, "RINGKEEP_SOCKET": self.servers[node].socket})
        if done.returncode != 0:
            raise RuntimeError(f"ringkeep ring: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def _heard(self, server, start, event):
        with self.changed:
            if start != server.starts or not server.alive():
                return
            if event["event"] == "server_started":
                if server.incarnation not in (0, event["incarnation"]):
                    self._begun_anew(server, event)
                server.incarnation = event["incarnation"]
            elif event["event"] == "evicted":
                server.view, server.serving = None, False
                server.evicted_at = event["monotonic_ns"] / 1e9
            elif event["event"] == "view_installed":
                members = tuple(Member(*member) for member in event["members"])
                server.view = View(server.node, event["view"], members, event["monotonic_ns"] / 1e9)
                self.views.append(server.view)
            elif event["event"] == "wedged":
                server.serving = False
            elif event["event"] == "unwedged":
                server.serving = True
            self.changed.notify_all()

    def _begun_anew(self, server, event):
        # Its own word of the end comes before the next life can answer anybody; whoever reads it may miss it.
        server.ends.append((server.evicted_at or event["monotonic_ns"] / 1e9, EVICTED))
        server.evicted_at = None
        server.evicted.append(server.incarnation)
        server.lives += 1
        server.view, server.serving = None, True

    def settled(self, nodes):
        """The one view that all of `nodes`, and no others, serve in; None if there is none."""
        views = [self.servers[node].view for node in nodes]
        if not all(views) or not all(self.servers[node].serving for node in nodes):
            return None
        same = {(view.number, view.members) for view in views}
        return views[0] if len(same) == 1 and sorted(views[0].nodes()) == sorted(nodes) else None

    def await_view(self, nodes, patience_s=PATIENCE_S, above=0):
        """Waits for one view at all of `nodes`. Returns when the last one installed it; None: not in time."""
        end = time.monotonic() + patience_s
        with self.changed:
            while True:
                view = self.settled(nodes)
                if view and view.number > above:
                    return max(self.servers[node].view.at for node in nodes)
                if not self.changed.wait(max(0, end - time.monotonic())):
                    return None

    def state(self):
        """For people."""
        with self.changed:
            return {node: "ended" if not server.alive() else
                    f"{'serving' if server.serving else 'wedged'} view {server.view.number} {server.view.nodes()}"
                    if server.view else "no view" for node, server in self.servers.items() if server.lives}

    def member(self, node):
        """The newest life of that server."""
        return Member(node, self.servers[node].incarnation)

    def newest_view(self):
        with self.changed:
            return max(self.views, key=lambda view: view.number, default=None)

    def leader(self):
        return self.newest_view().members[0].node


class Tail(threading.Thread):
    """Reads what all servers say as it comes: their logs, and their events once they are ready, of each life."""

    def __init__(self, heard):
        super().__init__(daemon=True)
        self._heard, self._selector = heard, selectors.DefaultSelector()
        self._wake_reader, self._wake_writer = os.pipe()
        self._selector.register(self._wake_reader, selectors.EVENT_READ)
        self._ended, self._new, self._lock = False, [], threading.Lock()
        self._watchers, self._again = [], []
        self.start()

    def add(self, pipe, source):
        with self._lock:
            self._new.append((pipe, source))
        os.write(self._wake_writer, b"x")

    def close(self):
        self._ended = True
        os.write(self._wake_writer, b"x")
        self.join()
        os.close(self._wake_reader)
        os.close(self._wake_writer)
        for watcher in self._watchers:
            watcher.kill()
            watcher.wait()

    def run(self):
        while not self._ended:
            for key, _ in self._selector.select(AGAIN_S if self._again else None):
                if key.data is None:
                    os.read(self._wake_reader, 4096)
                else:
                    self._read(key)
            waiting, self._again = self._again, []
            for source in waiting:
                self._watch(source)
            with self._lock:
                for pipe, source in self._new:
                    self._selector.register(pipe, selectors.EVENT_READ, source)
                self._new = []
        for key in list(self._selector.get_map().values()):
            if key.data is not None:
                self._forget(key)
        self._selector.close()

    def _read(self, key):
        piece = os.read(key.fd, 1 << 16)
        for line in key.data.lines(piece):
            if isinstance(key.data, Ready):
                self._watch(key.data)
            elif isinstance(key.data, Events):
                self._heard(key.data.server, key.data.start, json.loads(line))
        if not piece:
            self._forget(key)
            source = key.data
            if isinstance(source, Events) and source.start == source.server.starts and source.server.alive():
                self._again.append(source)

    def _forget(self, key):
        self._selector.unregister(key.fileobj)
        key.fileobj.close()
        key.data.close()

    def _watch(self, ready):
        server = ready.server
        with (server.folder / "watcher").open("ab") as complaints:
            watcher = subprocess.Popen([job.program("ringkeep"), "events", "-f", "--json"], stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, stderr=complaints,
                                       env={**os.environ, "RINGKEEP_SOCKET": server.socket})
        self._watchers.append(watcher)
        self._selector.register(watcher.stdout, selectors.EVENT_READ, Events(server, ready.start))


class Source:
    """A pipe of one process of a server."""

    def __init__(self, server, start):
        self.server, self.start, self._rest = server, start, b""

    def lines(self, piece):
        *lines, self._rest = (self._rest + piece).split(b"\n")
        return lines

    def close(self):
        pass


class Ready(Source):
    """One line, when clients can connect."""


class Events(Source):
    """What `ringkeep events` prints there."""


class Log(Source):
    def __init__(self, server, start):
        super().__init__(server, start)
        self._file = (server.folder / "log").open("ab", buffering=0)

    def lines(self, piece):
        self._file.write(piece)
        return []

    def close(self):
        self._file.close()
