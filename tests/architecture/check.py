#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The rules of ARCHITECTURE.md, each a function from a source tree to its list of violations.

    check.py RULE --root SOURCES --build BUILD

includes    a layer includes only what the table of ARCHITECTURE.md lets it use (read from that table)
cores       archives of pure layers call no socket, clock, thread, file, environment or random device (nm -u)
containers  pure layers do not iterate over unordered containers: their order is not the same everywhere
headers     every header compiles alone
readme      the examples of README.md are those that are built
heavy       a heavy header is reached by few translation units, so that a clean build stays short
text        SPDX line, length of files, names of files, no unfinished marks, no paths of one machine
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

SOURCE_ENDINGS = (".h", ".hpp", ".cc", ".c", ".inc")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def read(path):
    return path.read_text(encoding="utf-8", errors="replace")


def sources(root, folder):
    top = root / folder
    if not top.is_dir():
        return []
    return sorted(path for path in top.rglob("*") if path.suffix in SOURCE_ENDINGS and path.is_file())


# --- the table of ARCHITECTURE.md ------------------------------------------------------------------------------------

class Table:
    """Rows of "Folders and direction": which folder is pure, and what it may use, closed over what that may use."""

    def __init__(self, root):
        self.kind, direct = {}, {}
        row = re.compile(r"^\|\s*`([\w/]+)`\s*\|\s*([\w ]+?)\s*\|[^|]*\|([^|]*)\|\s*$", re.M)
        for folder, kind, uses in row.findall(read(root / "ARCHITECTURE.md")):
            name = folder.removeprefix("src/")
            self.kind[name] = kind
            direct[name] = uses.split()
        self.cores = [name for name, kind in self.kind.items() if kind == "pure"]
        for name, uses in direct.items():
            direct[name] = [layer for use in uses for layer in (self.cores if use == "cores" else [use])]
        self.allowed = {name: self._closure(name, direct) for name in direct}

    @staticmethod
    def _closure(name, direct):
        seen, queue = set(), [name]
        while queue:
            layer = queue.pop()
            if layer not in seen:
                seen.add(layer)
                queue.extend(direct.get(layer, []))
        return seen


def check_includes(root, _build):
    table = Table(root)
    if len(table.kind) < 10:
        return [f"ARCHITECTURE.md: found only {len(table.kind)} rows in the table of folders"]
    layers = sorted(path.name for path in (root / "src").iterdir() if sources(root, f"src/{path.name}"))
    bad = [f"src/{name}: is not in the table of ARCHITECTURE.md" for name in layers if name not in table.kind]
    for name in [*layers, "python", "sim"]:
        folder = name if name in ("python", "sim") else f"src/{name}"
        for path in sources(root, folder):
            bad += includes_of(root, path, name, table)
    return bad


def includes_of(root, path, name, table):
    place, bad = path.relative_to(root), []
    allowed = table.allowed.get(name, {name})
    for mark, target in INCLUDE.findall(read(path)):
        first = target.split("/")[0]
        if "/" not in target:
            if mark == '"':
                bad.append(f'{place}: includes "{target}" without its layer; write "{name}/{target}"')
        elif first == "ringkeep":
            if table.kind.get(name) == "pure":
                bad.append(f"{place}: a pure layer includes {target}, the contract of the client library")
        elif first in table.kind and first not in allowed:
            bad.append(f"{place}: {name} may not use {first} (includes {target})")
        elif mark == '"' and first not in table.kind:
            bad.append(f'{place}: includes "{target}", which is no layer of this project')
    return bad


# --- pure layers -----------------------------------------------------------------------------------------------------

BANNED_C = """
socket socketpair connect bind listen accept accept4 send sendto sendmsg recv recvfrom recvmsg shutdown getaddrinfo
poll ppoll select pselect epoll_create epoll_create1 epoll_ctl epoll_wait eventfd timerfd_create signalfd
clock_gettime clock_nanosleep gettimeofday time times nanosleep usleep sleep localtime localtime_r gmtime strftime
open open64 openat openat64 creat read pread pread64 readv write pwrite pwrite64 writev close fsync ftruncate
ftruncate64 unlink rename mkdir opendir readdir stat stat64 fstat fstat64 lstat access fcntl fcntl64 ioctl
fopen fopen64 fclose fread fwrite_unlocked fgets fscanf popen system tmpfile mkstemp
mmap mmap64 munmap mprotect madvise memfd_create shm_open syscall
fork vfork execve execvp posix_spawn waitpid wait kill raise signal sigaction getpid gettid getuid
getenv secure_getenv setenv rand srand random drand48 rand_r getrandom getentropy arc4random
dlopen dlsym sched_yield usleep thrd_create mtx_lock printf puts putchar
""".split()
BANNED_PATTERNS = [
    (re.compile(r"^pthread_(?!self$)"), "threads"),
    (re.compile(r"^_ZNSt6chrono.*(system|steady|high_resolution)_clock3now"), "a clock"),
    (re.compile(r"^_ZNSt6thread|^_ZNSt18condition_variable|^_ZSt.*(async|call_once)"), "threads"),
    (re.compile(r"^_ZNSt13random_device"), "a random device"),
    (re.compile(r"^_ZSt4c(out|err|in|log)$|basic_[io]?fstream|basic_filebuf"), "iostreams or files"),
    (re.compile(r"^_ZNSt10filesystem"), "files"),
    (re.compile(r"spdlog|_ZN4asio"), "a logger or a socket library"),
]


def check_cores(root, build):
    bad, seen = [], 0
    for name in Table(root).cores:
        archive = build / "src" / name / f"libringkeep_{name}.a"
        if not archive.exists():
            if (root / "src" / name / "CMakeLists.txt").exists():
                bad.append(f"src/{name}: its archive {archive.name} is not in the build")
            continue
        seen += 1
        bad += symbols_of(archive, name)
    return bad if seen else [*bad, "no archive of a pure layer was found in the build"]


def symbols_of(archive, name):
    listing = subprocess.run(["nm", "-u", "-A", str(archive)], text=True, capture_output=True, check=True).stdout
    bad = []
    for line in listing.splitlines():
        left, _, symbol = line.rpartition(" ")
        if left.endswith(" w"):  # a weak reference of the run-time, not a call of ours
            continue
        symbol = symbol.split("@")[0]
        member = left.split(":")[1] if ":" in left else "?"
        reason = "a call of the operating system" if symbol.removeprefix("__").removesuffix("_chk") in BANNED_C else None
        for pattern, what in BANNED_PATTERNS:
            if pattern.search(symbol):
                reason = what
        if reason:
            bad.append(f"src/{name}: {member} uses {symbol}: {reason}")
    return bad


UNORDERED = re.compile(r"\bunordered_(?:multi)?(?:map|set)\s*<")
RANGE_FOR = re.compile(r"\bfor\s*\([^;(){}]*?:\s*([^{};]+?)\)\s*(?:\{|[^\s])")


def unordered_names(text):
    """Names declared with an unordered container's type: the identifier after the balanced template brackets."""
    for match in UNORDERED.finditer(text):
        depth, place = 1, match.end()
        while place < len(text) and depth:
            depth += {"<": 1, ">": -1}.get(text[place], 0)
            place += 1
        name = re.match(r"\s*&?\s*(\w+)\s*[;={(,)]", text[place:])
        if name:
            yield name.group(1)


def check_containers(root, _build):
    bad = []
    for layer in Table(root).cores:
        files = {path: strip_comments(read(path)) for path in sources(root, f"src/{layer}")}
        names = {name for text in files.values() for name in unordered_names(text)}
        for path, text in files.items():
            for expression in RANGE_FOR.findall(text):
                last = re.findall(r"\w+", expression)
                if "unordered_" in expression or (last and last[-1] in names):
                    bad.append(f"{path.relative_to(root)}: iterates over the unordered container {expression.strip()}")
            for name in re.findall(r"\b(\w+)\s*(?:\.|->)\s*c?begin\s*\(", text):
                if name in names:
                    bad.append(f"{path.relative_to(root)}: iterates over the unordered container {name}")
    return bad


def strip_comments(text):
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.S)


# --- headers ---------------------------------------------------------------------------------------------------------

def compile_flags(build):
    """For each source folder the flags of one of its translation units, from compile_commands.json."""
    flags, compiler = {}, {}
    for entry in json.loads(read(build / "compile_commands.json")):
        words = shlex.split(entry["command"])
        while words and os.path.basename(words[0]) in ("ccache", "distcc"):
            words.pop(0)
        folder = pathlib.Path(entry["directory"], entry["file"]).resolve().parent
        language = "c" if entry["file"].endswith(".c") else "c++"
        kept, skip = [], False
        for word in words[1:]:
            if skip:
                skip = False
            elif word in ("-o", "-c", "-MF", "-MT", "-MQ"):
                skip = True
            elif not word.startswith(("-M", "-O", "-g", "-fsanitize")):
                kept.append(word)
        kept = [word for word in kept if not word.endswith((".cc", ".c"))]
        flags.setdefault((folder, language), kept)
        compiler.setdefault(language, words[0])
    return flags, compiler


def flags_for(flags, folder, language, fallback):
    while folder != folder.parent:
        if (folder, language) in flags:
            return flags[folder, language]
        folder = folder.parent
    return fallback


def compiles_alone(root, path, flags, compiler):
    language = "c" if path.suffix == ".h" and "include" in path.relative_to(root).parts else "c++"
    fallback = [f"-I{root / 'src'}", f"-I{root / 'include'}", f"-I{root}", "-Wall", "-Wextra", "-Werror"]
    if language == "c++":
        fallback.append("-std=c++20")
    words = flags_for(flags, path.parent, language, fallback)
    if path.name == "veloc.h":  # it includes <mpi.h>, and no file of its folder is compiled
        near = flags.get((root / "src" / "veloc", "c++"), [])
        words = [*words, *(part for mark, folder in zip(near, near[1:]) if mark == "-isystem" for part in (mark, folder))]
    command = [compiler.get(language, "cc" if language == "c" else "c++"), *words, "-O0", "-fsyntax-only", "-x", language,
               f"-I{root / 'include'}", "-"]
    text = f'#include "{path}"\n'
    run = subprocess.run(command, input=text, text=True, capture_output=True, check=False)
    if run.returncode == 0:
        return None
    first = next((line for line in run.stderr.splitlines() if "error" in line), run.stderr.strip()[:200])
    return f"{path.relative_to(root)}: does not compile alone: {first}"


def check_headers(root, build):
    flags, compiler = compile_flags(build)
    headers = [path for folder in ("include", "src", "sim") for path in sources(root, folder)
               if path.suffix in (".h", ".hpp")]
    if not headers:
        return ["no header was found"]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        results = pool.map(lambda path: compiles_alone(root, path, flags, compiler), headers)
    return [text for text in results if text]


# Heavy headers, and for each layer that may reach one, how many of its translation units do.
HEAVY = {
    "asio": {"io": 1},
    "nlohmann": {"launch": 1, "cli": 1, "daemon": 1},
    "spdlog": {"daemon": 1, "launch": 1, "cli": 1},
    "fmt": {"daemon": 1, "launch": 1, "cli": 1},
    "CLI": {"daemon": 1, "cli": 1},
    "toml++": {"daemon": 1, "cli": 1},
    "openssl": {"io": 1, "keys": 1},
}
HEAVY_FIRST = {"asio.hpp": "asio", "toml.hpp": "toml++"}


def check_heavy(root, _build):
    bad, reach, uses = [], {}, {}
    for layer in sorted(path.name for path in (root / "src").iterdir() if path.is_dir()):
        for path in sources(root, f"src/{layer}"):
            if path.suffix in (".cc", ".c"):
                for library in sorted(heavy_of(root, path, reach)):
                    uses.setdefault((library, layer), []).append(str(path.relative_to(root)))
    for (library, layer), users in sorted(uses.items()):
        limit = HEAVY[library].get(layer, 0)
        if len(users) > limit:
            bad.append(f"src/{layer}: {len(users)} files reach {library} where {limit} may: {', '.join(users)}")
    return bad


def heavy_of(root, path, reach):
    """Libraries of HEAVY that a file reaches through its own includes and those of this project's headers."""
    if path in reach:
        return reach[path]
    reach[path] = set()
    found = set()
    for _, target in INCLUDE.findall(read(path)):
        first = HEAVY_FIRST.get(target, target.split("/")[0])
        if first in HEAVY:
            found.add(first)
        inside = root / "src" / target
        if inside.is_file():
            found |= heavy_of(root, inside, reach)
    reach[path] = found
    return found


# --- text ------------------------------------------------------------------------------------------------------------

LIMIT_LINES, WARN_LINES = 600, 500
NO_SPDX = {"LICENSE", "CMakePresets.json"}
BINARY = {".png", ".ppm", ".bin", ".gz", ".zst", ".golden"}
VAGUE = re.compile(r"(^|[_\-.])(utils?|common|helpers?|misc)([_\-.]|$)", re.I)
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
MACHINE = re.compile(r"(?<![\w.$}/])/(?:wo" r"rk|ro" r"ot|tmp/r" r"k)/|/home/\w+/")


def tracked(root):
    """Files that git knows or would add; in a tree without git, all of them."""
    run = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=root, text=True,
                         capture_output=True, check=False)
    if run.returncode == 0:
        names = [name for name in run.stdout.split("\0") if name]
    else:
        names = [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]
    return [root / name for name in sorted(names) if (root / name).is_file() and not name.startswith("build/")]


def check_text(root, _build):
    bad = []
    for path in tracked(root):
        place = path.relative_to(root)
        for part in (*place.parts[:-1], path.name):
            if VAGUE.search(part):
                bad.append(f"{place}: the name says nothing about what is inside")
        if path.suffix in BINARY or "corpus" in place.parts:  # bytes for a parser, not text for people
            continue
        bad += text_of(place, read(path))
    return bad


def text_of(place, text):
    bad, lines = [], text.split("\n")
    if place.name not in NO_SPDX and place.suffix != ".json" and "SPDX-License-Identifier: Apache-2.0" not in text[:600]:
        bad.append(f"{place}: has no SPDX line")
    if place.suffix in (*SOURCE_ENDINGS, ".py", ".cmake", ".txt", ""):
        if len(lines) - 1 > LIMIT_LINES and place.name != "LICENSE":
            bad.append(f"{place}: has {len(lines) - 1} lines; split it by meaning before {LIMIT_LINES}")
        elif len(lines) - 1 > WARN_LINES:
            print(f"warning: {place} has {len(lines) - 1} lines, near the limit of {LIMIT_LINES}")
    for number, line in enumerate(lines, 1):
        if UNFINISHED.search(line):
            bad.append(f"{place}:{number}: marks something unfinished")
        if MACHINE.search(line):
            bad.append(f"{place}:{number}: names a path of one machine")
    return bad


def check_readme(root, _build):
    """Each code block of README.md that names its file in a comment before it is part of that file, word for word."""
    text, bad = read(root / "README.md"), []
    blocks = re.findall(r"<!-- ([\w/.]+) -->\n```\w*\n(.*?)```", text, re.S)
    for name, code in blocks:
        path = root / name
        if not path.is_file() or not code.strip() or code not in read(path):
            bad.append(f"README.md: the example is not what {name} has; copy it from there")
    return bad if blocks else ["README.md: names no example file"]


RULES = {"includes": check_includes, "cores": check_cores, "containers": check_containers, "headers": check_headers,
         "heavy": check_heavy, "readme": check_readme, "text": check_text}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rule", choices=RULES)
    parser.add_argument("--root", type=pathlib.Path, required=True)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    bad = RULES[arguments.rule](arguments.root.resolve(), arguments.build.resolve())
    for line in bad:
        print(line)
    print(f"rule {arguments.rule}: {len(bad)} violations")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
