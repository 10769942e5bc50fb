# SPDX-License-Identifier: Apache-2.0
"""A counter that outlives its process: the Python example of README.md. Needs a server: `ringkeep up`."""
import sys

import ringkeep

with ringkeep.Client() as client:  # this node's server
    last = client.find("lives")
    lives = int.from_bytes(last["data"], sys.byteorder) + 1 if last else 1
    version = client.put("lives", lives.to_bytes(8, sys.byteorder))  # here and on the predecessor
    print(f"life {lives}, version {version}")
