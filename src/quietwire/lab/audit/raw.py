"""Searches bytes: for given canaries in the forms in which software writes a text, for addresses, XML, IP addresses
and dates."""

from __future__ import annotations

import base64
import gzip
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import quote

from quietwire.core.errors import QuietwireError

SHORTEST = 6
"""Characters of a canary: shorter ones stand in any file by chance."""
_ANCHOR = 4


@dataclass(frozen=True, slots=True)
class Canary:
    """A text that somebody planted. `field`, `owner`: where, "" where it is not told."""

    text: str
    field: str = ""
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Hit:
    canary: Canary
    form: str
    offset: int


def load_canaries(path: Path) -> list[Canary]:
    """A file with one canary a line: the bare text, or a JSON object with `text`, `field` and `owner`.

    Raises QuietwireError for one that is too short to mean anything, OSError."""
    found = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            told = json.loads(line) if line.startswith("{") else {"text": line.strip()}
            canary = Canary(str(told["text"]), str(told.get("field", "")), str(told.get("owner", "")))
        except (ValueError, KeyError):
            raise QuietwireError(f"{path}: line {number} is neither a text nor a canary in JSON") from None
        if len(canary.text) < SHORTEST:
            raise QuietwireError(f"{path}: line {number}: a canary has {SHORTEST} characters at least")
        found.append(canary)
    return found


def forms(text: str) -> dict[str, bytes]:
    """What a text looks like when it is written as itself, and as software writes it."""
    plain = text.encode()
    found = {
        "text": plain,
        "hex": plain.hex().encode(),
        "HEX": plain.hex().upper().encode(),
        "percent": quote(text, safe="").encode(),
        "percent, small": re.sub(r"%..", lambda each: each[0].lower(), quote(text, safe="")).encode(),
        "escaped": json.dumps(text)[1:-1].encode(),
        "XML": text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").encode(),
        "reversed": plain[::-1],
    }
    if text.isascii():  # both orders have this in the middle; a search for something that begins with zero is slow
        found["UTF-16"] = text.encode("utf-16-le")[:-1]
    else:
        found |= {"UTF-16 LE": text.encode("utf-16-le"), "UTF-16 BE": text.encode("utf-16-be")}
    for shift in range(3):
        coded = base64.b64encode(bytes(shift) + plain)
        first, last = -(-8 * shift // 6), (8 * (shift + len(plain))) // 6
        found[f"base64, {shift}"] = coded[first:last]
        found[f"base64 URL, {shift}"] = coded[first:last].translate(bytes.maketrans(b"+/", b"-_"))
    return found


class Searcher:
    """Finds many canaries in one pass: by the first bytes of any form, then by looking up what stands there."""

    def __init__(self, canaries: Iterable[Canary]) -> None:
        self._wanted: dict[int, dict[bytes, tuple[Canary, str]]] = {}
        anchors = set()
        for canary in canaries:
            for form, pattern in forms(canary.text).items():
                self._wanted.setdefault(len(pattern), {}).setdefault(pattern, (canary, form))
                anchors.add(pattern[:_ANCHOR])
        self._anchors = re.compile(_tree(sorted(anchors)), re.DOTALL) if anchors else None

    def search(self, data: bytes) -> Iterator[Hit]:
        if self._anchors is None:
            return
        at = -1
        while (match := self._anchors.search(data, at + 1)) is not None:
            at = match.start()
            for length, patterns in self._wanted.items():
                found = patterns.get(data[at : at + length])
                if found is not None:
                    yield Hit(*found, at)


def _tree(words: list[bytes]) -> bytes:
    """An expression for any of those words, which branches byte by byte."""
    if words == [b""]:
        return b""
    branches: dict[int, list[bytes]] = {}
    for word in words:
        branches.setdefault(word[0], []).append(word[1:])
    parts = [re.escape(bytes((first,))) + _tree(sorted(set(rest))) for first, rest in branches.items()]
    return parts[0] if len(parts) == 1 else b"(?:" + b"|".join(parts) + b")"


_LOCAL, _HOST = rb"[A-Za-z0-9._+\-]{1,64}", rb"(?:[a-z0-9-]{1,40}\.){1,4}[a-z]{2,12}"
_JID = re.compile(rb"(?<![A-Za-z0-9._+\-@])" + _LOCAL + rb"@" + _HOST + rb"(?![A-Za-z0-9@])")
_XML = re.compile(
    rb"""jabber:[a-z:#]{2,30}|urn:xmpp:[a-z0-9:#\-]{2,40}|http://(?:jabber\.org|etherx\.jabber\.org)/[a-z#/\-]{2,40}"""
)
_IP4 = re.compile(rb"(?<![\w.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\w.])")
_ISO = re.compile(rb"20\d\d-[01]\d-[0-3]\d[T ][0-2]\d:[0-5]\d(?::[0-5]\d(?:\.\d+)?)?Z?")
_PRINTABLE = re.compile(rb"[\x20-\x7e]{24,}")
_UTF16 = re.compile(rb"(?:[\x20-\x7e]\0){8,}")


@dataclass(frozen=True, slots=True)
class Strings:
    """What stands in some bytes, without any idea of their format. `runs`: printable ones, how many and bytes
    together."""

    jids: tuple[str, ...]
    namespaces: tuple[str, ...]
    addresses: tuple[str, ...]
    stamps: tuple[str, ...]
    runs: tuple[int, int]


def strings(data: bytes) -> Strings:
    """Looks at the bytes as they are, and at runs of UTF-16 in them."""
    wide = b"\n".join(run.group().replace(b"\0", b"") for run in _UTF16.finditer(data))
    whole = data + b"\n" + wide if wide else data
    runs = [len(run.group()) for run in _PRINTABLE.finditer(data)]
    return Strings(
        _distinct(_JID, whole),
        _distinct(_XML, whole),
        _distinct(_IP4, whole),
        _distinct(_ISO, whole),
        (len(runs), sum(runs)),
    )


def _distinct(pattern: re.Pattern[bytes], data: bytes) -> tuple[str, ...]:
    return tuple(sorted({match.group().decode("ascii", "replace") for match in pattern.finditer(data)}))


@cache
def _gzip() -> bytes:
    return b"\x1f\x8b\x08"


def unpacked(data: bytes) -> bytes:
    """What a compressed file holds; the bytes as they are where it is none."""
    if not data.startswith(_gzip()):
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        return data
