"""What the dialogues `offline*.play` do not show."""

from __future__ import annotations

import pytest

from quietwire.core.jid import parse_jid
from quietwire.core.later import Later
from quietwire.server.modules import xep0160_offline, xep0280_carbons
from quietwire.server.modules.xep0160_offline import State, worth_keeping
from quietwire.store.ports import Entry, StorageError
from quietwire.testing.assembly import Assembly, stanza
from quietwire.testing.playbook import Playbook, nothing

FULL = (
    "<message from='bob@a.example' to='alice@a.example/phone' type='error'><error type='cancel'>"
    "<service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text _='...'>{*}</text></error></message>"
).replace("<text ", "<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' ")


@pytest.mark.parametrize(
    ("attributes", "payload", "kept"),
    [
        ("type='chat'", "<body>x</body>", True),
        ("", "<body>x</body>", True),
        ("type='normal'", "<encrypted xmlns='urn:xmpp:omemo:2'/>", True),
        ("type='chat'", "<received xmlns='urn:xmpp:receipts' id='1'/>", True),
        ("type='chat'", "<store xmlns='urn:xmpp:hints'/><active xmlns='http://jabber.org/protocol/chatstates'/>", True),
        ("type='chat'", "", False),
        ("type='chat'", "<thread>t</thread>", False),
        ("type='chat'", "<composing xmlns='http://jabber.org/protocol/chatstates'/>", False),
        ("type='chat'", "<body>x</body><no-store xmlns='urn:xmpp:hints'/>", False),
        ("type='headline'", "<body>x</body>", False),
        ("type='groupchat'", "<body>x</body>", False),
        ("type='error'", "<body>x</body>", False),
    ],
)
def test_what_is_kept(attributes: str, payload: str, kept: bool) -> None:
    message = stanza(f"<message {attributes}>{payload}</message>", from_=parse_jid("a@a.example/x"))
    assert worth_keeping(message) is kept  # type: ignore[arg-type]


def test_no_two_stamps_are_alike() -> None:
    state = State(1, 1)
    stamps = [state.stamp(now) for now in (5.0, 5.0, 4.0, 6.0)]
    assert sorted(set(stamps)) == stamps


@pytest.mark.parametrize("limit", [{"stanzas": 2}, {"bytes": 300}])
def test_a_full_store_says_so(limit: dict[str, int]) -> None:
    play = Playbook(accounts=["alice", "bob"], tables={"offline": limit})
    alice = play.client("alice/phone")
    refused = 0
    for _ in range(5):
        alice >> f"<message to='bob@a.example' type='chat'><body>{'x' * 100}</body></message>"
        refused += len(alice.take())
    assert 0 < refused < 5
    alice >> "<message to='bob@a.example' type='chat'><body>x</body></message>"
    alice << FULL
    play.client("bob/desk", "<presence/>")
    alice >> "<message to='bob@a.example' type='chat'><body>x</body></message>"
    alice << nothing


class Held:
    """A house where alice has a message for bob, who is just reading what is older."""

    def __init__(self) -> None:
        self.house = house = Assembly((xep0160_offline.MODULE, xep0280_carbons.MODULE))
        for name in ("alice", "bob"):
            house.add(f"{name}@a.example")
        self.alice, self.tablet = (house.log_in(f"alice@a.example/{each}") for each in ("phone", "tablet"))
        self.tablet.session.carbons = True
        self.say("older")
        self.tablet.take()
        load, self.later = house.storage.load, Later[list[Entry]]()
        house.storage.load = lambda owner: self.later  # type: ignore[method-assign]
        self.bob = house.log_in("bob@a.example/desk", "<presence/>")
        self.release = lambda: self.later.resolve(load(b"bob@a.example").result())
        self.bob.take()

    def say(self, text: str) -> None:
        self.alice.write(f"<message to='bob@a.example' type='chat'><body>{text}</body></message>")


def bodies(got: list[str]) -> list[str]:
    return [each.partition("<body>")[2].partition("</body>")[0] for each in got if each.startswith("<message")]


def test_messages_that_come_while_older_ones_are_read_go_after_them() -> None:
    held = Held()
    held.say("newer")
    assert bodies(held.bob.take()) == []
    assert bodies(held.tablet.take()) == ["newer"]  # a copy, at once
    held.release()
    assert bodies(held.bob.take()) == ["older", "newer"]
    held.say("newest")
    assert bodies(held.bob.take()) == ["newest"]


def test_another_device_gets_them_if_the_first_is_gone_again() -> None:
    held = Held()
    other = held.house.log_in("bob@a.example/other", "<presence/>")
    other.take()
    held.bob.leave()
    held.release()
    assert bodies(other.take()) == ["older"]


def test_nothing_is_lost_if_nobody_is_left_or_the_disk_refuses() -> None:
    for end in (lambda held: held.bob.leave() or held.release(), lambda held: held.later.fail(StorageError("full"))):
        held = Held()
        held.say("newer")
        end(held)
        assert held.house.storage.usage(b"bob@a.example")[0] == 2


def test_a_clock_set_back_over_a_restart_changes_no_order() -> None:
    play = Playbook(accounts=["alice", "bob"])
    for text, back in (("one", 0.0), ("two", 3600.0), ("three", 86_400.0)):
        if back:
            play = Playbook(storage=play.storage.crash())
            play.now -= back
        play.client("alice/phone") >> f"<message to='bob@a.example' type='chat'><body>{text}</body></message>"
    bob = play.client("bob/desk")
    bob >> "<presence/>"
    bob << "<presence _='...'/>"
    for text, when in (("one", "09-09T01"), ("two", "09-09T00"), ("three", "09-08T01")):
        bob << (
            f"<message from='alice@a.example/phone' to='bob@a.example' type='chat'><body>{text}</body>"
            f"<delay xmlns='urn:xmpp:delay' from='a.example' stamp='2001-{when}:46:40Z'/></message>"
        )


@pytest.mark.parametrize("name", ["alice", "nobody"])
@pytest.mark.parametrize(
    ("text", "waits"), [("<body>x</body>", True), ("<body>x</body><no-store xmlns='urn:xmpp:hints'/>", False)]
)
def test_an_acknowledgement_waits_for_a_commit_whether_or_not_there_is_such_an_account(
    name: str, text: str, waits: bool
) -> None:
    house = Assembly((xep0160_offline.MODULE,))
    house.add("alice@a.example")
    house.storage.commit()
    house.receive(f"<message to='{name}@a.example' type='chat'><body>x</body>{text}</message>", "bob@b.example/x")
    assert (house.storage.latest is not None) is waits
