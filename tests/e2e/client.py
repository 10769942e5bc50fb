# SPDX-License-Identifier: Apache-2.0
"""The C interface of libringkeep, as far as tests need it, and checkpoints whose bytes tell who wrote them."""
import ctypes
import hashlib
import random

import job

OK, NOT_FOUND, UNAVAILABLE, TIMEOUT, IO, LOST, EXISTS, PEER_GONE = 0, 2, 4, 5, 11, 12, 15, 16
LOCAL, REPLICATED = 0, 1
HEAD_BYTES = 48


class _Options(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("socket_path", ctypes.c_char_p), ("program", ctypes.c_char_p),
                ("timeout_ms", ctypes.c_uint32)]


class _Section(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("size", ctypes.c_size_t)]


def load():
    """The library, once; ends the program if it is not built."""
    if Client.library is not None:
        return
    path = job.build_directory() / "lib/libringkeep.so.0"
    if not path.exists():
        raise SystemExit(f"{path} does not exist: build the target ringkeep")
    library = ctypes.CDLL(str(path))
    handle, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint64
    place = ctypes.POINTER(handle)
    for name, result, arguments in (
            ("rk_open", ctypes.c_int, [ctypes.POINTER(_Options), place]), ("rk_close", None, [handle]),
            ("rk_put", ctypes.c_int, [handle, text, text, ctypes.c_size_t, ctypes.POINTER(number)]),
            ("rk_begin", ctypes.c_int, [handle, text, ctypes.POINTER(_Section), ctypes.c_size_t, place]),
            ("rk_writer_section", ctypes.c_int, [handle, text, place, ctypes.POINTER(ctypes.c_size_t)]),
            ("rk_commit", ctypes.c_int, [handle, ctypes.c_int, ctypes.POINTER(number)]),
            ("rk_read", ctypes.c_int, [handle, text, number, place]), ("rk_reader_version", number, [handle]),
            ("rk_reader_section", ctypes.c_int, [handle, text, place, ctypes.POINTER(ctypes.c_size_t)]),
            ("rk_reader_close", None, [handle]), ("rk_last_error", text, [])):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    Client.library = library


class Failure(Exception):
    def __init__(self, code, text):
        super().__init__(text)
        self.code, self.text = code, text


class Client:
    """One connection to one server; for one thread."""
    library = None  # load() sets it, before the first client

    def __init__(self, socket, timeout_ms):
        self._handle = ctypes.c_void_p()
        options = _Options(ctypes.sizeof(_Options), socket.encode(), b"tests", timeout_ms)
        self._call("rk_open", ctypes.byref(options), ctypes.byref(self._handle))

    def close(self):
        self.library.rk_close(self._handle)

    def put(self, name, data):
        """The version's number, committed with its second copy."""
        version = ctypes.c_uint64()
        self._call("rk_put", self._handle, name.encode(), data, len(data), ctypes.byref(version))
        return version.value

    def commit(self, name, data, level):
        """The same, written in place and committed at that level."""
        writer, place, size = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_size_t()
        section = _Section(b"data", len(data))
        self._call("rk_begin", self._handle, name.encode(), ctypes.byref(section), 1, ctypes.byref(writer))
        self._call("rk_writer_section", writer, b"data", ctypes.byref(place), ctypes.byref(size))
        ctypes.memmove(place, data, len(data))
        version = ctypes.c_uint64()
        self._call("rk_commit", writer, level, ctypes.byref(version))
        return version.value

    def read(self, name):
        """(version, bytes) of the newest."""
        reader, data, size = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_size_t()
        self._call("rk_read", self._handle, name.encode(), 0, ctypes.byref(reader))
        try:
            self._call("rk_reader_section", reader, b"data", ctypes.byref(data), ctypes.byref(size))
            return self.library.rk_reader_version(reader), ctypes.string_at(data, size.value)
        finally:
            self.library.rk_reader_close(reader)

    def _call(self, function, *arguments):
        code = getattr(self.library, function)(*arguments)
        if code != OK:
            raise Failure(code, self.library.rk_last_error().decode(errors="replace"))


def content(name, write, size):
    """The bytes of that write of that checkpoint; no other write has them."""
    head = f"{write} {size} {hashlib.sha256(name.encode()).hexdigest()[:16]}".encode().ljust(HEAD_BYTES)
    return head + random.Random(f"{name}/{write}").randbytes(max(0, size - HEAD_BYTES))


def writer_of(name, data):
    """The write that these bytes are, whole; None if they are nobody's."""
    try:
        write, size, _ = data[:HEAD_BYTES].decode().split()
        return write if content(name, write, int(size)) == data else None
    except (ValueError, UnicodeDecodeError):
        return None
