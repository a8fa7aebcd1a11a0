"""SIGKILL with archives and rooms on: nothing acknowledged is missing anywhere, nothing is in an archive twice.

At moments drawn from a seed, under load, the server process is killed and started again on the same data. Pairs chat,
half of the recipients away all the time; in each room two talk, and its owner makes members and renames the room.
Clients then do what clients do (XEP-0198 §5): they do again, with the same ids, what was not acknowledged. Much of that
had been committed already. After each kill the rooms' rows are read, at the end the archives as a query reads them, and
those who were away log in. `test_kill.py` has more rounds, and looks at what arrives between them.

QUIETWIRE_KILLS says how often (6), QUIETWIRE_SEED when; ``pytest -s`` shows the figures.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import io
import os
import random
import re
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))

from configs import PLAIN, Setup
from peers import PASSWORD, Running, serve_quietwire, start_quietwire
from session import READY_STANZAS, Session, unverified_tls
from wire import SHARE, Arrivals, Keys, RoomArrivals

from quietwire.cli.compose import open_server
from quietwire.cli.config import load
from quietwire.cli.logs import Log
from quietwire.cli.room import rooms_of
from quietwire.core.jid import parse_jid
from quietwire.net.shell import Shell, driven
from quietwire.seal.credentials import Credentials
from quietwire.server.archive_index import Query
from quietwire.server.rooms.model import Room
from quietwire.server.rooms.ranks import Affiliation
from quietwire.server.server import Server

HOST = PLAIN.host
SEED = int(os.environ.get("QUIETWIRE_SEED", "2026"))
KILLS = int(os.environ.get("QUIETWIRE_KILLS", "6"))
PAIRS = 8
ROOMS = 2
TALKERS = 2
"""Of each room; its owner is in it as well."""
IN_FLIGHT = 20
LAST = 5
"""Beyond them, just before the kill."""
ACKNOWLEDGED = (60, 600)
"""Of all stanzas of a round, before the kill: so many, whatever else the machine has to do."""
LEAST = 5
"""Of them, of each source."""
PER_ROUND = 100
PATIENCE = 60.0
ID = re.compile(rb"^<message[^>]*? id='(\d+)'")


@dataclass(frozen=True)
class Named:
    """A message that is the same whenever it is sent: ids of its own, no time. (`wire.Letter` in a session's hands.)"""

    to: bytes
    kind: bytes = b"chat"
    base: int = 0

    def written(self, now_ns: int, number: int) -> bytes:
        number += self.base
        return (
            b"<message to='%b' type='%b' id='%d'><body>T@%019d@%08d</body>"
            b"<origin-id xmlns='urn:xmpp:sid:0' id='%d'/></message>" % (self.to, self.kind, number, 0, number, number)
        )


@dataclass(frozen=True)
class Change:
    """What an owner does to a room, the same whenever it is done: each even number makes a member, each odd one gives
    the room a name."""

    to: bytes

    def written(self, now_ns: int, number: int) -> bytes:
        if number % 2 == 0:
            inner = b"<query xmlns='http://jabber.org/protocol/muc#admin'><item affiliation='member' jid='%b'/></query>"
            return b"<iq type='set' id='c%d' to='%b'>%b</iq>" % (number, self.to, inner % member(number).encode())
        return b"<iq type='set' id='c%d' to='%b'>%b</iq>" % (number, self.to, form({"roomname": f"n{number:08d}"}))


def member(number: int) -> str:
    return f"m{number}@elsewhere.example"


def form(fields: dict[str, str]) -> bytes:
    """A room's configuration, submitted."""
    inner = "".join(
        f"<field var='muc#roomconfig_{name}'><value>{value}</value></field>" for name, value in fields.items()
    )
    return (
        "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'><field "
        f"var='FORM_TYPE'><value>http://jabber.org/protocol/muc#roomconfig</value></field>{inner}</x></query>"
    ).encode()


@dataclass
class Source:
    """Somebody who does numbered things; `promised`: how many of them were acknowledged, the first so many."""

    user: int
    letter: Named | Change
    room: str = ""
    promised: int = 0
    first: int = 0
    """`promised` at this login."""
    before: int = READY_STANZAS
    """Stanzas of this session before the first numbered one."""
    session: Session | None = None
    most: int = 0
    """What any session of it has sent: what a killed server took and did not acknowledge is done again, not undone."""

    def acknowledged(self) -> int:
        assert self.session is not None
        return self.first + max(0, self.session.acknowledged - self.before)


def rooms() -> list[str]:
    return [f"r{number}@conference.{HOST}" for number in range(ROOMS)]


def sources() -> list[Source]:
    found = [Source(2 * pair, Named(f"u{2 * pair + 1}@{HOST}".encode())) for pair in range(PAIRS)]
    user = 2 * PAIRS
    for room in rooms():
        found.append(Source(user, Change(room.encode()), room))
        for talker in range(TALKERS):
            found.append(Source(user + 1 + talker, Named(room.encode(), b"groupchat", talker * SHARE), room))
        user += 1 + TALKERS
    return found


ACCOUNTS = 2 * PAIRS + ROOMS * (1 + TALKERS)


class World:
    def __init__(self) -> None:
        self.tls = unverified_tls()
        self.keys = Keys(PASSWORD.encode())
        self.sources = sources()
        self.repeated = 0
        self.made: set[str] = set()

    async def login(self, server: Running, user: int) -> Session:
        session = Session(f"u{user}", HOST, self.keys, ack_every=5)
        session.arrivals = RoomArrivals([Arrivals() for _ in range(TALKERS)])
        await session.login(server.port, self.tls)
        return session

    async def begin(self, server: Running) -> list[Session]:
        """Everybody who does something logs in, enters the room, and begins with what was not acknowledged."""
        sessions = list(await asyncio.gather(*(self.login(server, source.user) for source in self.sources)))
        for source, session in zip(self.sources, sessions, strict=True):
            session.letter = source.letter  # type: ignore[assignment]
            source.session, source.first, session.sent = session, source.promised, source.promised
            if source.room:
                # The room exists: its owner, the first of its sources, has made it before the others come.
                await session.join(source.room.encode(), first=source.room not in self.made)
                if source.room not in self.made:
                    await self.set_up(session, source.room)
                    self.made.add(source.room)
            source.before = session.stanzas
        return sessions

    async def set_up(self, session: Session, room: str) -> None:
        """Until it is sure to be there after a kill."""
        wish = form({"persistentroom": "1", "membersonly": "0"})
        session.transport.write(b"<iq type='set' id='stay' to='%b'>%b</iq>" % (room.encode(), wish))
        session.stanzas += 1
        session.ask()
        await until(lambda: session.acknowledged == session.stanzas, "a room is made")

    def credit(self) -> None:
        for source in self.sources:
            assert source.session is not None
            acknowledged = source.acknowledged()
            assert source.promised <= acknowledged <= source.session.sent, "acknowledged more than was sent"
            self.repeated += source.session.sent - acknowledged
            source.most = max(source.most, source.session.sent)
            source.promised = acknowledged

    async def round(self, server: Running, seed: random.Random) -> None:
        receivers = await asyncio.gather(*(self.login(server, 2 * pair + 1) for pair in range(0, PAIRS, 2)))
        sessions = await self.begin(server)

        def top_up(source: Source) -> None:
            session = source.session
            assert session is not None
            left = PER_ROUND - (session.sent - source.first)
            short = IN_FLIGHT - (session.stanzas - session.acknowledged)
            if not session.closed and (count := min(left, short)) > 0:
                session.send(count)

        for source, session in zip(self.sources, sessions, strict=True):
            session.on_acknowledged = lambda _, source=source: top_up(source)
            top_up(source)
        goal = seed.randint(*ACKNOWLEDGED)

        def enough() -> bool:
            server.check()
            done = [source.acknowledged() - source.first for source in self.sources]
            return sum(done) >= goal and min(done) >= LEAST

        await until(enough, "acknowledgements under load")
        for session in sessions:
            session.send(LAST)
        await asyncio.sleep(seed.uniform(0, 0.15))
        server.process.kill()
        await asyncio.gather(*(session.gone() for session in (*sessions, *receivers)))
        self.credit()

    async def end(self, server: Running) -> None:
        """What was not acknowledged is done once more, and waited for; who was away comes."""
        sessions = await self.begin(server)
        for session in sessions:
            session.send(IN_FLIGHT + LAST)  # as many as a killed server may have taken
            session.ask()
        await until(lambda: all(each.acknowledged >= each.stanzas for each in sessions), "acknowledged in the end")
        repeated = self.repeated
        self.credit()
        self.repeated = repeated
        for pair in range(1, PAIRS, 2):
            late = await self.login(server, 2 * pair + 1)
            whole = self.sources[pair].promised
            await until(lambda late=late, whole=whole: late.arrivals.seen >= whole, "what waited in the spool comes")
            assert late.arrivals.skipped == 0, "something acknowledged was not in the spool"
            sessions.append(late)
        await asyncio.gather(*(session.close() for session in sessions))


async def until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.01)


class Disk:
    """The database of a server that is not running, as the next one reads it."""

    def __init__(self, config: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._shell = Shell(self._loop)
        self._server: Server = self._loop.run_until_complete(
            open_server(load(config), self._shell, Log("error", io.StringIO()))
        )

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._loop.run_until_complete(driven(work))

    def unlock(self, name: str) -> None:
        """As the owner's login does."""
        jid = parse_jid(name)
        credentials = Credentials.from_bytes(self.run(self._server.accounts.credentials(jid)), jid)
        verifier = credentials.verifier("SCRAM-SHA-256")
        salted = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), verifier.salt, verifier.iterations)
        key = hmac.digest(salted, b"Client Key", "sha256")
        self._server.keyring.unlock(name.encode(), credentials.unlock("SCRAM-SHA-256", key))
        self.run(self._server.store.unlock(name.encode()))

    def archived(self, owner: str) -> list[int]:
        """The numbers of the messages in an archive, in its order."""
        if owner.endswith(f"@{HOST}"):
            self.unlock(owner)
        numbers: list[int] = []
        after = None
        while True:
            page = self.run(self._server.archive.query(owner.encode(), Query(after=after)))
            for item in page.items:
                named = ID.search(item.message)
                assert named is not None
                numbers.append(int(named[1]))
            if page.complete:
                return numbers
            after = page.items[-1].id

    def room(self, name: str) -> Room:
        room = rooms_of(self._server).rooms.get(parse_jid(name))
        assert room is not None, "a room that was there is not any more"
        return room

    def close(self) -> None:
        self._server.keyring.close()
        self._server.ports.storage.close()
        self._shell.close()
        self._loop.close()


def check_rooms(disk: Disk, world: World) -> None:
    """What was acknowledged to the owners, and nothing that they have not done."""
    for source in world.sources:
        if isinstance(source.letter, Change):
            room = disk.room(source.room)
            assert source.session is not None
            assert room.config.persistent
            assert room.config.archive
            assert not room.config.members_only
            for number in range(0, source.promised, 2):
                assert parse_jid(member(number)) in room.standings, "a membership is lost"
            assert len(room.with_affiliation(Affiliation.OWNER)) == 1
            assert room.rows == len(room.standings) + room.empty, "a change and what rounds it up were two commits"
            assert len(room.standings) <= 1 + (source.most + 1) // 2
            done = int(room.config.name.removeprefix("n") or -1)
            assert source.promised - 2 <= done < source.most, "the configuration is another one"


@pytest.mark.slow
def test_a_killed_server_has_every_acknowledged_message_once_in_each_archive(tmp_path: Path) -> None:
    seed = random.Random(SEED)
    world = World()
    server = start_quietwire(tmp_path, ACCOUNTS, None, Setup(archive=True))
    server.stop()
    config = tmp_path / "quietwire.toml"
    config.write_text(config.read_text() + "[modules.offline]\nstanzas = 1000000\nbytes = 1000000000\n")
    server = serve_quietwire(tmp_path, None)
    try:
        for _ in range(KILLS):
            uvloop.run(world.round(server, seed))
            server.process.wait()
            disk = Disk(config)
            check_rooms(disk, world)
            disk.close()
            server = serve_quietwire(tmp_path, None)
        uvloop.run(world.end(server))
    finally:
        server.stop()
    disk = Disk(config)
    chats = [source for source in world.sources if not source.room]
    said = [source for source in world.sources if source.room and isinstance(source.letter, Named)]
    changes = [source for source in world.sources if isinstance(source.letter, Change)]
    counts = {name: sum(source.promised for source in of) for name, of in
              (("chat", chats), ("rooms", said), ("changes", changes))}  # fmt: skip
    print(f"\n{KILLS} kills, acknowledged: {counts}, done again after a kill: {world.repeated}")
    assert counts["chat"] > KILLS * PAIRS * 10, "too little was acknowledged: this proves little"
    assert counts["rooms"] > KILLS * ROOMS * 10, "too little was acknowledged: this proves little"
    assert counts["changes"] > KILLS * ROOMS, "too little was acknowledged: this proves little"
    assert world.repeated > KILLS * 10, "too little was sent again: this proves little"
    for source in chats:
        for user in (source.user, source.user + 1):
            assert disk.archived(f"u{user}@{HOST}") == list(range(source.promised)), (
                f"u{user}'s archive has other messages than were sent, or in other order"
            )
    for room in rooms():
        numbers = disk.archived(room)
        talkers = [source for source in said if source.room == room]
        assert len(numbers) == sum(source.promised for source in talkers)
        for talker, source in enumerate(talkers):
            own = [number % SHARE for number in numbers if number // SHARE == talker]
            assert own == list(range(source.promised)), "the room's archive has other messages, or in other order"
    check_rooms(disk, world)
    disk.close()
