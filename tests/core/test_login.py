"""PLAIN in, SCRAM out, of both protocols; a server that does not know the password is no success."""

from __future__ import annotations

import base64
import os
from typing import Any

import pytest

from quietwire.core import ns, xml
from quietwire.core.errors import StreamError
from quietwire.core.framing import StreamParser
from quietwire.core.login import SASL2, Login, best, failure
from quietwire.core.sasl.failure import SaslFailure
from quietwire.core.sasl.scram import Scram, make_nonce
from quietwire.core.sasl.verifier import Verifier, derive
from quietwire.core.stanza import Nonza

BINDING = {"tls-server-end-point": b"\1" * 32}
KEYS = derive("pencil", b"salt" * 4, 4096, "SCRAM-SHA-256")
VERIFIER = Verifier(b"salt" * 4, 4096, KEYS.stored_key, KEYS.server_key)
PLAIN = base64.b64encode(b"\0alice\0pencil").decode()
REQUEST = {
    ns.SASL: f"<auth xmlns='{ns.SASL}' mechanism='PLAIN'>{PLAIN}</auth>",
    SASL2: f"<authenticate xmlns='{SASL2}' mechanism='PLAIN'><initial-response>{PLAIN}</initial-response>"
    f"<user-agent id='x'/><bind xmlns='urn:xmpp:bind:0'/></authenticate>",
}


def nonza(text: str) -> Nonza:
    parser = StreamParser()
    parser.feed(f"<stream:stream xmlns='{ns.CLIENT}' xmlns:stream='{ns.STREAMS}'>".encode())
    (event,) = parser.feed(text.encode())
    assert isinstance(event, Nonza)
    return event


def payload(element: Any) -> bytes:
    return base64.b64decode(element.text or "")


def success(space: str, said: bytes) -> str:
    text = base64.b64encode(said).decode()
    if space == ns.SASL:
        return f"<success xmlns='{space}'>{text}</success>"
    identifier = "<authorization-identifier>a@b/c</authorization-identifier>"
    return f"<success xmlns='{space}'><additional-data>{text}</additional-data>{identifier}</success>"


@pytest.mark.parametrize("space", [ns.SASL, SASL2])
@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"])
def test_a_login_that_our_own_server_takes(space: str, mechanism: str) -> None:
    login = Login(mechanism, BINDING, os.urandom)
    server = Scram(mechanism, BINDING, make_nonce(os.urandom), advertised_plus=True)
    asked = login.request(nonza(REQUEST[space]))
    assert asked is not None
    assert asked.get("mechanism") == mechanism
    first = asked if space == ns.SASL else asked[0]
    request = server.first(payload(first))
    assert request.username == "alice"
    challenge = server.challenge(VERIFIER)
    answer = login.challenge(nonza(f"<challenge xmlns='{space}'>{base64.b64encode(challenge).decode()}</challenge>"))
    assert answer is not None
    assert xml.namespace(answer.tag) == space
    said = server.final(payload(answer)).server_final
    told = login.end(nonza(success(space, said)))
    assert told is not None
    assert b"v=" not in xml.serialise(told, ns.CLIENT)
    if space == SASL2:
        assert [xml.local_name(one.tag) for one in asked] == ["initial-response", "user-agent", "bind"]
        assert [xml.local_name(one.tag) for one in told] == ["authorization-identifier"]
    else:
        assert told.text is None


def started(space: str = ns.SASL) -> Login:
    login = Login("SCRAM-SHA-256", {}, bytes)
    assert login.request(nonza(REQUEST[space])) is not None
    return login


@pytest.mark.parametrize("said", ["", base64.b64encode(b"v=AAAA").decode(), "&#33;"])
def test_a_server_that_does_not_know_the_password(said: str) -> None:
    login = started()
    challenge = base64.b64encode(b"r=" + b"00" * 18 + b"x,s=QSXC,i=1").decode()
    login.challenge(nonza(f"<challenge xmlns='{ns.SASL}'>{challenge}</challenge>"))
    with pytest.raises(StreamError, match="did not prove"):
        login.end(nonza(f"<success xmlns='{ns.SASL}'>{said}</success>"))


def test_success_at_once_is_none() -> None:
    with pytest.raises(StreamError, match="did not prove"):
        started().end(nonza(f"<success xmlns='{ns.SASL}'/>"))


def test_a_failure_is_passed_on_and_another_try_is_taken() -> None:
    login = started()
    told = login.end(nonza(f"<failure xmlns='{ns.SASL}'><not-authorized/></failure>"))
    assert told is not None
    assert told[0].tag == f"{{{ns.SASL}}}not-authorized"
    assert login.request(nonza(REQUEST[ns.SASL])) is not None


def test_what_is_the_clients_affair_is_left_to_it() -> None:
    login = Login("SCRAM-SHA-256", {}, os.urandom)
    assert login.request(nonza(f"<auth xmlns='{ns.SASL}' mechanism='X-OAUTH2'>eA==</auth>")) is None
    assert login.challenge(nonza(f"<challenge xmlns='{ns.SASL}'>eA==</challenge>")) is None
    assert login.end(nonza(f"<success xmlns='{ns.SASL}'/>")) is None


@pytest.mark.parametrize("text", ["", "!", "eA=="])
def test_a_request_that_is_none(text: str) -> None:
    with pytest.raises(SaslFailure):
        Login("SCRAM-SHA-256", {}, os.urandom).request(
            nonza(f"<auth xmlns='{ns.SASL}' mechanism='PLAIN'>{text}</auth>")
        )


def test_the_strongest_is_taken_and_bound_where_it_can_be() -> None:
    offered = ["PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"]
    assert best(offered, bindable=True) == "SCRAM-SHA-256-PLUS"
    assert best(offered, bindable=False) == "SCRAM-SHA-256"
    assert best(["PLAIN"], bindable=True) == ""


def test_a_failure_of_our_own() -> None:
    assert nonza(failure(SASL2, "malformed-request").decode()).tree[0].tag == f"{{{ns.SASL}}}malformed-request"
