"""SCRAM's client side: the RFCs' own exchanges, our own server, and servers that lie."""

from __future__ import annotations

import base64

import pytest

from quietwire.core.sasl.failure import SaslFailure
from quietwire.core.sasl.plain import Plain
from quietwire.core.sasl.scram_initiator import Initiator

WHO = Plain("", "user", "pencil")


@pytest.mark.parametrize(
    ("mechanism", "nonce", "server_first", "client_final", "server_final"),
    [
        (  # RFC 5802 §5
            "SCRAM-SHA-1",
            "fyko+d2lbbFgONRv9qkxdawL",
            b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
            b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
            b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
        ),
        (  # RFC 7677 §3
            "SCRAM-SHA-256",
            "rOprNGfwEbeRWgbNEkqO",
            b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
        ),
    ],
)
def test_the_exchanges_of_the_rfcs(
    mechanism: str, nonce: str, server_first: bytes, client_final: bytes, server_final: bytes
) -> None:
    exchange = Initiator(mechanism, WHO, nonce)
    assert exchange.first() == f"n,,n=user,r={nonce}".encode()
    assert not exchange.check(server_final), "nothing is proved before the exchange"
    assert exchange.final(server_first) == client_final
    assert exchange.check(server_final)
    assert not exchange.check(server_final[:-4] + b"AAA=")


def test_a_binding_is_in_the_proof() -> None:
    exchange = Initiator(
        "SCRAM-SHA-512-PLUS", Plain("me@x", "a,b=c", "pencil"), "n0", ("tls-server-end-point", b"\1\2")
    )
    assert exchange.first() == b"p=tls-server-end-point,a=me@x,n=a=2Cb=3Dc,r=n0"
    final = exchange.final(b"r=n0x,s=QSXCR+Q6sek8bf92,i=1,x=extension")
    channel = final.split(b",")[0].removeprefix(b"c=")
    assert base64.b64decode(channel) == b"p=tls-server-end-point,a=me@x,\1\2"


@pytest.mark.parametrize(
    ("message", "condition"),
    [
        (b"", "malformed-request"),
        (b"r=other,s=QSXC,i=1", "malformed-request"),
        (b"r=nonce,s=QSXC,i=1", "malformed-request"),
        (b"r=nonce1,s=QSX,i=1", "malformed-request"),
        (b"r=nonce1,s=QSXC,i=0", "malformed-request"),
        (b"m=x,r=nonce1,s=QSXC,i=1", "malformed-request"),
        (b"\xff", "malformed-request"),
        (b"r=nonce1,s=QSXC,i=999999999", "mechanism-too-weak"),
    ],
)
def test_a_server_that_lies_or_asks_too_much(message: bytes, condition: str) -> None:
    with pytest.raises(SaslFailure) as failed:
        Initiator("SCRAM-SHA-256", WHO, "nonce").final(message)
    assert failed.value.condition == condition


def test_a_password_that_scram_cannot_carry() -> None:
    with pytest.raises(SaslFailure):
        Initiator("SCRAM-SHA-256", Plain("", "user", "\u0007"), "nonce")
