# SPDX-License-Identifier: Apache-2.0
"""What calls raise: one class for each error code of ringkeep.h, so that a program catches what it can handle.

Where Python has an exception of the same meaning, the class is one of these too: `except TimeoutError` works.
"""
from __future__ import annotations


class Error(Exception):
    """A call that failed. `str()` of it is cause and cure in words."""

    code: int  # RK_ERR_* of ringkeep.h
    name: str  # "not-found" and the like

    def __init__(self, words: str, code: int = 0, name: str = "") -> None:
        super().__init__(words)
        self.words, self.code, self.name = words, code, name

    def __str__(self) -> str:  # KeyError would quote it, OSError would look for an errno
        return self.words

    def __reduce__(self) -> tuple[type[Error], tuple[str, int, str]]:
        return type(self), (self.words, self.code, self.name)


class InvalidArgument(Error, ValueError):
    """An argument that can not be right, or a client, writer or reader that was ended."""


class NotFound(Error, KeyError):
    """No such checkpoint, version or section: nothing was ever confirmed under that name."""


class NoMemory(Error, MemoryError):
    """A budget, quota or limit would be exceeded; nothing was changed."""


class Unavailable(Error):
    """No server, or no quorum of the ring; nothing was changed."""


class Timeout(Error, TimeoutError):
    """No answer in time: the outcome is unknown, a later read tells."""


class Corrupt(Error):
    """Bytes that do not have their checksum, or an answer that makes no sense."""


class VersionMismatch(Error):
    """Client and server are of releases that do not work together."""


class WrongCluster(Error):
    """The server belongs to another cluster."""


class Fenced(Error):
    """A newer incarnation of this process or community exists."""


class Permission(Error, PermissionError):
    """The server, its socket or the checkpoint belongs to somebody else."""


class InputOutput(Error, OSError):
    """The operating system refused something, or an earlier call broke the handle."""


class Lost(Error):
    """Every copy is gone. Of the newest version: older ones can be read by their numbers, the next commit ends it."""


class Divergence(Error):
    """A re-execution did something else than the original."""


class Unsupported(Error):
    """Not in this release, or not by this server."""


class Exists(Error):
    """Another server is the home of this name: write it there, or use another name."""


class PeerGone(Error, ConnectionError):
    """The server ended, or the ring went on without it: open another client."""


_BY_CODE: dict[int, type[Error]] = {
    1: InvalidArgument, 2: NotFound, 3: NoMemory, 4: Unavailable, 5: Timeout, 6: Corrupt, 7: VersionMismatch,
    8: WrongCluster, 9: Fenced, 10: Permission, 11: InputOutput, 12: Lost, 13: Divergence, 14: Unsupported, 15: Exists,
    16: PeerGone}


def of_code(code: int, name: str, words: str) -> Error:
    """The exception for a code; a code of a newer library is an Error."""
    return _BY_CODE.get(code, Error)(words, code, name)
