"""Files that are shared: what an envelope says of them, and how they are encrypted. Pure.

XEP-0447 (stateless file sharing) with XEP-0448 (encrypted sources) for what lies on a server, with XEP-0231 (bits of
binary) for what is small enough to be said itself. What is uploaded is padded with zeros to a size class before it is
encrypted, and cut by whoever reads it to the size that the envelope names: who does not cut gets zeros at the end.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import GCM

from quietwire.client.errors import ClientError
from quietwire.client.events import File
from quietwire.core.xml import build, printable
from quietwire.seal.sizes import size_class

SHARING: Final = "urn:xmpp:sfs:0"
METADATA: Final = "urn:xmpp:file:metadata:0"
HASHES: Final = "urn:xmpp:hashes:2"
ENCRYPTED: Final = "urn:xmpp:esfs:0"
CIPHER: Final = "urn:xmpp:ciphers:aes-256-gcm-nopadding:0"
URL_DATA: Final = "http://jabber.org/protocol/url-data"
BITS: Final = "urn:xmpp:bob"

SMALL: Final = 11_000
"""Bytes. Said itself, such a file makes an envelope of the class of 16,384 and a stanza of some 23 KB: 23 default
cells, so 70 s on a steady link, or 12 s in its windows. The next class would be twice that."""
LARGEST: Final = 104_857_600
"""Bytes: what our server takes, and most others."""
SMALLEST_CLASS: Final = 32_768
"""As on our server's disk and wire (docs/protocols/uploads.md)."""
LONGEST_NAME: Final = 200
"""Characters; file systems have 255 bytes."""
TAG_BYTES: Final = 16
IV_BYTES: Final = 12
KEY_BYTES: Final = 32
PIECE: Final = 65_536


class FileError(ClientError):
    """A file that cannot be sent, fetched or read."""


@dataclass(frozen=True, kw_only=True)
class Shared:
    """One file. Either `content` is there, or `url`, `key` and `iv` are."""

    name: str
    size: int
    media: str
    digest: str
    """SHA-256 of the content, base64."""
    url: str = ""
    key: str = ""
    iv: str = ""
    content: str = ""
    """base64."""


def shared_of(event: File) -> Shared:
    """What an event says of it."""
    return Shared(**{field: getattr(event, field) for field in Shared.__dataclass_fields__})


def describe(shared: Shared) -> list[Element]:
    """What goes into the envelope."""
    metadata = build(
        f"{{{METADATA}}}file",
        None,
        build(f"{{{METADATA}}}media-type", text=shared.media),
        build(f"{{{METADATA}}}name", text=printable(shared.name)),
        build(f"{{{METADATA}}}size", text=str(shared.size)),
        build(f"{{{HASHES}}}hash", {"algo": "sha-256"}, text=shared.digest),
    )
    said: list[Element] = []
    if shared.url:
        target = build(f"{{{URL_DATA}}}url-data", {"target": shared.url})
        source = build(
            f"{{{ENCRYPTED}}}encrypted",
            {"cipher": CIPHER},
            build(f"{{{ENCRYPTED}}}key", text=shared.key),
            build(f"{{{ENCRYPTED}}}iv", text=shared.iv),
            build(f"{{{SHARING}}}sources", None, target),
        )
    else:
        content = base64.b64decode(shared.content)
        cid = f"sha1+{hashlib.sha1(content, usedforsecurity=False).hexdigest()}@bob.xmpp.org"
        source = build(f"{{{URL_DATA}}}url-data", {"target": f"cid:{cid}"})
        said.append(build(f"{{{BITS}}}data", {"cid": cid, "type": shared.media}, text=shared.content))
    sharing = build(
        f"{{{SHARING}}}file-sharing",
        {"disposition": "attachment"},
        metadata,
        build(f"{{{SHARING}}}sources", None, source),
    )
    return [sharing, *said]


def understand(content: Iterable[Element]) -> Shared | None:
    """The file that is shared there; None for none, or one that we could not fetch."""
    by_tag = {child.tag: child for child in reversed(list(content))}
    sharing = by_tag.get(f"{{{SHARING}}}file-sharing")
    metadata = None if sharing is None else sharing.find(f"{{{METADATA}}}file")
    if sharing is None or metadata is None:
        return None
    size = metadata.findtext(f"{{{METADATA}}}size", "")
    digest = next((h.text or "" for h in metadata.findall(f"{{{HASHES}}}hash") if h.get("algo") == "sha-256"), "")
    if not size.isdecimal() or len(size) > 12 or len(_decoded(digest)) != 32:
        return None
    name = safe_name(metadata.findtext(f"{{{METADATA}}}name", ""))
    media = printable(metadata.findtext(f"{{{METADATA}}}media-type", ""))[:100]
    known = {"name": name, "size": int(size), "media": media, "digest": digest}
    bits = by_tag.get(f"{{{BITS}}}data")
    if bits is not None and len(_decoded(bits.text or "")) == int(size):
        return Shared(**known, content=bits.text or "")  # type: ignore[arg-type]
    source = sharing.find(f"{{{SHARING}}}sources/{{{ENCRYPTED}}}encrypted")
    if source is None or source.get("cipher") != CIPHER:
        return None
    target = source.find(f"{{{SHARING}}}sources/{{{URL_DATA}}}url-data")
    url = "" if target is None else target.get("target", "")
    key, iv = source.findtext(f"{{{ENCRYPTED}}}key", ""), source.findtext(f"{{{ENCRYPTED}}}iv", "")
    if not url.startswith("https://") or len(_decoded(key)) != KEY_BYTES or len(_decoded(iv)) != IV_BYTES:
        return None
    return Shared(**known, url=url, key=key, iv=iv)  # type: ignore[arg-type]


def safe_name(name: str) -> str:
    """What a file of that name may be called here: no path, no control characters, nothing hidden."""
    last = name.replace("\\", "/").rpartition("/")[2]
    shown = "".join(char for char in last if char.isprintable() and char not in '<>:"|?*').strip(" .")
    return shown[:LONGEST_NAME] or "file"


def uploaded_size(size: int) -> int:
    """Bytes on the server and on the wire of a file of `size` bytes."""
    return size_class(size, SMALLEST_CLASS) + TAG_BYTES


def digest_of(pieces: Iterable[bytes]) -> str:
    """SHA-256, base64."""
    sha = hashlib.sha256()
    for piece in pieces:
        sha.update(piece)
    return base64.b64encode(sha.digest()).decode()


def encrypt(pieces: Iterable[bytes], size: int, key: bytes, iv: bytes) -> Iterator[bytes]:
    """`size` bytes in pieces -> `uploaded_size(size)` bytes. Raises FileError if the file has changed its length."""
    sealing = Cipher(AES(key), GCM(iv)).encryptor()
    left = size
    for piece in pieces:
        left -= len(piece)
        if left < 0:
            break
        yield sealing.update(piece)
    if left:
        raise FileError("the file changed while it was read")
    missing = uploaded_size(size) - TAG_BYTES - size
    for at in range(0, missing, PIECE):
        yield sealing.update(bytes(min(PIECE, missing - at)))
    yield sealing.finalize() + sealing.tag


class Opener:
    """`add()` what is fetched, then `finish()`. What `write` gets before that is not proven to be anybody's."""

    def __init__(self, shared: Shared, write: Callable[[bytes], object]) -> None:
        self._opening = Cipher(AES(_decoded(shared.key)), GCM(_decoded(shared.iv))).decryptor()
        self._write = write
        self._left = shared.size
        self._digest = _decoded(shared.digest)
        self._sha = hashlib.sha256()
        self._tail = b""

    def add(self, data: bytes) -> None:
        data = self._tail + data
        self._tail = data[-TAG_BYTES:]
        content = self._opening.update(data[:-TAG_BYTES])[: self._left]
        self._left -= len(content)
        self._sha.update(content)
        self._write(content)

    def finish(self) -> None:
        """Raises FileError if it is not the file that was offered."""
        try:
            self._opening.finalize_with_tag(self._tail)
        except (InvalidTag, ValueError):
            raise FileError("what lies there is not what was offered") from None
        if self._left or not hmac.compare_digest(self._sha.digest(), self._digest):
            raise FileError("what lies there is not what was offered")


def _decoded(text: str) -> bytes:
    """Of base64; nothing for what is none."""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return b""
