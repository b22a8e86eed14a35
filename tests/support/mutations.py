"""Damages files: bytes at random, and values inside JSON, safetensors, archives and shards where they hurt."""

import copy
import hashlib
import io
import json
import math
import random
import struct
import zipfile
from collections.abc import Callable
from typing import Any

NASTY: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 255, 2**31, 2**63 - 1, 2**63, -(2**63), 10**18, 10**30, 10**400),
    *(0.5, -0.0, 1e-320, 1e308, math.nan, math.inf, -math.inf),
    *("", " ", "a", "\x1b[31m", "\0", "\n", "\u202e", "\ud800", "[bold]", "<script>", "=1+1", "é" * 3, "9" * 5000),
    *("../../../outside", "/etc/passwd", "/dev/zero", "C:\\x", "nan", "1e999", "true", "x" * 100_000),
    *([], {}, [[]], [None] * 3, {"a": {}}, list(range(50)), ["a", 1, None]),
)
"""Values that somebody may put into a file."""


def of_bytes(chance: random.Random, data: bytes) -> bytes:
    """The data after one to three changes that know nothing of its structure."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        chance.choice(_OF_BYTES)(chance, changed)
    return bytes(changed)


def _flip(chance: random.Random, data: bytearray) -> None:
    for _ in range(chance.choice((1, 1, 2, 8)) if data else 0):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _truncate(chance: random.Random, data: bytearray) -> None:
    del data[chance.randrange(len(data) + 1) :]


def _delete(chance: random.Random, data: bytearray) -> None:
    first = chance.randrange(len(data) + 1)
    del data[first : first + chance.choice((1, 2, 8, 64))]


def _repeat(chance: random.Random, data: bytearray) -> None:
    first = chance.randrange(len(data) + 1)
    data[first:first] = data[first : first + chance.choice((1, 8, 64))] * chance.choice((1, 2, 50))


def _insert(chance: random.Random, data: bytearray) -> None:
    first = chance.randrange(len(data) + 1)
    data[first:first] = chance.choice(_TOKENS) if chance.random() < 0.7 else chance.randbytes(chance.choice((1, 4, 64)))


def _overwrite(chance: random.Random, data: bytearray) -> None:
    first = chance.randrange(len(data) + 1)
    token = chance.choice(_TOKENS)
    data[first : first + len(token)] = token


def _splice(chance: random.Random, data: bytearray) -> None:
    first, second = sorted(chance.randrange(len(data) + 1) for _ in range(2))
    place = chance.randrange(len(data) + 1)
    data[place:place] = data[first:second]


_OF_BYTES: tuple[Callable[[random.Random, bytearray], None], ...] = (
    *(_flip, _flip, _truncate, _delete, _repeat, _insert, _overwrite, _splice),
)
_TOKENS = (
    *(b"\0" * 8, b"\xff" * 8, struct.pack("<Q", 2**63), struct.pack("<I", 2**31 - 1), struct.pack("<Q", 10**12)),
    *(b"[" * 2000, b"{", b"}", b'"', b"\\", b",", b"NaN", b"1e999", b"-1", b"9" * 400, b"\x1b[2J", b"\n", b"\r"),
    *(b"PK\x03\x04", b"\x80\x02", b"\x93NUMPY", b"../", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"=1+1", b"null", b"true"),
)


def of_json(chance: random.Random, document: Any) -> Any:
    """The document after one to three changes of its values, keys or lists."""
    changed = copy.deepcopy(document)
    for _ in range(chance.choice((1, 1, 2, 3))):
        changed = _changed_once(chance, changed)
    return changed


def _changed_once(chance: random.Random, document: Any) -> Any:
    places = list(_places(document))
    if not places:
        return chance.choice(NASTY)
    holder, key = chance.choice(places)
    change = chance.randrange(10)
    if change == 0:
        del holder[key]
    elif change == 1:
        other, where = chance.choice(places)
        holder[key] = copy.deepcopy(other[where]) if where in other or isinstance(other, list) else None
    elif change == 2 and isinstance(holder, list):
        holder.append(copy.deepcopy(holder[key]))
    elif change == 3 and isinstance(holder, dict):
        holder[chance.choice(("extra", "", "\x1b", "schema", "images"))] = chance.choice(NASTY)
    elif change == 4 and isinstance(holder[key], int | float) and not isinstance(holder[key], bool):
        holder[key] = holder[key] * chance.choice((-1, 2, 10**6)) + chance.choice((0, 1, -1))
    elif change == 5:
        for _ in range(chance.choice((1, 30, 400))):
            holder[key] = [holder[key]]
    else:
        holder[key] = copy.deepcopy(chance.choice(NASTY))
    return document


def _places(document: Any) -> Any:
    """Every (holder, key) of the values inside."""
    for key, value in (
        list(document.items() if isinstance(document, dict) else enumerate(document))
        if isinstance(document, dict | list)
        else ()
    ):
        yield document, key
        yield from _places(value)


def of_safetensors(chance: random.Random, data: bytes, seal: Callable[[bytes], bytes]) -> bytes:
    """The file with other values in its header, in the JSON inside the header, or in the length of the header."""
    (length,) = struct.unpack("<Q", data[:8])
    header, content = json.loads(data[8 : 8 + length]), data[8 + length :]
    what = chance.random()
    texts = header.get("__metadata__", {})
    inner = [key for key, text in texts.items() if text.startswith("{")]
    if what < 0.45 and inner:
        key = chance.choice(inner)
        texts[key] = dumped(of_json(chance, json.loads(texts[key])))
    elif what < 0.8:
        header = of_json(chance, header)
    elif what < 0.9:
        content = of_bytes(chance, content)
    made = dumped(header).encode()
    claimed = chance.choice((len(made) + 1, len(made) - 1, 0, 2**63, 10**9)) if what > 0.95 else len(made)
    changed = struct.pack("<Q", claimed) + made + content
    return seal(changed) if chance.random() < 0.5 else changed


def of_archive(chance: random.Random, data: bytes) -> bytes:
    """A zip archive (.npz, .pt) with a member that is changed, lost, twice there, or packed."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = chance.choice([*members, next((each for each in members if each.endswith(".pkl")), next(iter(members)))])
    what = chance.randrange(6)
    if what == 0:
        del members[name]
    elif what == 1 and name.endswith(".npy"):
        members[name] = _of_npy(chance, members[name])
    elif what == 2:
        members[chance.choice(("../outside", "/outside", name.upper(), "constants.pkl", "x"))] = members[name]
    else:
        members[name] = of_bytes(chance, members[name])
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for each, content in members.items():
            archive.writestr(each, content)
    return of_bytes(chance, packed.getvalue()) if chance.random() < 0.2 else packed.getvalue()


def _of_npy(chance: random.Random, data: bytes) -> bytes:
    """An array with another header: shape, type or order."""
    length = 10 + struct.unpack("<H", data[8:10])[0]
    shape = chance.choice(
        ("()", "(0,)", "(1000000000000,)", "(-1,)", "(12, 8)", "(12, 99999999, 999999)", f"({2**63},)")
    )
    kind = chance.choice(("'|u1'", "'<i8'", "'<f8'", "'|O'", "'<U9'", "'<M8[s]'", "'|V7'", "'<c16'", "[('a', '<i8')]"))
    told = f"{{'descr': {kind}, 'fortran_order': {chance.choice((True, False))}, 'shape': {shape}, }}\n".encode()
    return data[:8] + struct.pack("<H", len(told)) + told + data[length:]


def dumped(document: Any) -> str:
    """The document as JSON, also if it is nested so deeply that :func:`json.dumps` gives up."""
    try:
        return json.dumps(document, sort_keys=True)
    except (RecursionError, TypeError):
        return "[" * 100_000


def checked(record: Any) -> dict[str, Any]:
    """A shard with its checksum."""
    return {"sha256": hashlib.sha256(dumped(record).encode()).hexdigest(), "record": record}
