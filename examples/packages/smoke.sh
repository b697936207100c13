#!/bin/sh
# The demo on a small made-up index, for a second over each cache. Its exit status says whether every
# page was right and none was old; here only the reading of the index is looked at beside that.
set -eu
packages=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' HUP INT TERM
"$packages" --sample 300 >"$folder/index"
"$packages" --demo --seconds 1 --packages "$folder/index" --database "$folder/packages.db" \
    >"$folder/report" 2>"$folder/progress" || status=$?
cat "$folder/progress" "$folder/report"
grep -q ': 300 packages, .* 0 malformed' "$folder/progress"
exit "${status:-0}"
