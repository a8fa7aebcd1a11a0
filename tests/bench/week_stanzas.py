"""What the people of the scripted week send, as text."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

PUBSUB = "http://jabber.org/protocol/pubsub"
MUC = "http://jabber.org/protocol/muc"
DATA = "jabber:x:data"
AXOLOTL = "eu.siacs.conversations.axolotl"
OPEN, MINE = "open", "whitelist"
"""Access to a node: for everybody, for oneself."""


def picture(words: str) -> bytes:
    """A PNG of one pixel with a comment (PNG specification, §11.3.3.3)."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return len(content).to_bytes(4, "big") + name + content + zlib.crc32(name + content).to_bytes(4, "big")

    head = chunk(b"IHDR", b"\0\0\0\1\0\0\0\1\x08\0\0\0\0")
    comment = chunk(b"tEXt", b"Comment\0" + words.encode())
    return b"\x89PNG\r\n\x1a\n" + head + comment + chunk(b"IDAT", zlib.compress(b"\0\x80")) + chunk(b"IEND", b"")


def roster(jid: str, name: str, *groups: str) -> str:
    inside = "".join(f"<group>{group}</group>" for group in groups)
    return f"<query xmlns='jabber:iq:roster'><item jid='{jid}' name='{name}'>{inside}</item></query>"


def unlisted(jid: str) -> str:
    return f"<query xmlns='jabber:iq:roster'><item jid='{jid}' subscription='remove'/></query>"


def form(fields: Mapping[str, str]) -> str:
    inside = "".join(f"<field var='{var}'><value>{value}</value></field>" for var, value in fields.items())
    return f"<x xmlns='{DATA}' type='submit'>{inside}</x>"


def published(node: str, item: str, payload: str, access: str = "") -> str:
    """A publication (XEP-0060 §7.1); `access`: "" for what the server takes by itself."""
    options = ""
    if access:
        fields = {
            "FORM_TYPE": f"{PUBSUB}#publish-options",
            "pubsub#access_model": access,
            "pubsub#persist_items": "true",
        }
        options = f"<publish-options>{form(fields)}</publish-options>"
    inside = f"<publish node='{node}'><item id='{item}'>{payload}</item></publish>"
    return f"<pubsub xmlns='{PUBSUB}'>{inside}{options}</pubsub>"


def retracted(node: str, item: str) -> str:
    return f"<pubsub xmlns='{PUBSUB}'><retract node='{node}'><item id='{item}'/></retract></pubsub>"


def vcard(name: str, mail: str, phone: str, note: str, photo: str = "") -> str:
    """XEP-0054. `photo`: base64."""
    binary = f"<PHOTO><TYPE>image/png</TYPE><BINVAL>{photo}</BINVAL></PHOTO>" if photo else ""
    return (
        f"<vCard xmlns='vcard-temp'><FN>{name}</FN><EMAIL><USERID>{mail}@mail.example</USERID></EMAIL>"
        f"<TEL><NUMBER>{phone}</NUMBER></TEL><DESC>{note}</DESC>{binary}</vCard>"
    )


def vcard4(name: str) -> str:
    return f"<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'><fn><text>{name}</text></fn></vcard>"


def avatar(data: str) -> str:
    return f"<data xmlns='urn:xmpp:avatar:data'>{data}</data>"


def avatar_metadata(size: int, sha1: str, url: str) -> str:
    info = f"<info bytes='{size}' id='{sha1}' type='image/png' url='{url}'/>"
    return f"<metadata xmlns='urn:xmpp:avatar:metadata'>{info}</metadata>"


def mood(text: str) -> str:
    return f"<mood xmlns='http://jabber.org/protocol/mood'><happy/><text>{text}</text></mood>"


def bookmark(name: str, nick: str, password: str) -> str:
    inside = f"<nick>{nick}</nick><password>{password}</password>"
    return f"<conference xmlns='urn:xmpp:bookmarks:1' name='{name}'>{inside}</conference>"


def marker(id: str, by: str) -> str:
    inside = f"<stanza-id xmlns='urn:xmpp:sid:0' id='{id}' by='{by}'/>"
    return f"<displayed xmlns='urn:xmpp:mds:displayed:0'>{inside}</displayed>"


def devices(number: int, label: str) -> str:
    return f"<list xmlns='{AXOLOTL}'><device id='{number}' label='{label}'/></list>"


def bundle(key: str) -> str:
    return f"<bundle xmlns='{AXOLOTL}'><identityKey>{key}</identityKey></bundle>"


def note(jid: str, text: str) -> str:
    inside = f"<storage xmlns='storage:rosternotes'><note jid='{jid}'>{text}</note></storage>"
    return f"<query xmlns='jabber:iq:private'>{inside}</query>"


def stored(name: str, text: str) -> str:
    return f"<query xmlns='jabber:iq:private'><own xmlns='urn:example:{name}'>{text}</own></query>"


def blocked(jid: str) -> str:
    return f"<block xmlns='urn:xmpp:blocking'><item jid='{jid}'/></block>"


def archive_wishes(always: str, never: str) -> str:
    lists = f"<always><jid>{always}</jid></always><never><jid>{never}</jid></never>"
    return f"<prefs xmlns='urn:xmpp:mam:2' default='always'>{lists}</prefs>"


def push(service: str, node: str, secret: str) -> str:
    fields = {"FORM_TYPE": f"{PUBSUB}#publish-options", "secret": secret}
    return f"<enable xmlns='urn:xmpp:push:0' jid='{service}' node='{node}'>{form(fields)}</enable>"


def slot(name: str, size: int) -> str:
    kind = "content-type='text/plain'"
    return f"<request xmlns='urn:xmpp:http:upload:0' filename='{name}' size='{size}' {kind}/>"


def presence(status: str, node: str, version: str) -> str:
    caps = f"<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='{node}' ver='{version}'/>"
    return f"<presence><show>away</show><status>{status}</status>{caps}</presence>"


def request(to: str, text: str = "") -> str:
    inside = f"<status>{text}</status>" if text else ""
    return f"<presence to='{to}' type='subscribe'>{inside}</presence>"


def enter(occupant: str, password: str = "") -> str:
    inside = f"<password>{password}</password>" if password else ""
    return f"<presence to='{occupant}'><x xmlns='{MUC}'>{inside}</x></presence>"


def configured(fields: Mapping[str, str]) -> str:
    whole = {"FORM_TYPE": f"{MUC}#roomconfig"} | {f"muc#roomconfig_{name}": value for name, value in fields.items()}
    return f"<query xmlns='{MUC}#owner'>{form(whole)}</query>"


def affiliated(jid: str, affiliation: str, reason: str = "") -> str:
    inside = f"<reason>{reason}</reason>" if reason else ""
    return f"<query xmlns='{MUC}#admin'><item affiliation='{affiliation}' jid='{jid}'>{inside}</item></query>"


def invitation(to: str, id: str, room: str, reason: str, body: str) -> str:
    inside = f"<x xmlns='jabber:x:conference' jid='{room}' reason='{reason}'/><body>{body}</body>"
    return f"<message to='{to}' id='{id}'>{inside}</message>"


def subject(room: str, text: str) -> str:
    return f"<message to='{room}' type='groupchat'><subject>{text}</subject></message>"


def said(room: str, id: str, body: str) -> str:
    return f"<message to='{room}' type='groupchat' id='{id}'><body>{body}</body></message>"


def chat(to: str, id: str, body: str, *, subject: str, thread: str, origin: str, nick: str, payload: str) -> str:
    return (
        f"<message to='{to}' type='chat' id='{id}'><body>{body}</body><subject>{subject}</subject>"
        f"<thread>{thread}</thread><origin-id xmlns='urn:xmpp:sid:0' id='{origin}'/>"
        f"<nick xmlns='http://jabber.org/protocol/nick'>{nick}</nick>"
        f"<a xmlns='urn:example:a' b='{payload}'/></message>"
    )


LAST_PAGE = (
    "<query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><max>20</max><before/></set></query>"
)
