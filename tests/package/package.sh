#!/bin/sh
# Uses larder as its users would: installed, found by CMake and by pkg-config, fetched, from C and from
# C++, shared and static, with a backend of their own.
# usage: package.sh SOURCE_DIR BUILD_DIR WORK_DIR HAS_MEMCACHED
set -eu
source=$1 build=$2 work=$3 memcached=$4
here=$source/tests/package
rm -rf "$work"
mkdir -p "$work"
passed=0 failed=0 skipped=0

# check NAME EXPECTED COMMAND…: the command's output holds EXPECTED
check() {
    name=$1 expected=$2
    shift 2
    output=$("$@" 2>&1) || true
    case $output in
    *"$expected"*) passed=$((passed + 1)) && echo "ok: $name" ;;
    *) failed=$((failed + 1)) && printf 'FAILED: %s\n  expected: %s\n  got: %s\n' \
        "$name" "$expected" "$output" ;;
    esac
}

quietly() {
    "$@" >"$work/log" 2>&1 || { cat "$work/log" && exit 1; }
}

# ---- shared, installed -------------------------------------------------------------------------
shared=$work/shared
quietly cmake --install "$build" --prefix "$shared"
library=$shared/lib/liblarder.so
[ -f "$library" ] || library=$(find "$shared" -name liblarder.so)
components=
[ "$memcached" = ON ] && components=memcached

quietly cmake -S "$here/consumer" -B "$work/consumer" -DCMAKE_PREFIX_PATH="$shared" \
    -DCOMPONENTS="$components"
quietly cmake --build "$work/consumer"
check "find_package, C" "set: OK" "$work/consumer/in-c" memory:
check "find_package, C++" "C++: OK" "$work/consumer/in-cxx"
check "larder::testing" "clock: OK" "$work/consumer/in-test"
check "an unknown scheme names what there is" "did you mean memory" "$work/consumer/in-c" memry:
if [ "$memcached" = ON ]; then
    check "a module is found beside the installed library" "set: UNAVAILABLE" \
        "$work/consumer/in-c" memcached:///nowhere/memcached.sock
    check "so is its other scheme" "set: UNAVAILABLE" \
        "$work/consumer/in-c" pooled-memcached:///nowhere/memcached.sock
    mv "$(dirname "$library")/larder" "$work/away"
    check "a component that isn't installed is named" "component memcached" \
        "$work/consumer/in-c" memcached:///nowhere/memcached.sock
    mv "$work/away" "$(dirname "$library")/larder"
else
    skipped=$((skipped + 3))
    echo "skipped: modules: this build has none"
fi
flags=$(PKG_CONFIG_PATH=$(dirname "$library")/pkgconfig pkg-config --cflags --libs larder)
# shellcheck disable=SC2086 # words of a list
quietly cc -std=c11 "$here/consumer/consumer.c" -o "$work/by-pkg-config" $flags \
    "-Wl,-rpath,$(dirname "$library")"
check "pkg-config" "set: OK" "$work/by-pkg-config" memory:
flags=$(PKG_CONFIG_PATH=$(dirname "$library")/pkgconfig pkg-config --cflags --libs larder-util)
# shellcheck disable=SC2086
quietly cc -std=c11 -fPIC -shared -Wl,-z,defs -DOUTSIDE_VERSION=1 "$here/backend/outside.c" \
    -o "$work/outside.so" $flags
check "pkg-config, a module" "set: OK" env LARDER_MODULE_PATH="$work" "$work/by-pkg-config" outside:

# ---- what the library shows and needs ----------------------------------------------------------
nm -D --defined-only "$library" | awk '{ print $3 }' | sort >"$work/symbols"
check "exported symbols are those of the list" "same" \
    sh -c "diff '$here/symbols.txt' '$work/symbols' && echo same"
objdump -p "$library" | awk '$1 == "NEEDED" { print $2 }' | sort | tr '\n' ' ' >"$work/needed"
check "the core needs libc and a configuration parser" "[libc.so.6 libinih.so.1 ]" \
    sh -c "printf '[%s]' \"\$(cat '$work/needed')\""
check "the SONAME has major and minor" "liblarder.so.0.1" \
    sh -c "objdump -p '$library' | grep SONAME"
check "relocations are read-only" "BIND_NOW" sh -c "readelf -d '$library'"
check "the stack is not executable" "GNU_STACK RW" \
    sh -c "readelf -lW '$library' | awk '/GNU_STACK/ { print \$1, \$7 }'"

# ---- a backend from outside --------------------------------------------------------------------
quietly cmake -S "$here/backend" -B "$work/backend" -DCMAKE_PREFIX_PATH="$shared"
quietly cmake --build "$work/backend"
outside() {
    LARDER_MODULE_PATH=$work/backend "$work/consumer/in-c" "$1"
}
check "a backend from outside the tree is loaded by its scheme" "set: OK" outside outside:
check "what it answers by itself is counted" "wrong: 0, read.OK: 2000000, get.OK: 1, get.MISS: 1" \
    env LARDER_MODULE_PATH="$work/backend" "$work/consumer/in-counted" outside:
check "a module of another version is refused with the reason" "has version 2" outside tomorrow:
check "a library that is no module is refused" "exports no larder_module" outside rubbish:
printf 'rubbish' >"$work/backend/text.so"
check "a file that is no library is refused" "UNSUPPORTED" outside text:

# ---- fetched, and static -----------------------------------------------------------------------
quietly cmake -S "$here/fetch" -B "$work/fetched" -DLARDER_SOURCE="$source"
quietly cmake --build "$work/fetched" -j2
check "FetchContent" "set: OK" "$work/fetched/fetched" memory:
check "a fetched larder brings neither tests nor install rules" "none" \
    sh -c "[ -d '$work/fetched/_deps/larder-build/tests' ] || echo none"

static=$work/static
quietly cmake -S "$source" -B "$work/static-build" -DBUILD_SHARED_LIBS=OFF -DLARDER_TESTS=OFF \
    -DLARDER_EXAMPLES=OFF -DLARDER_MEMCACHED="$memcached"
quietly cmake --build "$work/static-build" -j2
quietly cmake --install "$work/static-build" --prefix "$static"
quietly cmake -S "$here/consumer" -B "$work/static-consumer" -DCMAKE_PREFIX_PATH="$static" \
    -DCOMPONENTS="$components"
quietly cmake --build "$work/static-consumer"
check "static, C" "set: OK" "$work/static-consumer/in-c" memory:
check "static, C++" "C++: OK" "$work/static-consumer/in-cxx"
if [ "$memcached" = ON ]; then
    check "a static component is registered by one call" "set: UNAVAILABLE" \
        "$work/static-consumer/in-static"
else
    skipped=$((skipped + 1))
    echo "skipped: a static component: this build has none"
fi

echo "package: $passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
