from __future__ import annotations

import pytest

from quietwire.core.jid import parse_jid
from quietwire.server.modules.xep0133_administration import MAX_ACCOUNTS, NS
from quietwire.testing.playbook import Client, Mark, Playbook

COMMANDS = "http://jabber.org/protocol/commands"
GOOD = "a good password"


class World:
    """Alice is an administrator."""

    def __init__(self) -> None:
        self.play = Playbook(accounts=("alice", "bob", "carol"), admins=frozenset((parse_jid("alice@a.example"),)))
        self.alice, self.bob = (self.play.client(f"{name}/x") for name in ("alice", "bob"))

    def give(self, client: Client, node: str, **values: str | tuple[str, ...]) -> dict[str, str]:
        """The fields of the answer, joined with spaces; its `status`, `note` of a failure, condition of an `error`."""
        fields = "".join(
            f"<field var='{name.replace('_', '-') if name == 'password_verify' else name}'>"
            + "".join(f"<value>{v}</value>" for v in ((value,) if isinstance(value, str) else value))
            + "</field>"
            for name, value in values.items()
        )
        form = f"<x xmlns='jabber:x:data' type='submit'>{fields}</x>" if values else ""
        command = f"<command xmlns='{COMMANDS}' node='{NS}#{node}'>{form}</command>"
        client >> f"<iq type='set' id='c' to='a.example'>{command}</iq>"
        iq = next(got for got in reversed(client.take()) if not isinstance(got, Mark) and got.get("id") == "c")
        if iq.get("type") == "error":
            return {"error": iq[0][0].tag.rpartition("}")[2]}
        found = {"status": iq[0].get("status", "")}
        note = iq[0].find(f"{{{COMMANDS}}}note")
        if note is not None:
            found["note"] = f"{note.get('type')}: {note.text}"
        for field in iq.iter("{jabber:x:data}field"):
            found[field.get("var", "")] = " ".join(v.text or "" for v in field.iterfind("{jabber:x:data}value"))
        return found

    @staticmethod
    def over(client: Client) -> bool:
        return client.link.closed

    def failed(self, node: str, **values: str | tuple[str, ...]) -> str:
        answer = self.give(self.alice, node, **values)
        assert answer["status"] == "completed"
        kind, _, why = answer["note"].partition(": ")
        assert kind == "error"
        return why


NODES = (
    "add-user",
    "delete-user",
    "end-user-session",
    "change-user-password",
    "get-registered-users-num",
    "get-registered-users-list",
)


@pytest.mark.parametrize("node", NODES)
def test_only_for_administrators(node: str) -> None:
    world = World()
    assert world.give(world.bob, node) == {"error": "item-not-found"}
    assert world.give(world.bob, node, accountjids="carol@a.example") == {"error": "item-not-found"}
    assert world.give(world.alice, node)["FORM_TYPE"] == NS


def test_an_account_is_added() -> None:
    world = World()
    new = {"accountjid": "Dave@a.example", "password": GOOD, "password_verify": GOOD}
    assert world.give(world.alice, "add-user", **new) == {"status": "completed"}
    world.play.connect().authenticate("dave", GOOD)
    assert "already" in world.failed("add-user", **new)
    for wrong, why in (
        ({"password_verify": "another password"}, "two different"),
        ({"accountjid": "dave@b.example"}, "not an address of a.example"),
        ({"accountjid": "a.example"}, "not an address of a.example"),
        ({"accountjid": "dave@x@a.example"}, "not an address"),
        ({"accountjid": ""}, "not an address"),
        ({"password": "short", "password_verify": "short"}, "has 8 to"),
    ):
        assert why in world.failed("add-user", **{**new, **wrong})


def test_accounts_are_deleted_all_or_none() -> None:
    world = World()
    assert "does not exist" in world.failed("delete-user", accountjids=("bob@a.example", "nobody@a.example"))
    assert "Your own" in world.failed("delete-user", accountjids=("bob@a.example", "alice@a.example"))
    assert "Name" in world.failed("delete-user", accountjids="")
    assert "At most" in world.failed("delete-user", accountjids=("bob@a.example",) * (MAX_ACCOUNTS + 1))
    assert world.give(world.alice, "get-registered-users-num")["registeredusersnum"] == "3"
    gone = ("bob@a.example/somewhere", "bob@a.example", "carol@a.example")
    assert world.give(world.alice, "delete-user", accountjids=gone) == {"status": "completed"}
    assert world.over(world.bob)
    assert world.give(world.alice, "get-registered-users-num")["registeredusersnum"] == "1"


def test_sessions_end_by_their_address_or_all() -> None:
    world = World()
    other, third = world.play.client("bob/y"), world.play.client("bob/z")
    assert world.give(world.alice, "end-user-session", accountjids="bob@a.example/y") == {"status": "completed"}
    assert (world.over(world.bob), world.over(other), world.over(third)) == (False, True, False)
    assert world.give(world.alice, "end-user-session", accountjids="bob@a.example") == {"status": "completed"}
    assert (world.over(world.bob), world.over(third)) == (True, True)
    world.play.client("bob/x")
    assert "no such account" in world.failed("end-user-session", accountjids="nobody@a.example")


def test_a_new_password_ends_the_accounts_sessions() -> None:
    world = World()
    assert "has 8 to" in world.failed("change-user-password", accountjid="bob@a.example", password="short")
    assert "no such account" in world.failed("change-user-password", accountjid="eve@a.example", password=GOOD)
    assert not world.over(world.bob)
    new = {"accountjid": "bob@a.example", "password": "another password"}
    assert world.give(world.alice, "change-user-password", **new) == {"status": "completed"}
    assert world.over(world.bob)
    world.play.connect().authenticate("bob", "another password")


def test_the_password_of_somebody_who_is_away_is_replaced_on_explicit_demand_only() -> None:
    world = World()
    world.play.server.store.put("private", b"bob@a.example", b"x", b"kept")
    world.bob >> "</stream:stream>"
    new = {"accountjid": "bob@a.example", "password": "another password"}
    for confirmed in ({}, {"destroy-sealed-data": "0"}):
        assert "would destroy" in world.failed("change-user-password", **new, **confirmed)
    bob = world.play.client("bob/x")
    assert world.play.server.store.get("private", b"bob@a.example", b"x").result() == b"kept"
    bob >> "</stream:stream>"
    done = world.give(world.alice, "change-user-password", **new, **{"destroy-sealed-data": "1"})
    assert done == {"status": "completed"}
    world.play.connect().authenticate("bob", "another password").bind("x")
    assert world.play.server.store.get("private", b"bob@a.example", b"x").result() is None


def test_a_password_that_was_not_lost_loses_nothing() -> None:
    world = World()
    world.play.server.store.put("private", b"bob@a.example", b"x", b"kept")
    new = {"accountjid": "bob@a.example", "password": "another password", "destroy-sealed-data": "1"}
    assert world.give(world.alice, "change-user-password", **new) == {"status": "completed"}
    world.play.connect().authenticate("bob", "another password").bind("x")
    assert world.play.server.store.get("private", b"bob@a.example", b"x").result() == b"kept"


def test_names_are_not_listed() -> None:
    world = World()
    told = world.give(world.alice, "get-registered-users-list")
    assert told["note"].startswith("info: 3 accounts.")
    assert told["registereduserjids"] == ""
