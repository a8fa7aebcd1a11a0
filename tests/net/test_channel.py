"""What a login can be bound to, by version of TLS."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from test_exporter import files, handshake

from quietwire.net.channel import bindings_of, version_of
from quietwire.net.tls import own_certificate

__all__ = ["files"]


@pytest.mark.parametrize(
    ("version", "number", "kinds"),
    [
        (ssl.TLSVersion.TLSv1_3, "0304", ["tls-exporter", "tls-server-end-point", "tls-unique"]),
        (ssl.TLSVersion.TLSv1_2, "0303", ["tls-server-end-point"]),
    ],
)
def test_by_version(files: tuple[Path, Path], version: ssl.TLSVersion, number: str, kinds: list[str]) -> None:
    server, _ = handshake(files, version)
    assert version_of(server) == number
    assert list(bindings_of(server, own_certificate(files[0]))) == kinds


def test_what_older_clients_bind_to_is_the_same_at_both_ends(files: tuple[Path, Path]) -> None:
    server, client = handshake(files, ssl.TLSVersion.TLSv1_3)
    bound = bindings_of(server, own_certificate(files[0]))["tls-unique"]
    assert bound == client.get_channel_binding("tls-unique")
    another, _ = handshake(files, ssl.TLSVersion.TLSv1_3)
    assert bindings_of(another, own_certificate(files[0]))["tls-unique"] != bound
