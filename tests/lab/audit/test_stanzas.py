from __future__ import annotations

import pytest

from quietwire.lab.audit import stanzas
from quietwire.lab.audit.facts import Facts
from quietwire.lab.audit.stanzas import Node
from quietwire.lab.audit.xml import of_text

ANNA, BEN = "anna@x.example", "ben@x.example"


def node(text: str) -> Node:
    found = of_text(text)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "other", "who", "whom"),
    [
        (f"<message from='{BEN}/r' to='{ANNA}'><body>Hi</body></message>", "", BEN, ANNA),
        ("<message><body>Hi</body></message>", BEN, ANNA, BEN),
        (f"<message from='{BEN}'><body>Hi</body></message>", BEN, BEN, ANNA),
    ],
)
def test_who_wrote_to_whom(text: str, other: str, who: str, whom: str) -> None:
    facts = Facts()
    stanzas.message(facts, node(text), ANNA, "row 1", other=other)
    (fact,) = facts.of("messages")
    assert (fact.who, fact.what, fact.more, fact.place) == (who, whom, "Hi", "row 1")
    assert not facts.of("times")


def test_when() -> None:
    facts = Facts()
    stamped = (
        f"<message from='{BEN}'><body>Hi</body><delay xmlns='urn:xmpp:delay' stamp='2026-11-21T11:10:39Z'/></message>"
    )
    stanzas.message(facts, node(stamped), ANNA, "")
    assert facts.of("times")[0].what == "2026-11-21T11:10:39Z"


def test_without_a_body_all_words_count() -> None:
    facts = Facts()
    stanzas.message(facts, node(f"<message from='{BEN}'><displayed id='x7'/></message>"), ANNA, "")
    assert "x7" in facts.of("messages")[0].more


@pytest.mark.parametrize(
    ("name", "category"),
    [
        ("urn:xmpp:avatar:data", "avatars"),
        ("urn:xmpp:bookmarks:1", "bookmarks"),
        ("urn:xmpp:mds:displayed:0", "markers"),
        ("eu.siacs.conversations.axolotl.bundles:7", "devices"),
        ("urn:example:other", "nodes"),
    ],
)
def test_what_a_node_is_for(name: str, category: str) -> None:
    assert stanzas.kind(name) == category


def test_a_bookmark_is_known_by_its_room() -> None:
    facts = Facts()
    stanzas.item(facts, ANNA, "urn:xmpp:bookmarks:1", "den@m.example", node("<conference name='Den'/>"), "")
    assert (facts.of("bookmarks")[0].what, facts.of("bookmarks")[0].more) == ("den@m.example", "den@m.example Den")
