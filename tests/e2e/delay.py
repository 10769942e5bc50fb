#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A slow network for TCP, as the kernel has no netem: forwards connections and holds each piece back for a while.

    delay.py PORT=HOST:PORT...

listens on those ports of 127.0.0.1. Standard input takes lines "MS JITTER_MS": from then on each piece waits MS to
MS + JITTER_MS, in order. It ends with its standard input.
"""
import asyncio
import collections
import random
import sys
import time

PIECE = 64 << 10
MAX_PIECES = 256  # under way in one direction: more is not read


class Delay:
    low_s = high_s = 0.0

    def draw(self):
        return random.uniform(self.low_s, self.high_s)


async def carry(delay, reader, writer):
    """One direction, until its end, which travels like the bytes."""
    pieces, changed = collections.deque(), asyncio.Condition()

    async def take():
        piece = b"first"
        while piece:
            try:
                piece = await reader.read(PIECE)
            except ConnectionError:
                piece = b""
            async with changed:
                await changed.wait_for(lambda: len(pieces) < MAX_PIECES)
                pieces.append((time.monotonic() + delay.draw(), piece))
                changed.notify_all()

    taking = asyncio.ensure_future(take())
    try:
        while True:
            async with changed:
                await changed.wait_for(lambda: pieces)
                due, piece = pieces.popleft()
                changed.notify_all()
            await asyncio.sleep(due - time.monotonic())
            if not piece:
                return
            writer.write(piece)
            await writer.drain()
    except ConnectionError:
        return
    finally:
        taking.cancel()


async def forward(delay, host, port, reader, writer):
    other = None
    try:
        far_reader, other = await asyncio.open_connection(host, port)
        both = [asyncio.ensure_future(carry(delay, *ends)) for ends in ((reader, other), (far_reader, writer))]
        # A TCP connection that has ended on one side carries nothing for a server.
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for one in both:
            one.cancel()
    except OSError:
        pass
    finally:
        for end in (writer, other):
            if end is not None:
                end.close()


async def main(words):
    delay = Delay()
    for word in words:
        port, _, target = word.partition("=")
        host, _, far_port = target.rpartition(":")

        async def accept(reader, writer, host=host, far_port=int(far_port)):
            await forward(delay, host, far_port, reader, writer)

        await asyncio.start_server(accept, "127.0.0.1", int(port))
    print("ready", flush=True)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        low_ms, jitter_ms = map(float, line.split())
        delay.low_s, delay.high_s = low_ms / 1000, (low_ms + jitter_ms) / 1000


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
