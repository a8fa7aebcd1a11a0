"""What the dialogue `mam_prefs.play` does not show."""

from __future__ import annotations

import pytest

from quietwire.core.errors import ConfigError
from quietwire.server.modules import xep0313_archive, xep0441_preferences
from quietwire.testing.assembly import Assembly, Client

MODULES = (xep0313_archive.MODULE, xep0441_preferences.MODULE)
GET = "<iq type='get' id='p'><prefs xmlns='urn:xmpp:mam:2'/></iq>"
ALICE = b"alice@a.example"


def house(default: str = "always") -> tuple[Assembly, Client]:
    found = Assembly(MODULES, settings={"archive_preferences": {"default": default}})
    found.add(ALICE.decode())
    return found, found.log_in("alice@a.example/phone")


@pytest.mark.parametrize("default", ["always", "never", "roster"])
def test_the_setting_is_the_default(default: str) -> None:
    world, alice = house(default)
    alice.write(GET)
    assert f"<prefs xmlns='urn:xmpp:mam:2' default='{default}'><always/><never/></prefs>" in alice.take()[0]
    alice.write("<message to='bob@b.example' type='chat'><body>x</body></message>")
    assert bool(world.storage.scan("archive", ALICE).result()) is (default == "always")


def test_another_setting_is_a_mistake() -> None:
    with pytest.raises(ConfigError):
        xep0441_preferences.make_state({"default": "sometimes"})


def test_wishes_last_and_hold_at_once() -> None:
    world, alice = house()
    alice.write("<iq type='set' id='p'><prefs xmlns='urn:xmpp:mam:2' default='never'/></iq>")
    alice.take()
    alice.write("<message to='bob@b.example' type='chat'><body>x</body></message>")
    alice.leave()
    alice = world.log_in("alice@a.example/phone")
    alice.write(GET)
    assert "default='never'" in alice.take()[0]
    assert world.storage.scan("archive", ALICE).result() == []


def test_wishes_that_cannot_be_read_archive_nothing() -> None:
    world, alice = house()
    alice.leave()
    world.storage.put("preference", ALICE, b"archive", b"\x09")
    alice = world.log_in("alice@a.example/phone")
    alice.write("<message to='bob@b.example' type='chat'><body>x</body></message>")
    assert world.storage.scan("archive", ALICE).result() == []
