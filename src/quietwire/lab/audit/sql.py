"""Prosody's and ejabberd's storage where they were told to use SQLite. Other tables are read as text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from quietwire.lab.audit import prosody, sqlite_file, stanzas
from quietwire.lab.audit.facts import Facts
from quietwire.lab.audit.sqlite_file import File
from quietwire.lab.audit.stanzas import Node
from quietwire.lab.audit.xml import of_text

Line = dict[str, str]
_COLUMN = re.compile(r"""\s*["`\[]?(\w+)["`\]]?\s""")
_RULES = ("primary", "unique", "constraint", "check", "foreign")


def observe(file: File, facts: Facts, place: str) -> bool:
    """Whether it was one of theirs."""
    known = False
    for name, (root, sql) in file.tables.items():
        read = TABLES.get(name)
        known = known or read is not None
        for number, line in enumerate(lines(file, root, sql), 1):
            ref = f"{place}#{name}:{number}"
            if read is not None:
                read(facts, line, ref)
            else:
                text = " ".join(line.values())
                if "@" in text or "<" in text:
                    facts.add("strings", "", text[:400], name, ref)
    return known


def columns(sql: str) -> list[str]:
    """The names of a table's columns, from the statement that made it."""
    inside = sql.partition("(")[2]
    names, depth, start = [], 0, 0
    for at, each in enumerate(inside + ","):
        depth += (each == "(") - (each == ")")
        if depth < 0 or (depth == 0 and each == ","):
            match = _COLUMN.match(inside[start:at] + " ")
            if match and match[1].lower() not in _RULES:
                names.append(match[1].lower())
            start = at + 1
            if depth < 0:
                break
    return names


def lines(file: File, root: int, sql: str) -> Iterator[Line]:
    names = columns(sql)
    for cell in sqlite_file.walk(file, root):
        yield {name: _text(value) for name, value in zip(names, cell.columns, strict=False)}


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else "" if value is None else str(value)


def _jid(line: Line, host: str = "server_host") -> str:
    domain = line.get(host, "")
    return f"{line.get('username', '')}@{domain}" if domain else line.get("username", "")


def _xml(text: str) -> Node:
    return of_text(text) or Node("", {}, [], text)


def _prosody(facts: Facts, line: Line, place: str) -> None:
    value: Any = line["value"]
    if line.get("type") == "json":
        try:
            value = json.loads(value)
        except ValueError:
            return
    key = line.get("key", "")
    table = value if isinstance(value, dict) and not key else {key or 1: value}
    prosody.file(facts, line["host"], line["store"], line["user"], table, place)


def _prosody_archive(facts: Facts, line: Line, place: str) -> None:
    owner = f"{line['user']}@{line['host']}"
    stanzas.message(facts, _xml(line["value"]), owner, place, stamp=line.get("when", ""), other=line.get("with", ""))


def _users(facts: Facts, line: Line, place: str) -> None:
    facts.add("accounts", "", _jid(line), "", place)
    verifier = "SCRAM verifier" if line.get("salt") else "in clear"
    facts.add("passwords", _jid(line), verifier, line.get("password", ""), place)
    if line.get("created_at"):
        facts.add("times", _jid(line), line["created_at"], "account made", place)


def _roster(facts: Facts, line: Line, place: str) -> None:
    facts.add("contacts", _jid(line), line["jid"], f"{line.get('subscription', '')} {line.get('nick', '')}", place)
    if line.get("ask") in ("I", "B"):
        facts.add("requests", line["jid"], _jid(line), line.get("askmessage", ""), place)


def _group(facts: Facts, line: Line, place: str) -> None:
    facts.add("groups", _jid(line), line.get("grp", ""), line["jid"], place)


def _archive(facts: Facts, line: Line, place: str) -> None:
    stamp, other = line.get("timestamp", ""), line.get("bare_peer", "")
    stanzas.message(facts, _xml(line["xml"]), _jid(line), place, stamp=stamp, other=other)


def _spool(facts: Facts, line: Line, place: str) -> None:
    stanzas.message(facts, _xml(line["xml"]), _jid(line), place, stamp=line.get("created_at", ""))


def _vcard(facts: Facts, line: Line, place: str) -> None:
    facts.add("profiles", _jid(line), _xml(line["vcard"]).words(), "", place)


def _last(facts: Facts, line: Line, place: str) -> None:
    facts.add("times", _jid(line), line.get("seconds", ""), f"last logout {line.get('state', '')}", place)


def _private(facts: Facts, line: Line, place: str) -> None:
    stanzas.item(facts, _jid(line), line.get("namespace", ""), "", _xml(line["data"]), place)


def _room(facts: Facts, line: Line, place: str) -> None:
    room = f"{line['name']}@{line['host']}"
    facts.add("rooms", "", room, line.get("opts", ""), place)
    for user, host in re.findall(r'\{\{<<"([^"]+)">>,<<"([^"]+)">>', line.get("opts", "")):
        facts.add("members", room, f"{user}@{host}", "", place)


def _node(facts: Facts, line: Line, place: str) -> None:
    facts.add("nodes", line["host"], line["node"], "", place)


def _item(facts: Facts, line: Line, place: str) -> None:
    payload = _xml(line["payload"])
    namespace = payload.attributes.get("xmlns", "")
    stanzas.item(facts, line.get("publisher", ""), namespace, line.get("itemid", ""), payload, place)


def _push(facts: Facts, line: Line, place: str) -> None:
    facts.add("push", _jid(line), line.get("service", ""), f"{line.get('node', '')} {line.get('xml', '')}", place)


def _preferences(facts: Facts, line: Line, place: str) -> None:
    facts.add(
        "preferences", _jid(line), f"{line.get('always', '')} {line.get('never', '')}", line.get("def", ""), place
    )


def _block(facts: Facts, line: Line, place: str) -> None:
    facts.add("blocks", line.get("id", ""), line.get("value", ""), line.get("action", ""), place)


TABLES: dict[str, Callable[[Facts, Line, str], None]] = {
    "prosody": _prosody,
    "prosodyarchive": _prosody_archive,
    "users": _users,
    "rosterusers": _roster,
    "rostergroups": _group,
    "archive": _archive,
    "spool": _spool,
    "vcard": _vcard,
    "last": _last,
    "private_storage": _private,
    "privacy_list_data": _block,
    "muc_room": _room,
    "pubsub_node": _node,
    "pubsub_item": _item,
    "push_session": _push,
    "archive_prefs": _preferences,
}
"""Prosody 0.12, then ejabberd 23.01."""
