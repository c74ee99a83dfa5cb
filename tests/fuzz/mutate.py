# ruff: noqa: E501
"""Changes of honest files, as worn disks, cut copies, editors and people who mean harm make them."""

from __future__ import annotations

import random

# What breaks parsers: bounds of numbers, signs of formats, deep nests, odd characters.
_TOKENS = [
    b"\x00", b"\xff", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"-1", b"0", b"1e999", b"nan", b"inf", b"null", b"true", b"[]", b"{}",
    b'""', b"[[[[[[[[", b"../../x", b"/etc/passwd", b"C:\\x", b"=1+1", b"\xef\xbb\xbf", b"\xed\xa0\x80", "é".encode("latin1"),
    "½²".encode(), b"9" * 30, b"a" * 300, b",", b";", b"\t", b"\r\n", b"\n", b'"', b"PK\x03\x04", b"\x89HDF", b"PAR1", b"\x80\x02c",
]  # fmt: skip


def mutated(content: bytes, draw: random.Random) -> bytes:
    """Return a file with a few changes of random kinds."""
    changed = bytearray(content)
    for _ in range(draw.choice([1, 1, 1, 2, 4, 8])):
        at, kind = draw.randrange(len(changed) + 1), draw.random()
        if not changed or kind < 0.15:
            changed[at:at] = draw.choice(_TOKENS)
        elif kind < 0.35:
            token = draw.choice(_TOKENS)
            changed[at : at + len(token)] = token
        elif kind < 0.6:
            at = min(at, len(changed) - 1)
            changed[at] ^= 1 << draw.randrange(8)
        elif kind < 0.75:
            changed[min(at, len(changed) - 1)] = draw.randrange(256)
        elif kind < 0.85:
            start = draw.randrange(len(changed))
            changed[at:at] = changed[start : start + draw.randrange(1, 40)]
        elif kind < 0.95:
            del changed[at : at + draw.randrange(1, 20)]
        else:
            del changed[at:]
    return bytes(changed)
