from __future__ import annotations

from base64 import b64encode

import pytest

from quietwire.core.jid import parse_jid
from quietwire.server.modules import xep0054_vcard, xep0163_pep, xep0398_avatars
from quietwire.server.modules.xep0054_vcard import MAX_CARD
from quietwire.server.roster import Contact
from quietwire.testing.assembly import Assembly, Client

CARD = "<FN>Ada</FN><N><GIVEN>Ada</GIVEN><MIDDLE/></N>"
PICTURE = b64encode(b"picture").decode()
PHOTO = f"<PHOTO><TYPE>image/png</TYPE><BINVAL>{PICTURE}</BINVAL></PHOTO>"


class World:
    """Bob sees Alice's presence; Eve does not."""

    def __init__(self, **settings: bool) -> None:
        modules = (xep0054_vcard.MODULE, xep0163_pep.MODULE, xep0398_avatars.MODULE)
        self.house = Assembly(modules, settings={"vcard": settings})
        self.house.add("alice@a.example", Contact(parse_jid("bob@b.example"), subscription="from"))
        self.house.add("carol@a.example")
        self.alice = self.house.log_in("alice@a.example/x")

    def set(self, inner: str, to: str = "", client: Client | None = None) -> str:
        client = client or self.alice
        client.write(f"<iq type='set' id='1'{to}><vCard xmlns='vcard-temp'>{inner}</vCard></iq>")
        [answer] = [text for text in client.take() if text.startswith("<iq")]
        return answer

    def get(self, sender: str = "") -> str:
        if sender:
            self.house.take_remote()
            ask = "<iq type='get' id='2' to='alice@a.example'><vCard xmlns='vcard-temp'/></iq>"
            self.house.receive(ask, sender)
            return self.house.take_remote()[-1]
        self.alice.write("<iq type='get' id='2'><vCard xmlns='vcard-temp'/></iq>")
        return self.alice.take()[-1]

    def pubsub(self, kind: str, inner: str, space: str = "") -> str:
        space = f"http://jabber.org/protocol/pubsub{space}"
        self.alice.write(f"<iq type='{kind}' id='3'><pubsub xmlns='{space}'>{inner}</pubsub></iq>")
        return next(text for text in self.alice.take() if text.startswith("<iq"))


def test_what_is_set_comes_back() -> None:
    world = World()
    assert "<vCard xmlns='vcard-temp'/>" in world.get()
    assert "type='result'" in world.set(CARD)
    assert f"<vCard xmlns='vcard-temp'>{CARD}</vCard>" in world.get()


def test_it_is_for_those_who_see_the_presence() -> None:
    world = World()
    world.set(CARD + PHOTO)
    assert CARD + PHOTO in world.get("bob@b.example/x")
    assert "<service-unavailable " in world.get("eve@e.example/x")
    carol = world.house.log_in("carol@a.example/x")
    answers = []
    for name in ("alice", "nobody"):
        carol.write(f"<iq type='get' id='2' to='{name}@a.example'><vCard xmlns='vcard-temp'/></iq>")
        answers.append(carol.take()[0].replace(name, "somebody"))
    assert answers[0] == answers[1]
    assert "<service-unavailable " in answers[0]


def test_that_there_is_none_is_said_as_that_there_is_no_account() -> None:
    assert "<service-unavailable " in World().get("bob@b.example/x")


def test_the_operator_may_open_new_ones_and_the_owner_closes_it() -> None:
    world = World(open=True)
    world.set(CARD)
    assert CARD in world.get("eve@e.example/x")
    form = (
        "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>http://jabber.org/protocol/pubsub#"
        "node_config</value></field><field var='pubsub#access_model'><value>presence</value></field></x>"
    )
    assert "result" in world.pubsub("set", f"<configure node='urn:xmpp:vcard4'>{form}</configure>", "#owner")
    assert "<service-unavailable " in world.get("eve@e.example/x")


def test_nobody_else_may_set_it() -> None:
    world = World()
    carol = world.house.log_in("carol@a.example/x")
    answers = [world.set(CARD, f" to='{name}@a.example'", carol).replace(name, "x") for name in ("alice", "nobody")]
    assert answers[0] == answers[1]
    assert "<forbidden " in answers[0]


def test_a_picture_becomes_the_published_avatar_and_goes_with_the_card() -> None:
    world = World()
    world.set(CARD + PHOTO)
    assert f"{CARD}{PHOTO}</vCard>" in world.get()
    assert PICTURE in world.pubsub("get", "<items node='urn:xmpp:avatar:data'/>")
    assert "type='image/png'" in world.pubsub("get", "<items node='urn:xmpp:avatar:metadata'/>")
    row = world.house.storage.store.get("vcard", b"alice@a.example", b"card").result()
    assert row is not None
    assert PICTURE.encode() not in row  # it is kept once
    world.set(CARD)
    assert "PHOTO" not in world.get()
    assert PICTURE not in world.pubsub("get", "<items node='urn:xmpp:avatar:data'/>")


def test_an_empty_picture_is_none() -> None:
    world = World()
    world.set("<FN>Ada</FN><PHOTO><TYPE>image/png</TYPE><BINVAL/></PHOTO>")
    assert "<vCard xmlns='vcard-temp'><FN>Ada</FN></vCard>" in world.get()


def test_an_open_avatar_is_shown_without_the_card() -> None:
    world = World()
    world.set(CARD + PHOTO)
    for node in ("urn:xmpp:avatar:data", "urn:xmpp:avatar:metadata"):
        form = (
            "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>http://jabber.org/protocol/pubsub#"
            "node_config</value></field><field var='pubsub#access_model'><value>open</value></field></x>"
        )
        assert "result" in world.pubsub("set", f"<configure node='{node}'>{form}</configure>", "#owner")
    assert f"<vCard xmlns='vcard-temp'>{PHOTO}</vCard>" in world.get("eve@e.example/x")


def test_the_card_is_published_as_vcard4_and_follows_it() -> None:
    world = World()
    world.set(CARD)
    assert "<fn><text>Ada</text></fn>" in world.pubsub("get", "<items node='urn:xmpp:vcard4'/>")
    four = "<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'><fn><text>Eve</text></fn></vcard>"
    world.pubsub("set", f"<publish node='urn:xmpp:vcard4'><item>{four}</item></publish>")
    assert "<vCard xmlns='vcard-temp'><FN>Eve</FN></vCard>" in world.get()
    world.pubsub("set", "<delete node='urn:xmpp:vcard4'/>", "#owner")
    assert "<vCard xmlns='vcard-temp'/>" in world.get()


@pytest.mark.parametrize(
    ("inner", "condition"),
    [
        ("<PHOTO><BINVAL>!</BINVAL></PHOTO>", "bad-request"),
        (f"<PHOTO><BINVAL>{'AAAA' * 40_000}</BINVAL></PHOTO>", "not-acceptable"),
        (f"<NOTE>{'a' * MAX_CARD}</NOTE>", "not-acceptable"),
    ],
)
def test_what_cannot_be_kept_is_refused_and_changes_nothing(inner: str, condition: str) -> None:
    world = World()
    world.set(CARD)
    assert f"<{condition} " in world.set(inner)
    assert f"<vCard xmlns='vcard-temp'>{CARD}</vCard>" in world.get()


MODEL = (
    "<configure node='urn:xmpp:vcard4'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>"
    "<value>http://jabber.org/protocol/pubsub#node_config</value></field><field var='pubsub#access_model'>"
    "<value>{}</value></field></x></configure>"
)


@pytest.mark.parametrize("shown", [True, False])
def test_while_its_owner_is_away_a_vcard_that_is_open_can_be_read_and_no_other(shown: bool) -> None:
    world = World(open=shown)
    world.set(CARD + "<JABBERID>x@y</JABBERID>")
    world.alice.leave()
    for sender in ("bob@b.example/x", "eve@e.example/x"):
        assert (CARD in world.get(sender)) is shown
        assert ("service-unavailable" in world.get(sender)) is not shown


def test_a_vcard_that_is_opened_or_closed_loses_nothing() -> None:
    """Not what vCard4 cannot say, either."""
    world, card, owner = World(), CARD + "<MAILER>m</MAILER>", b"alice@a.example"
    world.set(card)
    for model, table, other in (("open", "open_vcard", "vcard"), ("presence", "vcard", "open_vcard")):
        assert "result" in world.pubsub("set", MODEL.format(model), "#owner")
        assert card in world.get()
        store = world.house.storage
        assert store.get(table, owner, xep0054_vcard.KEY).result() is not None
        assert store.get(other, owner, xep0054_vcard.KEY).result() is None
