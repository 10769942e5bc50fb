# SPDX-License-Identifier: Apache-2.0
"""A campaign: many trials whose results are appended to a file, so that an interrupted campaign goes on where it was."""
import argparse
import json
import pathlib
import random
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/e2e"))
import job  # noqa: E402  (found through the line above)

CANNOT_RUN = 77  # exit code: this machine lacks what the campaign needs


class Campaign:
    def __init__(self, name, describe):
        parser = argparse.ArgumentParser(prog=f"campaign/{name}", description=describe,
                                         formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("--seed", type=int, default=1, help="chooses the random moments; default 1")
        parser.add_argument("--results", type=pathlib.Path, help="file of results (default build/campaign/NAME.jsonl); "
                            "trials that passed there are not run again")
        parser.add_argument("--only", help="run only the trials whose name contains this")
        parser.add_argument("--stop-at-failure", action="store_true")
        self.parser, self.name = parser, name

    def start(self):
        self.options = self.parser.parse_args()
        self.work = job.ROOT / "build/campaign" / self.name
        self.work.mkdir(parents=True, exist_ok=True)
        self.results = self.options.results or self.work.with_suffix(".jsonl")
        self.done = {}
        if self.results.exists():
            for line in self.results.read_text().splitlines():
                entry = json.loads(line)
                self.done[entry["trial"], entry["seed"]] = entry["wrong"] == []
        self.passed = self.failed = 0
        return self.options

    def random(self, trial):
        """The trial's own generator: the same for the same seed, whichever trials ran before."""
        return random.Random(f"{self.options.seed}/{trial}")

    def trial(self, name, action):
        """action() -> (what was wrong, facts for the record)."""
        if self.options.only and self.options.only not in name:
            return
        if self.done.get((name, self.options.seed)):
            self.passed += 1
            return
        if self.failed and self.options.stop_at_failure:
            return
        start = time.monotonic()
        wrong, facts = action()
        entry = {"trial": name, "seed": self.options.seed, "wrong": wrong,
                 "seconds": round(time.monotonic() - start, 2), **facts}
        with self.results.open("a") as file:
            file.write(json.dumps(entry) + "\n")
        if wrong:
            self.failed += 1
        else:
            self.passed += 1
        print(f"{'FAILED' if wrong else 'ok':6} {name} ({entry['seconds']} s) {'; '.join(wrong)}", flush=True)

    def records(self):
        """What the file tells of the trials of this seed: the newest of each."""
        entries = [json.loads(line) for line in self.results.read_text().splitlines()] if self.results.exists() else []
        return list({entry["trial"]: entry for entry in entries if entry["seed"] == self.options.seed}.values())

    def end(self):
        print(f"{self.passed} passed, {self.failed} failed")
        sys.exit(0 if self.failed == 0 and self.passed > 0 else 1)
