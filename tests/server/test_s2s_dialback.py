from __future__ import annotations

import pytest

from quietwire.core.framing import StreamParser
from quietwire.core.stanza import Child
from quietwire.server.s2s import header
from quietwire.server.s2s_dialback import RESULT, VERIFY, Keys, answer, asking, key_of, outcome_of


def read(data: bytes) -> Child:
    """As the other server reads it."""
    parser = StreamParser()
    parser.feed(header(from_="a.example", to="b.example"))
    (child,) = parser.feed(data)
    assert isinstance(child, Child)
    return child


def test_the_key_of_the_specification() -> None:
    # XEP-0220 §2.2.2 and XEP-0185 §3: the same secret, domains and stream.
    key = Keys(b"d14lb4ck43v3r").make("capulet.example", "montague.example", "417GAF25")
    assert key == "225cc5aa6a071133249d25fef42ae516fc7a86c523aa1c6980a7f73e784c972d"


def test_a_key_is_for_one_pair_on_one_stream() -> None:
    keys = Keys(b"secret")
    key = keys.make("b.example", "a.example", "id")
    assert keys.recognise(key, "b.example", "a.example", "id")
    assert not keys.recognise(key, "a.example", "b.example", "id")
    assert not keys.recognise(key, "b.example", "a.example", "other")
    assert not keys.recognise(key, "b.example", "c.example", "id")
    assert not keys.recognise("", "b.example", "a.example", "id")
    assert not keys.recognise("clé", "b.example", "a.example", "id")
    assert not Keys(b"another").recognise(key, "b.example", "a.example", "id")


@pytest.mark.parametrize("kind", [RESULT, VERIFY])
def test_questions_are_read_back(kind: str) -> None:
    child = read(asking(kind, "a.example", "b.example", "k&y", "<id>"))
    assert child.kind == kind
    assert child.attributes == {"from": "a.example", "to": "b.example", "id": "<id>"}
    assert key_of(child) == "k&y"


@pytest.mark.parametrize("outcome", ["valid", "invalid", "item-not-found", "remote-server-timeout"])
def test_answers_are_read_back(outcome: str) -> None:
    child = read(answer(VERIFY, "b.example", "a.example", outcome, "id"))
    assert outcome_of(child) == outcome


@pytest.mark.parametrize(
    "said",
    [
        b"<db:result type='error'/>",
        b"<db:result type='error'><error><never xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:result>",
        b"<db:result type='maybe'>valid</db:result>",
        b"<db:result/>",
    ],
)
def test_answers_that_say_nothing(said: bytes) -> None:
    assert outcome_of(read(said)) == "undefined-condition"


def test_an_error_of_prosodys_kind() -> None:
    error = b"<error type='auth'><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
    assert outcome_of(read(b"<db:result type='error'>" + error + b"</db:result>")) == "not-authorized"
