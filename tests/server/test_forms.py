from __future__ import annotations

import pytest

from quietwire.core import ns
from quietwire.core.errors import StanzaError
from quietwire.core.xml import parse, serialise
from quietwire.server import forms


def read(inner: str) -> dict[str, tuple[str, ...]]:
    return forms.read(parse(f"<x xmlns='jabber:x:data' type='submit'>{inner}</x>".encode(), ns.CLIENT), "kind")


def field(var: str, *values: str) -> str:
    return f"<field var='{var}'>" + "".join(f"<value>{v}</value>" for v in values) + "</field>"


def test_what_is_written_can_be_read() -> None:
    fields = (forms.field("a", "text-single", "An a", ("1",)), forms.field("b", "list-multi", options=(("B", "b"),)))
    x = forms.form("submit", "kind", fields, title="A form", instructions="Fill it in")
    assert forms.read(parse(serialise(x, ns.CLIENT), ns.CLIENT), "kind") == {"a": ("1",), "b": ()}
    assert b"<option label='B'><value>b</value></option>" in serialise(x, ns.CLIENT)


def test_the_type_may_be_left_out_but_not_be_another() -> None:
    assert read(field("a", "1", "2")) == {"a": ("1", "2")}
    assert read(field("FORM_TYPE", "kind") + field("a")) == {"a": ()}
    with pytest.raises(StanzaError, match="bad-request"):
        read(field("FORM_TYPE", "other"))


@pytest.mark.parametrize(
    "inner",
    [
        field("a", "1") + field("a", "2"),
        "".join(field(f"f{n}") for n in range(forms.MAX_FIELDS + 1)),
        field("a", *["v"] * (forms.MAX_VALUES + 1)),
    ],
)
def test_too_much(inner: str) -> None:
    with pytest.raises(StanzaError, match="bad-request"):
        read(inner)


def test_fixed_text_is_no_field() -> None:
    assert read("<field type='fixed'><value>read me</value></field>") == {}
