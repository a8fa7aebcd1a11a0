"""A household in disorder: people here and elsewhere send each other anything, change their accounts, go and come
again. No fault, nothing on a stream that is no XML, no request without its answer."""

from __future__ import annotations

from typing import Final

from estate import CONTACT, FRIEND, LOCAL, OUTSIDER, OWNER, USER, Estate
from hypothesis import given
from hypothesis import strategies as st
from test_fuzz_requests import LEFT_OUT, TAGS
from words import INNER, VALUES, examples, payload

from quietwire.core.xml import escape

TO: Final = st.sampled_from(
    (
        "alice@a.example", "alice@a.example/phone", "bob@a.example", "bob@a.example/x", "carol@a.example",
        "carol@a.example/gone", "nobody@a.example", "frank@b.example", "a.example", "closed@a.example",
        "conference.a.example", "den@conference.a.example", "den@conference.a.example/n", "upload.a.example",
    )
)  # fmt: skip
TYPES: Final = {
    "message": ("", "chat", "normal", "headline", "groupchat", "error", "odd"),
    "presence": ("", "unavailable", "subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe", "error", "odd"),
}
HINTS: Final = (
    "", "<body>hello</body>", "<body>hello</body>", "<store xmlns='urn:xmpp:hints'/>", "<priority>-1</priority>",
    "<x xmlns='http://jabber.org/protocol/muc'/>", "<private xmlns='urn:xmpp:carbons:2'/>",
    "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='v'/>",
)  # fmt: skip


def stanza(kind: str, to: str, type_: str, hint: str, inner: str) -> str:
    address = f" to='{to}'" if to else ""
    return f"<{kind}{address}{type_} id='m'>{hint}{inner}</{kind}>"


def _of(kind: str) -> st.SearchStrategy[str]:
    return st.builds(
        stanza,
        st.just(kind),
        st.one_of(TO, TO, TO, st.just("")),
        st.sampled_from(TYPES[kind]).map(lambda type_: f" type='{type_}'" if type_ else ""),
        st.sampled_from(HINTS),
        st.one_of(st.just(""), INNER),
    )


ASKED: Final = st.sampled_from([each for each in TAGS if each[1] != LEFT_OUT]).flatmap(
    lambda each: payload(each[1]).map(lambda inner: f"<iq type='{each[0]}' id='q'>{inner}</iq>")
)
ACT: Final = st.one_of(
    _of("message"),
    _of("message"),
    _of("presence"),
    ASKED,
    st.builds(lambda to, inner: f"<iq type='get' id='q' to='{to}'>{inner}</iq>", TO, INNER),
    VALUES.map(lambda text: f"<message to='alice@a.example' id='{escape(text)}' type='chat'><body>x</body></message>"),
    st.sampled_from(("leaves", "comes", "time")),
)
WHO: Final = st.sampled_from((OWNER, OWNER, CONTACT, USER, FRIEND, OUTSIDER))


@examples(50)
@given(st.lists(st.tuples(WHO, ACT), min_size=5, max_size=25))
def test_whatever_they_do(acts: list[tuple[str, str]]) -> None:
    house = Estate(blocking={"strangers": True})
    for who, text in acts:
        if text == "time":
            house.pass_time(700)
        elif text in ("leaves", "comes"):
            if who in LOCAL:
                old = house.people[who]
                if not old.link.gone:
                    old >> "</stream:stream>"
                old.take()
                house.clients.remove(old)
                house.people[who] = house.client(LOCAL[who], "<presence/>")
        elif who in LOCAL or " to='" in text.partition(">")[0]:
            got = house.asks(who, text)
            if who in LOCAL and house.people[who].link.gone:
                house.clients.remove(house.people[who])
                house.people[who] = house.client(LOCAL[who], "<presence/>")
            elif text.startswith("<iq") and " to='" not in text.partition(">")[0]:
                heads = [each.partition(">")[0] for each in got]
                assert len([head for head in heads if head.startswith("<iq") and " id='q'" in head]) == 1, (text, got)
        assert not any("internal-server-error" in each for each in house.heard()), text
