"""A database that a real server has made is read by another program, written from the documents alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from loopback import Served
from second_reader import Reader, told
from test_abuse import Peer
from test_erase import request

from quietwire.testing.playbook import PASSWORD

BOOKMARK = (
    "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='urn:xmpp:bookmarks:1'><item id='den@r.example'>"
    "<conference xmlns='urn:xmpp:bookmarks:1' name='The den'/></item></publish></pubsub>"
)
CONTACT = "<query xmlns='jabber:iq:roster'><item jid='{}' name='{}'/></query>"
BLOCK = "<block xmlns='urn:xmpp:blocking'><item jid='tybalt@b.example'/></block>"


def test_what_an_account_keeps_and_what_waits_for_it(tmp_path: Path) -> None:
    served = Served(tmp_path, ["alice", "bob"])
    try:
        alice = Peer(served).log_in("alice")
        for number in range(20):
            request(alice, f"c{number}", CONTACT.format(f"c{number}@b.example", f"Contact {number}"))
        request(alice, "mark", BOOKMARK)
        request(alice, "block", BLOCK)
        request(alice, "long", f"<query xmlns='jabber:iq:private'><a xmlns='urn:a'>{'n' * 9_000}</a></query>")
        alice.socket.sendall(b"</stream:stream>")
        alice.last_words()
        bob = Peer(served).log_in("bob")
        bob.socket.sendall(b"<message to='alice@a.example' type='chat'><body>are you there?</body></message>")
        bob.ping()
        served.command("key", "rotate")
        bob.socket.sendall(b"<message to='alice@a.example' type='chat'><body>never mind</body></message>")
        bob.ping()
    finally:
        assert served.stop() == 0
    database, key = tmp_path / "data" / "quietwire.sqlite", (tmp_path / "server.key").read_bytes()
    reader = Reader(database, key, "alice@a.example", PASSWORD)
    try:
        found = told(reader)
        assert found["contacts"] == {
            f"c{number}@b.example": {"subscription": "none", "name": f"Contact {number}"} for number in range(20)
        }
        assert (found["blocked"], found["bookmarks"]) == (["tybalt@b.example"], ["den@r.example"])
        assert ["are you there?" in found["offline"][0], "never mind" in found["offline"][1]] == [True, True]
        assert (len(found["offline"]), found["wrong"]) == (2, [])
        rows = len(reader.mine("sealed"))
        assert rows == 32, "twenty contacts, a few rows more, dummies"
    finally:
        reader.close()
    with pytest.raises(InvalidTag):
        Reader(database, key, "alice@a.example", "another password")
