#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""clang-tidy over the project's own sources, the most recently changed first, within a time budget.

Says how many files it checked, so that an incomplete run is visible. Exit code 1 if any file has a finding.
"""
import argparse
import concurrent.futures
import json
import pathlib
import subprocess
import sys
import time


def newest_first(root, files):
    """Files in the order of the last commit that touched them."""
    log = subprocess.run(["git", "log", "--format=", "--name-only", "-n", "400"], cwd=root, text=True,
                         capture_output=True, check=True).stdout.split("\n")
    order = {}
    for place, name in enumerate(name for name in log if name):
        order.setdefault(name, place)
    return sorted(files, key=lambda name: (order.get(name, len(order)), name))


def check(root, build, name):
    # The compile commands are g++'s: clang does not know all of its warnings.
    run = subprocess.run(["clang-tidy", "-p", str(build), "--quiet", "--extra-arg=-Wno-unknown-warning-option", name],
                         cwd=root, text=True, capture_output=True, check=False)
    return name, run.returncode, run.stdout


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True, type=pathlib.Path)
    parser.add_argument("--budget", type=float, default=420, help="seconds")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--all", action="store_true", help="no time budget")
    arguments = parser.parse_args()
    root = pathlib.Path(__file__).resolve().parent.parent
    commands = json.loads((arguments.build / "compile_commands.json").read_text())
    compiled = {str(pathlib.Path(entry["directory"], entry["file"]).resolve()) for entry in commands}
    files = []
    for path in compiled:
        try:
            name = str(pathlib.Path(path).relative_to(root))
        except ValueError:
            continue
        if name.split("/")[0] in ("src", "sim", "examples", "python"):
            files.append(name)
    files = newest_first(root, files)
    end = time.monotonic() + (float("inf") if arguments.all else arguments.budget)
    bad, done = [], 0
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        def guarded(name):
            return check(root, arguments.build, name) if time.monotonic() < end else (name, None, "")
        for name, code, text in pool.map(guarded, files):
            if code is None:
                continue
            done += 1
            if code != 0:
                bad.append(name)
                print(text, flush=True)
    print(f"clang-tidy: {done} of {len(files)} files checked, {len(bad)} with findings")
    return 1 if bad or done == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
