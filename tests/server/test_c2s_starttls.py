"""Between <proceed/> and the end of the handshake nothing is read and nothing is written in clear."""

from __future__ import annotations

from quietwire.testing.playbook import Client, Playbook

HEADER = (
    "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='a.example' version='1.0'>"
)
STARTTLS = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"


def connect() -> tuple[Playbook, Client]:
    play = Playbook("a.example", accounts=["alice"])
    client = Client(play, secure=False)
    client.link.says(HEADER)
    client.link.take()
    return play, client


def test_what_comes_with_the_request_is_thrown_away() -> None:
    _, client = connect()
    client.link.says(STARTTLS + STARTTLS + "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'/>")
    assert client.link.take().count("<proceed") == 1
    client.link.says("injected")
    client.link.secures()
    client.link.says(HEADER)
    answer = client.link.take()
    assert answer.count("<stream:stream") == 1
    assert "SCRAM-SHA-256" in answer
    assert not client.link.aborted


def test_a_handshake_that_takes_too_long_is_cut_without_a_word() -> None:
    play, client = connect()
    client.link.says(STARTTLS)
    client.link.take()
    play.pass_time(play.server.settings.unauthenticated_seconds + 1)
    assert client.link.aborted
    assert client.link.take() == ""


def test_a_handshake_that_fails_is_noted() -> None:
    play, client = connect()
    client.link.says(STARTTLS)
    client.link.breaks()
    assert ("tls-failed", {}) in play.notes
