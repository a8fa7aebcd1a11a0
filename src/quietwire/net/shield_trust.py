"""Whom a helper takes for its user's server: the chain, the name, and the key that was seen first.

A key is written ``sha256/`` and base64 of the SHA-256 of the certificate's SubjectPublicKeyInfo (RFC 7469 §2.4).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from quietwire.core.errors import ConfigError
from quietwire.net.tls import channel_bindings
from quietwire.net.verify import Judgement, Verifier
from quietwire.server.links import Link
from quietwire.server.s2s import stands_for

_NONE = Judgement("")
_PREFIX = "sha256/"


def pin_of(certificate: x509.Certificate) -> str:
    """The key of a certificate, as pins are written."""
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return _PREFIX + base64.b64encode(hashlib.sha256(spki).digest()).decode()


def checked_pin(text: str, where: str) -> str:
    """Raises ConfigError for what is no pin."""
    try:
        if text.startswith(_PREFIX) and len(base64.b64decode(text.removeprefix(_PREFIX), validate=True)) == 32:
            return text
    except (binascii.Error, ValueError):
        pass
    raise ConfigError(where, "pin", "sha256/ and 44 characters of base64: the SHA-256 of the server's public key")


class Trust(Verifier):
    """Judges the certificate of one domain: what `net.verify.PeerContext` asks as its verifier.

    `pin`: this key and no other, whoever signed it. Else the chain must lead to `authority` (None: the system's), the
    name must be the domain's, and the key be that in `file`; where there is none yet the first is written there.
    `say(line)` tells the user. Raises ConfigError.
    """

    def __init__(
        self, domain: str, name: str, authority: Path | None, pin: str, file: Path, say: Callable[[str], None]
    ) -> None:
        """`domain`: as in `JID.domain`, which certificates stand for; `name`: as the user wrote it."""
        self._domain = domain
        self._name = name
        self._pins = [checked_pin(pin, "shield")] if pin else _read(file)
        self._given = bool(pin)
        self._file = file
        self._say = say
        self._leaf: x509.Certificate | None = None
        if not self._given:
            super().__init__(authority)

    def judge(self, chain: Sequence[x509.Certificate], now: datetime | None = None) -> Judgement:
        self._leaf = chain[0] if chain else None
        return _NONE if self._given and chain else super().judge(chain, now) if chain else Judgement("missing")

    def verdict(self, link: Link) -> str:
        """'' if the other end of the link is the server; else one line that says what to do."""
        fault, name = link.peer_fault, self._name
        leaf = self._leaf
        if leaf is None or fault == "missing":
            return f"{name} has shown no certificate: try again, or ask its administrator"
        seen = pin_of(leaf)
        if self._pins and seen not in self._pins:
            kept = "--pin names" if self._given else f"{self._file} keeps"
            return (
                f"{name} shows another key than {kept}: refused. Ask its administrator whether {seen} is its new key;"
                f" if so, {'name it' if self._given else f'remove {self._file}'}"
            )
        if self._given:
            return ""
        if fault in ("expired", "not-yet-valid"):
            return f"{name}'s certificate is {fault.replace('-', ' ')}: refused. Check this machine's clock, or wait"
        if fault:
            return (
                f"nobody whom this machine trusts has signed {name}'s certificate: refused. --ca-file FILE if it has an"
                f" authority of its own, or --pin {seen} if its administrator says that this is its key"
            )
        if not stands_for(link.peer_domains, self._domain):
            return f"the certificate is not {name}'s: refused. If it is its key all the same: --pin {seen}"
        if not self._pins:
            self._keep(seen)
        return ""

    def bindings(self) -> Mapping[str, bytes]:
        """Of the link that was judged last, by type."""
        return channel_bindings(self._leaf.public_bytes(Encoding.DER)) if self._leaf is not None else {}

    def _keep(self, seen: str) -> None:
        self._pins = [seen]
        try:
            descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(seen + "\n")
        except OSError as error:
            self._say(f"{self._file}: cannot be written ({error.strerror}): the key is kept until the shield ends")
            return
        self._say(f"pinned {self._name}'s key {seen} in {self._file}")


def _read(file: Path) -> list[str]:
    """The pins in a file, one a line: a server may have a second key at hand. Raises ConfigError."""
    try:
        lines = file.read_text().split()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError):
        raise ConfigError(str(file), "pin", "a file that can be read, with one pin a line") from None
    return [checked_pin(line, str(file)) for line in lines]
