"""What devices say, as XML text with the sizes that people's clients give it. Pure.

Messages between two are shaped as legacy OMEMO has them (XEP-0384 0.3, what Conversations, Dino and Gajim send): the
payload is as long as the text, and one key a device is beside it. What is in them is noise: this bed is for who watches
a network, and there only sizes matter.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping

AXOLOTL = "eu.siacs.conversations.axolotl"
PUBSUB = "http://jabber.org/protocol/pubsub"
MUC = "http://jabber.org/protocol/muc"
STATES = "http://jabber.org/protocol/chatstates"
MARKERS = "urn:xmpp:chat-markers:0"
RECEIPTS = "urn:xmpp:receipts"
REACTIONS = "urn:xmpp:reactions:0"
REPLACE = "urn:xmpp:message-correct:0"
HINTS = "urn:xmpp:hints"
MAM = "urn:xmpp:mam:2"
RSM = "http://jabber.org/protocol/rsm"

Noise = Callable[[int], bytes]
"""So many random bytes."""

KEY = 100
"""Bytes of a message key for one device: a Signal message of an established session."""
FALLBACK = "I sent you an OMEMO encrypted message but your client doesn't seem to support that."
PREKEYS = 100


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def letters(noise: Noise, size: int) -> str:
    """A text of so many characters."""
    return "".join(chr(97 + byte % 26) for byte in noise(size))


def sealed(noise: Noise, size: int, sender: int, devices: Iterable[int]) -> str:
    """A text of `size` bytes for `devices` (OMEMO numbers)."""
    keys = "".join(f"<key rid='{device}'>{b64(noise(KEY))}</key>" for device in devices)
    return (
        f"<encrypted xmlns='{AXOLOTL}'><header sid='{sender}'>{keys}<iv>{b64(noise(12))}</iv></header>"
        f"<payload>{b64(noise(size))}</payload></encrypted>"
        f"<encryption xmlns='urn:xmpp:eme:0' namespace='{AXOLOTL}' name='OMEMO'/>"
        f"<body>{FALLBACK}</body><store xmlns='{HINTS}'/>"
    )


def plain(noise: Noise, size: int) -> str:
    return f"<body>{letters(noise, size)}</body>"


def message(content: str, id: str) -> str:
    """The whole inside of a message to one person; `content`: `sealed` or `plain`."""
    return (
        f"{content}<active xmlns='{STATES}'/><request xmlns='{RECEIPTS}'/><markable xmlns='{MARKERS}'/>"
        f"<origin-id xmlns='urn:xmpp:sid:0' id='{id}'/>"
    )


def correction(content: str, id: str, about: str) -> str:
    return message(content, id) + f"<replace xmlns='{REPLACE}' id='{about}'/>"


def room_message(content: str, id: str) -> str:
    return (
        f"{content}<active xmlns='{STATES}'/><markable xmlns='{MARKERS}'/><origin-id xmlns='urn:xmpp:sid:0' id='{id}'/>"
    )


def typing() -> str:
    return f"<composing xmlns='{STATES}'/><no-store xmlns='{HINTS}'/>"


def receipt(about: str) -> str:
    return f"<received xmlns='{RECEIPTS}' id='{about}'/><store xmlns='{HINTS}'/>"


def marker(about: str) -> str:
    return f"<displayed xmlns='{MARKERS}' id='{about}'/><store xmlns='{HINTS}'/>"


def reaction(about: str) -> str:
    inside = "<reaction>\U0001f44d</reaction>"
    return f"<reactions xmlns='{REACTIONS}' id='{about}'>{inside}</reactions><store xmlns='{HINTS}'/>"


# Requests


def archive_page(before: bool = True, most: int = 20) -> str:
    page = "<before/>" if before else ""
    return f"<query xmlns='{MAM}'><set xmlns='{RSM}'><max>{most}</max>{page}</set></query>"


LINKS = "urn:quietwire:links:0"


def link(profile: str, frames: str = "") -> str:
    """Asks our server for this profile of one's own link, and for frames of that version."""
    return f"<link xmlns='{LINKS}' profile='{profile}'" + (f" frames='{frames}'/>" if frames else "/>")


def vcard_request() -> str:
    return "<vCard xmlns='vcard-temp'/>"


def vcard(name: str, photo: bytes) -> str:
    binary = f"<PHOTO><TYPE>image/png</TYPE><BINVAL>{b64(photo)}</BINVAL></PHOTO>"
    return f"<vCard xmlns='vcard-temp'><FN>{name}</FN>{binary}</vCard>"


def items(node: str) -> str:
    return f"<pubsub xmlns='{PUBSUB}'><items node='{node}'/></pubsub>"


def bundle_node(device: int) -> str:
    return f"{AXOLOTL}.bundles:{device}"


def bundle(noise: Noise) -> str:
    keys = "".join(f"<preKeyPublic preKeyId='{n}'>{b64(noise(33))}</preKeyPublic>" for n in range(1, PREKEYS + 1))
    return (
        f"<bundle xmlns='{AXOLOTL}'><signedPreKeyPublic signedPreKeyId='1'>{b64(noise(33))}</signedPreKeyPublic>"
        f"<signedPreKeySignature>{b64(noise(64))}</signedPreKeySignature><identityKey>{b64(noise(33))}</identityKey>"
        f"<prekeys>{keys}</prekeys></bundle>"
    )


def device_list(devices: Iterable[int]) -> str:
    inside = "".join(f"<device id='{device}'/>" for device in devices)
    return f"<list xmlns='{AXOLOTL}'>{inside}</list>"


def form(fields: Mapping[str, str]) -> str:
    inside = "".join(f"<field var='{var}'><value>{value}</value></field>" for var, value in fields.items())
    return f"<x xmlns='jabber:x:data' type='submit'>{inside}</x>"


def published(node: str, item: str, payload: str, *, open: bool = False) -> str:
    """XEP-0060 §7.1; `open`: whoever knows the node may read it."""
    options = ""
    if open:
        fields = {"FORM_TYPE": f"{PUBSUB}#publish-options", "pubsub#access_model": "open"}
        options = f"<publish-options>{form(fields)}</publish-options>"
    inside = f"<publish node='{node}'><item id='{item}'>{payload}</item></publish>"
    return f"<pubsub xmlns='{PUBSUB}'>{inside}{options}</pubsub>"


def tune(noise: Noise, size: int) -> str:
    """Something one publishes of oneself, of `size` bytes (XEP-0118)."""
    return f"<tune xmlns='http://jabber.org/protocol/tune'><title>{letters(noise, size)}</title></tune>"


TUNE_NODE = "http://jabber.org/protocol/tune"


def slot(name: str, size: int) -> str:
    return (
        f"<request xmlns='urn:xmpp:http:upload:0' filename='{name}' size='{size}' "
        "content-type='application/octet-stream'/>"
    )


def enter(history: int = 20) -> str:
    return f"<x xmlns='{MUC}'><history maxstanzas='{history}'/></x>"


def room_settings() -> str:
    """Persistent, and open to all who know of it."""
    fields = {f"muc#roomconfig_{name}": value for name, value in (("persistentroom", "1"), ("membersonly", "0"))}
    fields["FORM_TYPE"] = f"{MUC}#roomconfig"
    return f"<query xmlns='{MUC}#owner'>{form(fields)}</query>"
