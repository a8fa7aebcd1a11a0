from __future__ import annotations

import base64
from xml.etree import ElementTree as ET

import pytest

from quietwire.lab.range import stanzas as say


def noise(size: int) -> bytes:
    return bytes(n % 251 for n in range(size))


def tree(text: str) -> ET.Element:
    return ET.fromstring(f"<x>{text}</x>")


def test_a_sealed_text_is_as_long_as_it_was_and_has_a_key_for_each_device() -> None:
    for size in (1, 50, 333):
        found = tree(say.sealed(noise, size, 1, [7, 8, 9]))
        payload = found.findtext(f".//{{{say.AXOLOTL}}}payload") or ""
        assert len(base64.b64decode(payload)) == size
        assert [key.get("rid") for key in found.iter(f"{{{say.AXOLOTL}}}key")] == ["7", "8", "9"]


def test_a_plain_text_has_so_many_letters() -> None:
    assert len(say.letters(noise, 90)) == 90
    assert say.letters(noise, 90).isalpha()
    assert len(tree(say.plain(noise, 90)).findtext("body") or "") == 90


@pytest.mark.parametrize(
    "text",
    [
        say.message(say.plain(noise, 3), "i"),
        say.correction(say.plain(noise, 3), "i", "j"),
        say.room_message(say.plain(noise, 3), "i"),
        say.typing(),
        say.receipt("j"),
        say.marker("j"),
        say.reaction("j"),
        say.archive_page(),
        say.archive_page(before=False),
        say.vcard_request(),
        say.vcard("N", b"abc"),
        say.items("n"),
        say.bundle(noise),
        say.device_list([1, 2]),
        say.published("n", "i", "<a/>"),
        say.published("n", "i", "<a/>", open=True),
        say.tune(noise, 4),
        say.slot("a.jpg", 5),
        say.enter(),
        say.room_settings(),
    ],
)
def test_all_is_well_formed_and_in_a_namespace_of_its_own(text: str) -> None:
    assert all(child.tag.startswith("{") or child.tag == "body" for child in tree(text))


def test_keys_are_as_many_as_clients_publish() -> None:
    found = tree(say.bundle(noise))
    assert len(list(found.iter(f"{{{say.AXOLOTL}}}preKeyPublic"))) == 100
    assert 8_000 < len(say.bundle(noise)) < 12_000


def test_who_may_read_a_node_is_said_where_all_may() -> None:
    assert "pubsub#access_model" in say.published("n", "i", "<a/>", open=True)
    assert "publish-options" not in say.published("n", "i", "<a/>")
