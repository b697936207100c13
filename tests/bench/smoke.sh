#!/bin/sh
# smoke.sh BENCH JSON_CHECK EXPECTED ARGUMENTS...
# Runs larder-bench for a moment; its table must have no failed call, its JSON EXPECTED figures
# above 0.
set -eu
bench=$1 check=$2 expected=$3
shift 3
json=$(mktemp)
trap 'rm -f "$json"' EXIT
"$bench" "$@" --keys 500 --seconds 0.005 --warm-up 0.001 --rounds 2 --json "$json"
found=$("$check" <"$json")
[ "$found" = "$expected measurements" ] || { echo "expected $expected, found $found"; exit 1; }
