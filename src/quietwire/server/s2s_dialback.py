"""Dialback as values: keys and elements (XEP-0220 1.1.1, XEP-0185 1.0).

A key binds a pair of domains and a stream to a secret of this process: whoever can ask us whether a key is ours needs
no list of the keys that we gave out.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from quietwire.core import ns
from quietwire.core.errors import STANZA_ERROR_TYPES
from quietwire.core.stanza import Child
from quietwire.core.xml import escape, local_name

NS: Final = "jabber:server:dialback"
RESULT: Final = f"{{{NS}}}result"
VERIFY: Final = f"{{{NS}}}verify"
_CONDITION = f"{{{ns.STANZAS}}}"


class Keys:
    """Makes and recognises our keys. `secret`: random bytes, of this process alone."""

    def __init__(self, secret: bytes) -> None:
        self._secret = hashlib.sha256(secret).hexdigest().encode()

    def make(self, receiving: str, originating: str, stream_id: str) -> str:
        """The key by which `originating`, ours, proves itself to `receiving` on the stream that the latter gave that
        id (XEP-0185 §3)."""
        text = f"{receiving} {originating} {stream_id}"
        return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()

    def recognise(self, key: str, receiving: str, originating: str, stream_id: str) -> bool:
        return hmac.compare_digest(key.encode(), self.make(receiving, originating, stream_id).encode())


def asking(kind: str, from_: str, to: str, key: str, stream_id: str = "") -> bytes:
    """``<db:result/>`` or ``<db:verify/>`` with a key; `kind` is RESULT or VERIFY."""
    return f"<db:{local_name(kind)}{_addresses(from_, to, stream_id)}>{escape(key)}</db:{local_name(kind)}>".encode()


def answer(kind: str, from_: str, to: str, outcome: str, stream_id: str = "") -> bytes:
    """`outcome`: "valid", "invalid", or the condition of a dialback error (XEP-0220 §2.5)."""
    name = f"db:{local_name(kind)}"
    start = f"<{name}{_addresses(from_, to, stream_id)}"
    if outcome in ("valid", "invalid"):
        return f"{start} type='{outcome}'/>".encode()
    error = f"<error type='{STANZA_ERROR_TYPES[outcome]}'><{outcome} xmlns='{ns.STANZAS}'/></error>"
    return f"{start} type='error'>{error}</{name}>".encode()


def outcome_of(child: Child) -> str:
    """What an answer says, as `answer` takes it."""
    kind = child.attributes.get("type", "")
    if kind in ("valid", "invalid"):
        return kind
    for element in child.tree.iter():
        if element.tag.startswith(_CONDITION) and local_name(element.tag) in STANZA_ERROR_TYPES:
            return local_name(element.tag)
    return "undefined-condition"


def key_of(child: Child) -> str:
    return (child.tree.text or "").strip()


def _addresses(from_: str, to: str, stream_id: str) -> str:
    named = f" id='{escape(stream_id)}'" if stream_id else ""
    return f" from='{escape(from_)}' to='{escape(to)}'{named}"
