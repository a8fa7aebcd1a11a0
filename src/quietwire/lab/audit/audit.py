"""`examine`: everything that a thief reads from a folder, of whichever server."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from quietwire.lab.audit import attacks, ejabberd, prosody, quietwire, raw, snapshot, sql, sqlite_file
from quietwire.lab.audit.attacks import Attack
from quietwire.lab.audit.facts import Facts
from quietwire.lab.audit.quietwire import Left
from quietwire.lab.audit.raw import Canary, Searcher
from quietwire.lab.audit.sqlite_file import Commit, File
from quietwire.seal.server_key import Secret
from quietwire.seal.wraps import SealError

REMAINS = 16
"""Bytes beside the rows of a page, from which on they are told from left-over pointers."""
_RUNS = re.compile(rb"\0{8,}")
_TEMPORARY = re.compile(r"(\.tmp|\.TMP|\.swp|\.new|\.bak|\.old|\.orig|~|-journal|\.part|\.ret|\.RET)$|^\.#|^#.*#$")
_LOG = re.compile(r"(\.log|\.err)(\.\d+)?(\.gz)?$")
_CORE = re.compile(r"^core(\.\d+)?$|erl_crash\.dump$")
_ATTACKED = ("archive", "arrival", "spool", "sealed", "body", "room")


@dataclass
class Pages:
    """What SQLite's files hold besides rows. `past`: transactions of earlier rounds of a log that were not overwritten;
    `remains`: pages with content that belongs to no row."""

    files: int = 0
    pages: int = 0
    free: int = 0
    free_with_content: int = 0
    remains: int = 0
    commits: int = 0
    past: int = 0
    log_bytes: int = 0


@dataclass
class Hits:
    """A canary that was found: in which forms, in how many places, and the first of them."""

    canary: Canary
    forms: set[str] = field(default_factory=set)
    places: Counter[str] = field(default_factory=Counter)


@dataclass
class Report:
    """`systems`: whose storage it is. `strings`: what stands in raw bytes, without any idea of formats. `key`: "" or
    what came of the server key."""

    systems: list[str]
    files: int
    bytes: int
    facts: Facts
    left: Left | None
    pages: Pages
    planted: int
    hits: dict[Canary, Hits]
    strings: dict[str, Counter[str]]
    runs: tuple[int, int]
    attacks: list[Attack]
    key: str = ""


def has_content(data: bytes, width: int, most: int) -> bool:
    """Whether there is more than zeros and numbers of `width` bytes up to `most`: SQLite overwrites what is deleted,
    but leaves pointers to it, where rows began on a page or which pages were free."""
    for run in _RUNS.split(data):
        run = run.strip(b"\0")  # noqa: PLW2901
        if len(run) < REMAINS:
            continue
        ways = ([run[at : at + width] for at in range(start, len(run), width)] for start in range(width))
        if not any(all(int.from_bytes(each, "big") <= most for each in words[:-1]) for words in ways):
            return True
    return False


def examine(
    path: Path,
    *,
    secret: Secret | None = None,
    canaries: Sequence[Canary] = (),
    guesses: Sequence[str] = (),
    logs: Sequence[Path] = (),
) -> Report:
    """Copies `path` first, and `logs`, which lie elsewhere. `secret`: our server key. `guesses`: bare JIDs to be
    tested with it.

    Raises QuietwireError where there is nothing, SealError for a key that opens nothing, OSError."""
    with tempfile.TemporaryDirectory(prefix="quietwire-audit-") as temporary:
        copy = snapshot.take(path, Path(temporary) / "data")
        beside = [snapshot.take(log, Path(temporary) / f"log{number}") for number, log in enumerate(logs)]
        return _Examination(copy, beside, secret, canaries, guesses).report


class _Examination:
    def __init__(
        self,
        folder: Path,
        logs: Sequence[Path],
        secret: Secret | None,
        canaries: Sequence[Canary],
        guesses: Iterable[str],
    ) -> None:
        self._folder = folder
        self._secret = secret
        self._guesses = list(guesses)
        self._searcher = Searcher(canaries)
        self._left: Left | None = None
        self._attacks: list[Attack] = []
        self._pages = Pages()
        self._hits: dict[Canary, Hits] = {}
        self._strings: dict[str, Counter[str]] = {
            name: Counter() for name in ("jids", "namespaces", "addresses", "stamps")
        }
        self._runs = [0, 0]
        self._key = ""
        self.facts = facts = Facts()
        systems = []
        if prosody.is_ours(folder):
            systems.append("Prosody")
            prosody.observe(folder, facts)
        if ejabberd.is_ours(folder):
            systems.append("ejabberd")
            ejabberd.observe(folder, facts)
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        for path in files:
            systems += self._database(path, str(path.relative_to(folder)))
        if secret is not None and not self._key:
            raise SealError("there is no database of ours for the server key to open")
        size = 0
        for path in files:
            size += path.stat().st_size
            self._file(path, str(path.relative_to(folder)), log=False)
        for place in logs:
            for path in sorted(each for each in place.rglob("*") if each.is_file()):
                size += path.stat().st_size
                self._file(path, f"log {path.name}", log=True)
        for where, content in facts.opened:
            self._search(content, f"{where}, opened")
        self._search(facts.texts().encode(), "what was read")
        self._unseen()
        self.report = Report(
            systems=sorted(set(systems)),
            files=len(files),
            bytes=size,
            facts=facts,
            left=self._left,
            pages=self._pages,
            planted=len(canaries),
            hits=self._hits,
            strings=self._strings,
            runs=(self._runs[0], self._runs[1]),
            attacks=self._attacks,
            key=self._key,
        )

    # -- databases ----------------------------------------------------------------------------------------------------

    def _database(self, path: Path, place: str) -> list[str]:
        with path.open("rb") as stream:
            if stream.read(len(sqlite_file.MAGIC)) != sqlite_file.MAGIC:
                return []
        file = sqlite_file.read(path.read_bytes())
        if file is None:
            return []
        journal = path.with_name(path.name + "-wal")
        data = journal.read_bytes() if journal.exists() else b""
        log = sqlite_file.commits(data)
        now = sqlite_file.replayed(file, log) if log else file
        self._count(now, log, len(data))
        if quietwire.is_ours(now):
            self._ours(file, now, log, place)
            return ["Quietwire"]
        known = sql.observe(now, self.facts, place)
        return ["SQLite of Prosody or ejabberd" if known else "SQLite"]

    def _ours(self, file: File, now: File, log: list[Commit], place: str) -> None:
        found = list(quietwire.table_rows(now))
        keys = quietwire.keys_of(found, self._secret) if self._secret is not None else None
        self._key = "opened" if keys is not None else ""
        self._left = quietwire.observe(found, self.facts, keys, self._guesses, place)
        sealed = [row for row in found if row.sealed]
        file.of = now.of  # pages that the log has added belong to tables, too
        self._attacks = attacks.run(sealed, file, log, _ATTACKED)

    def _count(self, file: File, log: list[Commit], size: int) -> None:
        pages = self._pages
        pages.files += 1
        pages.pages += len(file.pages)
        pages.free += len(file.free)
        pages.free_with_content += sum(has_content(data, 4, len(file.pages)) for data in file.free.values())
        for number in file.pages:
            slack = sqlite_file.parse(file, number).slack
            if has_content(slack, 2, file.size):
                pages.remains += 1
                for jid in raw.strings(slack).jids:
                    self.facts.add("deleted", "", jid, "in a page, beside its rows", f"page {number}")
        pages.commits += len(log)
        pages.past += sum(commit.past for commit in log)
        pages.log_bytes += size
        for number, data in file.free.items():
            for jid in raw.strings(data).jids:
                self.facts.add("deleted", "", jid, "in a free page", f"page {number}")

    # -- bytes ------------------------------------------------------------------------------------------------------

    def _file(self, path: Path, place: str, *, log: bool) -> None:
        data = raw.unpacked(path.read_bytes())
        self._search(data, place)
        self._search(place.encode(), f"name of {place}")
        found = raw.strings(data)
        for name in self._strings:
            self._strings[name].update(getattr(found, name))
        self._runs[0] += found.runs[0]
        self._runs[1] += found.runs[1]
        for jid in raw.strings(place.encode()).jids:
            self._strings["jids"][jid] += 1
        name = Path(place).name
        if _CORE.search(name) or (data[:4] == b"\x7fELF" and data[16:18] in (b"\4\0", b"\0\4")):
            self.facts.add("dumps", "", place, f"{len(data)} bytes", place)
        elif _TEMPORARY.search(name):
            self.facts.add("temporary", "", place, f"{len(data)} bytes", place)
        if log or _LOG.search(name):
            self._log(data, found, place)

    def _log(self, data: bytes, found: raw.Strings, place: str) -> None:
        for jid in found.jids:
            self.facts.add("logs", "", jid, f"{data.count(jid.encode())} times", place)
        for address in found.addresses:
            self.facts.add("addresses", "", address, f"{data.count(address.encode())} times", place)

    def _search(self, data: bytes, place: str) -> None:
        for hit in self._searcher.search(data):
            known = self._hits.setdefault(hit.canary, Hits(hit.canary))
            known.forms.add(hit.form)
            known.places[place] += 1

    def _unseen(self) -> None:
        """Addresses in bytes that nothing which was read accounts for."""
        read = self.facts.texts()
        for jid, files in self._strings["jids"].items():
            if jid not in read:
                self.facts.add("strings", "", jid, f"in {files} files")
