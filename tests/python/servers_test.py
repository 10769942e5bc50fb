#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The Python package while servers are killed or stopped. Each test has a ring of its own."""
import threading
import time
import unittest

import rings
import ringkeep


class OnOwnRing(unittest.TestCase):
    def setUp(self):
        self.ring = rings.Ring()
        self.addCleanup(self.ring.close)


class Killed(OnOwnRing):
    def test_a_survivor_has_what_a_killed_server_had(self):
        client = ringkeep.Client(self.ring.socket(1))
        version = client.put("state", {"a": b"1234", "b": bytes(100_000)})
        writer = client.begin("state", {"a": 4})
        view = writer["a"]
        reader = client.read("state")
        self.ring.kill(1)
        with self.assertRaises(ringkeep.PeerGone) as caught:
            client.get("state")
        self.assertIsInstance(caught.exception, ConnectionError)
        self.assertIn("connect again", str(caught.exception))
        view[:] = b"5678"  # the memory is there, though its server is not
        view.release()
        with self.assertRaises(ringkeep.PeerGone):
            writer.commit()
        self.assertEqual(bytes(reader["a"]), b"1234")
        reader.close()
        client.close()
        self.ring.await_ring_of(2, server=2)
        with ringkeep.Client(self.ring.socket(2)) as other:
            self.assertEqual(other.get("state"), {"a": b"1234", "b": bytes(100_000)})
            with other.read("state") as again:
                self.assertEqual(again.version, version)
            self.assertGreater(other.put("state", b"new"), version)


class Stopped(OnOwnRing):
    def test_a_stopped_server_is_a_timeout(self):
        client = ringkeep.Client(self.ring.socket(1), timeout_ms=300)
        client.put("state", b"1")
        self.ring.stop(1)
        with self.assertRaises(TimeoutError) as caught:
            client.get("state")
        self.assertEqual((type(caught.exception), caught.exception.code), (ringkeep.Timeout, 5))

    def test_other_threads_run_while_one_waits(self):
        wait_ms = 2000
        client = ringkeep.Client(self.ring.socket(1), timeout_ms=wait_ms)
        client.put("state", b"1")
        self.ring.stop(1)
        begun, done = threading.Event(), threading.Event()

        def wait():
            begun.set()
            try:
                client.get("state")
            except ringkeep.Timeout:
                done.set()
        thread = threading.Thread(target=wait)
        thread.start()
        begun.wait()
        longest, last, first = 0.0, time.monotonic(), time.monotonic()
        while thread.is_alive():
            now = time.monotonic()
            longest, last = max(longest, now - last), now
        self.assertTrue(done.is_set())
        self.assertGreaterEqual(last - first, 0.9 * wait_ms / 1000)
        self.assertLess(longest, 0.5 * wait_ms / 1000, "the interpreter's lock was held by the call that waits")

    def test_the_end_of_the_interpreter_with_a_thread_in_a_call(self):
        """The thread comes back from its call when Python is at its end, and is ended there."""
        with ringkeep.Client(self.ring.socket(1)) as client:
            client.put("state", b"1")
        text = """
import os, sys, threading, time, signal, ringkeep
client = ringkeep.Client(sys.argv[1], timeout_ms=500)
begun = threading.Event()
def wait():
    begun.set()
    client.get("state")
class Last:  # goes with the module sys, the last one, and stays until the thread is gone
    def __init__(self, thread):
        self.task = f"/proc/self/task/{thread.native_id}"
    def __del__(self, access=os.access, clock=time.monotonic, pause=time.sleep, write=os.write):
        end = clock() + 30
        while access(self.task, 0) and clock() < end:
            pause(0.001)
        write(1, b"there" if access(self.task, 0) else b"gone")
os.kill(int(sys.argv[2]), signal.SIGSTOP)
thread = threading.Thread(target=wait, daemon=True)
thread.start()
begun.wait()
sys.last = Last(thread)  # the thread's frame keeps what this program's own names refer to
"""
        pid = self.ring.pid(1)
        self.addCleanup(rings.kill, pid)
        done = rings.program(text, self.ring.socket(1), str(pid))
        self.assertEqual((done.returncode, done.stdout), (0, "gone"), done.stderr)


if __name__ == "__main__":
    unittest.main()
