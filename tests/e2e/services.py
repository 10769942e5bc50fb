# SPDX-License-Identifier: Apache-2.0
"""The job queue as a service on a ring of real servers: an agent on each node, clients, and what they were told."""
import collections
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import events
import job
import servers

PORT = 7070
NAME = "jobs"


class Agents:
    """`ringkeep run --service` on each node of a ring. Each writes into a file of its own."""

    def __init__(self, ring):
        self.ring, self.processes = ring, {}

    def start(self, *nodes):
        for node in nodes:
            server, lab = self.ring.servers[node], self.ring.lab
            command = [*lab.inside(node), job.program("ringkeep"), "run", "--service", NAME, "--max-restarts", "1000000",
                       "--", job.program("ringkeep-queue"), "--listen", f"{lab.address(node)}:{PORT}",
                       "--timeout-ms", "3000"]
            with (server.folder / "agent").open("ab") as output:
                self.processes[node] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                                        env={**os.environ, "RINGKEEP_SOCKET": server.socket})

    def close(self):
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait(timeout=servers.PATIENCE_S)

    def family(self, node):
        """Pids of the agent and all below it: the agent, its guard, the keeper, the queue."""
        return [self.processes[node].pid, *below(self.processes[node].pid)]

    def queue_pid(self, node):
        """The service's own process there; None: it is not active there, or just starts."""
        for pid in self.family(node):
            if name_of(pid) == "ringkeep-queue":
                return pid
        return None

    def active(self):
        return [node for node, process in self.processes.items() if process.poll() is None and self.queue_pid(node)]


def below(pid):
    out = []
    try:
        for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            out += [int(child), *below(int(child))]
    except OSError:
        pass  # it has ended
    return out


def name_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return None


def strike(pids):
    """kill -9 of all, at once. Returns the moment before."""
    before = time.monotonic()
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    return before


def kill_all(pids):
    """Returns the moment before; all are gone when this returns."""
    before = strike(pids)
    events.await_ends(pids, servers.PATIENCE_S)
    return before


class Clients:
    """Processes of queue_client.py on a host without a server, and all that they tell."""

    def __init__(self, lab, host, addresses, seed, count, pause_ms):
        self.lab, self.host, self.addresses, self.seed, self.pause_ms = lab, host, addresses, seed, pause_ms
        self.told, self.changed, self.running, self.starts = [], threading.Condition(), {}, 0
        for _ in range(count):
            self.start()

    def start(self):
        """Another one, under a label that no client had before."""
        self.starts += 1
        label = f"c{self.starts}"
        settings = {"label": label, "addresses": self.addresses, "seed": self.seed, "pause_ms": self.pause_ms}
        program = [sys.executable, str(job.ROOT / "tests/e2e/queue_client.py"), json.dumps(settings)]
        process = subprocess.Popen([*self.lab.inside(self.host), *program], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True)
        reader = threading.Thread(target=self._read, args=(process.stdout,), daemon=True)
        reader.start()
        self.running[label] = process, reader

    def _read(self, lines):
        for line in lines:
            if not line.endswith("\n"):
                continue  # a client that was killed in the middle of it
            with self.changed:
                self.told.append(json.loads(line))
                self.changed.notify_all()

    def kill_one(self, chance):
        label = chance.choice(sorted(self.running))
        process, reader = self.running.pop(label)
        process.kill()
        process.wait()
        reader.join()

    def await_answer(self, after, patience_s, elsewhere_than=None):
        """The first answer that came after that moment, not from that address; None: there is none in time."""
        place = 0

        def found():
            nonlocal place
            while place < len(self.told):
                one = self.told[place]
                place += 1
                if one["answer"] is not None and one["t"] > after and one["at"] != elsewhere_than:
                    return one
            return None

        with self.changed:
            return self.changed.wait_for(found, patience_s)

    def stop(self):
        """They finish what is under way. Returns what was wrong with that."""
        wrong = []
        for label, (process, reader) in self.running.items():
            process.stdin.close()
            try:
                process.wait(timeout=servers.PATIENCE_S)
            except subprocess.TimeoutExpired:
                wrong.append(f"client {label} has no answer after {servers.PATIENCE_S} s: {self.told[-1]}")
                process.kill()
                process.wait()
            reader.join()
            if process.returncode not in (0, -signal.SIGKILL):
                wrong.append(f"client {label} ended with {process.returncode}")
        self.running = {}
        return wrong


class History:
    """What the clients asked and were told, job by job."""

    def __init__(self, told):
        self.bodies, self.put, self.deleted, self.asked_to_delete = {}, set(), set(), set()
        self.owners = collections.defaultdict(set)  # of each job: (worker, request) that were told it
        self.jobs = collections.defaultdict(set)    # of each (worker, request): jobs that it was told
        self.asked = set()                          # (worker, request)
        self.wrong = []
        for one in told:
            self._take(*one["request"].split(), body=one["body"], answer=one["answer"])

    def _take(self, verb, first, second=None, body=None, answer=None):
        if answer is not None and answer.startswith("error"):
            self.wrong.append(f"{verb} {first} {second or ''}: {answer}")
        elif verb == "put":
            self.bodies[first] = body
            if answer is not None:
                self.put.add(first)
        elif verb == "reserve":
            self.asked.add((first, second))
            if answer is not None and answer.startswith("job "):
                _, name, body = answer.split(" ", 2)
                self.owners[name].add((first, second))
                self.jobs[first, second].add(name)
                if self.bodies.get(name, body) != body:
                    self.wrong.append(f"job {name} came with another body than it was put with")
        elif answer is not None:
            self.deleted.add(second)
        else:
            self.asked_to_delete.add(second)

    def judge(self, ask):
        """`ask` puts a request to the queue. Nothing else is asked meanwhile."""
        wrong = list(self.wrong)
        for name, owners in self.owners.items():
            if len(owners) > 1:
                wrong.append(f"job {name} was given to {sorted(owners)}")
            if name not in self.bodies:
                wrong.append(f"job {name} was given to {owners} and put by nobody")
        for request, names in self.jobs.items():
            if len(names) > 1:
                wrong.append(f"request {request} got the jobs {sorted(names)}")
        ready = set()
        for name in sorted(self.bodies):
            wrong += self._judge_job(name, ask(f"show {name}"), ready)
        return wrong + self._drain(ready, ask)

    def _judge_job(self, name, shown, ready):
        state, *rest = shown.split()
        owner = next(iter(self.owners[name]), None) if name in self.owners else None
        if state == "ready":
            ready.add(name)
            return [f"{name} is ready and was given to {owner}"] if owner else []
        if state == "reserved":
            if owner is None and tuple(rest[1:]) in self.asked:
                return []  # its client was killed before it had the answer
            if owner == tuple(rest[1:]) and name not in self.deleted:
                return []
            return [f"{name} is reserved by {rest[1:]}, was given to {owner}; deleted: {name in self.deleted}"]
        if state == "deleted":
            return [] if name in self.asked_to_delete else [f"{name} is deleted, and nobody asked for that"]
        if name in self.put:
            return [f"{name} was acknowledged and is missing: {shown}"]
        return []

    def _drain(self, ready, ask):
        """Each job that nobody has is given once, whole."""
        wrong, given = [], collections.Counter()
        while (answer := ask(f"reserve drain r{sum(given.values())}")) != "empty":
            verb, name, body = answer.split(" ", 2)
            if verb != "job":
                return [*wrong, f"reserve: {answer}"]
            given[name] += 1
            if self.bodies.get(name) != body:
                wrong.append(f"job {name} has another body than it was put with")
        wrong += [f"job {name} was given {count} times" for name, count in given.items() if count > 1]
        if set(given) != ready:
            wrong.append(f"ready and not given: {sorted(ready - set(given))}; the other way round: "
                         f"{sorted(set(given) - ready)}")
        return wrong


class Asker:
    """Puts one request after the other, through the network of a host."""

    def __init__(self, lab, host, addresses):
        settings = {"label": "asker", "addresses": addresses, "seed": 0, "pause_ms": 0, "asked_by_lines": True}
        program = [sys.executable, str(job.ROOT / "tests/e2e/queue_client.py"), json.dumps(settings)]
        self.process = subprocess.Popen([*lab.inside(host), *program], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def ask(self, request):
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().rstrip("\n")
