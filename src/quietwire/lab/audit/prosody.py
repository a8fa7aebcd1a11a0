"""Prosody's default storage: a file of Lua for each user and store, `HOST/STORE/USER.dat` and `.list`."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from quietwire.lab.audit import stanzas
from quietwire.lab.audit.facts import Facts, bare
from quietwire.lab.audit.lua import LuaError, Table, read
from quietwire.lab.audit.stanzas import Node

SUFFIXES = (".dat", ".list")


def is_ours(folder: Path) -> bool:
    """Whether that is a data directory of Prosody's internal storage."""
    return any(True for suffix in SUFFIXES for _ in folder.glob(f"*/*/*{suffix}"))


def observe(folder: Path, facts: Facts) -> None:
    """Every file of every store; what cannot be parsed is left to the search in raw bytes."""
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.suffix in SUFFIXES and len(parts) in (2, 3) and path.is_file():
            store = unquote(parts[1] if len(parts) == 3 else path.stem)
            tables: list[Table] = []
            with contextlib.suppress(LuaError):  # what is whole before the fault counts
                tables.extend(read(path.read_bytes()))
            row = str(path.relative_to(folder))
            host = unquote(parts[0])
            user = unquote(path.stem) if len(parts) == 3 else ""
            for number, table in enumerate(tables, 1):
                place = f"{row}:{number}" if path.suffix == ".list" else row
                file(facts, host, store, user, table, place)
        elif path.suffix == ".bin" and path.is_file():
            name = unquote(path.stem)
            facts.add("uploads", "", name, f"{path.stat().st_size} bytes", str(path.relative_to(folder)))


def file(facts: Facts, host: str, store: str, user: str, table: Table, place: str) -> None:
    """One table: a whole `.dat`, an item of a `.list`, or what the same store is in SQL."""
    owner = f"{user}@{host}" if user else host
    if store == "accounts":
        facts.add("accounts", "", owner, "", place)
        words = [
            f"{key}={value}" for key, value in table.items() if key in ("password", "stored_key", "iteration_count")
        ]
        facts.add("passwords", owner, "in clear" if "password" in table else "SCRAM verifier", " ".join(words), place)
        _time(facts, owner, table.get("created"), "account made", place)
    elif store == "roster":
        _roster(facts, owner, table, place)
    elif store in ("archive", "muc_log", "offline"):
        stamp = table.get("when", "")
        stanza = element(table)
        stanzas.message(facts, stanza, owner, place, stamp=str(stamp), other=str(table.get("with", "")))
        for child in stanza.walk():
            if store == "muc_log" and child.name == "item" and child.attributes.get("jid"):
                facts.add("members", owner, bare(child.attributes["jid"]), "was inside", place)
    elif store in ("blocklist", "privacy"):
        for jid in _names(table):
            facts.add("blocks", owner, jid, "", place)
    elif store in ("archive_prefs", "muc_registered"):
        for jid in _names(table):
            facts.add("preferences", owner, jid, str(table[jid]), place)
    elif store in ("vcard", "vcard4"):
        facts.add("profiles", owner, element(table).words(), "", place)
    elif store == "private":
        for name, stored in table.items():
            if isinstance(stored, dict):
                node = str(name).partition(":")[2]
                stanzas.item(facts, owner, node, "", element(stored), place)
    elif store == "pep" or store.startswith("pep_"):
        _pep(facts, owner, store, table, place)
    elif store == "config":
        _room(facts, owner, table, place)
    elif store == "persistent":
        for jid in _names(table):
            facts.add("rooms", "", jid, "", place)
    elif store == "uploads":
        stanza = element(table)
        where = stanza.attributes.get("filename", "")
        facts.add("uploads", str(table.get("with", "")), where, stanza.words(), place)
        _time(facts, str(table.get("with", "")), table.get("when"), "upload", place)
    elif store in ("invite_token", "invites"):
        facts.add("invitations", owner, user, words_of(table), place)
    elif store in ("lastlog", "lastlog2", "last"):
        for value in _numbers(table):
            _time(facts, owner, value, "last login", place)
    elif store.endswith("_cleanup"):
        for name in table:
            facts.add("times", f"{name}@{host}", user, "active on that day", place)
    else:
        facts.add("nodes", owner, store, words_of(table), place)


def _roster(facts: Facts, owner: str, table: Table, place: str) -> None:
    for jid, entry in table.items():
        if jid is False:
            pending = entry.get("pending", {}) if isinstance(entry, dict) else {}
            for other, stanza in pending.items():
                status = element(stanza).first("status") if isinstance(stanza, dict) else None
                said = status.text if status is not None else ""
                facts.add("requests", str(other), owner, said, place)
        elif isinstance(entry, dict):
            known = f"{entry.get('subscription', '')} {entry.get('name', '')}".strip()
            facts.add("contacts", owner, str(jid), known, place)
            for group in entry.get("groups", ()):
                facts.add("groups", owner, str(group), str(jid), place)


def _pep(facts: Facts, owner: str, store: str, table: Table, place: str) -> None:
    if store == "pep":
        for node, settings in table.items():
            facts.add("nodes", owner, str(node), words_of(settings), place)
        return
    stanza = element(table)
    stanzas.item(facts, owner, store.removeprefix("pep_"), str(table.get("key", "")), stanza, place)
    _time(facts, owner, table.get("when"), "published", place)


def _room(facts: Facts, room: str, table: Table, place: str) -> None:
    data = table.get("_data", table)
    facts.add("rooms", "", room, words_of(data), place)
    more = table.get("_affiliation_data", {})
    for jid, affiliation in {**table, **table.get("_affiliations", {})}.items():
        if isinstance(jid, str) and isinstance(affiliation, str) and not jid.startswith("_"):
            facts.add("members", room, jid, f"{affiliation} {words_of(more.get(jid, ''))}".strip(), place)


def element(table: Table) -> Node:
    """A stanza as Prosody's util.stanza serialises it."""
    attributes = table.get("attr", {})
    node = Node(str(table.get("name", "")), {})
    if isinstance(attributes, dict):
        node.attributes = {str(key).rpartition("\x01")[2]: str(value) for key, value in attributes.items()}
    position = 1
    while position in table:
        child = table[position]
        if isinstance(child, dict):
            node.children.append(element(child))
        else:
            node.text += str(child)
        position += 1
    return node


def words_of(value: Any) -> str:
    """All strings in a value."""
    if isinstance(value, Mapping):
        return " ".join(filter(None, (f"{_label(key)}{words_of(each)}" for key, each in value.items())))
    return value if isinstance(value, str) else "" if value is None or isinstance(value, bool) else str(value)


def _label(key: object) -> str:
    return "" if isinstance(key, int) else f"{key}="


def _names(table: Table) -> list[str]:
    return [key for key in table if isinstance(key, str) and re.search(r"[.@]", key)]


def _numbers(value: Any) -> list[float]:
    if isinstance(value, Mapping):
        return [number for each in value.values() for number in _numbers(each)]
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else []


def _time(facts: Facts, owner: str, value: object, what: str, place: str) -> None:
    if isinstance(value, int | float) and value:
        facts.add("times", owner, str(value), what, place)
