"""Requests of every kind that a module answers, with anything in them: one answer each, no fault, nobody else told what
is not addressed to him."""

from __future__ import annotations

from typing import Final

import pytest
from estate import OUTSIDER, OWNER, USER, Estate
from hypothesis import given
from hypothesis import strategies as st
from words import examples, payload

from quietwire.server.module import IqGet, IqSet
from quietwire.server.modules import discover

TAGS: Final = sorted(
    {
        ("get" if isinstance(handler, IqGet) else "set", handler.tag)
        for module in discover()
        for handler in module.handlers
        if isinstance(handler, IqGet | IqSet)
    }
)
LEFT_OUT: Final = "{jabber:iq:register}query"
"""Removes the account: it is asked by a stranger only."""


@pytest.mark.parametrize(("kind", "tag"), TAGS)
def test_whatever_is_asked(kind: str, tag: str) -> None:
    house = Estate()

    @examples(24)
    @given(
        st.sampled_from((OWNER, OWNER, USER, OUTSIDER)),
        st.sampled_from(("", "alice@a.example", "a.example")),
        payload(tag),
    )
    def ask(who: str, to: str, inner: str) -> None:
        if (tag == LEFT_OUT and who != OUTSIDER) or (who == OUTSIDER and not to):
            return
        address = f" to='{to}'" if to else ""
        got = house.asks(who, f"<iq type='{kind}' id='q'{address}>{inner}</iq>")
        heads = [each.partition(">")[0] for each in got]
        answers = [head for head in heads if head.startswith("<iq") and " id='q'" in head]
        assert len(answers) == 1, got
        assert "type='result'" in answers[0] or "type='error'" in answers[0]
        assert "internal-server-error" not in got[heads.index(answers[0])]
        house.calm()

    ask()
