"""What real clients send and get when they start: records of TLS, taken from the wire of a loopback.

Each file here is of one client on one server with one profile of what it sends: made by ``tests/clients/startups.py``
(``make startups``) with that client as Debian or npm has it, on an account that has nobody (``idle``) and on one with
twenty contacts of whom eight are online (``contacts``), for the first time on a fresh home directory (`first`) and
again. Times are of the kernel.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, cast, get_args

from quietwire.lab.flows import Flow, make
from quietwire.lab.trace import RecordType, TraceError

Account = Literal["idle", "contacts"]


@dataclass(frozen=True)
class Start:
    """One start. `server`: profile of what the server sends; `link`: ``c2s`` (STARTTLS), ``c2s-tls`` or ``websocket``.
    Times in `flow` are seconds from its first record on; `types` has an entry each record. A client that connects anew
    while it starts has several of them, whose flows have one name."""

    client: str
    version: str
    system: str
    server: str
    account: Account
    first: bool
    link: str
    flow: Flow
    types: tuple[RecordType, ...]


@cache
def starts() -> tuple[Start, ...]:
    """All that were recorded, in a fixed order. Raises TraceError where a file does not follow the format."""
    found: list[Start] = []
    for file in sorted(files(__name__).iterdir(), key=lambda file: file.name):
        if file.name.endswith(".json"):
            found += parse(file.name, file.read_text(encoding="utf-8"))
    return tuple(found)


def parse(name: str, text: str) -> list[Start]:
    """The starts of one file. Raises TraceError."""
    found = []
    try:
        whole = json.loads(text)
        for number, start in enumerate(whole["starts"]):
            for link in start["links"]:
                records = link["records"]
                if start["account"] not in get_args(Account) or not all(
                    type in get_args(RecordType) for _, _, type in records
                ):
                    raise ValueError("an account or a type of record that is not known")
                flow = make(
                    f"{name.removesuffix('.json')}-{number}",
                    (milliseconds / 1000.0 for milliseconds, _, _ in records),
                    (abs(size) for _, size, _ in records),
                    (1 if size > 0 else -1 for _, size, _ in records),
                )
                found.append(
                    Start(
                        client=str(whole["client"]),
                        version=str(whole["version"]),
                        system=str(whole["system"]),
                        server=str(whole.get("server", "off")),
                        account=cast(Account, start["account"]),
                        first=bool(start["first"]),
                        link=str(link["link"]),
                        flow=flow,
                        types=tuple(type for _, _, type in records),
                    )
                )
    except (KeyError, TypeError, ValueError) as error:
        raise TraceError(f"{name}: {str(error) or type(error).__name__}") from None
    return found
