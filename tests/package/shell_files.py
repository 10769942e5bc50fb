#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""shell_files.py ROOT BUILD CMAKE CASE: completion scripts and manual pages against what the programs really take."""
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

ROOT, BUILD, CMAKE = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]
RINGKEEP, RINGKEEPD = BUILD / "bin/ringkeep", BUILD / "bin/ringkeepd"
SCRIPTS, PAGES = BUILD / "packaging/completion", BUILD / "packaging/man"


def run(*command, **more):
    return subprocess.run([str(word) for word in command], text=True, capture_output=True, check=True, **more).stdout


def options_of(*command):
    """Option names as the program's own help has them."""
    text = run(*command, "--help").split("Options:\n", 1)[1]
    return {name for line in text.splitlines() if (found := re.match(r" {2,4}(-\S+)", line))
            for name in found.group(1).split(",")}


def commands():
    text = run(RINGKEEP, "--help").split("Subcommands:\n", 1)[1]
    return re.findall(r"^  ([\w-]+) ", text, re.M)


def complete(*words):
    """What bash offers for the last of the words."""
    script = 'source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _ringkeep; printf "%s\\n" "${COMPREPLY[@]}"'
    out = run("bash", "--norc", "-c", script, SCRIPTS / "bash", RINGKEEP, *words)
    return [line for line in out.split("\n") if line]


class Completion(unittest.TestCase):
    def test_every_command_and_option_is_offered(self):
        self.assertGreater(len(commands()), 15)
        self.assertEqual(set(complete("")), set(commands()))
        self.assertEqual(complete("expo"), ["export"])
        for command in commands():
            self.assertEqual(set(complete(command, "-")), options_of(RINGKEEP, command), command)

    def test_values(self):
        self.assertEqual(complete("run", "--on-divergence", ""), ["keep", "strict"])
        self.assertEqual(complete("completion", "b"), ["bash"])
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "file").touch()
            pathlib.Path(folder, "below").mkdir()
            self.assertEqual(complete("status", "--dir", folder + "/"), [folder + "/below"])
            self.assertEqual(set(complete("import", folder + "/")), {folder + "/below", folder + "/file"})

    def test_the_shells_take_their_scripts(self):
        for shell, check in (("bash", ["-n"]), ("zsh", ["-n"]), ("fish", ["--no-execute"])):
            if shutil.which(shell) is None:
                print(f"{shell} is not installed: its script is not checked")
                continue
            run(shell, *check, SCRIPTS / shell)
        for shell in ("zsh", "fish"):
            text = (SCRIPTS / shell).read_text()
            for command in commands():
                self.assertIn(f" {command}", text)
                for option in options_of(RINGKEEP, command):
                    bare = option.lstrip("-") if shell == "fish" else option
                    self.assertIn(bare, text)


class Names(unittest.TestCase):
    def test_names_of_checkpoints(self):
        with tempfile.TemporaryDirectory(prefix="ringkeep-test-") as folder:
            ring = folder + "/ring"
            run(RINGKEEP, "up", "--servers", "1", "--dir", ring)
            try:
                for name in ("grid", "gr/one", "two words", "other"):
                    run(RINGKEEP, "put", "--local", name, "/dev/null", "--dir", ring)
                self.assertEqual(complete("get", "--dir", ring, "gr"), ["gr/one", "grid"])
                self.assertEqual(complete("rm", "--dir", ring, "other", "t"), ["two\\ words"])
                self.assertEqual(len(complete("export", "--socket", ring + "/1/socket", "")), 4)
                self.assertEqual(complete("list", "--dir", ring, "gr"), [], "a prefix is no name")
            finally:
                run(RINGKEEP, "down", "--dir", ring)
            self.assertEqual(complete("inspect", "--dir", ring, ""), [], "nobody answers")

    def test_a_server_that_says_nothing(self):
        with tempfile.TemporaryDirectory(prefix="ringkeep-test-") as folder, socket.socket(socket.AF_UNIX) as silent:
            silent.bind(folder + "/socket")
            silent.listen()
            ended = subprocess.run([RINGKEEP, "completion", "names", "--socket", folder + "/socket"],
                                   capture_output=True, timeout=60, check=True)
            self.assertEqual((ended.stdout, ended.stderr), (b"", b""))


class Manual(unittest.TestCase):
    @staticmethod
    def page(name):
        return (PAGES / name).read_text().replace("\\-", "-").replace("\\fB", "").replace("\\fR", "")

    def test_commands_and_options(self):
        page = self.page("ringkeep.1")
        for command in commands():
            self.assertIn(f".SS ringkeep {command}\n", page)
            part = page.split(f".SS ringkeep {command}\n")[1].split("\n.S")[0]
            told = {word for line in part.splitlines() for word in re.findall(r"(?:^|, )(-[\w-]+)", line)}
            self.assertLessEqual(options_of(RINGKEEP, command), told, command)
        page = self.page("ringkeepd.8")
        told = {word for line in page.splitlines() for word in re.findall(r"(?:^|, )(-[\w-]+)", line)}
        self.assertEqual(options_of(RINGKEEPD), told)

    def test_keys_of_the_configuration(self):
        source = (ROOT / "src/daemon/config_file.cc").read_text()
        keys = set(re.findall(r'reader\.\w+\("(\w+)"', source)) - {"server", "limits"}
        self.assertGreater(len(keys), 15)
        told = set(re.findall(r"^\.TP\n(\w+)$", self.page("ringkeepd.toml.5"), re.M))
        self.assertEqual(keys, told)

    def test_functions(self):
        names = set(re.findall(r"RK_API [^;(]*?\b(rk_\w+)\(", (ROOT / "include/ringkeep/ringkeep.h").read_text()))
        self.assertGreater(len(names), 20)
        page = self.page("ringkeep.3")
        for name in names:
            self.assertRegex(page, rf"(?m)^\S.*\b{name}\(")

    def test_exit_codes_and_their_form(self):
        source = (ROOT / "src/cli/exit_codes.h").read_text()
        for code in re.findall(r"constexpr int k\w+ = (\d+);", source):
            self.assertRegex(self.page("ringkeep.1"), rf"(?m)^{code}$")
        for page in PAGES.iterdir():
            if shutil.which("groff"):
                told = subprocess.run(["groff", "-man", "-Tutf8", "-Kutf8", "-ww", page], capture_output=True, check=True)
                self.assertEqual(told.stderr.decode(), "", page.name)


class Installed(unittest.TestCase):
    def test_places(self):
        with tempfile.TemporaryDirectory() as prefix:
            run(CMAKE, f"-DCMAKE_INSTALL_PREFIX={prefix}", "-P", BUILD / "packaging/cmake_install.cmake")
            for place in ("bash-completion/completions/ringkeep", "zsh/site-functions/_ringkeep",
                          "fish/vendor_completions.d/ringkeep.fish", "man/man1/ringkeep.1", "man/man3/ringkeep.3",
                          "man/man5/ringkeepd.toml.5", "man/man8/ringkeepd.8"):
                self.assertGreater(pathlib.Path(prefix, "share", place).stat().st_size, 500, place)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v", *sys.argv[4:]])
