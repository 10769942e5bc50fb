# SPDX-License-Identifier: Apache-2.0
"""Redis as Debian packages it, a server and its replica on two hosts of a lab: memory only, with and without TLS."""
import ctypes
import pathlib
import shutil
import signal
import subprocess
import time

PATIENCE_S = 30
PORT = 6379
PACKAGES = {"redis-server": "redis-server", "redis-cli": "redis-tools", "openssl": "openssl"}


def missing():
    return [package for program, package in PACKAGES.items() if not shutil.which(program)]


def die_with_us():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Pair:
    def __init__(self, lab, tls):
        self.lab, self.tls, self.folder = lab, tls, lab.directory / "redis"
        self.folder.mkdir(mode=0o700)
        self.processes = []
        if tls:
            self._make_certificate()
        for host in (1, 2):
            self._start(host)
        self._await_replica()

    def close(self):
        for process in self.processes:
            process.kill()
            process.wait()

    def _make_certificate(self):
        names = ",".join(f"IP:{self.lab.address(host)}" for host in (1, 2))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=bench",
                        "-addext", f"subjectAltName={names}", "-keyout", self._file("key"), "-out", self._file("cert")],
                       check=True, capture_output=True)

    def _file(self, name):
        return str(self.folder / name)

    def _tls_words(self):
        return ["--tls-cert-file", self._file("cert"), "--tls-key-file", self._file("key"), "--tls-ca-cert-file",
                self._file("cert"), "--tls-auth-clients", "no", "--tls-replication", "yes"]

    def _start(self, host):
        state = self.folder / str(host)
        state.mkdir()
        address = self.lab.address(host)
        ports = ["--port", "0", "--tls-port", str(PORT), *self._tls_words()] if self.tls else ["--port", str(PORT)]
        words = ["redis-server", "--bind", address, *ports, "--unixsocket", str(state / "socket"), "--save", "",
                 "--appendonly", "no", "--protected-mode", "no", "--dir", str(state), "--daemonize", "no",
                 "--repl-diskless-sync-delay", "0"]
        if host == 2:
            words += ["--replicaof", self.lab.address(1), str(PORT)]
        with (state / "log").open("w") as log:
            self.processes.append(subprocess.Popen([*self.lab.inside(host), *words], stdin=subprocess.DEVNULL,
                                                   stdout=log, stderr=log, preexec_fn=die_with_us))

    def _await_replica(self):
        last = time.monotonic() + PATIENCE_S
        words = ["redis-cli", "-s", str(self.folder / "1/socket"), "wait", "1", "1000"]
        while subprocess.run(words, text=True, capture_output=True, check=False).stdout.strip() != "1":
            if time.monotonic() > last:
                raise SystemExit("Redis has no replica: " + pathlib.Path(self.folder / "2/log").read_text()[-500:])

    def store(self, over_tcp):
        """As bench_commits names it."""
        address = f"{self.lab.address(1)}:{PORT}"
        if self.tls:
            return f"rediss:{address}:{self._file('cert')}"
        return f"redis:{address}" if over_tcp else f"redis:{self.folder / '1/socket'}"
