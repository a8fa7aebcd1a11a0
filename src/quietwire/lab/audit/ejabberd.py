"""ejabberd's default storage: Mnesia. Records are taken out of its files wherever they stand: tables, logs of
transactions, and objects that were deleted and not overwritten."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from quietwire.lab.audit import erlang, stanzas
from quietwire.lab.audit.erlang import ACTIVE, text, words
from quietwire.lab.audit.facts import Facts
from quietwire.lab.audit.stanzas import Node

SUFFIXES = (".DCD", ".DCL", ".DAT", ".TMP", ".RET", ".LOG")
Term = Any


def is_ours(folder: Path) -> bool:
    """Whether a Mnesia of ejabberd's lies there."""
    return any(folder.rglob("schema.DAT"))


def observe(folder: Path, facts: Facts) -> None:
    """Each record once; those of dets that were freed count as deleted, too."""
    reader = Reader(facts)
    for path in sorted(folder.rglob("*")):
        if path.suffix in SUFFIXES and path.is_file():
            data = path.read_bytes()
            live = _live(data) if path.suffix == ".DAT" else None
            for at, term in erlang.carve(data):
                place = f"{path.relative_to(folder)}@{at}"
                freed = live is not None and not any(start <= at < end for start, end in live)
                for record in erlang.records(term):
                    reader.record(record, place, freed)
        elif path.parent.parent.parent == folder / "uploads" and path.is_file():
            facts.add(
                "uploads",
                path.parent.parent.name,
                path.name,
                f"{path.stat().st_size} bytes",
                str(path.relative_to(folder)),
            )


def _live(data: bytes) -> list[tuple[int, int]]:
    """(start, end) of the objects in a file of dets that were not deleted: each chain has its size and status before
    it."""
    return [
        (match.end(), match.end() + int.from_bytes(data[match.start() - 4 : match.start()], "big"))
        for match in re.finditer(re.escape(ACTIVE), data)
    ]


class Reader:
    """Keeps the names of nodes: items refer to them by number."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._nodes: dict[Term, tuple[str, str]] = {}
        self._waiting: list[tuple[Term, str, str, str]] = []

    def record(self, record: tuple[Term, ...], place: str, freed: bool = False) -> None:
        """A tuple that begins with a name; those that are no record of ejabberd's are left."""
        read = _READERS.get((str(record[0]), len(record)))
        if read is None:
            return
        try:
            read(self, record, place)
        except (IndexError, TypeError, ValueError, AttributeError):
            self.facts.add("strings", "", words(record), str(record[0]), place)
        if freed:
            self.facts.add("deleted", str(record[0]), words(record)[:200], "", place)

    def _passwd(self, record: tuple[Term, ...], place: str) -> None:
        name = _us(record[1])
        self.facts.add("accounts", "", name, "", place)
        clear = isinstance(record[2], bytes)
        self.facts.add("passwords", name, "in clear" if clear else "SCRAM verifier", words(record[2]), place)

    def _roster(self, record: tuple[Term, ...], place: str) -> None:
        owner, other = _us(record[2]), _us(record[3])
        self.facts.add("contacts", owner, other, f"{text(record[5])} {text(record[4])}".strip(), place)
        for group in record[7]:
            self.facts.add("groups", owner, text(group), other, place)
        if text(record[6]) in ("in", "both"):
            self.facts.add("requests", other, owner, text(record[8]), place)

    def _archived(self, record: tuple[Term, ...], place: str) -> None:
        owner, stanza = _us(record[1]), element(record[6])
        stanzas.message(self.facts, stanza, owner, place, stamp=_time(record[3]), other=_us(record[5]))

    def _offline(self, record: tuple[Term, ...], place: str) -> None:
        stanzas.message(self.facts, element(record[6]), _us(record[1]), place, stamp=_time(record[2]))

    def _vcard(self, record: tuple[Term, ...], place: str) -> None:
        vcard = element(record[2])
        self.facts.add("profiles", _us(record[1]), vcard.words(), "", place)
        if vcard.first("BINVAL") is not None:
            self.facts.add("avatars", _us(record[1]), "vCard", "", place)

    def _vcard_search(self, record: tuple[Term, ...], place: str) -> None:
        self.facts.add("profiles", _us(record[1]), words(record[3:]), "", place)

    def _private(self, record: tuple[Term, ...], place: str) -> None:
        user, host, namespace = record[1]
        stanzas.item(self.facts, f"{text(user)}@{text(host)}", text(namespace), "", element(record[2]), place)

    def _privacy(self, record: tuple[Term, ...], place: str) -> None:
        owner = _us(record[1])
        for _, items in record[3]:
            for each in items:
                if text(each[1]) == "jid":
                    self.facts.add("blocks", owner, _us(each[2]), text(each[3]), place)

    def _preferences(self, record: tuple[Term, ...], place: str) -> None:
        for answer, jids in (("always", record[3]), ("never", record[4])):
            for jid in jids:
                self.facts.add("preferences", _us(record[1]), _us(jid), answer, place)

    def _last(self, record: tuple[Term, ...], place: str) -> None:
        self.facts.add("times", _us(record[1]), text(record[2]), f"last logout {text(record[3])}", place)

    def _caps(self, record: tuple[Term, ...], place: str) -> None:
        self.facts.add("devices", "", words(record[1]), words(record[2]), place)

    def _push(self, record: tuple[Term, ...], place: str) -> None:
        self.facts.add("push", _us(record[1]), _us(record[3]), f"{text(record[4])} {words(record[5])}", place)
        self.facts.add("times", _us(record[1]), _time(record[2]), "push registered", place)

    def _node(self, record: tuple[Term, ...], place: str) -> None:
        owner, name = record[1]
        self._nodes[record[2]] = _us(owner) if isinstance(owner, tuple) else text(owner), text(name)
        self.facts.add("nodes", *self._nodes[record[2]], words(record[6]), place)
        for item in [each for each in self._waiting if each[0] == record[2]]:
            self._waiting.remove(item)
            stanzas.item(self.facts, *self._nodes[record[2]], *item[1:])

    def _item(self, record: tuple[Term, ...], place: str) -> None:
        key, number = record[1]
        at, by = record[3]
        payload = " ".join(element(each).words() for each in record[5])
        self.facts.add("times", _us(by), _time(at), "published", place)
        if number in self._nodes:
            stanzas.item(self.facts, *self._nodes[number], text(key), payload, place)
        else:
            self._waiting.append((number, text(key), payload, place))
            self.facts.add("nodes", _us(by), f"node {number}", f"{text(key)} {payload}", place)

    def _room(self, record: tuple[Term, ...], place: str) -> None:
        room = _us(record[1])
        options = dict(each for each in record[2] if isinstance(each, tuple) and len(each) == 2)
        said = " ".join(words(each) for each in record[2] if each[0] not in ("affiliations", "hats_users"))
        self.facts.add("rooms", "", room, said, place)
        for jid, affiliation in options.get("affiliations", ()):
            rank, reason = affiliation if isinstance(affiliation, tuple) else (affiliation, b"")
            self.facts.add("members", room, _us(jid), f"{text(rank)} {text(reason)}".strip(), place)

    def _registered(self, record: tuple[Term, ...], place: str) -> None:
        self.facts.add("members", text(record[1][1]), _us(record[1][0]), f"nick {text(record[2])}", place)


_READERS: dict[tuple[str, int], Callable[[Reader, tuple[Term, ...], str], None]] = {
    ("passwd", 3): Reader._passwd,
    ("roster", 10): Reader._roster,
    ("archive_msg", 9): Reader._archived,
    ("archive_prefs", 5): Reader._preferences,
    ("offline_msg", 7): Reader._offline,
    ("vcard", 3): Reader._vcard,
    ("vcard_search", 26): Reader._vcard_search,
    ("private_storage", 3): Reader._private,
    ("privacy", 4): Reader._privacy,
    ("last_activity", 4): Reader._last,
    ("caps_features", 3): Reader._caps,
    ("push_session", 6): Reader._push,
    ("pubsub_node", 7): Reader._node,
    ("pubsub_item", 6): Reader._item,
    ("muc_room", 3): Reader._room,
    ("muc_registered", 3): Reader._registered,
}
"""(record, its size) -> how it is read; ejabberd 23.01."""


def element(term: Term) -> Node:
    """An #xmlel{} of fast_xml."""
    if not (isinstance(term, tuple) and len(term) == 4 and term[0] == "xmlel"):
        return Node("", {}, [], words(term))
    node = Node(text(term[1]), {text(key): text(value) for key, value in term[2]})
    for child in term[3]:
        if isinstance(child, tuple) and child[0] == "xmlcdata":
            node.text += text(child[1])
        elif isinstance(child, tuple):
            node.children.append(element(child))
    return node


def _us(term: Term) -> str:
    """A name in its parts: user and host, and a resource that is left out."""
    if not isinstance(term, tuple):
        return text(term)
    parts = [text(each) for each in (term[1:] if term and term[0] == "jid" else term)]
    return "@".join(filter(None, parts[:2]))


def _time(term: Term) -> str:
    """Megaseconds, seconds, microseconds."""
    return str(term[0] * 1_000_000 + term[1]) if isinstance(term, tuple) and len(term) == 3 else text(term)
