# SPDX-License-Identifier: Apache-2.0
"""Client, Writer and Reader over the C++ module.

Calls that wait or copy do so without the interpreter's lock. Threads may share a client, its writers and its readers: one
call at a time is carried out, the others wait for it; for work side by side each thread opens a client of its own. A
process made by fork() must open its own too and is told so.
"""
from __future__ import annotations

import enum
import os
from types import TracebackType
from typing import Any, Mapping, NamedTuple, Optional, Union

from . import _ringkeep
from ._errors import Error, InvalidArgument, NotFound, of_code

# bytes, bytearray, memoryview, numpy array: whatever has the buffer protocol. typing has no name for it before 3.12.
Buffer = Any
_DATA = "data"  # the section of a checkpoint that has only one


class Level(enum.IntEnum):
    """When a commit is done."""

    LOCAL = 0
    """In this server's memory. If the server is lost, reads give the newest replicated version, and do not miss this."""
    REPLICATED = 1
    """And complete, checksummed, in its predecessor's memory."""


LOCAL = Level.LOCAL
REPLICATED = Level.REPLICATED


class Outcome(NamedTuple):
    """Of a commit that was handed over by put_async() or commit_async()."""

    tag: int
    version: int
    """Its number; 0 if there is an error."""
    error: Optional[Error]
    """None: committed. A Timeout: unknown, a later read tells. Any other: the version does not exist."""


class Client:
    """A connection to this node's server.

    socket: path of the server's socket; None: $RINGKEEP_SOCKET, then the user's default.
    timeout_ms: bound of each wait in milliseconds; 0: 10,000.
    fenced: the node's guard kills this process once its server has had no lease from the ring for 5 s, because another
    process may do its work then.

    Raises Unavailable if no server answers there, Permission if it is another user's.
    """

    def __init__(self, socket: Union[str, bytes, os.PathLike[Any], None] = None, timeout_ms: int = 0,
                 fenced: bool = False) -> None:
        path = os.fsencode(socket) if socket is not None else b""
        self._session = _ringkeep.Session(path, _natural(timeout_ms, 32, "timeout_ms"), bool(fenced))

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self.close()

    def close(self) -> None:
        """No more calls. The connection itself ends when its writers and readers are ended too. Can be repeated."""
        self._session.close()

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._session.closed

    def put(self, name: str, data: Union[Buffer, Mapping[str, Buffer]], level: int = REPLICATED) -> int:
        """Commits a version of `name` and returns its number.

        data: bytes (anything contiguous with the buffer protocol), which become the section "data"; or a mapping of
        section names to bytes. They are copied once, into shared memory.

        Raises Timeout if it is unknown whether the version exists: a later read tells. After every other error it does not.
        """
        parts = data if isinstance(data, Mapping) else {_DATA: data}
        views = {section: _bytes_of(part) for section, part in parts.items()}
        writer = self.begin(name, {section: view.nbytes for section, view in views.items()}, level)
        with writer:
            for section, view in views.items():
                writer.write(section, view)
        return writer._committed()

    def put_async(self, name: str, data: Buffer, tag: int, level: int = REPLICATED, more: bool = False) -> None:
        """Hands a version of `name` over, whose section "data" is a copy of `data`, and does not wait for its outcome:
        outcomes() gives that with the tag, a number of the caller's.

        It waits for room in the socket only; more than 64 KiB wait for the server's memory first, as begin() does. Commits
        of one name get rising versions in the order of the calls. more: another one follows at once, so this one may stay
        in the process until the next call.

        Raises NoMemory if 256 are in flight, or have outcomes that were not taken. After any error nothing was changed, and
        there will be no outcome.
        """
        self._session.put_async(name, _bytes_of(data), _natural(tag, 64, "tag"), int(Level(level)), bool(more))

    def outcomes(self, timeout_ms: int = 0) -> list[Outcome]:
        """Takes the outcomes that are there, in any order; if there is none, waits for the first, at most that long. It
        does not wait when nothing is in flight. Each commit that was handed over has exactly one.

        Raises PeerGone when the connection has ended and all outcomes were taken.
        """
        taken = self._session.outcomes(_natural(timeout_ms, 32, "timeout_ms"))
        return [Outcome(tag, version, of_code(code, name, words) if code else None)
                for tag, version, code, name, words in taken]

    def fileno(self) -> int:
        """A descriptor for select and event loops, readable when outcomes() may have something and when the server has gone;
        it stays so until outcomes() has given all that is there. The client's: never read from it or close it."""
        return self._session.descriptor()

    def begin(self, name: str, sections: Mapping[str, int], level: int = REPLICATED) -> Writer:
        """Takes shared memory for the next version of `name`: a Writer, in which nothing is visible before its commit.

        sections: sizes in bytes by name (1 to 255 printable bytes each).
        level: of the commit, LOCAL or REPLICATED.

        Raises NoMemory if the server's budget has no room, Exists if the name is written at another server.
        """
        level = Level(level)
        if not sections:
            raise _invalid("a checkpoint has at least one section")
        sizes = [(section, _natural(size, 64, f"the size of section {section!r}")) for section, size in sections.items()]
        return Writer(self._session.begin(name, sizes), name, level)

    def read(self, name: str, version: int = 0) -> Reader:
        """A committed version; 0 is the newest. Its checksums are verified.

        What is read stays as it is until the reader is closed, whatever is committed meanwhile. Raises NotFound if there is
        no such checkpoint, Lost if its newest version is, or may be, gone with all its copies.
        """
        return Reader(self._session.read(name, _natural(version, 64, "version"), True), name)

    def map(self, name: str, version: int = 0) -> Reader:
        """As read(), in a time that does not grow with the size: nothing is verified before Reader.verify()."""
        return Reader(self._session.read(name, _natural(version, 64, "version"), False), name)

    def find(self, name: str, version: int = 0) -> Optional[Reader]:
        """As read(), but None where there is no such checkpoint: the first start of a service."""
        try:
            return self.read(name, version)
        except NotFound:
            return None

    def get(self, name: str, version: int = 0) -> Union[bytes, dict[str, bytes]]:
        """A copy of what put() was given: bytes if "data" is the only section, else a dict of all sections."""
        with self.read(name, version) as reader:
            if list(reader.sections) == [_DATA]:
                return _copy_of(reader, _DATA)
            return {section: _copy_of(reader, section) for section in reader.sections}

    def delete(self, name: str) -> None:
        """Removes every version of `name`."""
        self._session.delete(name)


class _Sections:
    """What Writer and Reader have in common: sections in mapped memory."""

    def __init__(self, memory: _ringkeep.Memory, name: str) -> None:
        self._memory = memory
        self._sizes = dict(memory.sections)
        self._name = name

    @property
    def name(self) -> str:
        """The checkpoint's."""
        return self._name

    @property
    def sections(self) -> dict[str, int]:
        """Names and sizes in bytes, in the order in which they were begun."""
        return dict(self._sizes)

    def __getitem__(self, section: str) -> memoryview:
        """The section's bytes where they lie, aligned to 4096 bytes. While the memoryview, a part of it or an array made of
        it exists, the memory stays mapped: commit() and close() raise BufferError until it is gone."""
        return self._memory.view(section)

    def __contains__(self, section: object) -> bool:
        return section in self._sizes


class Writer(_Sections):
    """A version that is being written; made by Client.begin().

    As a context manager it commits at the end of the block, and abandons the version if the block raises.
    """

    _memory: _ringkeep.Writing

    def __init__(self, memory: _ringkeep.Writing, name: str, level: Level) -> None:
        super().__init__(memory, name)
        self._level = level
        self._version: Optional[int] = None

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        if kind is not None:
            self.abandon()
        elif not self._memory.ended:
            self.commit()

    @property
    def version(self) -> Optional[int]:
        """The number of the version, once it is committed; None before."""
        return self._version

    def write(self, section: str, data: Buffer) -> None:
        """Copies `data`, which has the section's size, into it."""
        with self._memory.view(section) as view:
            _ringkeep.copy(view, _bytes_of(data))

    def commit(self) -> int:
        """Makes the version visible, unmaps its memory, and returns its number. Ends the writer, also if it raises an
        Error.

        Raises BufferError, and changes nothing, while a view of a section is in use: a view that outlived the commit could
        write into a committed version. Raises Timeout if it is unknown whether the version exists: a later read tells.
        After every other error it does not.
        """
        self._version = self._memory.commit(int(self._level))
        return self._version

    def commit_async(self, tag: int) -> None:
        """As commit(), without the outcome: Client.outcomes() gives that with the tag, and `version` stays None. Ends the
        writer; after any error the writer is as before, and there will be no outcome."""
        self._memory.commit_async(int(self._level), _natural(tag, 64, "tag"))

    def abandon(self) -> None:
        """Ends the writer without a version. Views in use keep the memory mapped until they are gone, and what is written
        through them is never seen by anybody. Can be repeated."""
        self._memory.end()

    def _committed(self) -> int:
        assert self._version is not None  # the block that committed did not raise
        return self._version


class Reader(_Sections):
    """A committed version, mapped read-only; made by Client.read(), Client.find() and Client.map(). A context manager that
    closes it."""

    _memory: _ringkeep.Reading

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        if kind is None:
            self.close()
        else:
            self._memory.end()  # the error is what counts; views that its traceback holds keep the memory

    @property
    def version(self) -> int:
        """Its number."""
        return self._memory.version

    def verify(self) -> None:
        """Verifies the checksums of all sections, as read() has done. Raises Corrupt where bytes do not have theirs; read()
        gives another server's copy then."""
        self._memory.verify()

    def close(self) -> None:
        """Unmaps the memory and lets the server free it. Raises BufferError, and changes nothing, while a view of a section
        is in use. Can be repeated."""
        self._memory.close()


def _bytes_of(data: Buffer) -> memoryview:
    view = memoryview(data)
    if not view.c_contiguous:
        raise BufferError("the data does not lie in one piece in C order: give a copy that does, "
                          "like numpy.ascontiguousarray()")
    if "O" in view.format:
        raise TypeError("the data refers to Python objects, which mean nothing to another process: give their bytes")
    return view


def _copy_of(reader: Reader, section: str) -> bytes:
    with reader[section] as view:
        return bytes(view)


def _natural(number: int, bits: int, what: str) -> int:
    """`number` if C's unsigned type of that many bits has it."""
    if isinstance(number, bool) or not hasattr(number, "__index__"):
        raise TypeError(f"{what} is {number!r}, not a whole number")
    value = number.__index__()
    if not 0 <= value < 1 << bits:
        raise _invalid(f"{what} is {value}: it must be 0 to {(1 << bits) - 1}")
    return value


def _invalid(words: str) -> InvalidArgument:
    return InvalidArgument(words, 1, "invalid-argument")
