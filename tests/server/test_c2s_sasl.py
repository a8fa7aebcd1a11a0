"""RFC 6120's form of a login where it does not go as usual; every mechanism is tried in `test_login.py`."""

from __future__ import annotations

import base64

import pytest

from quietwire.core import ns
from quietwire.core.later import Later
from quietwire.testing.playbook import Client, Playbook, closed, nothing

SASL = f"xmlns='{ns.SASL}'"
PLAIN = base64.b64encode(b"\0alice\0pass").decode()
AUTH = f"<auth {SASL} mechanism='PLAIN'>{PLAIN}</auth>"


def failure(condition: str) -> str:
    return f"<failure {SASL}><{condition}/></failure>"


def connected(**settings: int) -> tuple[Playbook, Client]:
    play = Playbook(accounts=["alice"], **settings)
    return play, play.connect().header()


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        (f"<auth {SASL} mechanism='PLAIN'>=</auth>", "malformed-request"),
        (f"<auth {SASL} mechanism='PLAIN'>?</auth>", "incorrect-encoding"),
        (f"<auth {SASL}/>", "invalid-mechanism"),
        (f"<response {SASL}/>", "malformed-request"),
        (f"<abort {SASL}/>", "malformed-request"),
        (f"<success {SASL}/>", "malformed-request"),
    ],
)
def test_what_fails_and_can_be_tried_again(text: str, condition: str) -> None:
    _, client = connected()
    client >> text
    client << failure(condition)
    client >> AUTH
    client << f"<success {SASL}/>"


def test_aborted() -> None:
    _, client = connected()
    client >> f"<auth {SASL} mechanism='PLAIN'/>"
    client << f"<challenge {SASL}/>"
    client >> f"<abort {SASL}/>"
    client << failure("aborted")


def test_begun_twice() -> None:
    _, client = connected()
    client >> f"<auth {SASL} mechanism='PLAIN'/>"
    client.take()
    client >> AUTH
    client << failure("malformed-request")


def test_only_so_many_attempts() -> None:
    play, client = connected(login_attempts=2)
    client >> f"<auth {SASL}/>"
    client >> f"<auth {SASL}/>"
    client << failure("invalid-mechanism")
    client << failure("invalid-mechanism")
    client << "<stream:error _='...'><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
    client << closed
    assert play.notes.count(("login-refused", {"condition": "invalid-mechanism"})) == 2


@pytest.mark.parametrize("gone", [False, True])
def test_what_comes_while_a_password_is_checked_waits(gone: bool) -> None:
    play, client = connected()
    slow: Later[bytes | None] = Later()
    work = []

    def compute(job: object) -> Later[bytes | None]:
        work.append(job)
        return slow

    play.server.gate.compute = compute  # type: ignore[assignment]
    client >> AUTH
    client << nothing
    assert client.link.paused
    if gone:
        client.cut()
    slow.resolve(work[0]())  # type: ignore[operator]
    client << (nothing if gone else f"<success {SASL}/>")
    assert client.link.paused is gone


def test_a_fault_of_ours_is_a_temporary_failure() -> None:
    play, client = connected()

    def compute(job: object) -> Later[bytes | None]:
        raise ZeroDivisionError

    play.server.gate.compute = compute  # type: ignore[assignment]
    with pytest.raises(ZeroDivisionError):
        client >> AUTH
    client << failure("temporary-auth-failure")


def test_a_payload_may_be_written_in_any_way_that_xml_has() -> None:
    payload = base64.b64encode(b"\0alice\0pass").decode()
    for text in (f"&#{ord(payload[0])};{payload[1:]}", f" <![CDATA[{payload}]]>\n"):
        _, client = connected()
        client >> f"<auth {SASL} mechanism='PLAIN'>{text}</auth>"
        client << f"<success {SASL}/>"
