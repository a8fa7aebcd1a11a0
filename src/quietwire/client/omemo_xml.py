"""Device lists, bundles and messages of OMEMO 2 (XEP-0384 0.9.1) as XML. Pure.

twomemo offers the same through `xmlschema`, whose import alone takes longer than all else at start-up.
Cryptographic content is opaque here; twomemo parses it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Final
from xml.etree.ElementTree import Element

import x3dh
from omemo.message import EncryptedKeyMaterial, KeyExchange, Message
from omemo.types import SignedLabel
from twomemo.twomemo import BundleImpl, ContentImpl, EncryptedKeyMaterialImpl, KeyExchangeImpl

from quietwire.client.errors import ClientError
from quietwire.core.xml import build

NS: Final = "urn:xmpp:omemo:2"
DEVICES: Final = f"{NS}:devices"
BUNDLES: Final = f"{NS}:bundles"

MAX_DEVICES: Final = 64
"""Of one account. Each costs a bundle, a session and bytes in every message; a longer list is an attack on that."""

MAX_PREKEYS: Final = 400
"""0384 recommends about 100; twomemo publishes 100."""

MAX_KEYS: Final = 512
"""<key/> elements in one message: several accounts with all the devices they may have."""

_MAX_ID: Final = 2**31 - 1


class OmemoXmlError(ClientError):
    """Not what the schema of XEP-0384 §12 allows."""


def write_devices(devices: Mapping[int, SignedLabel | None]) -> Element:
    root = build(f"{{{NS}}}devices")
    for device, label in sorted(devices.items()):
        item = build(f"{{{NS}}}device", {"id": str(device)})
        if label is not None:
            item.set("label", label.label)
            item.set("labelsig", base64.b64encode(label.signature).decode("ascii"))
        root.append(item)
    return root


def read_devices(root: Element) -> dict[int, SignedLabel | None]:
    """Raises OmemoXmlError. A label without a signature is ignored, as 0384 asks."""
    if root.tag != f"{{{NS}}}devices":
        raise OmemoXmlError("no device list")
    devices: dict[int, SignedLabel | None] = {}
    for item in root.findall(f"{{{NS}}}device")[:MAX_DEVICES]:
        label, signature = item.get("label"), item.get("labelsig")
        devices[_id(item.get("id"))] = (
            None if label is None or signature is None else SignedLabel(label, _decode(signature))
        )
    return devices


def write_bundle(bundle: BundleImpl) -> Element:
    keys = bundle.bundle
    prekeys = sorted((bundle.pre_key_ids[key], key) for key in keys.pre_keys)
    return build(
        f"{{{NS}}}bundle",
        None,
        build(f"{{{NS}}}spk", {"id": str(bundle.signed_pre_key_id)}, text=_encode(keys.signed_pre_key)),
        build(f"{{{NS}}}spks", text=_encode(keys.signed_pre_key_sig)),
        build(f"{{{NS}}}ik", text=_encode(keys.identity_key)),
        build(
            f"{{{NS}}}prekeys",
            None,
            *(build(f"{{{NS}}}pk", {"id": str(number)}, text=_encode(key)) for number, key in prekeys),
        ),
    )


def read_bundle(root: Element, jid: str, device: int) -> BundleImpl:
    """Raises OmemoXmlError. Signatures are checked where a session is built."""
    if root.tag != f"{{{NS}}}bundle":
        raise OmemoXmlError("no bundle")
    signed = _child(root, "spk")
    prekeys: dict[bytes, int] = {}
    for item in _child(root, "prekeys").findall(f"{{{NS}}}pk")[:MAX_PREKEYS]:
        prekeys[_key(item)] = _id(item.get("id"))
    if not prekeys:
        raise OmemoXmlError("a bundle without prekeys")
    keys = x3dh.Bundle(
        _key(_child(root, "ik")), _key(signed), _decode(_child(root, "spks").text, 64), frozenset(prekeys)
    )
    return BundleImpl(jid, device, keys, _id(signed.get("id")), prekeys)


def write_message(message: Message) -> Element:
    if not isinstance(message.content, ContentImpl):
        raise TypeError("not a message of twomemo")
    header = build(f"{{{NS}}}header", {"sid": str(message.device_id)})
    recipients: dict[str, Element] = {}
    # Sorted, since the order of a set would tell which device answered last.
    for material, exchange in sorted(message.keys, key=lambda key: (key[0].bare_jid, key[0].device_id)):
        if not isinstance(material, EncryptedKeyMaterialImpl):
            raise TypeError("not a key of twomemo")
        keys = recipients.get(material.bare_jid)
        if keys is None:
            keys = recipients[material.bare_jid] = build(f"{{{NS}}}keys", {"jid": material.bare_jid})
            header.append(keys)
        key = build(f"{{{NS}}}key", {"rid": str(material.device_id)})
        data = material.serialize()
        if isinstance(exchange, KeyExchangeImpl):
            key.set("kex", "true")
            data = exchange.serialize(data)
        key.text = _encode(data)
        keys.append(key)
    encrypted = build(f"{{{NS}}}encrypted", None, header)
    if not message.content.empty:
        encrypted.append(build(f"{{{NS}}}payload", text=_encode(message.content.ciphertext)))
    return encrypted


def read_message(root: Element, sender: str, own: str, device: int) -> Message:
    """The message with the keys meant for `device` of `own` alone: the others are none of our business.

    Raises OmemoXmlError.
    """
    header = _child(root, "header")
    sid = _id(header.get("sid"))
    items = [
        item
        for keys in header.findall(f"{{{NS}}}keys")
        if keys.get("jid") == own
        for item in keys.findall(f"{{{NS}}}key")[:MAX_KEYS]
        if item.get("rid") == str(device)
    ]
    found: set[tuple[EncryptedKeyMaterial, KeyExchange | None]] = set()
    for item in items[:1]:
        data = _decode(item.text)
        exchange: KeyExchangeImpl | None = None
        try:
            if item.get("kex") in ("true", "1"):
                exchange, data = KeyExchangeImpl.parse(data)
            found.add((EncryptedKeyMaterialImpl.parse(data, own, device), exchange))
        except ValueError:
            raise OmemoXmlError("a malformed key") from None
    payload = root.find(f"{{{NS}}}payload")
    content = ContentImpl.make_empty() if payload is None else ContentImpl(_decode(payload.text))
    return Message(NS, sender, sid, content, frozenset(found))


def is_empty(root: Element) -> bool:
    """Whether an <encrypted/> only moves the ratchet."""
    return root.find(f"{{{NS}}}payload") is None


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _decode(text: str | None, length: int | None = None) -> bytes:
    try:
        data = base64.b64decode("".join((text or "").split()), validate=True)
    except (binascii.Error, ValueError):
        raise OmemoXmlError("malformed base64") from None
    if length is not None and len(data) != length:
        raise OmemoXmlError("a key of the wrong length")
    return data


def _key(element: Element) -> bytes:
    return _decode(element.text, 32)


def _child(root: Element, name: str) -> Element:
    child = root.find(f"{{{NS}}}{name}")
    if child is None:
        raise OmemoXmlError(f"<{name}/> is missing")
    return child


def _id(text: str | None) -> int:
    if text is None or not text.isascii() or not text.isdecimal() or not 1 <= int(text[:10]) <= _MAX_ID:
        raise OmemoXmlError("a malformed id")
    return int(text[:10])
