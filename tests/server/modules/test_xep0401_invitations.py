from __future__ import annotations

import re
from typing import Any

import pytest

from quietwire.core.jid import parse_jid
from quietwire.server.http import Request, Response
from quietwire.server.invitations import MAX_PENDING
from quietwire.server.modules.xep0401_invitations import CREATE, FORM, INVITE, PAGE, make_state
from quietwire.testing.playbook import Client, Mark, Playbook

NS = "http://jabber.org/protocol/commands"
GOOD = "a good password"


class World:
    """Alice is an administrator."""

    def __init__(self, **settings: Any) -> None:
        self.play = Playbook(
            accounts=("alice", "bob"),
            admins=frozenset((parse_jid("alice@a.example"),)),
            tables={"invitations": settings},
        )
        self.invitations = self.play.server.invitations
        self.invitations.web = "https://a.example"
        self.alice, self.bob = (self.play.client(f"{name}/x") for name in ("alice", "bob"))

    def give(self, client: Client, node: str, **values: str) -> dict[str, str]:
        """The result's fields; the condition of an error under `error`; `status`."""
        fields = "".join(f"<field var='{k.replace('_', '-')}'><value>{v}</value></field>" for k, v in values.items())
        form = f"<x xmlns='jabber:x:data' type='submit'>{fields}</x>" if values else ""
        client >> f"<iq type='set' id='c' to='a.example'><command xmlns='{NS}' node='{node}'>{form}</command></iq>"
        iq = client.take()[-1]
        assert not isinstance(iq, Mark)
        if iq.get("type") == "error":
            return {"error": iq[0][0].tag.rpartition("}")[2]}
        found = {"status": iq[0].get("status", "")}
        for field in iq.iter("{jabber:x:data}field"):
            found[field.get("var", "")] = field.findtext("{jabber:x:data}value") or ""
        return found

    def page(self, token: str, method: str = "GET", body: str = "", kind: str = "") -> Response:
        headers = {"content-type": kind or "application/x-www-form-urlencoded"}
        request = Request(method, f"{PAGE}{token}", {}, headers, body.encode())
        router = self.play.server.router
        [(route, base)] = [(r, b) for r, b in router.http if r.path == f"{PAGE}*" and r.method == method]
        response: Response = self.play.run(route.handler(router.context(base, None, None), request))
        self.play.settle()
        return response


def token_of(uri: str) -> str:
    found = re.search(r"preauth=([a-z2-7]+)", uri)
    assert found is not None
    return found[1]


def test_anybody_may_invite_a_contact() -> None:
    world = World()
    made = world.give(world.bob, INVITE)
    assert made["FORM_TYPE"] == FORM
    assert made["status"] == "completed"
    token = token_of(made["uri"])
    assert made["uri"] == f"xmpp:bob@a.example?roster;preauth={token}"
    assert made["landing-url"] == f"https://a.example/invite/{token}"
    assert made["expire"] == "2001-09-17T00:00:00Z"
    for _ in range(MAX_PENDING - 1):
        world.give(world.bob, INVITE)
    assert world.give(world.bob, INVITE) == {"error": "not-acceptable"}


def test_an_administrators_guest_may_register_and_others_where_it_is_allowed() -> None:
    world = World()
    assert world.give(world.alice, INVITE)["uri"].endswith(";ibr=y")
    assert World(users_register=True).give(World().bob, INVITE)
    open_world = World(users_register=True)
    assert open_world.give(open_world.bob, INVITE)["uri"].endswith(";ibr=y")


def test_users_may_be_kept_from_inviting() -> None:
    world = World(users=False)
    assert world.give(world.bob, INVITE) == {"error": "item-not-found"}
    assert world.give(world.alice, INVITE)["status"] == "completed"


def test_an_administrator_makes_accounts() -> None:
    world = World()
    assert world.give(world.bob, CREATE) == {"error": "item-not-found"}
    asked = world.give(world.alice, CREATE)
    assert asked["status"] == "executing"
    assert {"username", "roster-subscription"} < asked.keys()
    made = world.give(world.alice, CREATE, username="Carol", roster_subscription="1")
    assert made["uri"].startswith("xmpp:carol@a.example?register;preauth=")
    assert world.give(world.alice, CREATE, username="carol") == {"error": "not-acceptable"}
    assert world.give(world.alice, CREATE, username="bob") == {"error": "conflict"}
    assert world.give(world.alice, CREATE, username="no name@x") == {"error": "not-acceptable"}
    assert world.give(world.alice, CREATE, username="")["uri"].startswith("xmpp:a.example?register;preauth=")


def test_without_a_web_port_there_is_no_link_for_browsers() -> None:
    world = World()
    world.invitations.web = ""
    assert "landing-url" not in world.give(world.bob, INVITE)


def test_the_page_shows_the_invitation_and_nothing_of_others() -> None:
    world = World()
    token = token_of(world.give(world.bob, INVITE)["uri"])
    assert world.page(token).status == 200
    assert b"bob invites you" in world.page(token).body
    assert b"<form" not in world.page(token).body
    assert world.page(token, "POST", "name=x").status == 404
    for wrong in ("", "unknown", "../../etc", "x" * 5_000):
        assert world.page(wrong).status == 404


def test_an_account_can_be_made_in_the_browser() -> None:
    world = World()
    token = token_of(world.give(world.alice, INVITE)["uri"])
    form = "name={}&password=a+good+password&again={}"
    for body, said in (
        (form.format("guest", "another"), b"two different"),
        (form.format("bob", "a+good+password"), b"name is taken"),
        (form.format("a%20b%40c", "a+good+password"), b"cannot be a name"),
        ("name=guest&password=short&again=short", b"cannot be used"),
        ("&".join(f"a{i}=1" for i in range(20)), b"cannot be a name"),
    ):
        refused = world.page(token, "POST", body)
        assert (refused.status, said in refused.body) == (400, True)
    assert world.page(token, "POST", form.format("guest", "a+good+password"), "text/plain").status == 400
    made = world.page(token, "POST", form.format("Guest", "a+good+password"))
    assert made.status == 200
    assert b"guest@a.example" in made.body
    assert b"alice@a.example" in made.body
    world.play.connect().authenticate("guest", GOOD)
    [code] = re.findall(rb"<code>([0-9A-Z-]{34})</code>", made.body)
    world.play.run(world.play.server.admin.recover("guest", code.decode(), "another password"))
    world.play.connect().authenticate("guest", "another password")
    assert world.page(token).status == 404
    assert world.page(token, "POST", form.format("other", "a+good+password")).status == 404


def test_invitations_go_with_their_account_and_their_time() -> None:
    world = World(days=1)
    gone, late = (token_of(world.give(client, INVITE)["uri"]) for client in (world.bob, world.alice))
    world.play.run(world.play.server.admin.delete("bob"))
    assert world.page(gone).status == 404
    assert world.page(late).status == 200
    world.play.pass_time(3 * 86_400)
    assert world.page(late).status == 404
    assert world.play.storage.store.scan("invitation", b"alice@a.example").result() == []


@pytest.mark.parametrize(("said", "days"), [(0, 1), (30, 30), (9_999, 365)])
def test_days_have_bounds(said: int, days: int) -> None:
    assert make_state({"days": said}).days == days
