#!/usr/bin/env python3
"""Prints uhashring_vectors.h: where the Python package uhashring (Debian 12: python3-uhashring
2.1-3) places keys. Run it again, with that package installed, to see that nothing has changed:

    python3 tests/unit/uhashring_vectors.py | diff - tests/unit/uhashring_vectors.h
"""
from uhashring import HashRing

KEYS = 2000
LISTS = [
    {"10.0.0.1:11211": 1, "10.0.0.2:11211": 1, "10.0.0.3:11211": 1},
    {"10.0.0.1:11211": 1, "[::1]:11212": 3, "cache.example:11213": 2, "/run/memcached.sock": 1},
    {f"server-{i}": 1 for i in range(40)},
]


def key_of(number):
    """Plain ones, some beyond ASCII, and some that hash to a point of the ring itself."""
    if number % 11 == 0:
        return f"10.0.0.1:11211-{number % 160}"
    return f"clé:{number}" if number % 7 == 0 else f"key:{number}"


def main():
    print("/* Where uhashring places keys. Written by uhashring_vectors.py; do not edit. */")
    print("/* clang-format off */")
    for number, nodes in enumerate(LISTS):
        ring = HashRing(nodes=nodes)
        names = list(nodes)
        places = [names.index(ring.get_node(key_of(k))) for k in range(KEYS)]
        print(f"static const unsigned char uhashring_places_{number}[{KEYS}] = {{")
        for first in range(0, KEYS, 32):
            print("    " + ",".join(str(place) for place in places[first : first + 32]) + ",")
        print("};")


main()
