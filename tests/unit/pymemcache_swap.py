"""The other side of pymemcache_test.c: reads what larder has written, and writes the same keys anew.

Usage: pymemcache_swap.py SOCKET LIST
A line of LIST is a key as it goes out, its value, both in hexadecimal, and its flags. Each is read
and compared, then set to the value reversed and the flags with all bits turned. Ends with 77 where
there is no pymemcache, with 1 and a line about what differed.
"""
import sys

try:
    from pymemcache.client.base import Client
except ImportError:
    sys.exit(77)


def main():
    path, names = sys.argv[1:]
    client = Client(
        path,
        connect_timeout=5,
        timeout=5,
        deserializer=lambda key, value, flags: (value, flags),
    )
    with open(names, encoding="ascii") as lines:
        for line in lines:
            key, value, flags = line.rstrip("\n").split(" ")
            key, value, flags = bytes.fromhex(key), bytes.fromhex(value), int(flags)
            found = client.get(key)
            if found != (value, flags):
                sys.exit(f"{key!r}: not {(value[:40], flags)} but {found!r:.120}")
            if not client.set(key, value[::-1], 60, noreply=False, flags=flags ^ 0xFFFFFFFF):
                sys.exit(f"{key!r}: not stored")
    client.close()


main()
