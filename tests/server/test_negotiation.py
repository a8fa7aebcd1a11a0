"""What a client may say before its stream carries a session; header, TLS and login are in `test_c2s.py`."""

from __future__ import annotations

from quietwire.core.errors import StanzaError
from quietwire.core.later import Later
from quietwire.core.stanza import Iq
from quietwire.core.xml import build
from quietwire.server.module import Context, Module, PreauthIq, StreamFeature
from quietwire.server.modules import discover
from quietwire.testing.playbook import Client, Playbook, closed, nothing

TAG = "{urn:test}ask"
NOT_AUTHORIZED = "<stream:error _='...'><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"


class Desk:
    """A module that answers before login; `slow` answers when the test says so."""

    def __init__(self) -> None:
        self.slow: Later[None] | None = None

    async def asked(self, context: Context, iq: Iq) -> Iq:
        assert context.session is None
        assert context.account is None
        assert context.memory is not None
        if iq.payload.get("fail"):
            raise StanzaError("conflict")
        if self.slow is not None:
            await self.slow
        count = context.memory["desk"] = context.memory.get("desk", 0) + 1
        return iq.result(build("{urn:test}answer", {"count": str(count)}))

    def module(self) -> Module:
        return Module(
            name="desk",
            xep=None,
            features=(),
            handlers=(
                PreauthIq("get", TAG, self.asked),
                StreamFeature(lambda modules: build("{urn:test}offer"), before_login=True),
            ),
            keeps=(),
            emits="",
        )


def world(desk: Desk, **settings: float) -> Playbook:
    return Playbook(accounts=["alice"], modules=(*discover(), desk.module()), **settings)


def ask(extra: str = "", to: str = "") -> str:
    return f"<iq type='get' id='1'{to}><ask xmlns='urn:test'{extra}/></iq>"


def answer(count: int) -> str:
    return f"<iq type='result' id='1'><answer xmlns='urn:test' count='{count}'/></iq>"


def offers(client: Client) -> bool:
    header = client.play.domain
    client >> (
        "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
        f"to='{header}' version='1.0'>"
    )
    (features,) = client.take()
    return features.find("{urn:test}offer") is not None  # type: ignore[union-attr]


def test_a_feature_before_login_is_offered_with_tls_and_until_login() -> None:
    play = world(Desk())
    assert offers(play.connect())
    assert not offers(play.connect(secure=False))
    client = play.connect()
    assert offers(client)
    client >> "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGFsaWNlAHBhc3M=</auth>"
    client << "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"
    assert not offers(client)


def test_requests_before_login_are_answered_and_share_a_memory() -> None:
    play = world(Desk())
    client, other = play.connect().header(), play.connect().header()
    client >> ask()
    client << answer(1)
    client >> ask(to=" to='a.example'")
    client << "<iq type='result' id='1' _='...'><answer xmlns='urn:test' count='2'/></iq>"
    other >> ask()
    other << answer(1)
    client >> ask(" fail='1'")
    client << "<iq type='error' id='1'><error type='cancel' _='...'/></iq>"


def test_what_no_module_answers_ends_the_stream() -> None:
    play = world(Desk())
    for text in (
        "<iq type='get' id='1'><other xmlns='urn:test'/></iq>",
        "<iq type='set' id='1'><ask xmlns='urn:test'/></iq>",
        "<iq type='get' id='1'/>",
        ask(to=" to='alice@a.example'"),
        "<message/>",
    ):
        client = play.connect().header()
        client >> text
        client << NOT_AUTHORIZED
        client << closed


def test_nothing_is_answered_without_tls_or_amid_a_login() -> None:
    play = world(Desk())
    client = play.connect(secure=False).header()
    client >> ask()
    client << "<stream:error _='...'><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
    client = play.connect().header()
    client >> "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'/>"
    client << "<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"
    client >> ask()
    client << NOT_AUTHORIZED


def test_only_so_many_requests() -> None:
    client = world(Desk(), preauth_requests=2).connect().header()
    client >> ask() + ask(" fail='1'") + ask()
    client.take()
    assert client.link.gone


def test_a_request_that_takes_its_time_holds_the_stream() -> None:
    desk = Desk()
    play = world(desk)
    client = play.connect().header()
    desk.slow = Later()
    client >> ask()
    assert client.link.paused
    client << nothing
    later, desk.slow = desk.slow, None
    client >> ask()
    client << nothing
    later.resolve(None)
    client << answer(1)
    client << answer(2)
    assert not client.link.paused


def test_a_client_that_is_gone_gets_no_answer() -> None:
    desk = Desk()
    client = world(desk).connect().header()
    desk.slow = Later()
    client >> ask()
    client.cut()
    desk.slow.resolve(None)
    client << nothing


def test_whoever_was_answered_has_time_to_fill_in_a_form_and_no_more() -> None:
    play = world(Desk())
    refused, client = play.connect().header(), play.connect().header()
    client >> ask()
    client << answer(1)
    refused >> ask(" fail='1'")
    refused.take()
    play.pass_time(200)
    assert refused.link.gone
    assert not client.link.gone
    client >> ask()
    client << answer(2)
    play.pass_time(101)
    assert client.link.gone


def test_the_time_ends_with_the_session() -> None:
    play = world(Desk())
    client = play.connect().header()
    client >> ask()
    client.take()
    client >> "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGFsaWNlAHBhc3M=</auth>"
    client << "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"
    client.header().bind("phone")
    play.pass_time(400)
    assert not client.link.gone
