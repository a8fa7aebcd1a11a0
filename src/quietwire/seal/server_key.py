"""Where the server key comes from, and what it is once it is there: 32 bytes, or a passphrase for Argon2id. Pure.

Neither seals anything by itself: both make the key that opens the key block (`key_block.py`), which lies in the
database. docs/protocols/server-key.md has it whole.
"""

from __future__ import annotations

import hashlib
import struct
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from quietwire.seal.keys import expand
from quietwire.seal.wraps import SealError

SERVER_KEY_BYTES: Final = 32
ID_BYTES: Final = 8
SALT_BYTES: Final = 16
LONGEST_PASSPHRASE: Final = 1024
"""Bytes: a line that somebody types, or a file that is no passphrase."""

MEMORY_KIB: Final = 65_536
LANES: Final = 4
TIME_COST: Final = 3
"""RFC 9106 §4, second recommended option; `calibrated` goes up from here."""
SECONDS: Final = 0.25
"""What one guess is to cost this machine at least."""
SPARE: Final = 1.2
"""Times that: a processor does not always run at the same speed."""
MOST_MEMORY_KIB: Final = 4 << 20
MOST_TIME_COST: Final = 10_000
MOST_LANES: Final = 64
"""Whoever asks for more was not this program: a spoilt block must not take the machine's memory."""

Place = Literal["file", "credential", "fd", "env-fd", "prompt"]
SOURCES: Final = 'a file, "credential:NAME", "fd:N", "env-fd:VARIABLE", or "passphrase:" and one of these or "prompt"'


@dataclass(frozen=True, slots=True)
class Source:
    """Where the server key or its passphrase is. `name`: a path, a name, a number; '' for a prompt."""

    place: Place
    name: str
    passphrase: bool = False

    @staticmethod
    def parse(text: str) -> Source:
        """What stands in the configuration. Raises ValueError, which says what may."""
        if text.startswith("passphrase:"):
            inner = text.removeprefix("passphrase:")
            if inner == "prompt":
                return Source("prompt", "", True)
            if inner.startswith("passphrase:"):
                raise ValueError(SOURCES)
            return replace(Source.parse(inner), passphrase=True)
        if text == "prompt":
            raise ValueError('nobody types a key: "passphrase:prompt"')
        kind, colon, name = text.partition(":")
        if not colon:
            kind, name = "file", text
        if kind == "file" and name and "\0" not in name:
            return Source("file", name)
        if kind == "credential" and name and "/" not in name and name not in (".", ".."):
            return Source("credential", name)
        if kind == "fd" and name.isascii() and name.isdigit() and int(name) > 2:
            return Source("fd", name)
        if kind == "env-fd" and name and "=" not in name:
            return Source("env-fd", name)
        raise ValueError(SOURCES)

    def __str__(self) -> str:
        """As `parse` reads it."""
        place = self.place if self.place == "prompt" else f"{self.place}:{self.name}"
        return f"passphrase:{place}" if self.passphrase else place


@dataclass(frozen=True, slots=True)
class Argon2:
    """Parameters of Argon2id (RFC 9106), version 1.3, 32 bytes of tag."""

    time_cost: int
    memory_kib: int
    lanes: int
    salt: bytes

    FORM = struct.Struct(f">IIB{SALT_BYTES}s")

    def to_bytes(self) -> bytes:
        return self.FORM.pack(self.time_cost, self.memory_kib, self.lanes, self.salt)

    @staticmethod
    def from_bytes(data: bytes) -> Argon2:
        """Raises SealError for parameters out of bounds."""
        found = Argon2(*Argon2.FORM.unpack(data))
        if not (
            1 <= found.time_cost <= MOST_TIME_COST
            and 1 <= found.lanes <= MOST_LANES
            and 8 * found.lanes <= found.memory_kib <= MOST_MEMORY_KIB
        ):
            raise SealError("parameters of Argon2id out of bounds")
        return found

    def derive(self, passphrase: Passphrase) -> bytes:
        """The 32 bytes that stand for the passphrase. Takes the time it was told to take."""
        from argon2.low_level import Type, hash_secret_raw  # a megabyte that servers with a key do not need

        return hash_secret_raw(
            passphrase.octets, self.salt, self.time_cost, self.memory_kib, self.lanes, SERVER_KEY_BYTES, Type.ID
        )

    @property
    def weak(self) -> bool:
        """Less memory than a new one would have."""
        return self.memory_kib < MEMORY_KIB


@dataclass(frozen=True, slots=True)
class RawKey:
    """The server key itself."""

    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) != SERVER_KEY_BYTES:
            raise ValueError("32 random bytes")


@dataclass(frozen=True, slots=True)
class Passphrase:
    """What somebody typed, as bytes: UTF-8 of Unicode's form C, so that two keyboards mean the same."""

    octets: bytes = field(repr=False)

    @staticmethod
    def of(text: str) -> Passphrase:
        """Raises ValueError, which says what is allowed."""
        octets = unicodedata.normalize("NFC", text).encode("utf-8", "surrogatepass")
        if not octets or len(octets) > LONGEST_PASSPHRASE or any(char in text for char in "\0\r\n"):
            raise ValueError(f"one line of 1 to {LONGEST_PASSPHRASE} bytes")
        return Passphrase(octets)


Secret = RawKey | Passphrase


def as_secret(data: bytes, passphrase: bool) -> Secret:
    """What was read from a source. Of a passphrase one line feed at the end does not count. Raises ValueError."""
    if not passphrase:
        return RawKey(data)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("a passphrase in UTF-8") from None
    return Passphrase.of(text.removesuffix("\n").removesuffix("\r"))


@dataclass(frozen=True, slots=True)
class Wrapping:
    """What a wrap in the key block is made with: a key of 32 bytes, and which wrap it is for."""

    key: bytes = field(repr=False)
    id: bytes
    argon2: Argon2 | None = None
    """Where `key` comes from a passphrase."""


def of_raw(secret: RawKey) -> Wrapping:
    """Its id is a hash of the key: it says whether a wrap is for it, and nothing else."""
    return Wrapping(secret.key, hashlib.blake2b(b"quietwire key id 1", digest_size=ID_BYTES, key=secret.key).digest())


def of_passphrase(secret: Passphrase, argon2: Argon2, randomness: Callable[[int], bytes]) -> Wrapping:
    """Its id is random: one that came from the passphrase would help to guess it."""
    return Wrapping(argon2.derive(secret), randomness(ID_BYTES), argon2)


def box_key(wrapping: Wrapping) -> bytes:
    """The key that the wrap is sealed with."""
    return bytes(expand(wrapping.key, "server wrap 1"))


def calibrated(
    clock: Callable[[], float],
    randomness: Callable[[int], bytes],
    *,
    seconds: float = SECONDS,
    memory_kib: int = MEMORY_KIB,
    time_cost: int = TIME_COST,
) -> Argon2:
    """Parameters with a new salt that cost this machine `seconds` or more, with something to spare. `clock`: seconds
    since whenever. Each try is the better of two, so that a machine that is busy with something else now does not get
    less than it should."""
    argon2 = Argon2(time_cost, memory_kib, LANES, randomness(SALT_BYTES))
    goal = seconds * SPARE
    while True:
        took = min(_cost(argon2, clock), _cost(argon2, clock))
        if took >= goal or argon2.time_cost >= MOST_TIME_COST:
            return argon2
        # A tenth more than what is missing, so that one more try mostly does.
        wanted = int(argon2.time_cost * 1.1 * goal / max(took, 1e-6)) + 1
        argon2 = replace(argon2, time_cost=min(max(wanted, argon2.time_cost + 1), MOST_TIME_COST))


def _cost(argon2: Argon2, clock: Callable[[], float]) -> float:
    before = clock()
    argon2.derive(Passphrase(b"how long does it take"))
    return clock() - before
