"""The avatar of an account (XEP-0084), and what older clients see of it: a PHOTO in the vCard and a hash in presence
(XEP-0153), kept in step by XEP-0398.

There is one picture, the published one. A vCard shows it to whoever may read the two nodes; a picture in a vCard that a
client sets is published there. A row of table ``vcard`` remembers the picture's hash, so that presence is stamped
without reading nodes.
"""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from typing import Final

from quietwire.core import ns
from quietwire.core.errors import StanzaError
from quietwire.core.jid import JID
from quietwire.core.stanza import Presence, from_tree
from quietwire.core.xml import Element, build, parse
from quietwire.server.account import Account
from quietwire.server.nodes import MAX_PAYLOAD, Book
from quietwire.server.pep import may_read
from quietwire.server.publishing import Publisher, stored
from quietwire.server.vcard import PHOTO as VCARD_PHOTO
from quietwire.server.vcard import TEMP

DATA: Final = "urn:xmpp:avatar:data"
METADATA: Final = "urn:xmpp:avatar:metadata"
UPDATE: Final = "{vcard-temp:x:update}x"
PHOTO: Final = "{vcard-temp:x:update}photo"

TABLE: Final = "vcard"
KEY: Final = b"avatar"
MEMORY: Final = "avatar"
"""The key in `Account.memory`."""
VERSION: Final = 1
"""First byte of a row's value."""

_HASH = re.compile(r"[0-9a-f]{40}")
_TYPE = re.compile(r"image/[a-z0-9.+-]{1,40}")


@dataclass(frozen=True, slots=True)
class Avatar:
    """What presence must know of it. `id`: the picture's SHA-1 in hex; '' for one that was there and is gone."""

    id: str
    type: str = "image/png"
    public: bool = False
    """Anybody may fetch it: both nodes are open."""

    def encode(self) -> bytes:
        values = {"id": self.id, "type": self.type, "public": self.public}
        return bytes((VERSION,)) + json.dumps(values, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, value: bytes) -> Avatar:
        """Raises ValueError for a row of another version."""
        if value[:1] != bytes((VERSION,)):
            raise ValueError("an avatar's row of another version")
        return cls(**json.loads(value[1:]))


def picture(text: str | None) -> bytes:
    """The bytes of a picture in Base64, wherever its lines break. Raises StanzaError(bad-request)."""
    try:
        return b64decode("".join((text or "").split()), validate=True)
    except (Base64Error, ValueError):
        raise StanzaError("bad-request", "the picture is not Base64") from None


def identify(data: bytes) -> str:
    """The name that XEP-0084 gives a picture."""
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


async def look(book: Book) -> tuple[Avatar, bytes] | None:
    """The published avatar and its bytes; None where there is none, it is elsewhere (an URL), or its name is wrong."""
    metadata, data = book.nodes.get(METADATA), book.nodes.get(DATA)
    if metadata is None or data is None or metadata.last is None:
        return None
    payload = await book.payload(metadata, metadata.last)
    if payload is None:
        return None
    for info in parse(payload, ns.CLIENT).iterfind(f"{{{METADATA}}}info"):
        name = info.get("id", "").lower()
        if info.get("url") is None and _HASH.fullmatch(name) and info.get("id") in data.items:
            kept = await book.payload(data, info.get("id", ""))
            try:
                found = picture(parse(kept, ns.CLIENT).text) if kept is not None else b""
            except StanzaError:
                continue
            if identify(found) == name:
                kind = info.get("type", "")
                public = metadata.config.access_model == data.config.access_model == "open"
                return Avatar(name, kind if _TYPE.fullmatch(kind) else "image/png", public), found
    return None


async def photo(book: Book, account: Account, asker: JID) -> Element | None:
    """The avatar as ``<PHOTO/>`` of a vCard, if `asker` may read both nodes (XEP-0398, security considerations)."""
    nodes = [book.nodes.get(name) for name in (METADATA, DATA)]
    if not all(node is not None and may_read(account, node, asker) for node in nodes):
        return None  # before anything is read: that would take its time
    found = await look(book)
    if found is None:
        return None
    avatar, data = found
    return build(
        VCARD_PHOTO,
        None,
        build(f"{{{TEMP}}}TYPE", text=avatar.type),
        build(f"{{{TEMP}}}BINVAL", text=b64encode(data).decode()),
    )


async def publish(publisher: Publisher, owner: JID, data: bytes, kind: str) -> None:
    """Publishes a picture that came in a vCard, data first (§3.2). Raises StanzaError: not-acceptable (too large)."""
    name = identify(data)
    text = b64encode(data).decode()
    if len(text) > MAX_PAYLOAD - 100:  # the element around it
        raise StanzaError("not-acceptable", f"a picture has at most {(MAX_PAYLOAD - 100) // 4 * 3} bytes")
    book = await publisher.book(owner)
    present = await look(book)
    account = await publisher.services.load(owner)
    if account is None or (present is not None and present[0].id == name):
        return
    info = {"bytes": str(len(data)), "id": name, "type": kind if _TYPE.fullmatch(kind) else "image/png"}
    publisher.publish(account, book, DATA, name, stored(build(f"{{{DATA}}}data", text=text)))
    metadata = build(f"{{{METADATA}}}metadata", None, build(f"{{{METADATA}}}info", info))
    publisher.publish(account, book, METADATA, name, stored(metadata))


async def withdraw(publisher: Publisher, owner: JID) -> None:
    """The owner has no picture any more (XEP-0084 §4.2.2: empty metadata)."""
    book = await publisher.book(owner)
    if await look(book) is None:
        return
    account = await publisher.services.load(owner)
    if account is not None:
        publisher.publish(account, book, METADATA, "none", stored(build(f"{{{METADATA}}}metadata")))
        data = book.nodes.get(DATA)
        if data is not None:
            publisher.retract(account, book, data, list(data.items))


async def refresh(publisher: Publisher, owner: JID, *, complete: bool = True) -> None:
    """The nodes have changed: remembers the hash and broadcasts presence with it again, if it is another one. Not
    `complete`: the client has yet to say which picture it is, so that none is no news."""
    book = await publisher.book(owner)
    found = await look(book)
    avatar = found[0] if found is not None and _for_contacts(book) else None
    key = owner.text.encode()
    row = await publisher.store.get(TABLE, key, KEY)
    before = Avatar.decode(row) if row is not None else None
    if avatar == before or (avatar is None and not complete) or not publisher.services.exists(owner):
        return
    if avatar is None:
        publisher.store.delete(TABLE, key, KEY)
    else:
        publisher.store.put(TABLE, key, KEY, avatar.encode())
    account = publisher.services.account(owner)
    if account is not None:
        account.memory[MEMORY] = avatar or Avatar("")
        for session in account.available():
            publisher.services.presence_again(session)


def _for_contacts(book: Book) -> bool:
    """All contacts may fetch it; otherwise presence does not speak of it."""
    nodes = (book.nodes.get(name) for name in (METADATA, DATA))
    return all(node is not None and node.config.access_model in ("open", "presence") for node in nodes)


def stamp(account: Account, presence: Presence) -> Presence:
    """The presence with the hash of the avatar in it (§4).

    What goes to one address, mostly a room, has it only if its recipient may fetch the picture: elsewhere it would tell
    nothing but that two nicknames are one person (§7)."""
    avatar = account.memory.get(MEMORY)
    if not isinstance(avatar, Avatar):
        return presence
    if presence.to is not None and not avatar.public and not _sees(account, presence.to):
        return presence
    if UPDATE in presence.names:
        said = presence.child(UPDATE)
        text = said.findtext(PHOTO) if said is not None else None
        if text is not None and text.strip() in ("", avatar.id):
            return presence
        tree = build(presence.tree.tag, presence.attributes, *(c for c in presence.tree if c.tag != UPDATE))
        again = from_tree(tree, to=presence.to, from_=presence.from_)
        assert isinstance(again, Presence)
        presence = again
    return presence.with_children(build(UPDATE, None, build(PHOTO, text=avatar.id or None)))


def _sees(account: Account, to: JID) -> bool:
    contact = account.roster.get(to.bare)
    return contact is not None and contact.sees_user
