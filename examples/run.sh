#!/bin/sh
# Installs what is missing (Debian 12), builds, and runs the demo: this machine's package index as a
# web site, over three caches in turn. What it builds is in build/demo.
set -eu
cd "$(dirname "$0")/.."

sh tests/install.sh build-essential cmake ninja-build pkg-config \
    libinih-dev libmemcached-dev libssl-dev uthash-dev \
    libmicrohttpd-dev libsqlite3-dev memcached

cmake --workflow --preset demo

cat <<'END'

The same site to look at, on http://localhost:8080/ until Ctrl-C:
  build/demo/examples/packages/packages
  build/demo/examples/packages/packages --cache null:
END
