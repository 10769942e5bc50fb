#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A client of ringkeep-queue that puts, reserves and deletes jobs, wherever the queue is, until its standard input ends.

    queue_client.py SETTINGS    a JSON object: label, addresses [[host, port], ...], seed, pause_ms

A request without an answer is sent again, to each address in turn. Two lines of standard output for each request: one
before it is sent first, and one with its answer: request (its words), body (of a put), t (CLOCK_MONOTONIC, seconds),
answer (null in the first), at (the address that gave it). With asked_by_lines in the settings the requests are the lines
of standard input, and standard output has only the answers.
"""
import json
import random
import select
import socket
import sys
import time

ANSWER_S = 5       # then the request is sent again
LOOK_S = 0.005     # between two addresses
AGAIN = ("error again", "error busy", "error full")



class Connection:
    def __init__(self, addresses):
        self.addresses, self.turn, self.socket, self.rest = addresses, 0, None, b""

    def address(self):
        return self.addresses[self.turn % len(self.addresses)]

    def ask(self, request):
        """(answer, address), as often as it takes."""
        while True:
            try:
                if self.socket is None:
                    self.socket = socket.create_connection(tuple(self.address()), ANSWER_S)
                self.socket.sendall(request.encode() + b"\n")
                answer = self._line()
                if not answer.startswith(AGAIN):
                    return answer, self.address()[0]
                self._pause()
            except OSError:
                self._leave()
                self.turn += 1
                self._pause()

    def _line(self):
        while b"\n" not in self.rest:
            piece = self.socket.recv(1 << 16)
            if not piece:
                raise ConnectionResetError
            self.rest += piece
        line, self.rest = self.rest.split(b"\n", 1)
        return line.decode()

    def _leave(self):
        if self.socket is not None:
            self.socket.close()
        self.socket, self.rest = None, b""

    @staticmethod
    def _pause():
        time.sleep(LOOK_S)


class Client:
    def __init__(self, settings):
        self.label, self.chance = settings["label"], random.Random(f"{settings['seed']}/{settings['label']}")
        self.connection, self.own, self.count = Connection(settings["addresses"]), [], 0

    def ask(self, request, body=None):
        tell(request, body, None, None)
        answer, address = self.connection.ask(request if body is None else f"{request} {body}")
        tell(request, body, answer, address)
        return answer

    def act(self):
        draw, self.count = self.chance.random(), self.count + 1
        if draw < 0.4:
            body = f"{self.chance.getrandbits(64):x}" * self.chance.choice((1, 1, 4, 30))
            self.ask(f"put {self.label}.{self.count}", body)
        elif draw < 0.75 or not self.own:
            answer = self.ask(f"reserve {self.label} r{self.count}")
            if answer.startswith("job "):
                self.own.append(answer.split()[1])
        else:
            self.ask(f"delete {self.label} {self.own.pop(self.chance.randrange(len(self.own)))}")


def tell(request, body, answer, address):
    print(json.dumps({"request": request, "body": body, "t": time.monotonic(), "answer": answer, "at": address}),
          flush=True)


def main():
    settings = json.loads(sys.argv[1])
    if settings.get("asked_by_lines"):
        connection = Connection(settings["addresses"])
        for line in sys.stdin:
            print(connection.ask(line.rstrip("\n"))[0], flush=True)
        return
    client = Client(settings)
    while not select.select([sys.stdin], [], [], client.chance.uniform(0, 2 * settings["pause_ms"]) / 1000)[0]:
        client.act()


if __name__ == "__main__":
    main()
