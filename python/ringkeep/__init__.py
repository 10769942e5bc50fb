# SPDX-License-Identifier: Apache-2.0
"""Checkpoints in the shared memory of a ring of servers.

    import ringkeep

    with ringkeep.Client() as client:                 # this node's server
        client.put("state", b"...")                   # here and on the server's predecessor
        with client.read("state") as reader:          # the newest version
            use(reader["data"])

A checkpoint is a name with numbered versions; a version is a set of named sections of bytes, which becomes visible whole,
at its commit, or not at all. `Client.begin` and `Client.read` give the bytes where they lie, in shared memory: nothing is
copied, and `numpy.frombuffer` makes arrays of them.

Failures are raised as `ringkeep.Error` or one of its subclasses, with cause and cure in words.
"""
from ._client import LOCAL, REPLICATED, Client, Level, Outcome, Reader, Writer
from ._errors import (Corrupt, Divergence, Error, Exists, Fenced, InvalidArgument, InputOutput, Lost, NoMemory, NotFound,
                      PeerGone, Permission, Timeout, Unavailable, Unsupported, VersionMismatch, WrongCluster)
from ._ringkeep import library_version

__version__ = library_version()  # of the C library, which does the work

__all__ = ["Client", "Corrupt", "Divergence", "Error", "Exists", "Fenced", "InputOutput", "InvalidArgument", "LOCAL",
           "Level", "Lost", "NoMemory", "NotFound", "Outcome", "PeerGone", "Permission", "REPLICATED", "Reader",
           "Timeout", "Unavailable", "Unsupported", "VersionMismatch", "Writer", "WrongCluster"]
