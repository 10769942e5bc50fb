#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The Python package on a ring of three servers."""
import asyncio
import os
import pathlib
import pickle
import re
import select
import subprocess
import sys
import threading
import unittest

import numpy
import rings
import ringkeep

ROOT = pathlib.Path(__file__).resolve().parents[2]


class OnARing(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.ring = rings.Ring()
        cls.addClassCleanup(cls.ring.close)

    def setUp(self):
        self.client = ringkeep.Client(self.ring.socket(1))
        self.addCleanup(self.client.close)


class Values(OnARing):
    def test_bytes_come_back_here_and_at_other_servers(self):
        for data in (b"bytes", bytearray(b"array"), memoryview(b"view"), b"", os.urandom(3_000_001)):
            self.client.put("bytes", data)
            self.assertEqual(self.client.get("bytes"), bytes(data))
            with ringkeep.Client(self.ring.socket(3)) as far:
                self.assertEqual(far.get("bytes"), bytes(data))

    def test_numbers_rise_by_one_and_the_two_newest_are_kept(self):
        self.assertEqual([self.client.put("numbers", b"%d" % i) for i in range(1, 5)], [1, 2, 3, 4])
        self.assertEqual([self.client.get("numbers", version) for version in (0, 4, 3)], [b"4", b"4", b"3"])
        with self.assertRaises(ringkeep.NotFound):
            self.client.get("numbers", 2)

    def test_sections_keep_names_sizes_and_order(self):
        grid = numpy.arange(1000, dtype=numpy.float64).reshape(10, 100)
        parts = {"grid": grid, "empty": b"", "a b": b"text"}
        version = self.client.put("parts", parts, ringkeep.LOCAL)
        self.assertEqual(self.client.get("parts"), {"grid": grid.tobytes(), "empty": b"", "a b": b"text"})
        with self.client.read("parts", version) as reader:
            self.assertEqual(list(reader.sections.items()), [("grid", 8000), ("empty", 0), ("a b", 4)])
            self.assertEqual((reader.version, reader.name, "grid" in reader, "none" in reader),
                             (version, "parts", True, False))
            self.assertEqual(bytes(reader["empty"]), b"")
            with self.assertRaisesRegex(ringkeep.NotFound, 'no section "none"'):
                reader["none"]

    def test_what_is_not_there_is_not_found(self):
        self.assertIsNone(self.client.find("nothing"))
        for call in (self.client.read, self.client.get):
            with self.assertRaises(ringkeep.NotFound) as caught:
                call("nothing")
            self.assertIsInstance(caught.exception, KeyError)
            self.assertEqual((caught.exception.code, caught.exception.name), (2, "not-found"))
            self.assertEqual(str(caught.exception), 'there is no checkpoint "nothing" of this user')

    def test_delete_removes_every_version(self):
        self.client.put("short-lived", b"1")
        self.client.put("short-lived", b"2")
        self.client.delete("short-lived")
        self.assertIsNone(self.client.find("short-lived"))
        self.assertIsNone(self.client.find("short-lived", 1))

    def test_a_mapped_version_is_verified_later(self):
        self.client.put("mapped", b"m" * 100_000)
        with self.client.map("mapped") as reader:
            reader.verify()
            self.assertEqual(bytes(reader["data"]), b"m" * 100_000)
        with self.assertRaises(ringkeep.InvalidArgument):
            reader.verify()
        with self.assertRaises(ringkeep.NotFound):
            self.client.map("no such")

    def test_a_reader_keeps_what_it_read(self):
        self.client.put("kept", b"old")
        with self.client.find("kept") as reader:
            for _ in range(3):
                self.client.put("kept", b"new")
            self.assertEqual(bytes(reader["data"]), b"old")


class Arguments(OnARing):
    def refused(self, kind, words, call, *arguments, **named):
        with self.assertRaisesRegex(kind, words):
            call(*arguments, **named)

    def test_names(self):
        for name in ("", "a" * 256, "new\nline", "zero\0byte"):
            self.refused(ringkeep.InvalidArgument, "", self.client.put, name, b"x")
            self.refused(ringkeep.InvalidArgument, "", self.client.begin, "fine", {name: 1})
        self.refused(ringkeep.InvalidArgument, "zero byte", self.client.delete, "a\0b")
        self.refused(ValueError, "zero byte", self.client.read, "a\0b")
        self.refused(TypeError, "", self.client.put, 7, b"x")

    def test_numbers(self):
        for version in (-1, 1 << 64):
            self.refused(ringkeep.InvalidArgument, "version is", self.client.read, "a", version)
        self.refused(TypeError, "version is 1.0", self.client.read, "a", 1.0)
        self.refused(ringkeep.InvalidArgument, "size of section 'a' is -1", self.client.begin, "a", {"a": -1})
        self.refused(ringkeep.InvalidArgument, "timeout_ms is", ringkeep.Client, self.ring.socket(1), 1 << 32)
        self.refused(ValueError, "2 is not a valid Level", self.client.put, "a", b"x", 2)
        self.refused(ringkeep.InvalidArgument, "at least one section", self.client.put, "a", {})
        self.refused(ringkeep.InvalidArgument, "at most", self.client.begin, "a", {"a": 1 << 50})
        self.refused(ringkeep.NoMemory, "", self.client.begin, "a", {"a": 1 << 39})

    def test_data(self):
        self.refused(TypeError, "", self.client.put, "a", "text")
        self.refused(TypeError, "Python objects", self.client.put, "a", numpy.array([[], None], dtype=object))
        self.refused(BufferError, "ascontiguousarray", self.client.put, "a", numpy.zeros((4, 4)).T[1:])
        with self.client.begin("sizes", {"four": 4}) as writer:
            self.refused(ringkeep.InvalidArgument, "has 4 bytes and the data 5", writer.write, "four", b"12345")
            self.refused(ringkeep.NotFound, "", writer.write, "five", b"12345")
            writer.write("four", b"1234")
        self.assertEqual(self.client.get("sizes"), {"four": b"1234"})
        self.assertIsNone(self.client.find("a"), "what was refused left nothing")

    def test_errors_are_of_their_kinds_and_travel_between_processes(self):
        kinds = {ringkeep.Timeout: TimeoutError, ringkeep.NoMemory: MemoryError, ringkeep.Permission: PermissionError,
                 ringkeep.PeerGone: ConnectionError, ringkeep.InvalidArgument: ValueError, ringkeep.NotFound: KeyError,
                 ringkeep.InputOutput: OSError, ringkeep.Lost: ringkeep.Error}
        for number, (ours, theirs) in enumerate(kinds.items()):
            error = pickle.loads(pickle.dumps(ours("some words", number, "some-name")))
            self.assertIsInstance(error, theirs)
            self.assertIsInstance(error, ringkeep.Error)
            self.assertEqual((type(error), str(error), error.code, error.name), (ours, "some words", number, "some-name"))

    def test_every_code_of_the_c_header_has_its_class(self):
        header = (ROOT / "include/ringkeep/ringkeep.h").read_text()
        codes = {int(code) for code in re.findall(r"^\s+RK_ERR_\w+ = (\d+)", header, re.M)}
        from ringkeep import _errors
        self.assertEqual(codes, set(_errors._BY_CODE))
        self.assertEqual(len(set(_errors._BY_CODE.values())), len(codes))

    def test_the_socket_of_the_environment_and_paths(self):
        os.environ["RINGKEEP_SOCKET"] = self.ring.socket(2)
        self.addCleanup(os.environ.pop, "RINGKEEP_SOCKET")
        for server, socket in ((2, None), (1, pathlib.Path(self.ring.socket(1))), (3, os.fsencode(self.ring.socket(3)))):
            with ringkeep.Client(socket) as client:
                self.assertEqual(client.put(f"written at {server}", b"1"), 1)
                with self.assertRaisesRegex(ringkeep.Exists, f"written at server {server}"):
                    with ringkeep.Client(self.ring.socket(server % 3 + 1)) as other:
                        other.put(f"written at {server}", b"2")
        with self.assertRaisesRegex(ringkeep.Unavailable, "no ringkeep server answers at"):
            ringkeep.Client(self.ring.folder / "none")

    def test_after_close(self):
        writer = self.client.begin("late", {"a": 1})
        self.client.close()
        self.client.close()
        self.assertTrue(self.client.closed)
        for call in (lambda: self.client.get("late"), lambda: self.client.put("late", b""), writer.commit,
                     lambda: self.client.delete("late")):
            self.refused(ringkeep.InvalidArgument, "the client is closed", call)
        with ringkeep.Client(self.ring.socket(1)) as other:
            self.assertIsNone(other.find("late"))


class Views(OnARing):
    def test_numpy_writes_in_place(self):
        with self.client.begin("grid", {"grid": 8 * 1000}) as writer:
            first = numpy.frombuffer(writer["grid"], dtype=numpy.float64)
            second = numpy.frombuffer(writer["grid"], dtype=numpy.float64)
            address = first.ctypes.data
            self.assertEqual(rings.mapping_of(address), "rw-s")
            self.assertEqual(address % 4096, 0)
            first[:] = numpy.arange(1000)
            self.assertEqual(second[999], 999)
            self.assertEqual(second.ctypes.data, address)
            del first, second
        self.assertIsNone(rings.mapping_of(address), "unmapped by the commit")
        self.assertEqual(writer.version, 1)
        self.assertEqual(self.client.get("grid")["grid"], numpy.arange(1000, dtype=numpy.float64).tobytes())

    def test_numpy_reads_in_place_and_can_not_write(self):
        self.client.put("read-only", numpy.arange(1000))
        with self.client.read("read-only") as reader:
            self.assertTrue(reader["data"].readonly)
            grid = numpy.frombuffer(reader["data"], dtype=numpy.int64)
            address = grid.ctypes.data
            self.assertEqual(rings.mapping_of(address), "r--s")
            self.assertEqual(grid.ctypes.data, numpy.frombuffer(reader["data"], dtype=numpy.int64).ctypes.data)
            with self.assertRaises(ValueError):
                grid[0] = 1
            with self.assertRaises(TypeError):
                reader["data"][0] = 1
            self.assertEqual(grid.sum(), 499500)
            del grid
        self.assertIsNone(rings.mapping_of(address), "unmapped by the close")

    def test_a_commit_is_refused_while_a_view_is_in_use(self):
        writer = self.client.begin("refused", {"grid": 80, "other": 4})
        grid = numpy.frombuffer(writer["grid"], dtype=numpy.float64)[2:]
        with self.assertRaisesRegex(BufferError, "cannot commit: 1 view"):
            writer.commit()
        grid[:] = 7  # the memory is there
        self.assertIsNone(self.client.find("refused"))
        self.assertIsNone(writer.version)
        del grid
        self.assertEqual(writer.commit(), 1)
        with self.assertRaisesRegex(ringkeep.InvalidArgument, "ended"):
            writer["grid"]
        with self.assertRaisesRegex(ringkeep.InvalidArgument, "ended"):
            writer.commit()

    def test_a_block_that_ends_with_a_view_raises_and_can_be_committed_later(self):
        with self.assertRaisesRegex(BufferError, "cannot commit"):
            with self.client.begin("later", {"a": 4}) as writer:
                view = writer["a"]
                view[:] = b"1234"
        view.release()
        self.assertEqual(writer.commit(), 1)
        self.assertEqual(self.client.get("later"), {"a": b"1234"})

    def test_a_close_is_refused_while_a_view_is_in_use(self):
        self.client.put("open", b"1234")
        with self.assertRaisesRegex(BufferError, "cannot close: 2 view"):
            with self.client.read("open") as reader:
                view, array = reader["data"], numpy.frombuffer(reader["data"], dtype=numpy.uint8)
        self.assertEqual((bytes(view), array[3]), (b"1234", ord("4")))
        view.release()
        del array
        reader.close()
        reader.close()
        with self.assertRaisesRegex(ringkeep.InvalidArgument, "ended"):
            reader["data"]

    def test_an_exception_abandons_and_views_stay_valid(self):
        with self.assertRaisesRegex(ZeroDivisionError, "division"):
            with self.client.begin("abandoned", {"a": 4096}) as writer:
                array = numpy.frombuffer(writer["a"], dtype=numpy.uint8)
                array[0] = 1 // 0
        address = array.ctypes.data
        array[:] = 3
        self.assertEqual(rings.mapping_of(address), "rw-s")
        with self.assertRaisesRegex(ringkeep.InvalidArgument, "ended"):
            writer.commit()
        del array
        self.assertIsNone(rings.mapping_of(address), "unmapped with the last view")
        self.assertIsNone(self.client.find("abandoned"))
        self.assertIsNone(writer.version)

    def test_an_exception_closes_a_reader_and_views_stay_valid(self):
        self.client.put("read", b"1234")
        with self.assertRaises(ZeroDivisionError):
            with self.client.read("read") as reader:
                view = reader["data"]
                1 // 0
        self.assertEqual(bytes(view), b"1234")
        self.assertEqual(len(rings.mappings()), 1)
        view.release()
        self.assertEqual(rings.mappings(), [])

    def test_abandon(self):
        with self.client.begin("none", {"a": 1}) as writer:
            writer.abandon()
            writer.abandon()
        self.assertIsNone(self.client.find("none"))
        self.assertEqual(rings.mappings(), [])

    def test_views_outlive_everything_else(self):
        self.client.put("views", b"1234")
        reader = self.client.read("views")
        writer = self.client.begin("views", {"a": 4})
        views = [reader["data"], writer["a"]]
        self.client.close()
        del reader, writer, self.client
        views[1][:] = bytes(views[0])
        self.assertEqual(bytes(views[1]), b"1234")
        del views
        self.assertEqual(rings.mappings(), [])
        self.client = ringkeep.Client(self.ring.socket(1))
        self.assertEqual(self.client.get("views"), b"1234")


class Ends(OnARing):
    """The end of the interpreter, whatever is still in use."""

    def ends_well(self, text):
        done = rings.program("import os, sys, threading, time, ringkeep\n" + text, self.ring.socket(1))
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "ready\n", ""))

    def test_with_views_in_use(self):
        self.client.put("end", b"1234")
        self.ends_well("""
client = ringkeep.Client(sys.argv[1])
reader = client.read("end")
writer = client.begin("end", {"a": 4})
a, b = reader["data"], writer["a"]
sys.keep = [b, client]
cycle = [reader, a]
cycle.append(cycle)
print("ready")
""")
        self.assertEqual(self.client.get("end"), b"1234")

    def test_with_an_exception(self):
        done = rings.program("""
import sys, ringkeep
with ringkeep.Client(sys.argv[1]) as client, client.begin("raised", {"a": 4}) as writer:
    view = writer["a"]
    raise SystemExit(3)
""", self.ring.socket(1))
        self.assertEqual((done.returncode, done.stderr), (3, ""))
        self.assertIsNone(self.client.find("raised"))

    def test_of_a_fork(self):
        """The child must not speak over the parent's connection, not even by letting go of what it has of it."""
        self.ends_well("""
client = ringkeep.Client(sys.argv[1])
client.put("fork", b"1234")
reader = client.read("fork")
writer = client.begin("fork", {"data": 4})
child = os.fork()
if child == 0:
    refused = 0
    for call in (lambda: client.get("fork"), writer.commit):
        try:
            call()
        except ringkeep.InvalidArgument as error:
            refused += "fork" in str(error)
    reader.close()
    writer.abandon()
    with ringkeep.Client(sys.argv[1]) as own:
        same = own.get("fork") == b"1234"
    os._exit(0 if refused == 2 and same else 1)
assert os.waitpid(child, 0)[1] == 0
writer.write("data", b"5678")
writer.commit()
assert client.get("fork") == b"5678" and bytes(reader["data"]) == b"1234"
print("ready")
""")


class Sharing(OnARing):
    def run_threads(self, count, work):
        errors = []

        def guarded(number):
            try:
                work(number)
            except BaseException as error:  # handed to the main thread, which raises it
                errors.append(error)
        threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]

    def test_threads_share_a_client(self):
        def work(number):
            for step in range(1, 101):
                data = b"%d/%d " % (number, step) * 1000
                self.assertEqual(self.client.put(f"thread{number}", data), step)
                with self.client.read(f"thread{number}") as reader:
                    self.assertEqual((reader.version, bytes(reader["data"])), (step, data))
        self.run_threads(8, work)
        self.assertEqual(rings.mappings(), [])

    def test_views_beside_a_commit(self):
        """Each view is either there and holds up the commit, or refused; no byte of freed memory is touched."""
        committed = 0
        for _ in range(30):
            writer = self.client.begin("race", {"a": 1 << 16})
            start = threading.Barrier(4)

            def work(number):
                nonlocal committed
                start.wait()
                while True:
                    try:
                        if number == 0:
                            writer.commit()
                            committed += 1
                            return
                        with writer["a"] as view:
                            view[:] = bytes([number]) * len(view)
                    except BufferError:
                        continue
                    except ringkeep.InvalidArgument:
                        return
            self.run_threads(4, work)
        self.assertEqual(committed, 30)
        self.assertEqual(self.client.get("race", 0).keys(), {"a"})


class Memory(OnARing):
    @staticmethod
    def used():
        resident_kib = int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path("/proc/self/status").read_text()).group(1))
        return len(rings.mappings()), len(os.listdir("/proc/self/fd")), resident_kib

    def test_5000_commits_leave_nothing_mapped(self):
        data = os.urandom(10_000)

        def commits(count):
            for _ in range(count):
                with self.client.begin("again", {"a": len(data)}) as writer:
                    writer["a"][:] = data
                self.client.get("again")
        commits(200)
        before = self.used()
        commits(5000)
        after = self.used()
        self.assertEqual(before[:2], after[:2])
        self.assertLess(after[2] - before[2], 2048, "KiB more than after the first 200")

    def test_what_is_forgotten_is_ended(self):
        self.client.put("forgotten", bytes(100_000))
        before = self.used()[:2]
        for _ in range(100):
            self.client.read("forgotten")
            self.client.begin("forgotten", {"a": 100_000})
        self.assertEqual(self.used()[:2], before)
        budget = self.ring.status(1)["budget_bytes"]
        for _ in range(3):  # more than the server has, if it did not get it back
            self.client.begin("forgotten", {"a": budget * 2 // 5})

    def test_references_of_errors(self):
        self.client.put("there", b"1234")
        reader = self.client.read("there")
        before = sys.getrefcount(reader._memory)
        for _ in range(100):
            with self.assertRaises(ringkeep.NotFound):
                reader["none"]
            reader["data"].release()
        self.assertEqual(sys.getrefcount(reader._memory), before)


class Async(OnARing):
    PATIENCE_MS = 60_000

    def drain(self, count):
        """That many outcomes, by their tags."""
        outcomes = {}
        while len(outcomes) < count:
            taken = self.client.outcomes(self.PATIENCE_MS)
            self.assertTrue(taken, "no outcome within a minute")
            for outcome in taken:
                self.assertNotIn(outcome.tag, outcomes)
                outcomes[outcome.tag] = outcome
        return outcomes

    def test_many_in_flight_keep_their_order(self):
        for tag in range(64):
            self.client.put_async("stream", b"%d" % tag, tag, more=tag < 63)
        outcomes = self.drain(64)
        self.assertEqual([(outcomes[tag].version, outcomes[tag].error) for tag in range(64)],
                         [(tag + 1, None) for tag in range(64)])
        self.assertEqual(self.client.get("stream"), b"63")
        self.assertEqual(self.client.outcomes(self.PATIENCE_MS), [])  # nothing is in flight: no wait

    def test_select_and_an_event_loop(self):
        self.client.put_async("polled", b"1", 1)
        self.assertEqual(select.select([self.client], [], [], self.PATIENCE_MS / 1000)[0], [self.client])
        self.assertEqual([outcome.tag for outcome in self.client.outcomes()], [1])
        self.assertEqual(select.select([self.client], [], [], 0)[0], [])

        async def commit(tags):
            loop, found, done = asyncio.get_running_loop(), [], asyncio.Event()

            def take():
                found.extend(outcome.tag for outcome in self.client.outcomes())
                if len(found) == len(tags):
                    done.set()

            loop.add_reader(self.client.fileno(), take)
            for tag in tags:
                self.client.put_async("polled", b"2", tag)
            await asyncio.wait_for(done.wait(), self.PATIENCE_MS / 1000)
            loop.remove_reader(self.client.fileno())
            return found

        self.assertEqual(sorted(asyncio.run(commit(range(20)))), list(range(20)))

    def test_what_the_server_refuses_is_an_outcome(self):
        self.client.put_async("", b"1", 5)
        error = self.drain(1)[5].error
        self.assertIsInstance(error, ringkeep.InvalidArgument)
        self.assertIn("name", str(error))

    def test_a_writer_in_place(self):
        writer = self.client.begin("placed", {"grid": 80, "step": 3}, ringkeep.LOCAL)
        writer.write("step", b"abc")
        view = writer["grid"]
        with self.assertRaises(BufferError):
            writer.commit_async(7)
        view.release()
        writer.commit_async(7)
        self.assertEqual(self.drain(1)[7], ringkeep.Outcome(7, 1, None))
        with self.assertRaises(ringkeep.InvalidArgument):
            writer.commit_async(8)
        self.assertEqual(self.client.get("placed")["step"], b"abc")

    def test_more_than_the_limit_are_refused(self):
        writer = self.client.begin("patient", {"data": 1})
        for tag in range(256):
            self.client.put_async("full", b"x", tag)
        with self.assertRaises(ringkeep.NoMemory):
            self.client.put_async("full", b"x", 256)
        with self.assertRaises(ringkeep.NoMemory):
            writer.commit_async(256)
        self.drain(256)
        writer.write("data", b"w")
        writer.commit_async(256)
        self.assertIsNone(self.drain(1)[256].error)
        self.assertEqual(self.client.get("patient"), b"w")

    def test_arguments(self):
        for call in (lambda: self.client.put_async("name", b"", -1), lambda: self.client.put_async("name", b"", 1 << 64),
                     lambda: self.client.put_async("name", b"", 1, 7), lambda: self.client.outcomes(-1)):
            with self.assertRaises(ValueError):
                call()
        with self.assertRaises(TypeError):
            self.client.put_async("name", "text", 1)
        self.client.close()
        for call in (lambda: self.client.put_async("name", b"", 1), self.client.outcomes, self.client.fileno):
            with self.assertRaisesRegex(ringkeep.InvalidArgument, "closed"):
                call()


class Documents(OnARing):
    def run_text(self, text):
        env = {**os.environ, "RINGKEEP_SOCKET": self.ring.socket(1)}
        return subprocess.run([sys.executable, "-c", text], text=True, capture_output=True, env=env, check=False)

    def test_the_examples_of_the_page(self):
        blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/python.md").read_text(), re.S)
        printed = ["committed version 1\nstep 17, total 500\n", "the newest reading: b'63'\n"]
        self.assertEqual(len(blocks), len(printed))
        for block, text in zip(blocks, printed):
            done = self.run_text(block)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertEqual(done.stdout, text)

    def test_the_example_of_the_readme(self):
        for life in (1, 2, 3):
            done = self.run_text((ROOT / "examples/api.py").read_text())
            self.assertEqual((done.stdout, done.stderr), (f"life {life}, version {life}\n", ""))

    def test_everything_public_is_described(self):
        for name in ringkeep.__all__:
            thing = getattr(ringkeep, name)
            self.assertTrue(thing.__doc__, name)
            for part, value in vars(thing).items() if isinstance(thing, type) else ():
                if not part.startswith("_") and (callable(value) or isinstance(value, property)):
                    self.assertTrue(value.__doc__, f"{name}.{part}")


if __name__ == "__main__":
    unittest.main()
