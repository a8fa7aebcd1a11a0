"""Stanzas deflated, each alone, on `steady` links both of whose ends are ours (docs/protocols/links.md). Pure.

A frame stands where a stanza may stand: a byte that no XML holds, the length of what follows, and one stanza or nonza
as raw deflate with a dictionary that is part of the protocol. Nothing is kept from one to the next: two stanzas never
tell of each other by how small they are together. How small one is by itself shows on no link whose cells have one
size, and on any other it would: so there is none elsewhere.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from quietwire.core.errors import StreamError

VERSION: Final = "1"
"""Of the format and of the dictionary: any change of either is another one."""
MARK: Final = b"\x01"
HEAD: Final = 4
"""Bytes before the packed ones: the mark, and how many there are, big-endian."""
MOST: Final = 65_536
"""Bytes in a frame, unpacked. What is longer takes minutes of cells anyway, and a reader has a bound that it knows."""
RATIO: Final = 32
"""A frame holds at most so many times the bytes that it is. The shortest nonzas come near a tenth; what could be packed
better goes as it is, so that nobody makes a reader's work with next to nothing."""
_LEVEL: Final = 6
_WINDOW: Final = 13
_MEMORY: Final = 6
"""Measured on stanzas of our client: more memory or a higher level saves less than one byte in two hundred."""
_END: Final = b"</stream:stream>"

DICTIONARY: Final = (
    b"<error type='modify'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
    b"<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
    b"<error type='cancel' code='404'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
    b"<query xmlns='jabber:iq:roster' ver='00000000000000000000000000000000'><item jid='"
    b"' subscription='both' name='' subscription='none' ask='subscribe'/><group>"
    b"<iq type='get' id='<query xmlns='http://jabber.org/protocol/disco#items'/></iq>"
    b"<identity category='client' type='pc'/><feature var='http://jabber.org/protocol/caps'/>"
    b"<feature var='http://jabber.org/protocol/disco#info'/><feature var='urn:xmpp:omemo:2:devices+notify'/>"
    b"<feature var='urn:xmpp:ping'/></query></iq>"
    b"<iq type='set' id='<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='<item id='current'>"
    b"</item></publish><publish-options><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>"
    b"<value>http://jabber.org/protocol/pubsub#publish-options</value></field>"
    b"<field var='pubsub#access_model'><value>open</value></field>"
    b"<field var='pubsub#persist_items'><value>true</value></field></x></publish-options></pubsub></iq>"
    b"<query xmlns='urn:xmpp:mam:2' queryid='<x xmlns='jabber:x:data' type='submit'>"
    b"<field var='FORM_TYPE' type='hidden'><value>urn:xmpp:mam:2</value></field><field var='with'><value>"
    b"<field var='start'><value><set xmlns='http://jabber.org/protocol/rsm'><max>50</max><after>"
    b"<fin xmlns='urn:xmpp:mam:2' complete='true'><set xmlns='http://jabber.org/protocol/rsm'>"
    b"<first index='0'></first><last></last><count></count></set></fin></iq>"
    b"<x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='member' role='participant' jid='"
    b"<status code='110'/></x></presence><message type='groupchat' from='"
    b"<presence from='' to='' type='unavailable'/>"
    b"'><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:quietwire:client' ver='='/></presence>"
    b"<query xmlns='http://jabber.org/protocol/disco#info' node='urn:quietwire:client#"
    b"<message from='' to='' type='headline'><event xmlns='http://jabber.org/protocol/pubsub#event'>"
    b"<items node='urn:xmpp:omemo:2:devices'><item id='current'><devices xmlns='urn:xmpp:omemo:2'><device id='"
    b"'/></devices></item></items></event></message>"
    b"<iq type='get' id='<pubsub xmlns='http://jabber.org/protocol/pubsub'>"
    b"<items node='urn:xmpp:omemo:2:devices' max_items='1'/></pubsub></iq>"
    b"<items node='urn:xmpp:omemo:2:bundles'><item id='<bundle xmlns='urn:xmpp:omemo:2'><spk id='1'>"
    b"=</spk><spks>==</spks><ik>=</ik><prekeys><pk id='1'>=</pk><pk id='"
    b"</pk></prekeys></bundle></item></items></pubsub></iq>"
    b"<forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' from='' stamp='2026-01-01T00:00:00Z'/>"
    b"<result xmlns='urn:xmpp:mam:2' queryid='' id='</forwarded></result></message>"
    b"<received xmlns='urn:xmpp:carbons:2'><sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>"
    b"<message xmlns='jabber:client' </message></forwarded></sent></message>"
    b"<iq type='get' id='' to='<ping xmlns='urn:xmpp:ping'/></iq>"
    b"<iq to='' type='error' id='"
    b"<iq to='' type='result' id='"
    b"<r xmlns='urn:xmpp:sm:3'/><a xmlns='urn:xmpp:sm:3' h='"
    b"' kex='true'>CAcQARog=='>ChA==</key><key rid='</key></keys><keys jid='"
    b"<message from='' to='' type='chat' id='"
    b"</payload></encrypted><store xmlns='urn:xmpp:hints'/>"
    b"<stanza-id xmlns='urn:xmpp:sid:0' by='' id=''/></message>"
    b"<message to='' type='chat' id='"
    b"'><encrypted xmlns='urn:xmpp:omemo:2'><header sid='"
    b"'><keys jid='"
    b"'><key rid='"
    b"'>ChAEmgIABAAGi"
    b"==</key></keys></header><payload>"
    b"</payload></encrypted><store xmlns='urn:xmpp:hints'/></message>"
)
"""What our server and our client write, what is rare first: near matches are cheaper."""

_PACKING: Final = zlib.compressobj(_LEVEL, zlib.DEFLATED, -_WINDOW, _MEMORY, zdict=DICTIONARY)
"""A copy of it costs less than a new one, which has the dictionary to learn."""


def pack(part: bytes) -> bytes:
    """`part`, a whole stanza or nonza, as a frame; as it is where that is no smaller, and the end of a stream."""
    if len(part) > MOST or part.endswith(_END):
        return part
    packing = _PACKING.copy()
    packed = packing.compress(part) + packing.flush()
    if HEAD + len(packed) >= len(part) or len(part) > RATIO * len(packed):
        return part
    return MARK + len(packed).to_bytes(HEAD - 1, "big") + packed


class Unpacker:
    """What was packed, out of the bytes of one direction, however they are cut."""

    __slots__ = ("_held", "_limit")

    def __init__(self, limit: int = MOST) -> None:
        """`limit`: of a stanza, bytes."""
        self._limit = min(limit, MOST)
        self._held = b""
        """The beginning of a frame."""

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bool]]:
        """-> pieces in their order, and of each whether it came in a frame. To be taken to the end before more is fed.
        None is longer than the limit, or than `data` where it was not packed.

        Raises StreamError: ``policy-violation`` for a frame that is too long or holds too much, ``not-well-formed``
        for what cannot be unpacked, or is no smaller for being packed.
        """
        if self._held:
            data, self._held = self._held + data, b""
        at = 0
        while (mark := data.find(MARK, at)) >= 0:
            if mark > at:
                yield data[at:mark], False
            at = mark + HEAD
            size = int.from_bytes(data[mark + 1 : at], "big")
            if len(data) >= at and size > self._limit:
                raise StreamError("policy-violation", "frame too long")
            if len(data) < at + size:
                self._held = data[mark:]
                return
            yield self._unpacked(data[at : at + size]), True
            at += size
        if at < len(data):
            yield data[at:] if at else data, False

    def _unpacked(self, packed: bytes) -> bytes:
        limit = min(self._limit, RATIO * len(packed))
        unpacking = zlib.decompressobj(-_WINDOW, zdict=DICTIONARY)
        try:
            part = unpacking.decompress(packed, limit + 1)
        except zlib.error:
            raise StreamError("not-well-formed", "not deflated") from None
        if len(part) > limit:
            raise StreamError("policy-violation", "too much in a frame")
        if not unpacking.eof or unpacking.unused_data or len(part) <= HEAD + len(packed):
            raise StreamError("not-well-formed", "not deflated as it should be")
        return part
