"""Addresses and SASL messages, mutated from good ones: a defined answer or a defined error, and never a long one.

A fixed number of rounds from a fixed seed, so that it is bounded and repeatable. Set QUIETWIRE_FUZZ_ROUNDS for more.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import random
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from quietwire.core.jid import JIDError, parse_jid
from quietwire.core.sasl import (
    MECHANISMS,
    PasswordError,
    SaslFailure,
    Scram,
    Verifier,
    base_mechanism,
    check_authzid,
    decode_payload,
    decoy,
    parse_external,
    parse_plain,
    prepare_password,
)

ROUNDS = int(os.environ.get("QUIETWIRE_FUZZ_ROUNDS", "3000"))
VECTORS = json.loads((Path(__file__).parents[1] / "core" / "vectors" / "jid.json").read_text(encoding="utf-8"))
ADDRESSES = [v["jid"] for kind in VECTORS.values() for v in kind]
SPICE = [
    *"@/.[]%:-=,\0\n \"&'<>",
    "xn--",
    "--",
    "。",
    "ａ",
    "\u0301",
    "\u200d",
    "\u05d0",
    "ς",
    "İ",
    "ß",
    "\ud800",
    "🍺",
    "가",
]
SECONDS_EACH = 0.25
"""Of processor time for one input. The worst take a few milliseconds: only an explosion trips this."""


def mutate(rng: random.Random, text: str) -> str:
    for _ in range(rng.randrange(1, 5)):
        at = rng.randrange(len(text) + 1)
        match rng.randrange(5):
            case 0:
                text = text[:at] + rng.choice(SPICE) + text[at:]
            case 1:
                text = text[:at] + text[at + rng.randrange(1, 4) :]
            case 2:
                text = text[:at] + chr(rng.randrange(0x110000)) + text[at + 1 :]
            case 3:
                text = text[:at] + text[at : at + 8] * rng.choice([2, 3, 200]) + text[at:]
            case _:
                text = text[at:] + text[:at]
    return text[:6000]


@contextlib.contextmanager
def quickly() -> Iterator[None]:
    start = time.process_time()
    yield
    assert time.process_time() - start < SECONDS_EACH


def test_addresses() -> None:
    rng = random.Random(1)
    valid = 0
    for _ in range(ROUNDS):
        text = mutate(rng, rng.choice(ADDRESSES))
        with quickly(), contextlib.suppress(JIDError):
            jid = parse_jid(text)
            valid += 1
            assert parse_jid(jid.text) == jid
            assert max(len(p.encode()) for p in (jid.local, jid.domain, jid.resource)) <= 1023
    assert valid > ROUNDS // 10  # the mutations are not all nonsense


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_scram(mechanism: str) -> None:
    rng = random.Random(mechanism)
    plus = mechanism.endswith("-PLUS")
    good_first = f"{'p=tls-exporter' if plus else 'n'},a=u=2C,n=us=3Der,r=abc,x=y"
    gs2 = good_first[: good_first.index("n=us")].encode()
    good_final = f"c={base64.b64encode(gs2 + (b'e' * 32 if plus else b'')).decode()},r=abcdef,p={'A' * 43}="
    through = 0
    for _ in range(ROUNDS // 4):
        scram = Scram(mechanism, {"tls-exporter": b"e" * 32}, "def", advertised_plus=True)
        first = mutate(rng, good_first) if rng.random() < 0.5 else good_first
        with quickly(), contextlib.suppress(SaslFailure):
            request = scram.first(first.encode("utf-8", "surrogatepass"))
            assert request.username
            scram.challenge(decoy(b"s" * 32, request.username, mechanism, 4096))
            through += 1
            scram.final(mutate(rng, good_final).encode("utf-8", "surrogatepass"))
            pytest.fail("nobody knows the password of a decoy")
    assert through > ROUNDS // 10


def test_the_other_messages() -> None:
    rng = random.Random(2)
    account = parse_jid("juliet@example.com")
    verifier = decoy(b"s" * 32, "juliet", base_mechanism(MECHANISMS[0]), 4096).to_bytes()
    for _ in range(ROUNDS):
        text = mutate(rng, "juliet@example.com\0juliet\0r0m30myr0m30")
        data = text.encode("utf-8", "surrogatepass")
        with quickly():
            for call in (
                partial(parse_plain, data),
                partial(parse_external, data),
                partial(decode_payload, text),
                partial(check_authzid, text.partition("\0")[0], account),
            ):
                with contextlib.suppress(SaslFailure):
                    call()
            with contextlib.suppress(PasswordError):
                prepare_password(text)
        damaged = bytearray(verifier)
        damaged[rng.randrange(9)] = rng.randrange(256)
        with contextlib.suppress(ValueError):
            assert Verifier.from_bytes(bytes(damaged)).to_bytes() == damaged
