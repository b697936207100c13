#!/bin/sh
# Compiles every ```c block of the documentation as a program of its own, as C and, where it can be,
# links and runs those that have a main() and no file to open.
# usage: blocks.sh SOURCE_DIR C_COMPILER WORK_DIR
set -eu
source=$1 compiler=$2 work=$3
rm -rf "$work"
mkdir -p "$work"

for page in "$source"/README.md "$source"/docs/*.md "$source"/examples/*.md; do
    [ -f "$page" ] || continue
    awk -v prefix="$work/$(basename "$page" .md)" '
        /^```c$/ { block = prefix "-" ++count ".c"; printf "#line %d \"%s\"\n", NR + 1, FILENAME > block; next }
        /^```/ { if (block != "") close(block); block = "" }
        block != "" { print > block }' "$page"
done

count=0 failed=0
for block in "$work"/*.c; do
    [ -f "$block" ] || continue
    count=$((count + 1))
    "$compiler" -std=c11 -D_GNU_SOURCE -Wall -Wextra -Wno-unused-const-variable -Werror \
        -I"$source/include" -fsyntax-only "$block" || failed=$((failed + 1))
done
echo "blocks: $((count - failed)) of $count compile"
[ "$failed" = 0 ] && [ "$count" -gt 0 ]
