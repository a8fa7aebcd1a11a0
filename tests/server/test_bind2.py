"""Bind 2: resources, what a session begins with, and who is gone meanwhile."""

from __future__ import annotations

from xml.etree.ElementTree import Element

import pytest

from quietwire.core.jid import parse_jid
from quietwire.core.later import Later
from quietwire.core.stanza import Message, Nonza
from quietwire.core.xml import build
from quietwire.server.module import BindInline, BoundMetadata, Context, Module, NonzaHook, SessionHook
from quietwire.server.modules import discover
from quietwire.testing.dialogue import HEADER
from quietwire.testing.playbook import Client, Mark, Playbook, closed, nothing

NS = "urn:xmpp:bind:0"
ALICE = parse_jid("alice@a.example")


class Desk:
    """A module that knows all there is to know at binding."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.slow: Later[None] | None = None

    def inline(self, context: Context, wish: Element) -> Element | None:
        assert context.session is not None
        self.told.append(wish.get("v", ""))
        return build("{urn:test}done") if wish.get("v") else None

    def nonza(self, context: Context, nonza: Nonza) -> None:
        self.told.append(f"{nonza.attributes.get('v')} {nonza.names} {nonza.inner!r}")

    async def metadata(self, context: Context) -> Element | None:
        if self.slow is not None:
            await self.slow
        assert context.account is not None
        return build("{urn:test}about", {"who": context.account.jid.text})

    def bound(self, context: Context) -> None:
        assert context.session is not None
        context.session.send(Message.make(to=context.session.jid, from_=context.domain, id="welcome"))

    def module(self) -> Module:
        return Module(
            name="desk",
            xep=None,
            features=(),
            handlers=(
                BindInline("urn:test:inline", "{urn:test}on", self.inline),
                NonzaHook("{urn:test}state", self.nonza, inline="urn:test:state"),
                NonzaHook("{urn:test}other", self.nonza),
                BoundMetadata(self.metadata),
                SessionHook("bound", self.bound),
            ),
            keeps=(),
            emits="",
        )


def world(desk: Desk) -> Playbook:
    return Playbook(
        accounts=["alice"], modules=(*(each for each in discover() if each.name in ("carbons", "ping")), desk.module())
    )


def tags(client: Client) -> list[str]:
    return [each.name if isinstance(each, Mark) else each.tag.rpartition("}")[2] for each in client.take()]


def test_what_is_offered() -> None:
    client = world(Desk()).connect()
    client >> HEADER
    (features,) = client.take()
    assert isinstance(features, Element)
    offered = [each.get("var") for each in features.iter(f"{{{NS}}}feature")]
    assert {"urn:test:inline", "urn:test:state", "urn:xmpp:sm:3", "urn:xmpp:carbons:2"} <= set(offered)
    assert len(offered) == len(set(offered))


def test_what_is_switched_on_and_told() -> None:
    desk = Desk()
    client = world(desk).connect()
    client.sign_in(
        "alice",
        f"<bind xmlns='{NS}'><on xmlns='urn:test' v='1'/><on xmlns='urn:test'/>"
        "<state xmlns='urn:test' v='2'><x/></state><other xmlns='urn:test' v='3'/><unknown xmlns='urn:test'/></bind>",
    )
    client << (
        "<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>{*}</authorization-identifier>"
        f"<bound xmlns='{NS}'><done xmlns='urn:test'/><about xmlns='urn:test' who='alice@a.example'/></bound></success>"
    )
    assert desk.told == ["1", "", "2 ('{urn:test}x',) b'<x/>'"]


@pytest.mark.parametrize("enable", ["", "<enable xmlns='urn:xmpp:sm:3'/>"])
def test_nothing_is_sent_before_success(enable: str) -> None:
    client = world(Desk()).connect()
    client.sign_in("alice", f"<bind xmlns='{NS}'>{enable}</bind>")
    assert tags(client)[:3] == ["success", "features", "message"]
    if enable:
        client >> "<r xmlns='urn:xmpp:sm:3'/><a xmlns='urn:xmpp:sm:3' h='1'/>"
        client << "<a xmlns='urn:xmpp:sm:3' h='0'/>"
        client << nothing


def test_stream_management_twice() -> None:
    client = world(Desk()).connect()
    client.sign_in("alice", f"<bind xmlns='{NS}'>{2 * '''<enable xmlns='urn:xmpp:sm:3'/>'''}</bind>")
    (success, *_) = client.take()
    assert isinstance(success, Element)
    assert [each.tag.rpartition("}")[2] for each in success.iter() if "sm:3" in each.tag] == ["enabled", "failed"]


@pytest.mark.parametrize(
    ("tag", "begins"),
    [("", ""), ("<tag>Phone</tag>", "Phone/"), ("<tag>&#x2028;</tag>", ""), (f"<tag>{'x' * 999}</tag>", "x" * 64 + "/"),
     ("<tag> </tag>", ""), ("<tag>a/b</tag>", "a/b/")],
)  # fmt: skip
def test_the_resource_is_the_tag_and_something_random(tag: str, begins: str) -> None:
    play = world(Desk())
    found = []
    for _ in range(2):
        client = play.connect()
        client.sign_in("alice", f"<bind xmlns='{NS}'>{tag}</bind>")
        (resource,) = play.server.accounts.loaded[ALICE].sessions
        assert resource.startswith(begins)
        found.append(resource[len(begins) :])
        client.cut()
    assert found[0] != found[1]
    assert all(len(each) == 18 for each in found)


def test_who_is_gone_meanwhile_leaves_no_session() -> None:
    desk = Desk()
    play = world(desk)
    client = play.connect()
    desk.slow = Later()
    client.sign_in("alice", f"<bind xmlns='{NS}'/>")
    client << nothing
    assert play.server.accounts.loaded[ALICE].sessions
    client.cut()
    desk.slow.resolve(None)
    assert ALICE not in play.server.accounts.loaded


def test_who_is_thrown_out_meanwhile() -> None:
    desk = Desk()
    play = world(desk)
    client = play.connect()
    desk.slow = Later()
    client.sign_in("alice", f"<bind xmlns='{NS}'/>")
    play.server.router.end_sessions(ALICE)
    client << "<stream:error _='...'><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
    client << closed
    desk.slow.resolve(None)
    client << nothing
    assert ALICE not in play.server.accounts.loaded


def test_what_is_said_meanwhile_waits() -> None:
    desk = Desk()
    client = world(desk).connect()
    desk.slow = Later()
    client.sign_in("alice", f"<bind xmlns='{NS}'/>")
    client >> "<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>"
    client << nothing
    desk.slow.resolve(None)
    assert tags(client) == ["success", "features", "message", "iq"]
