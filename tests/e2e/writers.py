#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Clients that write and read the same checkpoints through many servers, and log what they were told.

    writers.py SETTINGS      a JSON object: sockets {node: path}, names [...], threads, seed, timeout_ms, pause_ms

runs until its standard input ends. Each answer is one line of standard output: op (put or get), name, server, write
(the one whose bytes they are; null: nobody's), t0 and t1 (CLOCK_MONOTONIC, seconds, before and after the call), code,
version, text (of an error).
"""
import json
import random
import re
import sys
import threading
import time

import client

WRITTEN_AT = re.compile(r"server (\d+)")
SIZES = (60, 60, 900, 5000, 70000)


class Log:
    """Lines of one moment each, whole."""

    def __init__(self, stream):
        self._stream, self._lock = stream, threading.Lock()

    def write(self, entry):
        with self._lock:
            self._stream.write(json.dumps(entry) + "\n")
            self._stream.flush()


class Hand:
    """One client with a connection to each server, made when it is needed."""

    def __init__(self, label, settings, log):
        self.label, self.settings, self.log = label, settings, log
        self.chance = random.Random(f"{settings['seed']}/{label}")
        self.connections, self.count = {}, 0

    def put(self, server, name):
        self.count += 1
        write = f"{self.label}.{self.count}"
        data = client.content(name, write, self.chance.choice(SIZES))
        return self._do({"op": "put", "name": name, "server": server, "write": write},
                        lambda at: (at.put(name, data), write))

    def get(self, server, name):
        def read(at):
            version, data = at.read(name)
            return version, client.writer_of(name, data)

        return self._do({"op": "get", "name": name, "server": server, "write": None}, read)

    def _do(self, entry, action):
        entry["t0"] = time.monotonic()
        try:
            at = self.connections.get(entry["server"])
            if at is None:
                at = client.Client(self.settings["sockets"][entry["server"]], self.settings["timeout_ms"])
                self.connections[entry["server"]] = at
            entry["version"], entry["write"] = action(at)
            entry["code"] = client.OK
        except client.Failure as failure:
            entry["code"], entry["text"] = failure.code, failure.text
        entry["t1"] = time.monotonic()
        self.log.write(entry)
        if entry["code"] in (client.TIMEOUT, client.PEER_GONE, client.UNAVAILABLE):
            self.leave(entry["server"])
        return entry

    def leave(self, server):
        connection = self.connections.pop(server, None)
        if connection is not None:
            connection.close()

    def close(self):
        for server in list(self.connections):
            self.leave(server)


def work(hand, settings, homes, ended):
    """Mostly where the checkpoint was written last, so that there is something to lose, and often elsewhere."""
    servers = list(settings["sockets"])
    while not ended.wait(hand.chance.uniform(0, 2 * settings["pause_ms"]) / 1000):
        name = hand.chance.choice(settings["names"])
        server = homes[name] if hand.chance.random() < 0.7 else hand.chance.choice(servers)
        if hand.chance.random() < 0.35:
            hand.get(server, name)
            continue
        entry = hand.put(server, name)
        if entry["code"] == client.OK:
            homes[name] = server
        elif entry["code"] == client.EXISTS:
            found = WRITTEN_AT.search(entry["text"])
            homes[name] = found[1] if found and found[1] in servers else hand.chance.choice(servers)
        else:
            homes[name] = hand.chance.choice(servers)
    hand.close()


def main():
    client.load()
    settings = json.loads(sys.argv[1])
    servers, log, ended = list(settings["sockets"]), Log(sys.stdout), threading.Event()
    homes = {name: servers[number % len(servers)] for number, name in enumerate(settings["names"])}
    hands = [Hand(f"w{number}", settings, log) for number in range(settings["threads"])]
    threads = [threading.Thread(target=work, args=(hand, settings, homes, ended)) for hand in hands]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    ended.set()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
