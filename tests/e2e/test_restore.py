"""A backup is made of a server that runs, the data folder is lost, the backup is put in its place: everybody logs in
and finds what was there. Without the server key, or with another one, nobody does."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from loopback import Served
from test_abuse import Peer
from test_faults import refused

ROSTER = b"<iq type='%b' id='r'><query xmlns='jabber:iq:roster'>%b</query></iq>"
CONTACT = b"<item jid='bob@a.example' name='Robert'/>"
HISTORY = b"<iq type='set' id='h'><query xmlns='urn:xmpp:mam:2'/></iq>"


def say(peer: Peer, text: bytes) -> None:
    """Returns when it has had its effect."""
    peer.socket.sendall(b"<message to='bob@a.example' type='chat'><body>%b</body></message>" % text)
    peer.ping()


def test_what_was_lost_is_there_again(tmp_path: Path) -> None:
    served = Served(tmp_path, ["alice", "bob"])
    key, data, backup = tmp_path / "server.key", tmp_path / "data", tmp_path / "backup"
    try:
        alice = Peer(served).log_in("alice")
        alice.ask(ROSTER % (b"set", CONTACT), b"id='r'")
        say(alice, b"said before")
        assert "The server key is not in it" in served.command("backup", str(backup))
        say(alice, b"said after")
    finally:
        assert served.stop() == 0
    own = key.read_bytes()
    assert not any(own in one.read_bytes() for one in backup.rglob("*") if one.is_file())
    shutil.rmtree(data)
    shutil.copytree(backup, data)

    key.unlink()
    assert f"server_key: not there, and the database in {data} cannot be opened without it" in refused(served)
    assert not key.exists()
    key.write_bytes(os.urandom(32))
    key.chmod(0o600)
    assert f"server_key: does not open the database in {data}" in refused(served)
    key.write_bytes(own)

    served.start()
    try:
        alice = Peer(served).log_in("alice")
        assert b"name='Robert'" in alice.ask(ROSTER % (b"get", b""), b"</iq>")
        history = alice.ask(HISTORY, b"<fin ")
        assert b"said before" in history
        assert b"said after" not in history
        bob = Peer(served).log_in("bob")
        assert b"said before" in bob.ask(b"<presence/>", b"</message>")
    finally:
        assert served.stop() == 0
    assert "event='fault'" not in served.log.read_text()
