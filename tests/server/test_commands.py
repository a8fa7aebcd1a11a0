from __future__ import annotations

import pytest

from quietwire.core.errors import StanzaError
from quietwire.core.xml import parse, serialise
from quietwire.server.commands import MAX_SESSION, NS, Answer, Call, read_call
from quietwire.server.forms import field, form


def call(attributes: str = "", inner: str = "") -> Call:
    return read_call(parse(f"<command xmlns='{NS}' node='n' {attributes}>{inner}</command>".encode(), ""))


def test_a_step() -> None:
    assert call() == Call("n")
    assert call("action='cancel' sessionid='s'") == Call("n", "s", cancelled=True)
    assert call("", "<x xmlns='jabber:x:data' type='cancel'/>").cancelled
    submitted = call("action='complete'", "<x xmlns='jabber:x:data'><field var='a'><value>1</value></field></x>")
    assert submitted.fields("urn:f") == {"a": ("1",)}
    assert call().fields("urn:f") is None


@pytest.mark.parametrize(
    ("attributes", "inner", "specific"),
    [
        ("action='prev'", "", "bad-action"),
        ("action='dance'", "", "malformed-action"),
        (f"sessionid='{'s' * (MAX_SESSION + 1)}'", "", "bad-sessionid"),
        ("", "<x xmlns='jabber:x:data' type='result'/>", "bad-payload"),
    ],
)
def test_a_step_that_is_none(attributes: str, inner: str, specific: str) -> None:
    with pytest.raises(StanzaError, match="bad-request") as raised:
        call(attributes, inner)
    assert raised.value.specific == f"{{{NS}}}{specific}"


def test_answers() -> None:
    x = form("form", "urn:f", (field("a", "text-single"),))
    shown = serialise(Answer("executing", x).element(Call("n"), "fresh"), NS).decode()
    assert shown.startswith("<command node='n' sessionid='fresh' status='executing'><actions execute='complete'>")
    shown = serialise(Answer("completed", note="done").element(Call("n", "theirs"), "fresh"), NS).decode()
    assert shown == "<command node='n' sessionid='theirs' status='completed'><note type='info'>done</note></command>"
    shown = serialise(Answer("completed", note="no", failed=True).element(Call("n"), "fresh"), NS).decode()
    assert shown == "<command node='n' sessionid='fresh' status='completed'><note type='error'>no</note></command>"
