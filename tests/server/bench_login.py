"""What a login costs the server: `python tests/server/bench_login.py`. Not a test: figures of one machine.

CPU of a login by SCRAM-SHA-256 on a stream in memory, from its header to the answer to its binding, without TLS and
without a disk, and of what its end does; the client's own computing is not counted. And of what a login does more than
before its account had a secret: opens the wrap, derives the account's keys. Medians of rounds.
"""

from __future__ import annotations

import base64
import gc
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "core" / "sasl"))

from scram_client import ScramClient

from quietwire.core import ns
from quietwire.core.jid import parse_jid
from quietwire.core.sasl import derive
from quietwire.seal.credentials import Credentials
from quietwire.seal.keys import AccountKeys
from quietwire.testing.links import FakeLink
from quietwire.testing.playbook import PASSWORD, Playbook

ROUNDS, LOGINS = 9, 100
HEADER = f"<stream:stream xmlns='{ns.CLIENT}' xmlns:stream='{ns.STREAMS}' to='a.example' version='1.0'>".encode()
BIND = f"<iq type='set' id='b'><bind xmlns='{ns.BIND}'/></iq>".encode()
SASL = ns.SASL.encode()
MECHANISM = "SCRAM-SHA-256"


class Meter:
    def __init__(self) -> None:
        self.seconds = 0.0

    def of(self, action: Callable[[], object]) -> None:
        begun = time.process_time()
        action()
        self.seconds += time.process_time() - begun


def log_in(play: Playbook, meter: Meter) -> None:
    link = FakeLink(secure=True, bindings={})
    link.stream = play.server.accept(link)
    peer = ScramClient(MECHANISM, "alice", PASSWORD, "clientnonce")

    def says(data: bytes) -> str:
        meter.of(lambda: link.says(bytes(bytearray(data))))
        return link.take()

    says(HEADER)
    first = b"<auth xmlns='%b' mechanism='%b'>%b</auth>" % (SASL, MECHANISM.encode(), base64.b64encode(peer.first()))
    challenge = base64.b64decode(says(first).partition(">")[2].partition("<")[0])
    final = b"<response xmlns='%b'>%b</response>" % (SASL, base64.b64encode(peer.final(challenge)))
    assert "<success" in says(final)
    says(HEADER)
    assert "type='result'" in says(BIND)
    play.storage.commit()
    meter.of(link.breaks)
    play.storage.commit()


def main() -> None:
    play = Playbook(accounts=["alice"])
    log_in(play, Meter())
    rounds = []
    gc.disable()
    for _ in range(ROUNDS):
        meter = Meter()
        for _ in range(LOGINS):
            log_in(play, meter)
        rounds.append(meter.seconds / LOGINS)
    print(f"a login, its binding and its end: {statistics.median(rounds) * 1e6:.0f} us (least {min(rounds) * 1e6:.0f})")
    part()


def part() -> None:
    """The wrap and the keys alone."""
    alice = parse_jid("alice@a.example")
    made = Credentials.create(PASSWORD, alice, 1, randomness=bytes)
    verifier = made.verifier(MECHANISM)
    key = derive(PASSWORD, verifier.salt, 1, MECHANISM).client_key
    rounds = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        for _ in range(LOGINS):
            AccountKeys(made.unlock(MECHANISM, key)).wipe()
        rounds.append((time.process_time() - begun) / LOGINS)
    print(f"  of which wrap and keys: {statistics.median(rounds) * 1e6:.0f} us")


if __name__ == "__main__":
    main()
