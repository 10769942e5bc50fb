#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The judge of histories: each thing that it must find, planted, and beside it what must pass."""
import unittest

import client
import history


def put(server, t0, t1, version=0, code=client.OK, write=None):
    return {"op": "put", "name": "c", "server": server, "t0": t0, "t1": t1, "code": code, "version": version,
            "write": write or f"w{t0}", "text": ""}


def get(server, t0, t1, version=0, write=None, code=client.OK):
    return {"op": "get", "name": "c", "server": server, "t0": t0, "t1": t1, "code": code, "version": version,
            "write": write, "text": ""}


def judge(*answers, may_be_lost=False):
    return history.check(history.by_name(answers), lambda a: (a["server"], 0), lambda _: may_be_lost)


class Judge(unittest.TestCase):
    def assert_found(self, word, *answers, **others):
        wrong = judge(*answers, **others)
        self.assertEqual(len(wrong), 1, wrong)
        self.assertIn(word, wrong[0])

    def test_what_is_right_passes(self):
        self.assertEqual(judge(put(1, 0, 1, 1, write="a"), get(2, 2, 3, 1, "a"), put(1, 4, 6, 2, write="b"),
                               get(2, 4, 6, 1, "a"), get(3, 4, 6, 2, "b"), put(2, 7, 8, 9, write="c"),
                               get(3, 9, 10, 9, "c"), get(3, 9, 10, code=client.UNAVAILABLE)), [])

    def test_one_version_has_one_content(self):
        self.assert_found("is both", put(1, 0, 1, 1, write="a"), put(2, 0, 1, 1, write="b"))
        self.assert_found("is both", put(1, 0, 1, 1, write="a"), get(2, 2, 3, 1, "b"))
        self.assert_found("nobody wrote", put(1, 0, 1, 1), get(2, 2, 3, 1, None))

    def test_a_failed_write_is_never_read(self):
        failed = put(1, 0, 1, code=client.UNAVAILABLE, write="a")
        self.assert_found("had failed", failed, get(2, 2, 3, 1, "a"))
        self.assertEqual(judge({**failed, "code": client.TIMEOUT}, get(2, 2, 3, 1, "a")), [])

    def test_numbers_rise(self):
        self.assert_found("has the number 2", put(1, 0, 1, 2), put(1, 2, 3, 2, write="w0"))
        self.assertEqual(judge(put(1, 0, 3, 2), put(1, 2, 4, 1)), [])  # at the same time: in either order

    def test_reads_are_never_older_than_what_was_known(self):
        newer = put(1, 2, 3, 2, write="b")
        self.assert_found("was read after 2", put(1, 0, 1, 1, write="a"), newer, get(2, 4, 5, 1, "a"))
        self.assert_found("was read after 2", put(1, 0, 1, 1, write="a"), get(3, 2, 3, 2, "b"), get(2, 4, 5, 1, "a"))
        self.assertEqual(judge(put(1, 0, 1, 1, write="a"), newer, get(2, 2.5, 5, 1, "a")), [])
        self.assert_found("not found", newer, get(2, 4, 5, code=client.NOT_FOUND))
        self.assertEqual(judge(get(2, 0, 1, code=client.NOT_FOUND), newer), [])

    def test_lost_only_if_it_may_be(self):
        answers = put(1, 0, 1, 1), get(2, 2, 3, code=client.LOST)
        self.assert_found("without need", *answers)
        self.assertEqual(judge(*answers, may_be_lost=True), [])

    def test_whose_write_would_be_lost(self):
        one = history.by_name([put(1, 0, 1, 1), put(2, 2, 3, 2), put(3, 4, 9, code=client.TIMEOUT), put(4, 10, 11, 3)])
        self.assertEqual(one["c"].homes_at(1.5), {1})
        self.assertEqual(one["c"].homes_at(3.5), {2})
        self.assertEqual(one["c"].homes_at(9.5), {2, 3})
        self.assertEqual(one["c"].homes_at(12), {4})

    def test_homes_do_not_take_turns(self):
        self.assert_found("take turns", put(1, 0, 1, 1), put(2, 2, 3, 2), put(1, 4, 5, 3))
        self.assertEqual(judge(put(1, 0, 1, 1), put(1, 2, 5, 2), put(2, 3, 6, 3), put(2, 7, 8, 4)), [])
        late = put(1, 0, 1, 1), put(1, 2, 9, 2), put(2, 3, 4, 3)
        self.assertEqual(judge(*late), [])
        self.assertEqual(history.late_answers(history.by_name(late), lambda a: a["server"]), [5])


class Content(unittest.TestCase):
    def test_bytes_tell_their_write(self):
        data = client.content("c", "w0.1", 900)
        self.assertEqual(len(data), 900)
        self.assertEqual(client.writer_of("c", data), "w0.1")
        self.assertIsNone(client.writer_of("d", data))
        self.assertIsNone(client.writer_of("c", data[:-1]))
        self.assertIsNone(client.writer_of("c", data[:500] + bytes([data[500] ^ 1]) + data[501:]))


if __name__ == "__main__":
    unittest.main()
