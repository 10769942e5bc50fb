#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Counts the results that ctest wrote with --output-junit.

Prints the tests that failed, each with the end of its output, then "N passed, N failed" (", N skipped" if any). The exit code is 0 only if
something passed, nothing failed and ctest itself was content.
"""
import argparse
import sys
import xml.etree.ElementTree as ElementTree

LINES_OF_A_FAILURE = 25


def count(path):
    passed, failed, skipped = [], [], []
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        name, status = case.get("name"), case.get("status")
        if status == "run":
            passed.append(name)
        elif status == "disabled" or (status == "notrun" and is_skip(case)):
            skipped.append(name)
        else:  # "fail", and "notrun" for a test whose program is missing
            failed.append((name, case.findtext("system-out") or ""))
    return passed, failed, skipped


def is_skip(case):
    """A test that said itself that it cannot run here, as opposed to one whose program does not exist."""
    note = case.find("skipped")
    return note is not None and (note.get("message") or "").startswith("SKIP_")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("junit")
    parser.add_argument("--ctest-exit", type=int, default=0)
    arguments = parser.parse_args()
    try:
        passed, failed, skipped = count(arguments.junit)
    except (OSError, ElementTree.ParseError) as error:
        print(f"ctest left no readable results: {error}", file=sys.stderr)
        print("0 passed, 1 failed")
        return 1
    for name, output in failed:
        print(f"FAILED {name}")
        for line in output.rstrip().splitlines()[-LINES_OF_A_FAILURE:]:
            print(f"    {line}")
    failures = len(failed)
    if arguments.ctest_exit != 0 and failures == 0:
        print(f"ctest ended with code {arguments.ctest_exit} although no test failed", file=sys.stderr)
        failures = 1
    tail = f", {len(skipped)} skipped" if skipped else ""
    print(f"{len(passed)} passed, {failures} failed{tail}")
    return 0 if failures == 0 and passed else 1


if __name__ == "__main__":
    sys.exit(main())
