"""What must not be in a server's memory once an account is locked, computed from its password and the database, and the
search for it in the memory of a process."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import io
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from loopback import Served

from quietwire.cli.compose import open_server
from quietwire.cli.config import load
from quietwire.cli.logs import Log
from quietwire.core.jid import parse_jid
from quietwire.core.sasl import HASHES
from quietwire.net.shell import Shell, driven
from quietwire.seal import keys, wraps
from quietwire.seal.credentials import Credentials
from quietwire.seal.keys import AccountKeys

SERVE = (
    "import sys; from quietwire.net import lockdown; lockdown._PR_SET_DUMPABLE = 0;"
    "sys.argv = ['quietwire', *sys.argv[4:]]; from quietwire.__main__ import main; main()"
)
"""The server, but for the one thing that would keep this test from looking: nobody but root may."""
_REGION = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S+)")


def start(served: Served) -> None:
    served.start(sys.executable, "-c", SERVE)


def records(served: Served, names: list[str]) -> dict[str, bytes]:
    """The stored credentials, while no server runs."""

    async def read() -> dict[str, bytes]:
        shell = Shell(asyncio.get_running_loop())
        server = await open_server(load(served.config), shell, Log("error", io.StringIO()))
        try:
            found = {name: await driven(server.accounts.credentials(parse_jid(f"{name}@a.example"))) for name in names}
        finally:
            server.ports.storage.close()
            shell.close()
        return found

    return asyncio.run(read())


def needles(name: str, password: str, record: bytes) -> dict[str, bytes]:
    """What to look for, by what it is. Computed here anew from RFC 5802 and 2898, except for what is sealed."""
    account = parse_jid(f"{name}@a.example")
    found = {"password": password.encode()}
    typed = base64.b64encode(f"\0{name}\0{password}".encode())
    found["password as PLAIN sends it"] = typed
    found["password in the middle of base64"] = base64.b64encode(b"xx" + password.encode())[4:-4]
    credentials = Credentials.from_bytes(record, account)
    made = Recorded()
    for mechanism, algorithm in HASHES.items():
        verifier = credentials.verifier(mechanism)
        salted = hashlib.pbkdf2_hmac(algorithm, password.encode(), verifier.salt, verifier.iterations)
        client_key = hmac.digest(salted, b"Client Key", algorithm)
        found[f"SaltedPassword of {mechanism}"] = salted
        found[f"ClientKey of {mechanism}"] = client_key
        secret = credentials.unlock(mechanism, client_key)
        found["account secret"] = bytes(secret)
        found[f"wrapping key of {mechanism}"] = bytes(wraps._key_and_context(client_key, mechanism, account)[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "expand", made.expand)
        AccountKeys(secret).arrival_key()
    assert len(made.keys) >= 3, "data, index, arrivals"
    assert len(found["account secret"]) == 32
    return found | made.keys


class Recorded:
    """What an account's keys are made of, whatever they are called."""

    def __init__(self) -> None:
        self.keys: dict[str, bytes] = {}
        self._expand = keys.expand

    def expand(self, secret: bytes, purpose: str, *size: int) -> Any:
        made = self._expand(secret, purpose, *size)
        self.keys[f"key for {purpose}"] = bytes(made)
        return made


def search(process: int, wanted: dict[str, bytes]) -> dict[str, list[str]]:
    """Where each of `wanted` is in what the process can write to: nothing of it is in the programs' own pages."""
    found: dict[str, list[str]] = {}
    searched = 0
    maps = Path(f"/proc/{process}/maps").read_text().splitlines()
    with Path(f"/proc/{process}/mem").open("rb", buffering=0) as memory:
        for line in maps:
            match = _REGION.match(line)
            if match is None or not match[3].startswith("rw"):
                continue
            start, end = int(match[1], 16), int(match[2], 16)
            try:
                memory.seek(start)
                data = memory.read(end - start)
            except (OSError, OverflowError):  # the kernel's own pages
                continue
            searched += len(data)
            for what, needle in wanted.items():
                at = data.find(needle)
                while at >= 0:
                    around = line.split(maxsplit=5)[5:] or ["anonymous"]
                    found.setdefault(what, []).append(f"{around[0].rpartition('/')[2]} {start + at:#x}")
                    at = data.find(needle, at + 1)
    assert searched > 20 << 20, f"only {searched} bytes could be read"
    return found
