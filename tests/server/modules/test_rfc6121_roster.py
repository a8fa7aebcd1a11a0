from __future__ import annotations

import pytest

from quietwire.core.errors import StanzaError
from quietwire.core.jid import JID, parse_jid
from quietwire.core.later import drive
from quietwire.core.stanza import Iq
from quietwire.core.xml import Element, build, parse
from quietwire.server.module import Context, IqGet, IqSet, StreamFeature
from quietwire.server.modules.rfc6121_roster import MODULE
from quietwire.server.roster import MAX_GROUP, MAX_GROUPS, MAX_NAME, Contact
from quietwire.testing.services import Client, House

ALICE = parse_jid("alice@a.example")
BOB = parse_jid("bob@b.example")


class World:
    def __init__(self, *contacts: Contact) -> None:
        self.house = House()
        self.house.add("alice@a.example", *contacts)
        self.house.add("carol@a.example")
        self.alice = self.house.log_in("alice@a.example/phone")

    def ask(self, type: str, inner: str = "", to: JID | None = None, client: Client | None = None) -> str:
        """The handler's answer as it would be on the wire; raises what the router would answer with."""
        query = parse(f"<query xmlns='jabber:iq:roster'>{inner}</query>".encode(), "jabber:client")
        return self.answer(type, query, to, client or self.alice)

    def change(self, inner: str) -> list[str]:
        """A set that succeeds: what Alice's client gets."""
        assert self.ask("set", inner) == "", "the handler sends its answer itself, before the push"
        return self.alice.take()

    def answer(self, type: str, query: Element, to: JID | None, client: Client | None) -> str:
        session = client.session if client else None
        sender = session.jid if session else parse_jid("eve@e.example/x")
        iq = Iq.make(type=type, id="1", from_=sender, to=to, children=(query,))
        kind = IqGet if type == "get" else IqSet
        [handler] = [handler for handler in MODULE.handlers if isinstance(handler, kind)]
        account = self.house.loaded.get(to.bare if to else sender.bare)
        ports = {"store": self.house.store}
        context = Context(self.house.domain, account, session, None, 0.0, self.house, ports)
        answers: list[Iq | None] = []
        errors: list[BaseException | None] = []

        def done(answer: Iq | None, error: BaseException | None) -> None:
            answers.append(answer)
            errors.append(error)

        assert drive(handler.handler(context, iq), done)  # type: ignore[arg-type]
        if errors[0] is not None:
            raise errors[0]
        [answer] = answers
        return "" if answer is None else answer.to_bytes().decode()


def result(inner: str = "", from_: str = "") -> str:
    start = f"<iq{from_} to='alice@a.example/phone' type='result' id='1'"
    return f"{start}>{inner}</iq>" if inner else f"{start}/>"


def refused(world: World, inner: str) -> str:
    with pytest.raises(StanzaError) as caught:
        world.ask("set", inner)
    return caught.value.condition


def test_a_get_shows_the_items_and_makes_the_session_interested() -> None:
    stranger = Contact(parse_jid("dave@d.example"), pending_in=b"<presence/>", listed=False)
    world = World(Contact(BOB, name="Bob", groups=("F",), subscription="to"), stranger)
    item = "<item jid='bob@b.example' subscription='to' name='Bob'><group>F</group></item>"
    version = world.alice.session.account.roster.version
    assert world.ask("get") == result(f"<query xmlns='jabber:iq:roster' ver='{version}'>{item}</query>")
    assert world.alice.session.interested


def test_a_get_with_an_item_is_refused() -> None:
    world = World()
    with pytest.raises(StanzaError) as caught:
        world.ask("get", "<item jid='bob@b.example'/>")
    assert caught.value.condition == "bad-request"


def test_an_empty_roster_is_an_empty_query() -> None:
    assert World().ask("get") == result(f"<query xmlns='jabber:iq:roster' ver='{'0' * 32}'/>")


def test_who_has_this_version_gets_no_items_and_still_pushes() -> None:
    world = World(Contact(BOB))
    version = world.alice.session.account.roster.version
    query = build("{jabber:iq:roster}query", {"ver": version})
    assert world.answer("get", query, None, world.alice) == result()
    assert world.alice.session.interested
    [answer, push] = world.change("<item jid='dave@d.example'/>")
    assert answer == result()
    assert f"ver='{world.alice.session.account.roster.version}'" in push
    assert version not in push


@pytest.mark.parametrize("ver", ["", "0" * 32])
def test_who_has_another_version_gets_the_whole_roster(ver: str) -> None:
    world = World(Contact(BOB))
    query = build("{jabber:iq:roster}query", {"ver": ver})
    assert "<item jid='bob@b.example'" in world.answer("get", query, None, world.alice)


def test_ones_own_bare_address_may_be_named() -> None:
    world = World()
    assert world.ask("get", to=ALICE).startswith("<iq from='alice@a.example' to='alice@a.example/phone' type='result'")


@pytest.mark.parametrize("type", ["get", "set"])
@pytest.mark.parametrize("to", ["carol@a.example", "nobody@a.example", "a.example"])
def test_no_other_roster_may_be_touched(type: str, to: str) -> None:
    world = World()
    world.house.log_in("carol@a.example/x")
    with pytest.raises(StanzaError) as caught:
        world.ask(type, "<item jid='bob@b.example'/>", parse_jid(to))
    assert caught.value.condition == {"get": "service-unavailable", "set": "forbidden"}[type]
    assert not world.alice.session.interested
    assert len(world.house.stored(parse_jid("carol@a.example"))) == 0


@pytest.mark.parametrize("type", ["get", "set"])
def test_other_servers_get_nothing(type: str) -> None:
    world = World(Contact(BOB))
    query = build("{jabber:iq:roster}query")
    with pytest.raises(StanzaError) as caught:
        world.answer(type, query, ALICE, None)
    assert caught.value.condition == {"get": "service-unavailable", "set": "forbidden"}[type]


def test_a_set_adds_an_item_and_believes_nothing_of_its_state() -> None:
    world = World()
    item = (
        "<item jid='Bob@B.example' name='Bob' subscription='both' ask='subscribe' approved='true'>"
        "<group>Friends</group><group>Work</group></item>"
    )
    assert world.change(item) == [result()]
    assert world.house.stored(ALICE).get(BOB) == Contact(BOB, name="Bob", groups=("Friends", "Work"))


def test_a_set_updates_name_and_groups() -> None:
    world = World(Contact(BOB, name="Bob", groups=("Friends",), subscription="both"))
    assert world.change("<item jid='bob@b.example'><group>Work</group></item>") == [result()]
    assert world.house.stored(ALICE).get(BOB) == Contact(BOB, groups=("Work",), subscription="both")


def test_the_one_who_changes_it_gets_the_answer_and_then_the_push() -> None:
    world = World()
    world.ask("get")
    [answer, push] = world.change("<item jid='bob@b.example'/>")
    assert answer == result()
    assert push.startswith("<iq to='alice@a.example/phone' type='set' id='push1'>")


def test_a_set_removes() -> None:
    world = World(Contact(BOB, subscription="to"))
    query = parse(b"<query xmlns='jabber:iq:roster'><item jid='bob@b.example' subscription='remove'/></query>", "x")
    assert world.answer("set", query, None, world.alice) == ""
    assert world.alice.take() == [result()], "the answer comes before what others send back"
    assert len(world.house.stored(ALICE)) == 0
    assert world.house.take_remote() == ["<presence from='alice@a.example' to='bob@b.example' type='unsubscribe'/>"]


@pytest.mark.parametrize(
    ("inner", "condition"),
    [
        ("", "bad-request"),
        ("<item jid='bob@b.example'/><item jid='dave@d.example'/>", "bad-request"),
        ("<other jid='bob@b.example'/>", "bad-request"),
        ("<item/>", "bad-request"),
        ("<item jid=''/>", "bad-request"),
        ("<item jid='@b.example'/>", "jid-malformed"),
        ("<item jid='bob@b.example/x'/>", "bad-request"),
        ("<item jid='alice@a.example'/>", "not-allowed"),
        ("<item jid='bob@b.example'><group>F</group><group>F</group></item>", "bad-request"),
        ("<item jid='bob@b.example'><group/></item>", "not-acceptable"),
        (f"<item jid='bob@b.example' name='{'n' * (MAX_NAME + 1)}'/>", "not-acceptable"),
        (f"<item jid='bob@b.example'><group>{'g' * (MAX_GROUP + 1)}</group></item>", "not-acceptable"),
        (
            f"<item jid='bob@b.example' name='{'n' * MAX_NAME}'>"
            f"<group>{'g' * MAX_GROUP}</group><group>abc</group></item>",
            "not-acceptable",
        ),
        (
            "<item jid='bob@b.example'>" + "".join(f"<group>{i}</group>" for i in range(MAX_GROUPS + 1)) + "</item>",
            "not-acceptable",
        ),
        ("<item jid='bob@b.example' subscription='remove'/>", "item-not-found"),
        ("<item jid='alice@a.example' subscription='remove'/>", "item-not-found"),
    ],
)
def test_refused(inner: str, condition: str) -> None:
    world = World()
    world.ask("get")
    assert refused(world, inner) == condition
    assert len(world.house.stored(ALICE)) == 0
    assert world.alice.take() == []


def test_the_longest_item_is_taken() -> None:
    world = World()
    item = f"<item jid='bob@b.example' name='{'n' * MAX_NAME}'><group>{'g' * MAX_GROUP}</group></item>"
    assert world.change(item) == [result()]


def test_what_it_declares() -> None:
    assert {type(handler) for handler in MODULE.handlers} == {IqGet, IqSet, StreamFeature}
    assert MODULE.needs == ("store",)
    assert [keeps.table for keeps in MODULE.keeps] == ["roster", "arrival"]
