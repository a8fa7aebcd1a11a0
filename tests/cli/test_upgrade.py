"""A database file of the last version before the sealed store, a server started on it, and what the file tells when its
owners have logged in."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import io
import json
import sqlite3
from importlib.resources import files
from pathlib import Path

import pytest

from quietwire.cli.compose import DATABASE, open_server
from quietwire.cli.config import Config, load
from quietwire.cli.logs import Log
from quietwire.cli.quickstart import prepare
from quietwire.core.jid import parse_jid
from quietwire.net.shell import Shell, driven
from quietwire.seal.credentials import Credentials
from quietwire.server.server import Server
from quietwire.store.database import APPLICATION_ID

BEFORE = json.loads((Path(__file__).parents[1] / "server" / "sealed" / "before.json").read_text())
PEOPLE = ("alice-quux@a.example", "bob-quux@a.example", "carol-quux@a.example")


def of_before(path: Path, more: int = 0) -> None:
    """`more`: messages in alice's archive, besides."""
    path.unlink(missing_ok=True)
    db = sqlite3.connect(path)
    for name in ("0001_first.sql", "0002_messaging_and_rooms.sql"):
        db.executescript((files("quietwire.store") / "migrations" / name).read_text())
    for table, owners in BEFORE["tables"].items():
        for owner, rows in owners.items():
            pairs = [(owner.encode(), bytes.fromhex(key), bytes.fromhex(value)) for key, value in rows.items()]
            db.executemany(f"INSERT INTO {table} VALUES (?, ?, ?)", pairs)
    sample = next(iter(BEFORE["tables"]["archive"][PEOPLE[0]].items()))
    key, value = (bytes.fromhex(each) for each in sample)
    for number in range(more):
        digest, order = hashlib.sha256(str(number).encode()).digest(), (number + 1).to_bytes(8, "big")
        row = value[:2] + order + value[10:22] + digest[:8] + value[30:]
        db.execute("INSERT INTO archive VALUES (?, ?, ?)", (PEOPLE[0].encode(), key[:3] + digest[:16], row))
    db.execute("PRAGMA journal_mode=WAL")
    db.execute(f"PRAGMA application_id={APPLICATION_ID}")
    db.execute("PRAGMA user_version=2")
    db.commit()
    db.close()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    config = load(prepare(tmp_path / "server", "a.example", "somebody")[0])
    of_before(config.data / DATABASE)
    return config


def remains(config: Config) -> int:
    """How often the word stands in the files."""
    return sum(file.read_bytes().count(b"quux") for file in config.data.iterdir() if file.is_file())


async def log_in(server: Server, name: str) -> None:
    """As a login does, without its stream: the keys are there, and the account is adopted."""
    record = await driven(server.accounts.credentials(parse_jid(name)))
    credentials = Credentials.from_bytes(record, parse_jid(name))
    verifier = credentials.verifier("SCRAM-SHA-256")
    salted = hashlib.pbkdf2_hmac("sha256", b"pass", verifier.salt, verifier.iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    lease = server.keyring.unlock(name.encode(), credentials.unlock("SCRAM-SHA-256", client_key))
    assert lease.unlocked.owner == name.encode()
    await driven(server.store.unlock(name.encode()))


def lives(config: Config, *people: str) -> tuple[int, str]:
    """A server's life in which these log in. -> accounts that are in clear at its end, and what it logged."""
    log = io.StringIO()

    async def main() -> int:
        shell = Shell(asyncio.get_running_loop())
        server = await open_server(config, shell, Log("info", log))
        for name in people:
            await log_in(server, name)
        left = len(server.migration.left)
        server.keyring.close()
        server.ports.storage.close()
        shell.close()
        return left

    return asyncio.run(main()), log.getvalue()


def test_the_file_has_nothing_in_clear_when_all_have_logged_in(config: Config) -> None:
    assert remains(config)
    left, log = lives(config)
    assert left == 3
    assert "accounts-not-sealed" in log
    assert "quux" not in log
    some = remains(config)
    assert some
    left, log = lives(config, *PEOPLE[:2])
    assert left == 1
    assert 0 < remains(config) < some
    left, log = lives(config, PEOPLE[2])
    assert left == 0
    assert "accounts-sealed" in log
    assert remains(config) == 0
    left, log = lives(config, *PEOPLE)
    assert "accounts-not-sealed" not in log
    assert remains(config) == 0
