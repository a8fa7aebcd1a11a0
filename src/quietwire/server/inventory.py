"""What the modules implement, keep and emit, as the Markdown of ``docs/xeps.md``; their settings, as that of the last
section of ``docs/configuration.md``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from quietwire.server.module import Keeps, Module, Reload, Setting

_HEAD = """\
# What the server implements

Made by `make docs` from what each module declares; a test compares it with the code.

## Features

| Feature | Specification | Version | Puts on the wire |
|---|---|---|---|
"""

_STREAMS_HEAD = """
## Streams of clients

What needs no module.

| Specification | Version | Puts on the wire |
|---|---|---|
"""
_STREAMS = (
    (198, "1.6.3", "counts and acknowledgements; a session that is resumed keeps its address"),
    (386, "1.1.0", "the resource is bound with the login; it is the tag that the client gives, and something random"),
    (388, "1.0.4", "the login; what the client says of itself is told to its own account only"),
    (440, "1.0.0", "the kinds of channel binding, before login"),
    (474, "0.5.0", "a hash of what was offered, in SCRAM's challenge"),
    (478, "0.2.0", "the size of the biggest stanza that is taken"),
    (484, "0.2.0", "a token, to a client that asks for one; the server has it in memory only"),
    (515, "0.1.0", "the version of TLS, in SCRAM's challenge"),
)
"""Number, version, what is on the wire."""

_SERVERS_HEAD = """
## Streams of servers

What needs no module either.

| Specification | Version | Puts on the wire |
|---|---|---|
"""
_SERVERS = (
    (178, "1.2", "a certificate, and the domain that it is for"),
    (185, "1.0", "keys of dialback, each for one stream"),
    (198, "1.6.3", "counts and acknowledgements; a stream whose connection was lost is resumed"),
    (199, "2.0.1", "a ping, or a request for an acknowledgement, to a server that was silent for four minutes"),
    (220, "1.1.1", "a key for each pair of domains; a connection to the domain's own server that asks about theirs"),
    (288, "1.0.1", "stanzas both ways on one connection, where both agree and the certificate is the domain's"),
    (368, "1.1.0", "two questions to DNS for each domain that is dialled"),
    (478, "0.2.0", "the size of the biggest stanza that is taken, and how long a stream may be idle"),
    (495, "0.1.0", "a second connection, where the first address does not answer within a quarter of a second"),
)

_ROOMS_HEAD = """
## Rooms

What rooms do besides XEP-0045.

| Specification | Version | Puts on the wire |
|---|---|---|
"""
_ROOMS = (
    (249, "1.2", "nothing of the room's: direct invitations go from one account to another"),
    (313, "1.1.3", "archived messages of a room, to who is in it or belongs to it"),
    (359, "0.7.0", "an id with each message that is kept"),
    (410, "1.1.0", "an answer to an occupant's ping of itself"),
    (421, "1.0.1", "an id of the sender with each message and presence, different in each room"),
    (424, "0.4.2", "in place of a message that was taken back: that it was"),
    (425, "0.3.0", "who of the moderators took back which message, to all occupants"),
    (486, "0.1.0", "the room's picture, to who may know of the room"),
    (500, "0.1.1", "how long one has to wait between two messages"),
)

_KEPT = """
## What is kept

Table: of the database. Sealed: whether it is unreadable while its owner is away.

| Feature | What | Table | Sealed | Until |
|---|---|---|---|---|
"""


def markdown(modules: Sequence[Module]) -> str:
    """The whole file: features by XEP number, those of no XEP last, then everything that is stored."""
    ordered = sorted(modules, key=lambda m: (m.xep is None, m.xep.number if m.xep else 0, m.name))
    kept = [(module, keeps) for module in ordered for keeps in module.keeps]
    streams = _lines((_link(number), version, emits) for number, version, emits in _STREAMS)
    servers = _lines((_link(number), version, emits) for number, version, emits in _SERVERS)
    features = _HEAD + _lines(map(_feature, ordered)) + _STREAMS_HEAD + streams + _SERVERS_HEAD + servers
    features += _ROOMS_HEAD + _lines((_link(number), version, emits) for number, version, emits in _ROOMS)
    return features + _KEPT + _lines(_kept(*each) for each in kept)


def _feature(module: Module) -> tuple[str, ...]:
    if module.xep is None:
        return module.name, "RFC 6121", "", module.emits
    return module.name, _link(module.xep.number), module.xep.version, module.emits


def _link(xep: int) -> str:
    return f"[XEP-{xep:04}](https://xmpp.org/extensions/xep-{xep:04}.html)"


def _kept(module: Module, keeps: Keeps) -> tuple[str, ...]:
    return module.name, keeps.what, keeps.table, "yes" if keeps.sealed else "no", keeps.until


def _lines(rows: Iterable[tuple[str, ...]]) -> str:
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in rows)


SETTINGS_BEGIN = "## `[modules.NAME]`\n"
"""Where the section of the modules' settings begins; it is the last one."""

_SETTINGS = """
Settings of single features; [xeps.md](xeps.md) says what each does. This section is made by `make docs` from what the
modules declare. Those marked * change with a reload.

| Key | Default | Meaning |
|---|---|---|
"""


def settings(modules: Sequence[Module]) -> str:
    """The section, with its title."""
    rows = []
    for module in sorted(modules, key=lambda one: one.name):
        mark = " *" if any(isinstance(one, Reload) for one in module.handlers) else ""
        for one in module.handlers:
            if isinstance(one, Setting):
                text = f"{one.text[:1].upper()}{one.text[1:].rstrip('.')}.{mark}"
                rows.append((f"`{module.name}.{one.key}`", f"`{json.dumps(one.default)}`", text))
    return SETTINGS_BEGIN + _SETTINGS + _lines(rows)
