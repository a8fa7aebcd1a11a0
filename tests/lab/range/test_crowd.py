from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from quietwire.lab.people.model import Happening, Kind
from quietwire.lab.range import stanzas as say
from quietwire.lab.range.cast import cast
from quietwire.lab.range.crowd import CAN, Crowd, Settings, omemo
from quietwire.lab.range.plans import nobody_special
from quietwire.lab.range.stock import Sent, StockError
from quietwire.lab.range.truth import Event, TruthFile, read


class Device:
    """Has what `Stock` has; says everything at once. `refuses`: what it is refused."""

    made: list[Device]
    refuses: str = ""

    def __init__(self, jid: str, password: str, address: tuple[str, int], context: ssl.SSLContext, **told: Any) -> None:
        self.jid = jid
        self.told: dict[str, Callable[..., None]] = told
        self.online = False
        self.said: list[tuple[str, str, str]] = []
        """(kind, to, inside)."""
        self.asked: list[str] = []
        self.port = 1000
        self.made.append(self)

    def _sent(self, sent: Sent | None, to: str, inside: str) -> None:
        if sent is not None:
            self.told["on_sent"](sent)
            self.said.append((sent.kind, to, inside))

    def _link(self) -> None:
        self.port += 1
        self.told["on_link"](self.port)
        self.online = True

    async def login(self) -> None:
        if self.refuses == "login":
            raise StockError("login: the password was refused")
        self._link()

    async def resume(self, on_cut: Callable[[], None]) -> bool:
        on_cut()
        self._link()
        return True

    async def logout(self, sent: Sent) -> None:
        self._sent(sent, "", "")
        self.online = False

    async def close(self) -> None:
        self.online = False

    def message(self, sent: Sent, to: str, inside: str, type: str = "chat") -> None:
        self._sent(sent, to, inside)

    def presence(self, sent: Sent, to: str = "", type: str = "", inside: str = "") -> None:
        self._sent(sent, to, inside)

    def client_state(self, state: str, sent: Sent | None) -> None:
        self._sent(sent, "", state)

    async def answered(self, type: str, payload: str, to: str = "", sent: Sent | None = None) -> ET.Element:
        if self.refuses and self.refuses in payload:
            raise StockError("refused")
        self._sent(sent, to, payload)
        self.asked.append(payload)
        item = "<item xmlns='jabber:iq:roster' jid='u1@a.example' subscription='both'/>"
        return ET.fromstring(f"<iq xmlns='jabber:client'><query xmlns='jabber:iq:roster'>{item}</query></iq>")

    def came(self, text: str, settled: bool = True) -> None:
        self.told["on_came"](ET.fromstring(text), settled)


class World:
    """One worker with users 0 and 1, who are friends."""

    def __init__(self, folder: Path, events: Sequence[Happening], content: str = "omemo", **more: bool) -> None:
        Device.made, Device.refuses = [], ""
        self.file = folder / "truth"
        self.truth = TruthFile(self.file)
        self.troubles: list[str] = []
        people = cast([*events, Happening(0.0, 0, 0, "message", 1, 1)], nobody_special(2))
        self.crowd = Crowd(
            Settings(
                cast=people,
                users=frozenset({0, 1}),
                events=events,
                taps=dict.fromkeys(people.devices, 1),
                web_taps=dict.fromkeys(people.devices, 2),
                direct={"a.example": 3},
                web={"a.example": 4},
                password="p",
                context=ssl.create_default_context(),
                content=content,
                largest=1000,
                seed=1,
                **more,
            ),
            self.truth,
            self.troubles.append,
            None,
            Device,  # type: ignore[arg-type]
        )

    def device(self, jid: str) -> Device:
        return next(each for each in Device.made if each.jid == jid)

    def events(self) -> list[Event]:
        self.truth.close()
        return read(self.file)


def plan(*kinds: Kind, peer: int = 1, size: int = 30) -> tuple[Happening, ...]:
    return tuple(Happening(number / 1000, 0, 0, kind, peer, size) for number, kind in enumerate(kinds))


def play(world: World, *more: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def all_of() -> None:
        for each in more:
            await each()
        await world.crowd.prepare()
        await world.crowd.begin(time.time(), 1.0)
        await world.crowd.end()

    asyncio.run(all_of())


def ups(world: World) -> list[str]:
    return [event.kind for event in world.events() if event.way == "up"]


def test_what_is_said_is_written_in_the_moment_with_the_link_it_is_on(tmp_path: Path) -> None:
    world = World(tmp_path, plan("login", "typing", "message", "correction", "resume", "receipt", "logout"))
    play(world)
    found = world.events()
    assert [(each.kind, each.link) for each in found] == [
        ("login", "1001"), ("typing", "1001"), ("message", "1001"), ("correction", "1001"),
        ("resume", "1002"), ("receipt", "1002"), ("logout", "1002"),
    ]  # fmt: skip
    assert [each.at for each in found] == sorted(each.at for each in found)
    message = found[2]
    assert (message.user, message.device, message.peer, message.size, message.way) == (0, 0, 1, 30, "up")
    inside = {kind: text for kind, _, text in world.device("u0@a.example/device0").said}
    assert f"<replace xmlns='{say.REPLACE}' id='{message.id}'/>" in inside["correction"]
    assert f"rid='{omemo(1, 0)}'" in inside["message"]
    assert world.crowd.done.total() == 7
    assert not world.troubles


def test_all_kinds_but_those_with_files(tmp_path: Path) -> None:
    kinds = sorted(CAN - {"login", "logout", "upload", "download", "room-join"})
    events = (*plan("login"), *plan("room-join", peer=0), *plan(*kinds, peer=0))  # type: ignore[arg-type]
    world = World(tmp_path, [Happening(index / 1000, 0, 0, e.kind, e.peer, e.size) for index, e in enumerate(events)])
    play(world)
    assert set(ups(world)) == {"login", "room-join", *kinds}
    assert not world.crowd.left_out


def test_text_in_the_clear_where_that_is_asked_for(tmp_path: Path) -> None:
    world = World(tmp_path, plan("login", "message"), content="plain")
    play(world)
    ((_, to, inside),) = world.device("u0@a.example/device0").said
    assert to == "u1@a.example"
    assert len(ET.fromstring(f"<x>{inside}</x>").findtext("body") or "") == 30


def test_nobody_types_where_nobody_says_so(tmp_path: Path) -> None:
    world = World(tmp_path, plan("login", "typing", "message"), quiet=True)
    play(world)
    assert ups(world) == ["login", "message"]
    assert world.crowd.left_out == {"typing": 1}


def test_what_cannot_be_is_left_out_and_said(tmp_path: Path) -> None:
    world = World(tmp_path, plan("login", "room-message", "ping", "logout", "message"))
    Device.refuses = "ping"
    play(world)
    assert world.crowd.left_out == {"room-message": 1, "ping": 1, "message": 1}
    assert world.troubles == ["u0.0: room-message: it is not in that room", "u0.0: ping: refused"]


def test_a_login_that_fails_leaves_out_the_rest(tmp_path: Path) -> None:
    world = World(tmp_path, plan("login", "message"))
    Device.refuses = "login"
    play(world)
    assert world.crowd.left_out == {"login": 1, "message": 1}


def test_devices_that_the_plan_takes_to_be_online_are(tmp_path: Path) -> None:
    world = World(tmp_path, plan("message"))
    play(world)
    assert ups(world) == ["login", "message"]


def test_what_comes_is_written_on_the_link_on_which_it_shows(tmp_path: Path) -> None:
    world = World(tmp_path, plan("login", "room-join", peer=0))

    async def hears() -> None:
        await world.crowd.prepare()
        await world.crowd.begin(time.time(), 1.0)
        mine, room = world.device("u0@a.example/device0"), "r0@conference.a.example"
        text = say.message(say.sealed(bytes, 12, 1, [2]), "i")
        mine.came(f"<message xmlns='jabber:client' from='u1@a.example/x' id='i' type='chat'>{text}</message>")
        inside = f"<x xmlns='{say.MUC}#user'/>"
        for nick, id in (("u1", "before"), ("u0", "self"), ("u7", "news")):
            mine.came(f"<presence xmlns='jabber:client' from='{room}/{nick}' id='{id}'>{inside}</presence>")
        mine.came(f"<message xmlns='jabber:client' from='{room}/u0' id='r' type='groupchat'><body>abc</body></message>")
        mine.came("<presence xmlns='jabber:client' from='u1@a.example/x' id='p1'/>", settled=False)
        mine.came("<presence xmlns='jabber:client' from='u1@a.example/x' id='p2'/>")
        mine.came("<presence xmlns='jabber:client' from='u0@a.example/device1' id='p3'/>")
        await world.crowd.end()

    asyncio.run(hears())
    found = [(each.kind, each.peer, each.id, each.size, each.link) for each in world.events() if each.way == "down"]
    assert found == [
        ("message", 1, "i", 12, "1001"),
        ("room-join", 0, "news", 0, "1001"),
        ("room-message", 0, "r", 3, "1001"),
        ("presence", 1, "p2", 0, "1001"),
    ]


def test_receipts_are_about_what_came_last(tmp_path: Path) -> None:
    world = World(tmp_path, plan("login", "receipt"))

    async def hears() -> None:
        await world.crowd.prepare()
        playing = world.crowd.begin(time.time(), 1.0)
        await asyncio.sleep(0)  # the login
        world.device("u0@a.example/device0").came(
            "<message xmlns='jabber:client' from='u1@a.example/x' id='abc' type='chat'><body>x</body></message>"
        )
        await playing
        await world.crowd.end()

    asyncio.run(hears())
    assert world.device("u0@a.example/device0").said[-1][2] == say.receipt("abc")


def test_bounces_are_troubles(tmp_path: Path) -> None:
    world = World(tmp_path, plan("login"))

    async def hears() -> None:
        await world.crowd.prepare()
        world.device("u0@a.example/device0").came(
            "<message xmlns='jabber:client' type='error'><error><not-allowed xmlns='urn:x'/></error></message>"
        )
        await world.crowd.end()

    asyncio.run(hears())
    assert world.troubles == ["u0.0: bounced: message: not-allowed"]
    assert not world.events()


def test_settling_in_leaves_no_truth(tmp_path: Path) -> None:
    world = World(tmp_path, plan("login", "room-join", peer=0))

    async def settle() -> None:
        crowd = world.crowd
        await crowd.arrive()
        await crowd.befriend()
        assert await crowd.friends_there() == 1  # u1 has u1 in its list here, and not u0
        await crowd.furnish()
        await crowd.depart()

    asyncio.run(settle())
    assert not world.events()
    said = world.device("u0@a.example/settling").said
    assert [kind for kind, _, _ in said][:1] == ["subscribe"]
    assert any(to.startswith("r0@conference.") for _, to, _ in said)
    assert not any(device.online for device in Device.made)


def test_the_same_seed_says_the_same(tmp_path: Path) -> None:
    found = []
    for name in "ab":
        (tmp_path / name).mkdir()
        world = World(tmp_path / name, plan("login", "message", "publish"))
        play(world)
        found.append(world.device("u0@a.example/device0").said)
    assert found[0] == found[1]


def test_a_plan_may_be_compressed(tmp_path: Path) -> None:
    events = (Happening(0.0, 0, 0, "login", -1, 0), Happening(3600.0, 0, 0, "ping", -1, 0))
    world = World(tmp_path, events)

    async def all_of() -> None:
        await world.crowd.prepare()
        await asyncio.wait_for(world.crowd.begin(time.time(), 1e6), 5)

    asyncio.run(all_of())
    assert ups(world) == ["login", "ping"]


@pytest.mark.parametrize("device", [0, 3])
def test_numbers_of_devices(device: int) -> None:
    assert len(str(omemo(12, device))) == 9


def test_who_is_measured_answers_at_once_and_who_measures_shapes_nothing(tmp_path: Path) -> None:
    world = World(tmp_path, plan("message"), probing=True)

    async def hears() -> None:
        await world.crowd.prepare()
        for user in (0, 1):
            message = "<message xmlns='jabber:client' id='m' from='u%d@a.example/x'><body>x</body></message>"
            world.device(f"u{user}@a.example/device0").came(message % (1 - user))
        await world.crowd.end()

    asyncio.run(hears())
    (asked,) = world.device("u0@a.example/device0").asked
    assert "urn:quietwire:links:0" in asked
    assert "'off'" in asked
    assert not world.device("u1@a.example/device0").asked
    answers = world.device("u1@a.example/device0").said
    assert [(kind, to) for kind, to, _ in answers] == [("receipt", "u0@a.example")]
    assert "id='m'" in answers[0][2]
    of_it = [(event.kind, event.way) for event in world.events() if event.user == 1]
    assert of_it == [("message", "down"), ("receipt", "up")]
