from __future__ import annotations

from pathlib import Path

from test_db import Ring

from quietwire.client.contacts import Roster
from quietwire.client.db import Database
from quietwire.client.keys import FromKeyring
from quietwire.client.model import Contact
from quietwire.core.xml import Element, parse


def query(items: str) -> Element:
    return parse(f"<query xmlns='jabber:iq:roster'>{items}</query>".encode(), "")


def test_pushes_change_the_roster() -> None:
    roster = Roster()
    roster.replace(query("<item jid='b@x.example' subscription='both'/><item jid='a@x.example' ask='subscribe'/>"))
    assert roster.contacts() == [
        Contact(jid="a@x.example", subscription="none", pending=True),
        Contact(jid="b@x.example", subscription="both"),
    ]
    roster.update(
        query("<item jid='b@x.example' subscription='remove'/><item jid='never@x.example' subscription='remove'/>")
    )
    roster.update(query("<item jid='a@x.example' subscription='to'/>"))
    assert roster.contacts() == [Contact(jid="a@x.example", subscription="to")]
    roster.replace(None)
    assert roster.contacts() == []


def test_who_notifies() -> None:
    roster = Roster()
    kinds = ("none", "to", "from", "both")
    roster.replace(query("".join(f"<item jid='{kind}@x.example' subscription='{kind}'/>" for kind in kinds)))
    assert [kind for kind in kinds if roster.notifies(f"{kind}@x.example")] == ["to", "both"]
    assert not roster.notifies("stranger@x.example")


def test_the_cache_is_there_before_the_server_answers(tmp_path: Path) -> None:
    batch = Database.open(tmp_path / "s", FromKeyring(Ring(), "a")).batch()
    roster = Roster()
    roster.replace(query("<item jid='b@x.example' subscription='both'/>"))
    roster.save(batch)
    again = Roster()
    again.load(batch)
    assert again.contacts() == roster.contacts()
