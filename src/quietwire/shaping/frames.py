"""Stanzas deflated, each alone, on `steady` links both of whose ends are ours (docs/protocols/links.md). Pure.

A frame stands where a stanza may stand: a byte that no XML holds, the length of what follows, and one stanza or nonza
as raw deflate with a dictionary that is part of the protocol. What is noise, ciphertext in Base64 and random ids in
hexadecimal, is taken out of the text and follows it as it is: Huffman's codes waste on it, and on all around it.
Nothing is kept from one to the next: two stanzas never tell of each other by how small they are together. How small
one is by itself shows on no link whose cells have one size, and on any other it would: so there is none elsewhere.
"""

from __future__ import annotations

import binascii
import re
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
_BASE64, _LONG, _SHORT = b"\x02", b"\x03", b"\x04"
"""What stands in the text in place of noise: long Base64, 16 and 8 bytes in hexadecimal. XML holds none of them."""
_NOISE: Final = re.compile(rb"(>)([A-Za-z0-9+/]{64,}={0,2})(?=<)|(['/])([0-9a-f]{16}(?:[0-9a-f]{16})?)(?=')")
"""All of an element's text, a value in an attribute or the resource that ends one. What may come before Base64 is no
part of it: else a text of slashes alone would be looked at once more from each of them, for minutes."""
_PLACES: Final = re.compile(rb"[\x02-\x04]")
_SIZE: Final = 2
"""Bytes of the length of what was Base64, big-endian."""
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
    b"=</spk><spks>\x02</spks><ik>=</ik><prekeys><pk id='1'>=</pk><pk id='"
    b"</pk></prekeys></bundle></item></items></pubsub></iq>"
    b"<forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' from='' stamp='2026-01-01T00:00:00Z'/>"
    b"<result xmlns='urn:xmpp:mam:2' queryid='' id='</forwarded></result></message>"
    b"<received xmlns='urn:xmpp:carbons:2'><sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>"
    b"<message xmlns='jabber:client' </message></forwarded></sent></message>"
    b"<iq type='get' id='' to='<ping xmlns='urn:xmpp:ping'/></iq>"
    b"<iq to='' type='error' id='"
    b"<iq to='' type='result' id='"
    b"<r xmlns='urn:xmpp:sm:3'/><a xmlns='urn:xmpp:sm:3' h='"
    b"' kex='true'>\x02</key><key rid='</key></keys><keys jid='"
    b"<message from='/\x04' to='' type='chat' id='\x03'>"
    b"</payload></encrypted><store xmlns='urn:xmpp:hints'/>"
    b"<stanza-id xmlns='urn:xmpp:sid:0' by='' id='\x04'/></message>"
    b"<message to='' type='chat' id='\x03'><encrypted xmlns='urn:xmpp:omemo:2'><header sid='"
    b"'><keys jid='"
    b"'><key rid='"
    b"'>\x02</key></keys></header><payload>\x02</payload></encrypted><store xmlns='urn:xmpp:hints'/></message>"
)
"""What our server and our client write, what is rare first: near matches are cheaper."""

_PACKING: Final = zlib.compressobj(_LEVEL, zlib.DEFLATED, -_WINDOW, _MEMORY, zdict=DICTIONARY)
"""A copy of it costs less than a new one, which has the dictionary to learn."""


def pack(part: bytes) -> bytes:
    """`part`, a whole stanza or nonza, as a frame; as it is where that is no smaller, and the end of a stream."""
    if len(part) > MOST or part.endswith(_END) or _PLACES.search(part) is not None:
        return part
    noise: list[bytes] = []

    def take(run: re.Match[bytes]) -> bytes:
        before, text, quote, id = run.groups()
        if id is not None:
            noise.append(binascii.a2b_hex(id))
            return quote + (_LONG if len(id) == 32 else _SHORT)
        if len(text) % 4 or binascii.b2a_base64(data := binascii.a2b_base64(text), newline=False) != text:
            return run[0]
        if len(data) >= 1 << 8 * _SIZE:
            return run[0]
        noise.append(len(data).to_bytes(_SIZE, "big") + data)
        return before + _BASE64

    packing = _PACKING.copy()
    packed = b"".join([packing.compress(_NOISE.sub(take, part)), packing.flush(), *noise])
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
        if not unpacking.eof:
            raise StreamError("not-well-formed", "not deflated as it should be")
        part = _with_noise(part, unpacking.unused_data)
        if len(part) > limit:
            raise StreamError("policy-violation", "too much in a frame")
        if len(part) <= HEAD + len(packed):
            raise StreamError("not-well-formed", "not deflated as it should be")
        return part


def _with_noise(text: bytes, noise: bytes) -> bytes:
    """`text` with what was taken out of it. Raises StreamError."""
    at = 0

    def put(place: re.Match[bytes]) -> bytes:
        nonlocal at
        kind, size = place[0], 8 if place[0] == _SHORT else 16
        if kind == _BASE64:
            size = int.from_bytes(noise[at : at + _SIZE], "big")
            at += _SIZE
        data = noise[at : at + size]
        at += size
        return binascii.b2a_base64(data, newline=False) if kind == _BASE64 else binascii.b2a_hex(data)

    text = _PLACES.sub(put, text)
    if at != len(noise):
        raise StreamError("not-well-formed", "not deflated as it should be")
    return text
