"""Does the time of an answer tell whether an account exists? (Wrong password against unknown user, interleaved.)

The attacker sits on loopback, logs in by SCRAM in either form of SASL, or with a token (XEP-0484), measures the answers
of each try and is given the better of two statistics over groups of tries. The result is the rank-based area under the
curve: 0.5 is chance.
"""

from __future__ import annotations

import base64
import gc
import os
import random
import socket
import ssl
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

import pytest
from loopback import Served
from scram_client import ScramClient

from quietwire.core import ns

TRIES = 5_000
ACCOUNTS = 50
AT_MOST = 0.55
ITERATIONS = 4096
HEADER = f"<stream:stream xmlns='{ns.CLIENT}' xmlns:stream='{ns.STREAMS}' to='a.example' version='1.0'>".encode()

pytestmark = pytest.mark.slow


class Attacker:
    """One connection after another; a server allows three tries on each, two of which are used."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.context = served.context()
        self.socket: ssl.SSLSocket | None = None
        self.left = 0
        self.forms = {"sasl": self.by_sasl, "sasl2": self.by_sasl2, "token": self.by_token}

    def connect(self) -> None:
        if self.socket is not None:
            self.socket.close()
        plain = socket.create_connection(("127.0.0.1", self.served.port))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = self.context.wrap_socket(plain, server_hostname="a.example")
        self.left = 2
        self.ask(HEADER, b"</stream:features>")

    def ask(self, data: bytes, end: bytes) -> tuple[bytes, float]:
        assert self.socket is not None
        begun = time.perf_counter()
        self.socket.sendall(data)
        answer = b""
        while end not in answer:
            piece = self.socket.recv(16_384)
            assert piece, answer
            answer += piece
        return answer, time.perf_counter() - begun

    def try_in(self, name: str, form: str) -> tuple[float, float]:
        """Seconds to the challenge (0 where there is none), and from the proof to the refusal."""
        if not self.left:
            self.connect()
        self.left -= 1
        return self.forms[form](name)

    def by_token(self, name: str) -> tuple[float, float]:
        proof = base64.b64encode(name.encode() + b"\0" + os.urandom(32))
        answer, to_refusal = self.ask(
            b"<authenticate xmlns='urn:xmpp:sasl:2' mechanism='HT-SHA-256-NONE'><initial-response>%b</initial-response>"
            b"<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'/><fast xmlns='urn:xmpp:fast:0'/></authenticate>"
            % proof,
            b"</failure>",
        )
        assert b"<not-authorized " in answer
        return 0.0, to_refusal

    def by_sasl2(self, name: str) -> tuple[float, float]:
        def begin(first: bytes) -> bytes:
            inside = b"<initial-response>%b</initial-response>" % first
            return b"<authenticate xmlns='urn:xmpp:sasl:2' mechanism='SCRAM-SHA-256'>%b</authenticate>" % inside

        return self.by_scram(name, begin, "urn:xmpp:sasl:2")

    def by_sasl(self, name: str) -> tuple[float, float]:
        def begin(first: bytes) -> bytes:
            return b"<auth xmlns='%b' mechanism='SCRAM-SHA-256'>%b</auth>" % (ns.SASL.encode(), first)

        return self.by_scram(name, begin, ns.SASL)

    def by_scram(self, name: str, begin: Callable[[bytes], bytes], space: str) -> tuple[float, float]:
        peer = ScramClient("SCRAM-SHA-256", name, "wrong", base64.b64encode(os.urandom(12)).decode())
        first = base64.b64encode(peer.first())
        answer, to_challenge = self.ask(begin(first), b"</challenge>")
        challenge = dict(
            part.split("=", 1)
            for part in base64.b64decode(answer.partition(b">")[2].partition(b"<")[0]).decode().split(",")
        )
        assert challenge["i"] == str(ITERATIONS)
        # Any proof of the right length is wrong, and costs the attacker nothing.
        proof = f"c=biws,r={challenge['r']},p={base64.b64encode(os.urandom(32)).decode()}".encode()
        answer, to_refusal = self.ask(
            b"<response xmlns='%b'>%b</response>" % (space.encode(), base64.b64encode(proof)), b"</failure>"
        )
        assert b"<not-authorized" in answer
        return to_challenge, to_refusal


def auc(known: Sequence[float], unknown: Sequence[float]) -> float:
    """The chance that one of `known` took longer than one of `unknown`, ties counted half; by ranks."""
    pairs = sorted([(value, True) for value in known] + [(value, False) for value in unknown])
    ranks, at = 0.0, 0
    for _, group in groupby(pairs, key=lambda pair: pair[0]):
        members = [is_known for _, is_known in group]
        ranks += sum(members) * (at + (len(members) + 1) / 2)
        at += len(members)
    area = (ranks - len(known) * (len(known) + 1) / 2) / (len(known) * len(unknown))
    return max(area, 1 - area)


def test_the_statistic_finds_a_planted_leak() -> None:
    chance = random.Random(1)
    same = [chance.gauss(1.0, 0.1) for _ in range(2_000)]
    assert auc(same[:1_000], same[1_000:]) < 0.53
    assert auc([value + 0.03 for value in same[:1_000]], same[1_000:]) > AT_MOST
    assert auc([1.0] * 10, [1.0] * 10) == 0.5
    assert auc([2.0, 3.0], [1.0]) == 1.0


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    server = Served(tmp_path, [f"user{number}" for number in range(ACCOUNTS)], iterations=ITERATIONS)
    yield server
    assert server.stop() == 0


@pytest.mark.parametrize("form", ["sasl", "sasl2", "token"])
def test_an_unknown_user_takes_as_long_as_a_wrong_password(served: Served, form: str) -> None:
    attacker, chance = Attacker(served), random.Random(6120)
    names = [(f"user{number % ACCOUNTS}", True) for number in range(TRIES // 2)]
    names += [(f"ghost{number % ACCOUNTS}", False) for number in range(TRIES // 2)]
    chance.shuffle(names)
    for name, _ in names[:100]:  # what is made once is made by now
        attacker.try_in(name, form)
    times: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    gc.disable()
    try:
        for name, known in names:
            times[known].append(attacker.try_in(name, form))
    finally:
        gc.enable()
    areas = {}
    for what, pick in (("challenge", 0), ("refusal", 1)):
        known, unknown = ([each[pick] for each in times[which]] for which in (True, False))
        areas[what] = auc(known, unknown)
        areas[f"mean of ten, {what}"] = auc(*(tens(values) for values in (known, unknown)))
    areas["both"] = auc(*([sum(each) for each in times[which]] for which in (True, False)))
    print({what: round(area, 3) for what, area in areas.items()})
    worst = max(area for what, area in areas.items() if "ten" not in what)
    assert worst <= AT_MOST, areas


def tens(values: Sequence[float]) -> list[float]:
    return [statistics.fmean(values[at : at + 10]) for at in range(0, len(values) - 9, 10)]
