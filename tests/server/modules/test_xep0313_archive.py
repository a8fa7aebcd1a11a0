"""What the dialogues `mam*.play` do not show: expiry, limits, clients that leave, a crash, offline messages."""

from __future__ import annotations

import re

import pytest

from quietwire.core.later import Later, drive
from quietwire.seal.pages import read_batch
from quietwire.server.modules import xep0160_offline, xep0313_archive, xep0359_stanza_ids, xep0441_preferences
from quietwire.store.ports import StorageError
from quietwire.testing.assembly import Assembly, Client
from quietwire.testing.playbook import Playbook

MODULES = (xep0160_offline.MODULE, xep0313_archive.MODULE, xep0359_stanza_ids.MODULE, xep0441_preferences.MODULE)
QUERY = "<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'>{}</query></iq>"
FORM = "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>urn:xmpp:mam:2</value></field>{}</x>"


class World:
    def __init__(self, **settings: object) -> None:
        self.house = Assembly(MODULES, settings={"archive": settings})
        for name in ("alice", "bob"):
            self.house.add(f"{name}@a.example")

    def log_in(self, name: str, presence: str = "<presence/>") -> Client:
        client = self.house.log_in(f"{name}@a.example/phone", presence)
        client.take()
        return client

    def archived(self, name: str) -> int:
        counts: list[int] = []

        async def count() -> None:
            counts.append(len(await self.house.archive.index(f"{name}@a.example".encode())))

        drive(count(), lambda value, error: None)
        return counts[0]


def chat(to: str, text: str = "hi", more: str = "", kind: str = "chat") -> str:
    return f"<message to='{to}' type='{kind}'><body>{text}</body>{more}</message>"


def bodies(got: list[str]) -> list[str]:
    return [body for each in got for body in re.findall("<body>(.*?)</body>", each)]


def fetch(client: Client, inner: str = "") -> list[str]:
    client.take()
    client.write(QUERY.format(inner))
    got = client.take()
    assert "<fin" in got[-1], got
    return bodies(got)


def test_each_side_has_the_message_once() -> None:
    world = World()
    alice, bob = world.log_in("alice"), world.log_in("bob")
    other = world.house.log_in("bob@a.example/desk", "<presence/>")
    alice.write(chat("bob@a.example"))
    assert (world.archived("alice"), world.archived("bob")) == (1, 1)
    assert fetch(bob) == fetch(other) == fetch(alice) == ["hi"]
    alice.write(chat("alice@a.example", "note"))
    assert fetch(alice) == ["hi", "note"]
    assert fetch(alice, FORM.format("<field var='with'><value>alice@a.example</value></field>")) == ["note"]
    assert fetch(alice, FORM.format("<field var='with'><value>bob@a.example</value></field>")) == ["hi"]


def test_messages_with_other_domains() -> None:
    world = World()
    alice = world.log_in("alice")
    alice.write(chat("carol@b.example", "out"))
    assert "stanza-id" not in world.house.take_remote()[0], "what the archive calls it is nobody else's business"
    forged = "<stanza-id xmlns='urn:xmpp:sid:0' by='alice@a.example' id='forged'/>"
    world.house.receive(chat("alice@a.example", "in", forged), "carol@b.example/x")
    got = alice.take()[-1]
    assert got.count("<stanza-id") == 1
    assert "forged" not in got
    world.house.receive(chat("nobody@a.example", "in"), "carol@b.example/x")
    assert fetch(alice) == ["out", "in"]
    assert world.house.storage.owners("archive").result() == [b"alice@a.example"]


def test_what_is_not_part_of_a_conversation_has_no_id() -> None:
    world = World()
    alice, bob = world.log_in("alice"), world.log_in("bob")
    for message in (
        "<message to='bob@a.example' type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>",
        chat("bob@a.example/phone", kind="groupchat"),
        chat("bob@a.example/phone", kind="headline"),
        chat("bob@a.example", more="<no-store xmlns='urn:xmpp:hints'/>"),
    ):
        alice.write(message)
        assert "stanza-id" not in bob.take()[0]
    assert world.archived("alice") == world.archived("bob") == 0


def test_nobody_archives_what_is_refused() -> None:
    play = Playbook(accounts=["alice", "bob"], tables={"offline": {"stanzas": 1}})
    alice = play.client("alice/phone", "<presence/>")
    for _ in range(2):
        alice >> chat("bob@a.example")
    play.client("bob/phone")
    bob, seals = b"bob@a.example", play.server.seals
    rows = play.storage.scan("archive", seals.owner("archive", bob)).result()
    assert [len(read_batch(seals.open("archive", bob, key, row))[2]) for key, row in rows] == [1]


def test_zero_days_are_no_archive() -> None:
    world = World(days=0)
    alice, bob = world.log_in("alice"), world.log_in("bob")
    alice.write(chat("bob@a.example"))
    assert "stanza-id" not in bob.take()[0]
    assert fetch(bob) == []


def test_old_messages_go() -> None:
    world = World(days=30)
    alice, bob = world.log_in("alice"), world.log_in("bob")
    alice.write(chat("bob@a.example", "old"))
    world.house.pass_time(29 * 86_400)
    alice.write(chat("bob@a.example", "young"))
    assert fetch(bob) == ["old", "young"]
    world.house.pass_time(86_400 + xep0313_archive.SWEEP_SECONDS)
    assert fetch(bob) == fetch(alice) == ["young"]
    assert world.archived("bob") == 1


def test_the_number_of_messages_is_limited() -> None:
    world = World(stanzas=80)
    alice, bob = world.log_in("alice"), world.log_in("bob")
    for number in range(100):
        alice.write(chat("bob@a.example", str(number)))
    assert 70 <= world.archived("bob") <= 90
    assert fetch(bob)[-1] == "99"


def test_wishes_hold_for_what_came_while_away() -> None:
    world = World()
    alice, bob = world.log_in("alice"), world.log_in("bob")
    bob.write(
        "<iq type='set' id='p'><prefs xmlns='urn:xmpp:mam:2' default='always'>"
        "<never><jid>alice@a.example</jid></never></prefs></iq>"
    )
    bob.leave()
    alice.write(chat("bob@a.example"))
    assert world.archived("bob") == 1, "nobody knew"
    bob = world.log_in("bob")
    assert world.archived("bob") == 0
    assert fetch(bob) == []
    assert world.archived("alice") == 1


def test_nothing_is_sent_to_a_client_that_has_left() -> None:
    world = World()
    alice = world.log_in("alice")
    alice.write(chat("bob@a.example"))
    world.house.store.held = True
    alice.write(QUERY.format(""))
    alice.leave()
    world.house.store.release()
    assert alice.take() == []


def test_a_storage_that_refuses_is_a_temporary_error() -> None:
    world = World()
    alice = world.log_in("alice")

    def scan(*_: object) -> Later[object]:
        later: Later[object] = Later()
        later.fail(StorageError("full"))
        return later

    world.house.storage.scan = scan  # type: ignore[method-assign,assignment]
    for request in (QUERY.format(""), "<iq type='get' id='q'><metadata xmlns='urn:xmpp:mam:2'/></iq>"):
        alice.write(request)
        assert "type='wait'><internal-server-error" in alice.take()[0]


def test_what_was_fetched_before_presence_is_confirmed_and_the_rest_is_sent() -> None:
    world = World()
    alice = world.log_in("alice")
    for text in ("one", "two", "three"):
        alice.write(chat("bob@a.example", text))
    bob = world.log_in("bob", "")
    assert fetch(bob, "<set xmlns='http://jabber.org/protocol/rsm'><max>2</max></set>") == ["one", "two"]
    bob.write("<presence/>")
    assert bodies(bob.take()) == ["three"]


def test_a_message_sent_again_after_a_crash_is_archived_once() -> None:
    play = Playbook(accounts=["alice", "bob"])
    alice = play.client("alice/phone", "<presence/>")
    sent = chat("bob@a.example", "x", "<origin-id xmlns='urn:xmpp:sid:0' id='o'/>").replace(
        "<message", "<message id='o'"
    )
    alice >> sent
    play = Playbook(storage=play.storage.crash())
    alice, bob = play.client("alice/phone", "<presence/>"), play.client("bob/desk")
    alice >> sent
    for client in (alice, bob):
        client >> QUERY.format("")
        assert len(client.take()) == 2, "one message and the end"


@pytest.mark.parametrize("erased", [False, True])
def test_the_index_goes_with_the_last_session_or_the_account(erased: bool) -> None:
    world = World()
    alice = world.log_in("alice")
    other = world.house.log_in("alice@a.example/other")
    alice.write(chat("bob@a.example"))
    assert fetch(alice) == ["hi"]
    archive = world.house.archive
    alice.leave()
    assert b"alice@a.example" in archive._indexes
    if erased:
        world.house.router.erased(other.session.account.jid)
    else:
        other.leave()
    assert b"alice@a.example" not in archive._indexes


def test_who_is_blocked_cannot_tell_by_the_own_archive() -> None:
    ids = []
    for blocked in (False, True):
        world = World()
        alice, tablet = world.log_in("alice"), world.house.log_in("alice@a.example/tablet")
        bob = world.log_in("bob")
        if blocked:
            bob.session.account.blocks.add("alice@a.example")
        alice.write(chat("bob@a.example"))
        assert bool(bob.take()) is not blocked
        assert world.archived("bob") == int(not blocked)
        ids.append((fetch(alice), alice.take(), tablet.take()))
    assert ids[0] == ids[1]
