"""Rooms of a whole server, over a restart: sealed in between, and the same afterwards."""

from __future__ import annotations

from den import MUC, form

from quietwire.core import ns
from quietwire.core.xml import Element, serialise
from quietwire.testing.playbook import Client, Playbook

ROOM = "den@conference.a.example"
PEOPLE = ("alice", "bob", "carol")


def heard(client: Client) -> str:
    return b"".join(serialise(each, ns.CLIENT) for each in client.take() if isinstance(each, Element)).decode()


def ask(client: Client, kind: str, payload: str) -> str:
    client.take()
    client >> f"<iq type='{kind}' id='q' to='{ROOM}'>{payload}</iq>"
    return heard(client)


def enter(client: Client, nick: str, room: str = ROOM) -> str:
    client.take()
    client >> f"<presence to='{room}/{nick}'><x xmlns='{MUC}'/></presence>"
    return heard(client)


def admin(client: Client, *items: str, kind: str = "set") -> str:
    return ask(client, kind, f"<query xmlns='{MUC}#admin'>{''.join(f'<item {item}/>' for item in items)}</query>")


def configure(client: Client, **fields: str) -> str:
    return ask(client, "set", f"<query xmlns='{MUC}#owner'>{form(**fields)}</query>")


class House(Playbook):
    """A room of alice's, with bob as a member and carol banned."""

    def __init__(self) -> None:
        super().__init__(accounts=PEOPLE)
        self.alice = self.client("alice/x")
        enter(self.alice, "al")
        configure(self.alice, persistentroom="1", roomname="The Den")
        admin(self.alice, "affiliation='member' jid='bob@a.example' nick='Bob'")
        admin(self.alice, "affiliation='outcast' jid='carol@a.example'")
        self.alice >> f"<message type='groupchat' to='{ROOM}'><subject>Cats</subject></message>"
        for number in range(3):
            self.alice >> f"<message type='groupchat' id='g{number}' to='{ROOM}'><body>said {number}</body></message>"

    def restart(self) -> Playbook:
        self.settle()
        return Playbook(storage=self.storage.crash())

    def disk(self) -> bytes:
        self.settle()
        return repr((self.storage._durable.rows, self.storage._durable.spool)).encode()


def test_the_room_its_members_and_what_was_said_come_back() -> None:
    again = House().restart()
    bob, carol = again.client("bob/x"), again.client("carol/x")
    assert "forbidden" in enter(carol, "ca")
    came = enter(bob, "bo")
    assert [came.index(f"said {number}") for number in range(3)] == sorted(
        came.index(f"said {number}") for number in range(3)
    )
    assert "<subject>Cats</subject>" in came
    assert "conflict" in enter(again.client("alice/y"), "Bob")  # it is reserved
    listed = admin(again.client("alice/x"), "affiliation='outcast'", "affiliation='member'", kind="get")
    assert "carol@a.example" in listed
    assert 'nick="Bob"' in listed.replace("'", '"')
    assert ask(bob, "set", "<query xmlns='urn:xmpp:mam:2'/>").count("<body>said") == 3


def test_who_may_not_have_the_list_does_not_get_it() -> None:
    again = House().restart()
    bob = again.client("bob/x")
    enter(bob, "bo")
    assert "forbidden" in admin(bob, "affiliation='outcast'", kind="get")


def test_the_disk_tells_nothing() -> None:
    house = House()
    disk = house.disk()
    for word in (b"den@", b"The Den", b"Cats", b"said 1", b"alice", b"bob", b"Bob", b"carol", b"conference"):
        assert word not in disk, word


def test_a_change_is_one_commit_and_survives() -> None:
    house = House()
    admin(house.alice, "affiliation='none' jid='bob@a.example'", "affiliation='admin' jid='carol@a.example'")
    again = house.restart()
    assert "registration-required" in enter(again.client("bob/x"), "bo")
    assert "status" in enter(again.client("carol/x"), "ca")


def test_a_room_that_is_destroyed_stays_so() -> None:
    house = House()
    assert "result" in ask(house.alice, "set", f"<query xmlns='{MUC}#owner'><destroy/></query>")
    again = house.restart()
    assert again.server.store.owners("room").result() == []
    assert not any(again.storage._durable.rows[table] for table in ("room", "archive"))


def test_a_room_that_was_not_to_stay_is_gone_with_its_archive() -> None:
    house = House()
    configure(house.alice, persistentroom="0")
    house.alice >> f"<message type='groupchat' id='last' to='{ROOM}'><body>the last word</body></message>"
    assert "the last word" in ask(house.alice, "set", "<query xmlns='urn:xmpp:mam:2'/>")
    again = house.restart()
    assert again.server.store.owners("room").result() == []
    again.storage.commit()
    assert not any(again.storage._durable.rows[table] for table in ("room", "archive"))
    assert "201" in enter(again.client("bob/x"), "bo")  # a new one


def test_an_account_that_is_erased_is_in_no_room_any_more() -> None:
    house = House()
    house.run(house.server.admin.delete("bob"))
    house.settle()
    again = house.restart()
    assert "bob@a.example" not in admin(again.client("alice/x"), "affiliation='member'", kind="get")
