"""From a key to its hash, its slot and its row.

All nodes compute the same hash, by a fixed salt.  Names in sequence spread evenly over the slots.
"""

from functools import lru_cache
from hashlib import blake2b

SLOTS = 4096
SALT = b"coterie-1818"
COUNTERS, SETS = "\0counters/", "\0sets/"  # begin their keys, and no other key
FIRST_PLAIN = "\1"  # no key of the native API comes before it
FIRST_OF_ALL = "\0"  # none comes before it, of counters and sets either
KeyHash = int  # 36 bits: 12 of the slot, 23 more of the hash, and 1 if the key is in lww mode
Slot = int
NAMES = tuple(f"{slot:03x}" for slot in range(SLOTS))  # the rows of a slot begin with its name


@lru_cache(maxsize=16_384)
def key_hash_of(key: str, lww: bool) -> KeyHash:
    """The hash by which a token names the key."""
    hashed = int.from_bytes(blake2b(key.encode(), digest_size=8, key=SALT).digest(), "big")
    return hashed >> 28 & ~1 | lww


def slot_of(key_hash: KeyHash) -> Slot:
    return key_hash >> 24


@lru_cache(maxsize=16_384)
def slot_of_key(key: str) -> Slot:
    return slot_of(key_hash_of(key, False))


@lru_cache(maxsize=16_384)
def row_of(key: str) -> str:
    """The name of a key's row; rows of one slot lie together."""
    return f"{NAMES[slot_of_key(key)]}/{key}"


def key_of(row: str) -> str:
    return row[4:]


def is_plain(key: str) -> bool:
    """Whether this is the key of a value, and not of a counter or a set."""
    return not key.startswith((COUNTERS, SETS))
