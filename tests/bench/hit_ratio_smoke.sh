#!/bin/sh
# hit_ratio_smoke.sh HIT_RATIO PLOT: a table, its JSON and its drawing, of one quick workload and one hand-made trace.
set -eu
program=$1 plot=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

fail() {
    echo "$1" >&2
    exit 1
}

"$program" --workload loop --sizes 10,20 --policies FIFO,LRU,Belady --name 'a "loop"' --json "$folder/json" >"$folder/table"
[ "$(cut -f 1-5 "$folder/table" | tail -n 1)" = 'a "loop"	20	20000	0.00	0.00' ] || fail "not the table of a loop"
grep -q '^{"trace": "a \\"loop\\"", "requests": 3000000, ' "$folder/json" || fail "not its JSON"
awk -f "$plot" <"$folder/table" >"$folder/svg"
[ "$(grep -c '<circle' "$folder/svg")" = 3 ] || fail "not a mark for LRU in the legend and on two lines"
[ "$(grep -c '^<line.* stroke="#ddd"/>$' "$folder/svg")" -gt 0 ] || fail "not the lines behind them"
[ "$(tail -n 1 "$folder/svg")" = '</svg>' ] || fail "not a whole drawing"

# Two requests for one object of 2 bytes: 24 bytes each.
for request in 1 2; do
    printf '\000\000\000\000\007\000\000\000\000\000\000\000\002\000\000\000\000\000\000\000\000\000\000\000'
done >"$folder/trace"
table=$("$program" --trace - --sizes 100 --least 1 --policies LRU --no-header --sized <"$folder/trace")
[ "$table" = '-	100	1	50.00' ] || fail "not the table of a trace: $table"
if printf x | "$program" --trace - 2>"$folder/message"; then fail "took a cut trace"; fi
grep -q 'ends within a record' "$folder/message" || fail "no word about the cut trace"
if "$program" --sizes 0 2>"$folder/message"; then fail "took a size of 0"; fi
