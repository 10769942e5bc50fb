#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The judge of the job queue's histories: what it must call wrong, and what not."""
import unittest

import services


def asked(request, body=None):
    return {"request": request, "body": body, "t": 0, "answer": None, "at": None}


def told(request, answer, body=None):
    return {"request": request, "body": body, "t": 0, "answer": answer, "at": "x"}


class Queue:
    """Answers as the real one with these jobs: id -> (state, worker, request), and the bodies of the ready ones."""

    def __init__(self, jobs, bodies):
        self.jobs, self.ready = jobs, dict(bodies)

    def ask(self, request):
        verb, name, *_ = request.split()
        if verb == "reserve":
            return "job {} {}".format(*self.ready.popitem()) if self.ready else "empty"
        if name not in self.jobs:
            return f"error not-found there is no job {name}"
        state, *owner = self.jobs[name]
        return " ".join([state, name, *owner])


def judge(history, jobs, bodies):
    return services.History(history).judge(Queue(jobs, bodies).ask)


PUT = [asked("put a", "x"), told("put a", "ok a", "x")]
RESERVED = [*PUT, asked("reserve w r1"), told("reserve w r1", "job a x")]
DELETED = [*RESERVED, asked("delete w a"), told("delete w a", "ok a")]


class Judge(unittest.TestCase):
    def right(self, *arguments):
        self.assertEqual(judge(*arguments), [])

    def wrong(self, words, *arguments):
        self.assertIn(words, "\n".join(judge(*arguments)))

    def test_what_is_as_it_was_told(self):
        self.right(PUT, {"a": ("ready",)}, {"a": "x"})
        self.right(RESERVED, {"a": ("reserved", "w", "r1")}, {})
        self.right(DELETED, {"a": ("deleted",)}, {})

    def test_what_a_killed_client_was_not_told(self):
        self.right([asked("put a", "x")], {}, {})
        self.right([asked("put a", "x")], {"a": ("ready",)}, {"a": "x"})
        self.right([*PUT, asked("reserve w r1")], {"a": ("reserved", "w", "r1")}, {})
        self.right([*RESERVED, asked("delete w a")], {"a": ("deleted",)}, {})
        self.right([*RESERVED, asked("delete w a")], {"a": ("reserved", "w", "r1")}, {})

    def test_a_job_that_is_missing(self):
        self.wrong("was acknowledged and is missing", PUT, {}, {})
        self.wrong("ready and not given", PUT, {"a": ("ready",)}, {})

    def test_a_job_that_is_there_twice_or_changed(self):
        self.wrong("the other way round: ['b']", PUT, {"a": ("ready",)}, {"a": "x", "b": "x"})
        self.wrong("another body", PUT, {"a": ("ready",)}, {"a": "y"})
        self.wrong("another body", [*PUT, told("reserve w r1", "job a y")], {"a": ("reserved", "w", "r1")}, {})

    def test_two_owners_and_two_jobs(self):
        self.wrong("was given to", [*RESERVED, told("reserve v r1", "job a x")], {"a": ("reserved", "w", "r1")}, {})
        second = [asked("put b", "x"), told("put b", "ok b", "x"), told("reserve w r1", "job b x")]
        self.wrong("got the jobs", [*RESERVED, *second], {"a": ("reserved", "w", "r1"), "b": ("ready",)}, {"b": "x"})

    def test_what_was_taken_back(self):
        self.wrong("is ready and was given", RESERVED, {"a": ("ready",)}, {"a": "x"})
        self.wrong("is reserved by", RESERVED, {"a": ("reserved", "v", "r1")}, {})
        self.wrong("is reserved by", DELETED, {"a": ("reserved", "w", "r1")}, {})
        self.wrong("is ready and was given", DELETED, {"a": ("ready",)}, {"a": "x"})
        self.wrong("nobody asked for that", PUT, {"a": ("deleted",)}, {})
        self.wrong("is reserved by", PUT, {"a": ("reserved", "w", "r1")}, {})

    def test_errors_and_jobs_of_nobody(self):
        self.wrong("not-owner", [*RESERVED, told("delete w a", "error not-owner")], {"a": ("reserved", "w", "r1")}, {})
        self.wrong("put by nobody", [told("reserve w r1", "job z x")], {}, {})


if __name__ == "__main__":
    unittest.main()
