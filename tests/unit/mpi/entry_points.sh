#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# entry_points.sh LIBRINGKEEP_MPI MPICC: every MPI_X with a PMPI_X that the native library exports is defined by our
# library under both names, and nothing else is visible but the clocks.
set -euo pipefail
ours=$1
libdir=$($2 --showme:libdirs | cut -d' ' -f1)
native=$(readlink -f "$libdir/libmpi.so")

exported() { nm -D --defined-only "$1" | awk '{print $3}' | sed 's/@.*//' | sort -u; }
wanted=$(exported "$native" | grep '^PMPI_' | sed 's/^P//' | sort -u)
have=$(exported "$ours")
missing=0
for name in $wanted; do
  for both in "$name" "P$name"; do
    if ! grep -qx "$both" <<<"$have"; then
      echo "missing: $both"
      missing=1
    fi
  done
done
surplus=$(grep -v '^P\?MPI_' <<<"$have" | grep -vx 'clock_gettime\|gettimeofday\|time\|getrusage\|clock\|times\|sched_yield\|ringkeep_layer_hooks' || true)
if [ -n "$surplus" ]; then
  echo "visible without need: $surplus"
  exit 1
fi
echo "$(wc -w <<<"$wanted") functions of $native"
exit $missing
