"""The roster of an account (RFC 6121 §2): its contacts in memory, a row of the store for each, an item on the wire."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from quietwire.core import ns
from quietwire.core.jid import JID, parse_jid
from quietwire.core.xml import Element, build
from quietwire.store.ports import Rows

Subscription = Literal["none", "to", "from", "both"]

MAX_ITEMS: Final = 2000
"""Items of one roster. A login broadcasts to all of them and the answer to a roster get is one stanza: 240 KB at some
120 bytes an item. Few people know more than some hundred others."""

MAX_PENDING: Final = 200
"""Stored requests of people who are not in the roster. Strangers write them, so they must not fill the disk; a person
can judge no more of them at a login anyway."""

MAX_REQUEST: Final = 4096
"""Bytes of a stored request: a greeting and a nickname. Of a longer one only the addresses are kept."""

MAX_NAME: Final = 1023
"""Bytes of an item's name, the bound that RFC 7622 sets for the parts of an address."""

MAX_GROUPS: Final = 32
"""Groups of one item. A client shows them as folders; nobody looks through more."""

MAX_GROUP: Final = 1023
"""Bytes of a group's name."""

MAX_TEXT: Final = 2048
"""Bytes of an item's name and groups together, so that the longest roster is some megabytes and not a hundred."""

VERSION: Final = 1
"""First byte of a row's value."""

QUERY: Final = f"{{{ns.ROSTER}}}query"
ITEM: Final = f"{{{ns.ROSTER}}}item"
GROUP: Final = f"{{{ns.ROSTER}}}group"


@dataclass(slots=True)
class Contact:
    """What an account knows of one bare JID: its roster item, or only a request of it that is not yet answered."""

    jid: JID
    name: str = ""
    groups: tuple[str, ...] = ()
    subscription: Subscription = "none"
    ask: bool = False
    """The user has asked for a subscription and has no answer (Pending Out)."""
    pending_in: bytes | None = None
    """The contact's request, as a stanza, while it has no answer (Pending In)."""
    approved: bool = False
    """The user approved a request before it came (§3.4)."""
    listed: bool = True
    """It is an item of the roster. Not so for a stranger's request (§3.1.3): that one is never shown as an item."""
    counted: int = field(default=0, compare=False, repr=False)
    """What it contributes to the roster's version."""

    @property
    def sees_user(self) -> bool:
        """The contact gets the user's presence: `from` or `both`."""
        return self.subscription in ("from", "both")

    @property
    def seen_by_user(self) -> bool:
        """The user gets the contact's presence: `to` or `both`."""
        return self.subscription in ("to", "both")

    def item(self) -> Element:
        """``<item/>`` (§2.1.2)."""
        attributes = {"jid": self.jid.text, "subscription": self.subscription}
        if self.name:
            attributes["name"] = self.name
        if self.ask:
            attributes["ask"] = "subscribe"
        if self.approved:
            attributes["approved"] = "true"
        return build(ITEM, attributes, *(build(GROUP, text=group) for group in self.groups))

    def digest(self) -> int:
        """Of what the item shows; 0 where it is none."""
        if not self.listed:
            return 0
        shown = (self.jid.text, self.name, sorted(self.groups), self.subscription, self.ask, self.approved)
        return int.from_bytes(hashlib.blake2b(repr(shown).encode(), digest_size=16).digest())


class Roster:
    """The contacts of one account, by bare JID. Whoever changes one stores it (`server.contacts`)."""

    __slots__ = ("_sum", "contacts")

    def __init__(self, contacts: Iterable[Contact] = ()) -> None:
        self.contacts: dict[JID, Contact] = {contact.jid: contact for contact in contacts}
        self._sum: int | None = None

    @classmethod
    def from_rows(cls, rows: Rows) -> Roster:
        """From everything in the table ``roster`` of one owner. Raises ValueError for a row that is not ours."""
        return cls(decode(key, value) for key, value in rows)

    def __iter__(self) -> Iterator[Contact]:
        return iter(self.contacts.values())

    def __len__(self) -> int:
        return len(self.contacts)

    def get(self, jid: JID) -> Contact | None:
        """The contact of that bare JID."""
        return self.contacts.get(jid)

    @property
    def version(self) -> str:
        """The same for the same items, whatever happened in between: a history is not kept (§2.6). The sum of the
        items' digests, so that a change costs what one item costs and not what the roster does."""
        if self._sum is None:
            self._sum = 0
            for contact in self:
                contact.counted = 0
                self.changed(contact)
        return f"{self._sum % (1 << 128):032x}"

    def changed(self, contact: Contact) -> None:
        """To be called after each change of what the contact's item shows."""
        if self._sum is not None:
            digest = contact.digest()
            self._sum += digest - contact.counted
            contact.counted = digest

    def drop(self, contact: Contact) -> None:
        """Takes the contact out."""
        del self.contacts[contact.jid]
        if self._sum is not None:
            self._sum -= contact.counted

    def items(self) -> list[Contact]:
        """What a roster get shows."""
        return [contact for contact in self if contact.listed]


def encode(contact: Contact) -> tuple[bytes, bytes]:
    """(key, value) of the contact's row. The value is the version's byte, then JSON without what is empty."""
    fields: dict[str, object] = {"subscription": contact.subscription}
    if contact.name:
        fields["name"] = contact.name
    if contact.groups:
        fields["groups"] = contact.groups
    if contact.pending_in is not None:
        fields["pending_in"] = contact.pending_in.decode()
    for flag in ("ask", "approved"):
        if getattr(contact, flag):
            fields[flag] = True
    if not contact.listed:
        fields["listed"] = False
    value = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
    return contact.jid.text.encode(), bytes((VERSION,)) + value


def decode(key: bytes, value: bytes) -> Contact:
    """The contact of a row. Raises ValueError for another version."""
    if value[:1] != bytes((VERSION,)):
        raise ValueError("a roster row of another version")
    fields = json.loads(value[1:])
    pending_in = fields.get("pending_in")
    return Contact(
        parse_jid(key.decode()),
        name=fields.get("name", ""),
        groups=tuple(fields.get("groups", ())),
        subscription=fields["subscription"],
        ask=fields.get("ask", False),
        pending_in=None if pending_in is None else pending_in.encode(),
        approved=fields.get("approved", False),
        listed=fields.get("listed", True),
    )
