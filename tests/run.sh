#!/bin/sh
# Installs what is missing (Debian 12), builds, and runs all tests. Another preset of
# CMakePresets.json as an argument runs that one instead: sh tests/run.sh asan
set -eu
cd "$(dirname "$0")/.."

sh tests/install.sh build-essential cmake ninja-build pkg-config \
    libinih-dev libmemcached-dev libssl-dev uthash-dev \
    libcmocka-dev memcached python3-pymemcache libmicrohttpd-dev libsqlite3-dev
[ "${1:-test}" != clang ] || sh tests/install.sh clang

exec cmake --workflow --preset "${1:-test}"
