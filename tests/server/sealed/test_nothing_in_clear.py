"""A word in every field that people can set, then a search for it in all that a disk would hold: rows, their keys and
their owners' names, and the log. Its owner is there, or away while somebody else writes to the account."""

from __future__ import annotations

import base64

import pytest

from quietwire.core.xml import Element
from quietwire.testing.playbook import Playbook

WORD = "Zyzzyva"
LOW = WORD.lower()
"""Of addresses, which are prepared."""
PUBSUB = "http://jabber.org/protocol/pubsub"
OWNER, FRIEND, STRANGER = f"{LOW}-alice", f"{LOW}-bob", f"{LOW}-carol"


def options(**values: str) -> str:
    fields = "".join(f"<field var='pubsub#{name}'><value>{value}</value></field>" for name, value in values.items())
    return (
        "<publish-options><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>"
        f"<value>{PUBSUB}#publish-options</value></field>{fields}</x></publish-options>"
    )


def publish(node: str, item: str, **values: str) -> str:
    inner = f"<publish node='{node}'><item id='{item}'><e xmlns='urn:{WORD}'>{WORD}</e></item></publish>"
    return f"<pubsub xmlns='{PUBSUB}'>{inner}{options(**values) if values else ''}</pubsub>"


PICTURE = base64.b64encode(WORD.encode() * 9).decode()
OF_THE_OWNER = {
    "roster": f"<query xmlns='jabber:iq:roster'><item jid='{LOW}@b.example' name='{WORD}'><group>{WORD}</group></item>"
    "</query>",
    "blocks": f"<block xmlns='urn:xmpp:blocking'><item jid='{LOW}-troll@b.example'/></block>",
    "private": f"<query xmlns='jabber:iq:private'><n xmlns='urn:{WORD}'>{WORD}</n></query>",
    "list of bookmarks": "<query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'>"
    f"<conference jid='{LOW}@rooms.b.example' name='{WORD}'><nick>{WORD}</nick></conference></storage></query>",
    "bookmarks": f"<pubsub xmlns='{PUBSUB}'><publish node='urn:xmpp:bookmarks:1'><item id='{LOW}@rooms.c.example'>"
    f"<conference xmlns='urn:xmpp:bookmarks:1' name='{WORD}'/></item></publish></pubsub>",
    "last positions": publish("urn:xmpp:mds:displayed:0", f"{LOW}@b.example"),
    "a node for contacts": publish(f"urn:{WORD}:seen", WORD, title=WORD, description=WORD),
    "a node for groups": publish(f"urn:{WORD}:group", WORD, access_model="roster", roster_groups_allowed=WORD),
    "an open node": publish(f"urn:{WORD}:open", WORD, access_model="open", title=WORD),
    "who is let in": f"<pubsub xmlns='{PUBSUB}#owner'><affiliations node='urn:{WORD}:open'>"
    f"<affiliation jid='{LOW}@c.example' affiliation='outcast'/></affiliations></pubsub>",
    "vcard": f"<vCard xmlns='vcard-temp'><FN>{WORD}</FN><PHOTO><TYPE>image/png</TYPE><BINVAL>{PICTURE}</BINVAL></PHOTO>"
    "</vCard>",
    "push": f"<enable xmlns='urn:xmpp:push:0' jid='{LOW}.push.example' node='{WORD}'/>",
    "wishes": "<prefs xmlns='urn:xmpp:mam:2' default='always'><always/>"
    f"<never><jid>{LOW}@d.example</jid></never></prefs>",
}
BY_OTHERS = {
    "a request": f"<presence to='{OWNER}@a.example' type='subscribe'><status>{WORD}</status></presence>",
    "its end": f"<presence to='{OWNER}@a.example' type='unsubscribe'/>",
    "a message": f"<message to='{OWNER}@a.example' type='chat' id='{WORD}'><body>{WORD}</body></message>",
    "a subscription to a node": f"<iq type='set' id='s' to='{OWNER}@a.example'><pubsub xmlns='{PUBSUB}'>"
    f"<subscribe node='urn:{WORD}:open' jid='{STRANGER}@a.example'/></pubsub></iq>",
}


def held(play: Playbook) -> dict[str, bytes]:
    """All that a disk would hold, by table, and the log."""
    play.storage.commit()
    state = play.storage._durable
    found = {
        table: b"\0".join(owner + key + value for owner, rows in owners.items() for key, value in rows.items())
        for table, owners in state.rows.items()
    }
    found["spool"] = b"\0".join(owner + b"".join(rows.values()) for owner, rows in state.spool.items())
    found["log"] = repr(play.notes).encode()
    return found


def traces(play: Playbook) -> list[str]:
    words = (WORD.encode(), LOW.encode(), PICTURE.encode(), WORD.encode().hex().encode())
    return [where for where, data in held(play).items() if any(word in data for word in words)]


@pytest.mark.parametrize("away", [True, False])
def test_no_trace_of_anything(away: bool) -> None:
    play = Playbook(accounts=(OWNER, FRIEND, STRANGER))
    owner = play.connect()
    agent = f"<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'><software>{WORD}</software><device>{WORD}</device>"
    owner.sign_in(OWNER, f"{agent}</user-agent><bind xmlns='urn:xmpp:bind:0'><tag>{WORD}</tag></bind>")
    owner >> f"<presence><status>{WORD}</status></presence>"
    owner.take()
    for what, payload in OF_THE_OWNER.items():
        owner >> f"<iq type='set' id='q'>{payload}</iq>"
        answers = [each for each in owner.take() if isinstance(each, Element) and each.get("id") == "q"]
        assert [each.get("type") for each in answers] == ["result"], what
    for name in (FRIEND, STRANGER):
        owner >> f"<message to='{name}@a.example' type='chat'><body>{WORD}</body></message>"
    owner >> f"<presence to='{FRIEND}@a.example' type='subscribed'/>"
    if away:
        owner >> "</stream:stream>"
        assert play.server.keyring.get(f"{OWNER}@a.example".encode()) is None
    for name in (FRIEND, STRANGER):
        client = play.client(f"{name}/{WORD}", "<presence/>")
        for text in BY_OTHERS.values():
            client >> text
        client >> "</stream:stream>"
    assert sum(map(len, held(play).values())) > 20_000
    assert traces(play) == []
    play.pass_time(86_400)
    assert traces(play) == []


def test_the_search_finds_what_is_there() -> None:
    play = Playbook(accounts=(OWNER,))
    assert traces(play) == []
    play.storage.put("sealed", b"o", b"k", b"..." + LOW.encode())
    play.notes.append(("event", {"name": WORD}))
    assert traces(play) == ["sealed", "log"]
