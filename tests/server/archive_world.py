"""An archive under real seals, over a storage in memory, with accounts that are unlocked and locked by hand."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from typing import Any

from sealed_world import ALICE, ROOM, World, run

from quietwire.core.later import drive
from quietwire.server.archive import Archive
from quietwire.server.archive_index import Query
from quietwire.server.archive_shelf import TABLE
from quietwire.server.sealed.findings import finding
from quietwire.server.sealed.keyring import Lease

NOW = 1_790_000_000.0  # in September 2026
DAY = 86_400.0
__all__ = ["ALICE", "DAY", "NOW", "ROOM", "Archived", "run"]


class Archived:
    """`world`: the sealed store that the archive is over."""

    def __init__(self, world: World | None = None) -> None:
        self.world = world or World().make(ALICE)
        self.world.now = NOW
        self.leases: dict[bytes, Lease] = {}
        self.archive = Archive(
            "a.example",
            self.world.store,
            self.world.driver,
            self.world.seals,
            self.world.randomness,
            spawn,
            self._report,
        )
        self.world.keyring.locking.append(lambda unlocked: self.archive.lock(unlocked.owner))
        run(self.archive.open(NOW))

    def _report(self, owner: bytes, found: Iterable[tuple[str, bytes, bytes]]) -> None:
        self.world.store.findings.report(owner, (finding(*each) for each in found))

    def unlock(self, owner: bytes = ALICE) -> Archived:
        self.leases[owner] = self.world.unlock(owner)
        return self

    def lock(self, owner: bytes = ALICE) -> Archived:
        """The owner leaves."""
        self.leases.pop(owner).release()
        self.world.storage.commit()
        assert self.world.keyring.get(owner) is None
        return self

    def say(self, text: str, now: float = NOW, owner: bytes = ALICE, with_: str = "bob@b.example", **more: Any) -> str:
        id = self.archive.new_id()
        self.archive.append(owner, id, now, with_, f"<message>{text}</message>".encode(), **more)
        return id

    def each(self, *texts: str, owner: bytes = ALICE) -> list[str]:
        """Each in a commit of its own."""
        ids = []
        for text in texts:
            ids.append(self.say(text, owner=owner))
            self.world.storage.commit()
        return ids

    def texts(self, query: Query = Query(), owner: bytes = ALICE) -> list[str]:  # noqa: B008 - frozen
        return [item.message.decode()[9:-10] for item in run(self.archive.query(owner, query)).items]

    def all(self, owner: bytes = ALICE) -> list[str]:
        texts: list[str] = []
        after = None
        while True:
            page = run(self.archive.query(owner, Query(after=after)))
            texts += [item.message.decode()[9:-10] for item in page.items]
            if page.complete:
                return texts
            after = page.items[-1].id

    def rows(self, letter: bytes = b"", owner: bytes = ALICE) -> dict[bytes, bytes]:
        return {key: row for key, row in self.world.rows(TABLE, owner).items() if key.startswith(letter)}

    def restart(self, *, crash: bool = False) -> Archived:
        return Archived(self.world.restart(crash=crash))

    @property
    def isolated(self) -> int:
        return self.world.isolated


def spawn(work: Awaitable[None]) -> None:
    async def wrapped() -> None:
        await work

    def done(_: None, error: BaseException | None) -> None:
        if error is not None:
            raise error

    drive(wrapped(), done)
