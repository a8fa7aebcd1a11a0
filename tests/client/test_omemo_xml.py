from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from omemo.types import SignedLabel
from omemo_world import ALICE, BOB, world

from quietwire.client import omemo_xml
from quietwire.client.omemo_xml import NS, OmemoXmlError
from quietwire.core.xml import Element, build, parse, serialise


def again(element: Element) -> Element:
    return parse(serialise(element, ""), "")


def element(text: str) -> Element:
    return parse(text.encode(), NS)


def test_device_lists() -> None:
    devices = {7: None, 3: SignedLabel("phone", b"sig")}
    assert omemo_xml.read_devices(again(omemo_xml.write_devices(devices))) == devices
    assert omemo_xml.read_devices(element("<devices><device id='1' label='unsigned'/></devices>")) == {1: None}
    assert omemo_xml.read_devices(element("<devices/>")) == {}


def test_a_device_list_is_bounded() -> None:
    many = "".join(f"<device id='{number}'/>" for number in range(1, 500))
    assert len(omemo_xml.read_devices(element(f"<devices>{many}</devices>"))) == omemo_xml.MAX_DEVICES


@pytest.mark.parametrize("id", ["0", "-1", "x", "", "2147483648", "99999999999999999999", "1.5", "٣"])
def test_ids_are_31_bits(id: str) -> None:
    with pytest.raises(OmemoXmlError):
        omemo_xml.read_devices(build(f"{{{NS}}}devices", None, build(f"{{{NS}}}device", {"id": id})))


def test_bundles_and_messages_of_the_library_come_back(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as w:
            alice, bob = await w.device(ALICE, "a"), await w.device(BOB, "b")
            payload = w.nodes.items[BOB, omemo_xml.BUNDLES][str(bob.omemo.device)]
            bundle = omemo_xml.read_bundle(again(payload), BOB, bob.omemo.device)
            assert bundle == await bob.omemo._backend.get_bundle(BOB, bob.omemo.device)
            assert serialise(omemo_xml.write_bundle(bundle), "") == serialise(payload, "")

            sent = again(await alice.write(BOB, b"x"))
            message = omemo_xml.read_message(sent, ALICE, BOB, bob.omemo.device)
            ((material, exchange),) = message.keys
            assert (message.device_id, material.device_id) == (alice.omemo.device, bob.omemo.device)
            assert exchange is not None
            assert not omemo_xml.is_empty(sent)
            assert omemo_xml.read_message(sent, ALICE, BOB, 1).keys == frozenset()
            assert omemo_xml.read_message(sent, ALICE, "eve@e.example", bob.omemo.device).keys == frozenset()

    asyncio.run(run())


KEY = "A" * 43 + "="
GOOD = f"<spk id='1'>{KEY}</spk><spks>{'A' * 86}==</spks><ik>{KEY}</ik><prekeys><pk id='1'>{KEY}</pk></prekeys>"


def test_a_bundle_by_hand() -> None:
    assert omemo_xml.read_bundle(element(f"<bundle>{GOOD}</bundle>"), BOB, 1).identity_key == bytes(32)


@pytest.mark.parametrize(
    "bundle",
    [
        f"<other>{GOOD}</other>",
        "<bundle/>",
        f"<bundle>{GOOD.replace('<ik>', '<ik>!')}</bundle>",
        f"<bundle>{GOOD.replace('<ik>', '<ik>AAAA')}</bundle>",
        f"<bundle>{GOOD.replace('id=', 'no=')}</bundle>",
        f"<bundle>{GOOD.replace('<pk ', '<xx ').replace('</pk>', '</xx>')}</bundle>",
        f"<bundle>{GOOD.split('<prekeys>', maxsplit=1)[0]}<prekeys/></bundle>",
    ],
)
def test_bad_bundles(bundle: str) -> None:
    with pytest.raises((OmemoXmlError, ValueError)) as caught:
        omemo_xml.read_bundle(element(bundle), BOB, 1)
    assert isinstance(caught.value, OmemoXmlError)


@pytest.mark.parametrize(
    "message",
    [
        "<encrypted/>",
        "<encrypted><header/></encrypted>",
        "<encrypted><header sid='x'/></encrypted>",
        "<encrypted><header sid='1'/><payload>%</payload></encrypted>",
        f"<encrypted><header sid='1'><keys jid='{BOB}'><key rid='5'>%</key></keys></header></encrypted>",
        f"<encrypted><header sid='1'><keys jid='{BOB}'><key rid='5'>////</key></keys></header></encrypted>",
        f"<encrypted><header sid='1'><keys jid='{BOB}'><key kex='1' rid='5'>AAAA</key></keys></header></encrypted>",
    ],
)
def test_bad_messages(message: str) -> None:
    with pytest.raises(OmemoXmlError):
        omemo_xml.read_message(element(message), ALICE, BOB, 5)
