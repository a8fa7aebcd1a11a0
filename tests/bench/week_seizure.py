"""What the memory of our server holds while it runs: canaries, and the secrets of accounts that are on or away.

The secrets are computed from the accounts' passwords, which nobody but this test has, and from the database.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from week_plan import FIELDS, Plan
from week_servers import HOST, Home

from quietwire.core.errors import QuietwireError
from quietwire.core.jid import JID
from quietwire.core.sasl import derive
from quietwire.lab.audit import memory, quietwire
from quietwire.lab.audit.raw import Canary
from quietwire.seal.credentials import Credentials
from quietwire.seal.keys import ServerKeys, expand
from quietwire.seal.server_key import RawKey
from quietwire.seal.wraps import SealError

ACCOUNT_KEYS = ("secret", "data key", "index key", "arrival key", "ClientKey, SHA-1", "ClientKey, SHA-256", "password")


@dataclass
class Seizure:
    """`away`, `on`: name of a key -> accounts whose one was found, of `accounts_away` and `accounts_on`."""

    owners: str
    readable: str = ""
    """Why it could not be searched, "" where it could."""
    size: int = 0
    accounts_away: int = 0
    accounts_on: int = 0
    away: dict[str, int] = field(default_factory=dict)
    on: dict[str, int] = field(default_factory=dict)
    server: dict[str, int] = field(default_factory=dict)
    """Of the server's own keys: how often each is there."""
    canaries: dict[str, int] = field(default_factory=dict)
    planted: dict[str, int] = field(default_factory=dict)


def seize(owners: str, plan: Plan, home: Home, on: Collection[str], copy: Path) -> Seizure:
    """`copy`: of the data directory, at this moment."""
    found = Seizure(owners, accounts_on=len(on), accounts_away=len(plan.people) - len(on))
    assert home.key is not None
    server = RawKey(home.key.read_bytes())
    rows = quietwire.rows_of(next(copy.glob("*.sqlite")))
    keys = quietwire.keys_of(rows, server)
    wanted = {f"{name}\0{which}": key for name in plan.people for which, key in account_keys(rows, keys, name, plan)}
    wanted |= {"\0server key": server.key, "\0index key": keys.index, "\0login key": keys.login}
    pid = home.running.process.pid
    try:
        found.size = sum(end - start for start, end in memory.regions(pid))
        times = memory.search_bytes(pid, wanted.items())
        hits = memory.search(pid, [Canary(each.text, each.field) for each in plan.canaries.planted])
    except (QuietwireError, OSError) as error:
        found.readable = str(error)
        return found
    found.away, found.on = dict.fromkeys(ACCOUNT_KEYS, 0), dict.fromkeys(ACCOUNT_KEYS, 0)
    for name, count in times.items():
        who, _, which = name.partition("\0")
        if not who:
            found.server[which] = count
        elif count:
            (found.on if who in on else found.away)[which] += 1
    planted = Counter(each.field for each in plan.canaries.planted)
    seen = Counter(hit.canary.field for hit in hits)
    found.planted = {name: planted[name] for name in FIELDS if planted[name]}
    found.canaries = {name: seen[name] for name in FIELDS if planted[name]}
    return found


def account_keys(rows: list[quietwire.Row], keys: ServerKeys, name: str, plan: Plan) -> Iterator[tuple[str, bytes]]:
    """(which, bytes) of an account's keys."""
    password = plan.people[name]
    yield "password", password.encode()
    jid = JID.parse(f"{name}@{HOST}")
    for _, value in quietwire.opened(rows, keys, "account", jid.text):
        try:
            record = Credentials.from_bytes(value, jid)
        except SealError:
            continue
        secret = bytearray()
        for mechanism in ("SCRAM-SHA-1", "SCRAM-SHA-256"):
            verifier = record.verifier(mechanism)
            client_key = derive(password, verifier.salt, verifier.iterations, mechanism).client_key
            yield f"ClientKey, {mechanism.removeprefix('SCRAM-')}", bytes(client_key)
            secret = record.unlock(mechanism, client_key)
        yield "secret", bytes(secret)
        for which in ("data", "index"):
            yield f"{which} key", bytes(expand(secret, f"account {which} 1"))
        yield "arrival key", bytes(expand(secret, "account arrivals 1"))
