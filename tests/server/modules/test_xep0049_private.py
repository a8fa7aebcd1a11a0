from __future__ import annotations

import pytest

from quietwire.server.modules.xep0049_private import MAX_BYTES, MAX_ELEMENTS, MODULE
from quietwire.testing.assembly import Assembly, Client

NOTES = "<notes xmlns='urn:n'><note to='a@b'>x &amp; y</note></notes>"


class World:
    def __init__(self) -> None:
        self.house = Assembly((MODULE,))
        self.house.add("alice@a.example")
        self.house.add("bob@a.example")
        self.alice = self.house.log_in("alice@a.example/x")

    def ask(self, kind: str, inner: str, to: str = "", client: Client | None = None) -> str:
        client = client or self.alice
        client.write(f"<iq type='{kind}' id='1'{to}><query xmlns='jabber:iq:private'>{inner}</query></iq>")
        [answer] = client.take()
        return answer


def test_what_was_stored_comes_back_and_replaces_what_was_there() -> None:
    world = World()
    assert "<notes xmlns='urn:n'/>" in world.ask("get", "<notes xmlns='urn:n'/>")
    assert "type='result'" in world.ask("set", NOTES + "<b xmlns='urn:b'>b</b>")
    assert NOTES in world.ask("get", "<notes xmlns='urn:n'/>")
    assert f"{NOTES}<b xmlns='urn:b'>b</b>" in world.ask("get", "<notes xmlns='urn:n'/><b xmlns='urn:b'/>")
    world.ask("set", "<b xmlns='urn:b'/>")
    assert "<b xmlns='urn:b'/>" in world.ask("get", "<b xmlns='urn:b'/>")
    assert NOTES in world.ask("get", "<notes xmlns='urn:n'/>")


@pytest.mark.parametrize("kind", ["get", "set"])
def test_nobody_else_can_tell_whether_there_is_an_account(kind: str) -> None:
    world = World()
    world.ask("set", NOTES)
    bob = world.house.log_in("bob@a.example/x")
    answers = [world.ask(kind, NOTES, f" to='{n}@a.example'", bob).replace(n, "x") for n in ("alice", "nobody")]
    assert answers[0] == answers[1]
    assert "<forbidden " in answers[0]
    assert "<forbidden " in world.ask(kind, NOTES, " to='a.example'", bob)


def test_limits() -> None:
    world = World()
    assert "<bad-request " in world.ask("get", "")
    assert "<bad-request " in world.ask("set", "<a xmlns='urn:a'/>" * (MAX_ELEMENTS + 1))
    assert "<not-acceptable " in world.ask("set", f"<a xmlns='{'u' * 1_100}'/>")
    assert "<not-acceptable " in world.ask("set", "<a xmlns=''/>")
    for number in range(4):
        assert "result" in world.ask("set", f"<a xmlns='urn:{number}'>{'x' * (MAX_BYTES // 5)}</a>")
    assert "<resource-constraint " in world.ask("set", f"<a xmlns='urn:9'>{'x' * (MAX_BYTES // 5)}</a>")
    assert "result" in world.ask("set", f"<a xmlns='urn:1'>{'y' * (MAX_BYTES // 5)}</a>")
    many = "".join(f"<a xmlns='urn:many:{number}'/>" for number in range(MAX_ELEMENTS - 3))
    assert "<resource-constraint " in world.ask("set", many)
