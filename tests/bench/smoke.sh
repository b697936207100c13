#!/bin/sh
# smoke.sh BENCH JSON_CHECK EXPECTED ARGUMENTS...
# Runs larder-bench for a moment; its table must have no failed call, its JSON EXPECTED figures
# above 0.
set -eu
bench=$1 check=$2 expected=$3
shift 3
core=$(sed -n 's/^Cpus_allowed_list:[^0-9]*\([0-9]*\).*/\1/p' /proc/self/status) # the first we may use
json=$(mktemp)
trap 'rm -f "$json"' EXIT
"$bench" "$@" --keys 500 --seconds 0.005 --warm-up 0.001 --rounds 2 \
    --pin "$core" --json "$json"
found=$("$check" <"$json")
[ "$found" = "$expected measurements" ] || { echo "expected $expected, found $found"; exit 1; }
