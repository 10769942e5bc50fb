# SPDX-License-Identifier: Apache-2.0
"""Waiting for what happens, instead of looking again and again: ends of processes, and changes of files."""
import ctypes
import os
import select
import time

IN_MODIFY, IN_CREATE = 0x2, 0x100


def await_ends(pids, patience_s):
    """Until each of these processes has ended, at most that long."""
    end = time.monotonic() + patience_s
    for pid in pids:
        try:
            process = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            select.select([process], [], [], max(0, end - time.monotonic()))
        finally:
            os.close(process)


class Changes:
    """Files that are made or written in a folder while a process runs:

        with Changes(folder, pid) as changes:
            while not there_yet() and changes.wait(): pass
    """

    def __init__(self, folder, pid):
        libc = ctypes.CDLL(None, use_errno=True)
        self._files = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._files < 0 or libc.inotify_add_watch(self._files, os.fsencode(folder), IN_MODIFY | IN_CREATE) < 0:
            raise OSError(ctypes.get_errno(), f"cannot watch {folder}")
        self._process = os.pidfd_open(pid)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self._files)
        os.close(self._process)

    def wait(self):
        """False when the process has ended."""
        ready, _, _ = select.select([self._files, self._process], [], [])
        if self._files in ready:
            os.read(self._files, 1 << 16)
        return self._process not in ready
