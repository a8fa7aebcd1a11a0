"""An account is erased from a server that runs: nothing of it is left in any file, and its contacts are told."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from pathlib import Path

from loopback import Served
from test_abuse import Peer

from quietwire.seal.key_block import KeyBlock
from quietwire.seal.server_key import RawKey

NAME = "zilpzalp"
"""Of the account: in no other name or word."""
CANARIES = {
    "roster": "<query xmlns='jabber:iq:roster'><item jid='x@x.example' name='{}'/></query>",
    "vcard": "<vCard xmlns='vcard-temp'><FN>{}</FN></vCard>",
    "private": "<query xmlns='jabber:iq:private'><a xmlns='urn:a'>{}</a></query>",
    "pep": "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='urn:a'><item id='1'>"
    "<a xmlns='urn:a'>{}</a></item></publish></pubsub>",
    "block": "<block xmlns='urn:xmpp:blocking'><item jid='{}@x.example'/></block>",
}
"""What is set -> the request. Each has a word of its own."""
NEVER = "<prefs xmlns='urn:xmpp:mam:2' default='never'><always/><never/></prefs>"


def request(peer: Peer, id: str, payload: str) -> bytes:
    """Its answer, which must be good."""
    answer = peer.ask(f"<iq type='set' id='{id}'>{payload}</iq>".encode(), f"id='{id}'".encode())
    assert b"type='error'" not in answer, answer
    return answer


def found(folder: Path, words: list[str]) -> list[tuple[str, str]]:
    """(file, word) of each word that stands in a file of the folder, in any case."""
    files = {path.name: path.read_bytes().lower() for path in folder.rglob("*") if path.is_file()}
    return [(name, word) for name, data in files.items() for word in words if word.encode() in data]


def tables_of(folder: Path) -> set[str]:
    """The tables that hold something of the account, found by its hashes as whoever has the server key can."""
    with contextlib.closing(sqlite3.connect(folder / "data" / "quietwire.sqlite")) as database:
        (block,) = database.execute("SELECT value FROM server").fetchone()
        opened = KeyBlock.from_bytes(block).open(RawKey((folder / "server.key").read_bytes()))
        keys = opened.master.keys()
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        name = f"{NAME}@a.example".encode()
        asked = "SELECT 1 FROM {} WHERE owner IN (?, ?)"
        return {
            table
            for table in tables
            if database.execute(asked.format(table), (keys.owner(table, name), name)).fetchone()
        }


def test_nothing_is_left_of_an_erased_account(tmp_path: Path) -> None:
    served = Served(tmp_path, [NAME, "bob"])
    data = tmp_path / "data"
    words = [f"canary{what}" for what in (*CANARIES, "archived", "kept")]
    try:
        peer, bob = Peer(served).log_in(NAME), Peer(served).log_in("bob")
        request(bob, "prefs", NEVER)
        for what, payload in CANARIES.items():
            request(peer, what, payload.format(f"canary{what}"))
        peer.ask(
            f"<message to='{NAME}@a.example' type='chat'><body>canaryarchived</body></message>"
            "<iq type='get' id='done' to='a.example'><ping xmlns='urn:xmpp:ping'/></iq>".encode(),
            b"id='done'",
        )
        served.command("room", "create", "den", "--owner", "bob")
        served.command("room", "affiliation", "den", NAME, "member")
        peer.socket.sendall(b"</stream:stream>")
        peer.last_words()
        bob.ask(
            f"<message to='{NAME}@a.example' type='chat'><body>canarykept</body></message>"
            "<iq type='get' id='sent' to='a.example'><ping xmlns='urn:xmpp:ping'/></iq>".encode(),
            b"id='sent'",
        )
        assert served.stop() == 0
        assert found(data, [*words, NAME]) == [], "sealed while it is there, too"
        assert {"account", "sealed", "archive", "spool"} <= tables_of(tmp_path), (
            "the test itself: it must be there before"
        )
        served.start()
        served.command("account", "delete", NAME, "--yes")
    finally:
        assert served.stop() == 0
    assert found(data, [*words, NAME]) == []
    assert tables_of(tmp_path) == set()
    assert NAME not in served.log.read_text()


def test_contacts_of_an_erased_account_are_told(tmp_path: Path) -> None:
    served = Served(tmp_path, [NAME, "bob"])
    try:
        peer, bob = Peer(served).log_in(NAME), Peer(served).log_in("bob")
        for one in (peer, bob):
            one.ask(b"<presence/><iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>", b"id='r'")
        bob.socket.sendall(f"<presence to='{NAME}@a.example' type='subscribe'/>".encode())
        peer.ask(b"", b"type='subscribe'")
        peer.socket.sendall(b"<presence to='bob@a.example' type='subscribed'/>")
        peer.socket.sendall(b"<presence to='bob@a.example' type='subscribe'/>")
        bob.ask(b"", b"type='subscribe'")
        bob.socket.sendall(f"<presence to='{NAME}@a.example' type='subscribed'/>".encode())
        peer.ask(b"", b"subscription='both'")
        served.command("account", "delete", NAME, "--yes")
        told = bob.ask(b"", b"type='unsubscribe'").decode()
        if "type='unsubscribed'" not in told:
            told += bob.ask(b"", b"type='unsubscribed'").decode()
        roster = bob.ask(b"<iq type='get' id='q'><query xmlns='jabber:iq:roster'/></iq>", b"id='q'").decode()
        assert re.search(rf"<item[^>]*jid='{NAME}@a.example'[^>]*subscription='none'", roster), roster
        assert b"<not-authorized" in peer.last_words()
    finally:
        assert served.stop() == 0
