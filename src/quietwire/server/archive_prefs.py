"""Which messages an archive takes: by what they are (XEP-0313 §6.1.1, XEP-0334), and by the owner's wish (XEP-0441)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from quietwire.core import ns
from quietwire.core.errors import StanzaError
from quietwire.core.jid import JID, JIDError, parse_jid
from quietwire.core.stanza import Message
from quietwire.core.xml import Element, build
from quietwire.server.account import Account
from quietwire.server.archive import Archive
from quietwire.server.mam import NS, ORIGIN_ID

PREFS: Final = f"{{{NS}}}prefs"
TABLE: Final = "preference"
KEY: Final = b"archive"
MEMORY: Final = "archive"
"""Key in an account's memory: its `Prefs`, if it has any."""
DEFAULTS: Final = ("always", "never", "roster")
MAX_LISTED: Final = 500
"""Addresses of both lists together: people choose these one by one."""

_HINTS: Final = "{urn:xmpp:hints}"
_STORE: Final = f"{_HINTS}store"
_REFUSED: Final = frozenset(
    f"{_HINTS}{name}" for name in ("no-store", "no-storage", "no-permanent-store", "no-permanent-storage")
)
_BODY: Final = f"{{{ns.CLIENT}}}body"
_TALK: Final = frozenset(
    (
        "{urn:xmpp:receipts}received",
        "{urn:xmpp:chat-markers:0}received",
        "{urn:xmpp:chat-markers:0}displayed",
        "{urn:xmpp:chat-markers:0}acknowledged",
        "{urn:xmpp:reactions:0}reactions",
        "{urn:xmpp:message-retract:1}retract",
        "{urn:xmpp:omemo:2}encrypted",
        "{eu.siacs.conversations.axolotl}encrypted",
        "{urn:xmpp:openpgp:0}openpgp",
        "{jabber:x:encrypted}x",
        "{jabber:x:conference}x",
        "{http://jabber.org/protocol/muc#user}x",
    )
)
"""Payloads that are part of a conversation without a body: answers to messages, encrypted ones, invitations."""
_DELAY = re.compile(rb"<delay\b[^>]*(?:/>|>[^<]*</delay\s*>)")
_ORIGIN = re.compile(rb"<origin-id\b[^>]*?\sid=(?:'([^']*)'|\"([^\"]*)\")")


def archivable(message: Message) -> bool:
    """Whether what the message is makes it part of a conversation. Chat states are not, nor what rooms say to all."""
    kind = message.type
    names = message.names
    if kind not in ("chat", "", "normal"):
        return kind == "headline" and _STORE in names and _REFUSED.isdisjoint(names)
    if not _REFUSED.isdisjoint(names):
        return False
    return _BODY in names or _STORE in names or not _TALK.isdisjoint(names)


def token(message: Message) -> tuple[int, bool]:
    """(what is the same for a message and its repetition, whether it is weak): see `Archive.append`.

    Clients that are not sure whether a message was accepted send it again as it was, perhaps with the time when they
    first did. (0, True) for a message without an id.
    """
    assert message.from_ is not None
    found = _ORIGIN.search(message.inner) if ORIGIN_ID in message.names else None
    weak = found is None
    if weak and not message.id:
        return 0, True
    # All of it: who could make two messages look alike could have one shown now and missing in the archive later.
    said = _DELAY.sub(b"", message.inner)
    to = message.to.text if message.to is not None else ""
    head = f"{message.from_.bare.text}\n{to}\n{message.type}\n{message.id}\n".encode()
    return int.from_bytes(blake2b(head + said, digest_size=8).digest()), weak


@dataclass(frozen=True, slots=True)
class Prefs:
    """What an account has said about its archive. Addresses are canonical; a bare one means all its resources."""

    default: str = "always"
    always: frozenset[str] = frozenset()
    never: frozenset[str] = frozenset()

    @property
    def plain(self) -> bool:
        """Everything is archived."""
        return self.default == "always" and not self.never

    def wants(self, other: JID, account: Account) -> bool:
        """Whether messages from or to `other` are archived (XEP-0441 §2.3). The narrower wish of two counts: never."""
        bare = other.bare
        listed = (bare.text, other.text)
        if not self.never.isdisjoint(listed):
            return False
        if not self.always.isdisjoint(listed):
            return True
        if self.default == "roster":
            contact = account.roster.get(bare)
            return contact is not None and contact.listed
        return self.default == "always"

    def element(self) -> Element:
        """``<prefs/>`` (§2.1)."""
        lists = (("always", self.always), ("never", self.never))
        return build(
            PREFS,
            {"default": self.default},
            *(build(f"{{{NS}}}{n}", None, *(build(f"{{{NS}}}jid", text=t) for t in sorted(s))) for n, s in lists),
        )

    def to_bytes(self) -> bytes:
        return b"\x01" + json.dumps([self.default, sorted(self.always), sorted(self.never)]).encode()


def from_bytes(value: bytes) -> Prefs:
    """Raises ValueError for a row that is not ours."""
    if value[:1] != b"\x01":
        raise ValueError("preferences of another version")
    default, always, never = json.loads(value[1:])
    if default not in DEFAULTS:
        raise ValueError("preferences without a default")
    return Prefs(default, frozenset(always), frozenset(never))


async def settle(archive: Archive, account: Account) -> None:
    """What came while the account was away and its wishes unread: what is not wanted goes, that of blocked senders too.

    Raises StorageError."""
    prefs: Prefs = account.memory.get(MEMORY) or Prefs()

    def wanted(with_: str) -> bool:
        other = parse_jid(with_)
        return prefs.wants(other, account) and not account.shuts(other)

    await archive.settle(account.owner, wanted)


def read_prefs(element: Element) -> Prefs:
    """What a client sets. Raises StanzaError."""
    default = element.get("default", "")
    if default not in DEFAULTS:
        raise StanzaError("bad-request", "default is one of " + ", ".join(DEFAULTS))
    always, never = (_jids(element.iterfind(f"{{{NS}}}{name}/{{{NS}}}jid")) for name in ("always", "never"))
    if len(always) + len(never) > MAX_LISTED:
        raise StanzaError("resource-constraint", f"at most {MAX_LISTED} addresses", type="cancel")
    return Prefs(default, always, never)


def _jids(elements: Iterable[Element]) -> frozenset[str]:
    try:
        return frozenset(parse_jid((each.text or "").strip()).text for each in elements)
    except JIDError:
        raise StanzaError("jid-malformed") from None
