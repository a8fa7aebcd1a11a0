"""The server key of a server that runs as a process: from a descriptor, from a passphrase, and changed under a client
that notices nothing, with the process killed at once afterwards."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from loopback import Served
from test_abuse import HEADER, Peer
from test_faults import refused

from quietwire.core import ns

SECRET_CONTACT = b"<item jid='carol@a.example' name='Caroline'/>"
ROSTER = b"<iq type='%b' id='r'><query xmlns='jabber:iq:roster'>%b</query></iq>"


def set_source(served: Served, source: str) -> None:
    lines = [line for line in served.config.read_text().splitlines() if not line.startswith("server_key")]
    served.config.write_text("\n".join([lines[0], f'server_key = "{source}"', *lines[1:]]) + "\n")


def piped(data: bytes) -> int:
    """A descriptor that gives these bytes and ends."""
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    return reading


def works(served: Served) -> None:
    """Who logs in finds what is under the account's own key."""
    assert b"Caroline" in Peer(served).log_in("alice").ask(ROSTER % (b"get", b""), b"</iq>")


@pytest.fixture
def served(tmp_path: Path) -> Served:
    """Not running; alice has a contact."""
    served = Served(tmp_path, ["alice", "bob"])
    Peer(served).log_in("alice").ask(ROSTER % (b"set", SECRET_CONTACT), b"id='r'")
    assert served.stop() == 0
    return served


@pytest.mark.parametrize("profile", ["off", "padded"])
def test_a_key_at_a_descriptor(served: Served, tmp_path: Path, profile: str) -> None:
    """`padded` starts the process twice: the descriptor is there for the second time."""
    key = (tmp_path / "server.key").read_bytes()
    (tmp_path / "server.key").unlink()
    served.config.write_text(served.config.read_text() + f'[links]\nprofile = "{profile}"\n')
    set_source(served, "env-fd:QUIETWIRE_KEY")
    number = piped(key)
    served.start(pass_fds=(number,), env=os.environ | {"QUIETWIRE_KEY": str(number)})
    os.close(number)
    works(served)
    assert served.stop() == 0
    set_source(served, f"fd:{number}")
    assert piped(key) == number
    served.start(pass_fds=(number,))
    os.close(number)
    works(served)
    assert served.stop() == 0
    for other in (4, 6):  # neither was given, and by then they are the server's own
        set_source(served, f"fd:{other}")
        assert "server_key" in refused(served)


def test_a_change_that_clients_do_not_notice(served: Served, tmp_path: Path) -> None:
    former = (tmp_path / "server.key").read_bytes()
    served.start()
    alice = Peer(served).log_in("alice")
    for number in range(3):
        assert len(served.command("key", "rotate").splitlines()) == 4
        alice.socket.sendall(b"<message to='bob@a.example' type='chat'><body>%d</body></message>" % number)
        assert alice.ping() < 5
        works(served)
    assert "data keys: 4" in served.command("key", "show")
    assert (tmp_path / "server.key").read_bytes() != former
    served.process.kill()
    served.process.wait()
    served.start()
    works(served)
    waiting = Peer(served).log_in("bob").ask(b"<presence/>", b"<body>2</body>")
    assert waiting.count(b"<body>") == 3
    assert served.stop() == 0
    assert "event='fault'" not in served.log.read_text()
    (tmp_path / "server.key").write_bytes(former)
    assert "does not open the database" in refused(served)


def test_a_new_account_under_the_new_key_and_an_unknown_name_under_the_same_secret(served: Served) -> None:
    """The salt of somebody who does not exist is what it was: else a rotation would tell who does."""
    served.start()
    before = salt(served, "nobody")
    served.command("key", "rotate")
    served.command("account", "add", "carol", "--password-stdin", stdin="secret\n")
    assert salt(served, "nobody") == before
    assert served.stop() == 0
    served.start()
    assert salt(served, "nobody") == before
    works(served)
    assert served.stop() == 0


def salt(served: Served, name: str) -> bytes:
    """What a login by that name is told."""
    peer = Peer(served)
    peer.ask(HEADER, b"</stream:features>")
    first = base64.b64encode(f"n,,n={name},r=abcdefgh".encode())
    answer = peer.ask(
        b"<auth xmlns='%b' mechanism='SCRAM-SHA-256'>%b</auth>" % (ns.SASL.encode(), first), b"</challenge>"
    )
    found = re.search(rb">([^<]+)</challenge>", answer)
    assert found is not None
    (told,) = [part for part in base64.b64decode(found[1]).split(b",") if part.startswith(b"s=")]
    return told


def test_a_passphrase_from_a_pipe(served: Served, tmp_path: Path) -> None:
    """Argon2id as it is set on this machine, in the process of the command and in that of the server."""
    said = served.command("key", "passphrase")
    phrase = said.splitlines()[0].removeprefix("passphrase: ")
    number = piped(phrase.encode())
    set_source(served, f"passphrase:fd:{number}")
    served.start(pass_fds=(number,))
    os.close(number)
    works(served)
    shown = served.command("key", "show")
    assert "a passphrase: Argon2id, 64 MiB" in shown
    assert len(shown.splitlines()) == 2, "the former key opens nothing any more"
    assert served.stop() == 0
    set_source(served, "server.key")
    assert "does not open the database" in refused(served)
    wrong = piped(b"incorrect horse")
    set_source(served, f"passphrase:fd:{wrong}")
    done = subprocess.run(
        [sys.executable, "-m", "quietwire", "serve", "--config", str(served.config)],
        capture_output=True, text=True, timeout=60, check=False, pass_fds=(wrong,),
    )  # fmt: skip
    os.close(wrong)
    assert done.returncode == 1
    assert "does not open the database" in done.stderr
