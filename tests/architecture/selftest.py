#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each rule of check.py finds the violation that is planted for it, and nothing in a clean tree."""
import json
import pathlib
import subprocess
import sys
import tempfile

import check

SPDX = "// SPDX-License-Identifier: Apache-2.0\n"
ROWS = ["base", "wire", "ring", "keep", "log", "recovery"]


def tree(top):
    """A small clean project: pure layers, one shell, one of each kind of file."""
    rows = "".join(f"| `src/{name}` | pure | x | {'base wire' if name not in ('base', 'wire') else 'base'} |\n"
                   for name in ROWS)
    rows += "".join(f"| `src/{name}` | shell | x | {uses} |\n" for name, uses in
                    [("shm", "base"), ("io", "base wire"), ("daemon", "cores shm io"), ("client", "base wire shm log")])
    write(top / "ARCHITECTURE.md", "<!-- SPDX-License-Identifier: Apache-2.0 -->\n| folder | kind | what | may use |\n"
          "|---|---|---|---|\n" + rows)
    write(top / "src/base/a.h", SPDX + "#pragma once\n#include <vector>\ninline std::vector<int> a() { return {}; }\n")
    write(top / "src/ring/r.cc", SPDX + '#include "base/a.h"\nint r() { return static_cast<int>(a().size()); }\n')
    write(top / "src/io/i.cc", SPDX + "#include <asio/io_context.hpp>\n")
    for name in ("base", "ring"):
        write(top / f"src/{name}/CMakeLists.txt", "# SPDX-License-Identifier: Apache-2.0\n")
        archive(top, name, "int fine() { return 1; }\n")
    write(top / "examples/a.cc", SPDX + "int main() {}\n")
    write(top / "README.md", readme("int main() {}\n"))
    write(top / "build/compile_commands.json", json.dumps([]))


def readme(code):
    return f"<!-- SPDX-License-Identifier: Apache-2.0 -->\n<!-- examples/a.cc -->\n```cpp\n{code}```\n"


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def archive(top, name, text):
    folder = top / "build/src" / name
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["c++", "-std=c++20", "-x", "c++", "-c", "-o", str(folder / "m.o"), "-"], input=text, text=True,
                   check=True)
    target = folder / f"libringkeep_{name}.a"
    target.unlink(missing_ok=True)
    subprocess.run(["ar", "rc", str(target), str(folder / "m.o")], check=True)


PLANTED = [
    ("includes", "src/ring/bad.cc", SPDX + '#include "keep/catalogue.h"\n', "ring may not use keep"),
    ("includes", "src/base/bad.h", SPDX + '#include "wire/frame.h"\n', "base may not use wire"),
    ("includes", "src/io/bad.h", SPDX + '#include <daemon/config.h>\n', "io may not use daemon"),
    ("includes", "src/log/bad.h", SPDX + '#include "ringkeep/ringkeep.h"\n', "a pure layer includes"),
    ("includes", "src/log/bad.h", SPDX + '#include "local.h"\n', "without its layer"),
    ("includes", "python/bad.cc", SPDX + '#include "client/checkpoint.h"\n', "python may not use client"),
    ("includes", "src/surprise/bad.h", SPDX, "is not in the table"),
    ("containers", "src/keep/bad.cc",
     SPDX + "std::unordered_map<int, std::vector<int>> names_;\nvoid f() { for (auto& [k, v] : names_) k(v); }\n",
     "iterates over"),
    ("containers", "src/keep/bad.cc", SPDX + "std::unordered_set<int> s;\nauto f() { return s.begin(); }\n",
     "iterates over"),
    ("headers", "src/base/bad.h", SPDX + "#pragma once\ninline std::string f() { return {}; }\n", "does not compile alone"),
    ("heavy", "src/io/second.cc", SPDX + "#include <asio.hpp>\n", "2 files reach asio"),
    ("heavy", "src/keep/bad.cc", SPDX + "#include <nlohmann/json.hpp>\n", "1 files reach nlohmann"),
    ("text", "src/base/b.cc", "int x;\n", "has no SPDX line"),
    ("text", "src/base/b.cc", SPDX + "\n" * 700, "has 701 lines"),
    ("text", "src/base/string_utils.h", SPDX, "the name says nothing"),
    ("text", "src/base/b.cc", SPDX + "// TO" + "DO: later\n", "marks something unfinished"),
    ("text", "src/base/b.cc", SPDX + '// see "/' + 'work/main/x"\n', "names a path of one machine"),
    ("readme", "README.md", readme("int other() {}\n"), "is not what examples/a.cc has"),
    ("readme", "README.md", "<!-- SPDX-License-Identifier: Apache-2.0 -->\n", "names no example"),
    ("text", "docs/x.md", "# no line\n", "has no SPDX line"),
]
CALLS = [
    ("#include <ctime>\nlong f() { return time(nullptr); }\n", "uses time"),
    ("#include <chrono>\nauto f() { return std::chrono::steady_clock::now(); }\n", "a clock"),
    ("#include <unistd.h>\nlong f(int d, void* p) { return read(d, p, 8); }\n", "uses read"),
    ("#include <sys/socket.h>\nint f() { return socket(1, 1, 0); }\n", "uses socket"),
    ("#include <random>\nunsigned f() { return std::random_device{}(); }\n", "a random device"),
    ("#include <iostream>\nvoid f() { std::cout << 1; }\n", "iostreams"),
    ("#include <thread>\nvoid g();\nvoid f() { std::thread(g).detach(); }\n", "threads"),
    ("#include <cstdlib>\nchar* f() { return std::getenv(\"X\"); }\n", "uses getenv"),
]


def expect(rule, top, part):
    """Whether the rule finds exactly what was planted (part), or nothing where part is None."""
    bad = check.RULES[rule](top, top / "build")
    ok = any(part in line for line in bad) if part else not bad
    print(f"{'ok' if ok else 'WRONG'}: {rule}: {part or 'clean tree'}{'' if ok else ' -> ' + repr(bad)}")
    return ok


def main():
    good = True
    with tempfile.TemporaryDirectory() as name:
        top = pathlib.Path(name)
        tree(top)
        for rule in check.RULES:
            good &= expect(rule, top, None)
    for rule, path, text, part in PLANTED:
        with tempfile.TemporaryDirectory() as name:
            top = pathlib.Path(name)
            tree(top)
            write(top / path, text)
            good &= expect(rule, top, part)
    with tempfile.TemporaryDirectory() as name:
        top = pathlib.Path(name)
        tree(top)
        for text, part in CALLS:
            archive(top, "ring", text)
            good &= expect("cores", top, part)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
