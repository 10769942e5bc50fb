#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares what two LAMMPS runs showed and wrote, but for lines that hold clock values.

    compare.py DIRECTORY DIRECTORY      each with the output (stdout) and the files of one run
"""
import pathlib
import re
import sys

FILES = ("melt.dump", "melt.data")
# Lines of LAMMPS's output and log that hold clock values, and rows of its timing table.
CLOCK_LINE = re.compile(r"^(Loop time|Performance:|Total wall time|\s*[\d.]+% CPU use|MPI task timing|Section \||"
                        r"(Pair|Neigh|Comm|Output|Modify|Other|Bond|Kspace)\s+\||.*CPU = )")


def without_clock(text):
    return [line for line in text.splitlines() if not CLOCK_LINE.match(line)]


def thermo(text):
    """step -> the line of LAMMPS's table, as it is printed; a step that is shown twice is an error."""
    table, inside = {}, False
    for line in text.splitlines():
        if re.match(r"\s*Step\s+Temp", line):
            inside = True
        elif line.startswith("Loop time"):
            inside = False
        elif inside and re.match(r"\s*\d+\s+[-\d.]", line):
            step = int(line.split()[0])
            if step in table:
                raise ValueError(f"step {step} was shown twice")
            table[step] = line
    return table


def main():
    if len(sys.argv) != 3:
        print(__doc__)
        return 2
    one, two = map(pathlib.Path, sys.argv[1:])
    differ = 0
    for name, note in [("stdout", "its clock values left out"), ("log.lammps", "its clock values left out"),
                       *((name, "byte by byte") for name in FILES)]:
        a, b = (place / name for place in (one, two))
        if note == "byte by byte":
            same, size = a.read_bytes() == b.read_bytes(), f"{a.stat().st_size:,} bytes"
        else:
            left, right = without_clock(a.read_text()), without_clock(b.read_text())
            same, size = left == right, f"{len(left)} lines"
        differ += not same
        print(f"  {name:<12} {size:>18}, {note}: {'identical' if same else 'DIFFERENT'}")
    steps = thermo((one / "stdout").read_text())
    if steps:
        last = max(steps)
        print(f"  {len(steps)} thermo lines, the last one at step {last}:\n  {steps[last].strip()}")
    return 1 if differ or not steps else 0


if __name__ == "__main__":
    sys.exit(main())
