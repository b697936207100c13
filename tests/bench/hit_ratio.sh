#!/bin/sh
# hit_ratio.sh TRACE_DIRECTORY [OPTION]...
# Runs larder-hit-ratio with the options over every *.zst of a folder (oracleGeneral records, as in docs/hit-ratios.md)
# and over the made workloads, and prints one table. $HIT_RATIO: the program.
set -eu
traces=${1:?usage: hit_ratio.sh TRACE_DIRECTORY [OPTION]...}
shift
: "${HIT_RATIO:=$(dirname "$0")/../../build/test/tests/bench/larder-hit-ratio}"
header=
for file in "$traces"/*.zst; do
    [ -e "$file" ] || { echo "no *.zst in $traces" >&2; exit 1; }
    name=$(basename "$file")
    # shellcheck disable=SC2086 # no option, or one
    zstd -dcq "$file" | "$HIT_RATIO" --trace - --name "${name%%.*}" $header "$@"
    header=--no-header
done
for workload in zipf scan drift loop; do
    "$HIT_RATIO" --workload "$workload" --no-header --sizes 1,10 "$@"
done
