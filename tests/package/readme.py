#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""readme.py ROOT BUILD CMAKE PYTHON: the API examples of README.md, as a new user pastes them.

Installs the product into a directory of its own. The code blocks of README.md, as they stand, are built there by
pkg-config and by find_package, run on a ring of `ringkeep up` by the commands that it prints, and must print what it
shows. What an installation into /usr/local needs no word for is told by variables: where programs, libraries, .pc files,
CMake packages and Python modules are.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT, BUILD, CMAKE = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), shutil.which(sys.argv[3])
PYTHON = shutil.which(sys.argv[4])
FILES = {"api.cc": "cpp", "api.c": "c", "api.py": "python", "CMakeLists.txt": "cmake"}


def read_blocks():
    """{kind: code} of the part that shows the API, the first of each kind: they are what it leads the reader through."""
    part = (ROOT / "README.md").read_text().split("## Checkpoints from a program\n")[1].split("\n## ")[0]
    blocks = {}
    for kind, code in re.findall(r"^```(\w*)\n(.*?)^```$", part, re.S | re.M):
        blocks.setdefault(kind, code)
    missing = {*FILES.values(), "sh", ""} - blocks.keys()
    if missing:
        sys.exit(f"README.md has no code block of these kinds where it shows the API: {sorted(missing)}")
    cmake = re.findall(r"`(cmake -B [^`]*)`", part)
    if len(cmake) != 1:
        sys.exit("README.md does not say once how CMake builds the programs")
    return blocks, cmake[0]


def succeed(what, command, **more):
    done = subprocess.run(command, text=True, capture_output=True, check=False, **more)
    if done.returncode != 0:
        sys.exit(f"{what} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def shell(what, text, place, env):
    """Its lines as they were typed one after the other: the first that fails ends it."""
    return succeed(what, ["sh", "-e", "-c", text], cwd=place, env=env)


def link(folder, name, target):
    folder.mkdir(exist_ok=True)
    (folder / name).symlink_to(target)


def environment(work, prefix, ring):
    library = next(prefix.rglob("libringkeep.so")).parent
    module = next(prefix.rglob("ringkeep/__init__.py")).parent.parent
    tools = work / "tools"
    for name, program in (("cmake", CMAKE), ("python3", PYTHON)):
        link(tools, name, program)
    # A ring of this test's own where a user's is meant: it has the same place for each user of a machine.
    (tools / "ringkeep").write_text(f'#!/bin/sh\nexec "{prefix}/bin/ringkeep" "$@" --dir "{ring}"\n')
    (tools / "ringkeep").chmod(0o700)
    env = {name: value for name, value in os.environ.items() if not name.startswith("RINGKEEP_")}
    env.update(PATH=f"{tools}:{env['PATH']}", LD_LIBRARY_PATH=str(library), PYTHONPATH=str(module),
               PKG_CONFIG_PATH=str(library / "pkgconfig"), CMAKE_PREFIX_PATH=str(prefix),
               RINGKEEP_SOCKET=str(ring / "1/socket"))
    return env


def expect(what, printed, shown):
    # What `ringkeep up` says of itself stands between.
    lives = "".join(line + "\n" for line in printed.splitlines() if line.startswith("life "))
    if lives != shown:
        sys.exit(f"{what}: README.md shows\n{shown}and this was printed:\n{printed}")
    print(f"{what}: as README.md shows it")


def main():
    blocks, cmake = read_blocks()
    with tempfile.TemporaryDirectory(prefix="ringkeep-readme-") as folder:
        work = pathlib.Path(folder)
        prefix, place, ring = work / "prefix", work / "pasted", work / "ring"
        succeed("the installation", [CMAKE, "--install", BUILD, "--prefix", prefix])
        env = environment(work, prefix, ring)
        place.mkdir()
        for name, kind in FILES.items():
            (place / name).write_text(blocks[kind])
        try:
            expect("pkg-config", shell("the shell block", blocks["sh"], place, env), blocks[""])
            shell("CMake", cmake, place, env)
            # The programs of find_package go on where the others ended.
            life = len(blocks[""].splitlines())
            for program in ("lives", "lives_c"):
                life += 1
                expect(f"find_package, {program}", succeed(program, [place / "build" / program], env=env),
                       f"life {life}, version {life}\n")
        finally:
            subprocess.run([prefix / "bin/ringkeep", "down", "--dir", ring], env=env, check=False, capture_output=True)


if __name__ == "__main__":
    main()
