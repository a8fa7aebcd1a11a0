"""Keying material, of real handshakes in memory."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from quietwire.net import exporter as module
from quietwire.net.exporter import exporter
from quietwire.seal.authority import Authority, new_p256_key


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    issued = Authority("tests", now=time.time(), days=1, new_key=new_p256_key, random=os.urandom).issue(["a.example"])
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(issued.certificate)
    key.write_bytes(issued.key)
    return certificate, key


def handshake(files: tuple[Path, Path], version: ssl.TLSVersion) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """-> (server's end, client's end)."""
    ours, theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ours.load_cert_chain(*files)
    ours.minimum_version = ours.maximum_version = version
    theirs.check_hostname = False
    theirs.verify_mode = ssl.CERT_NONE
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = ours.wrap_bio(up, down, server_side=True), theirs.wrap_bio(down, up)
    for _ in range(6):
        for end in reversed(ends):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                pass
    return ends


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    module._library.cache_clear()
    yield
    module._library.cache_clear()


def test_both_ends_have_the_same_and_no_other_connection_has(files: tuple[Path, Path]) -> None:
    server, client = handshake(files, ssl.TLSVersion.TLSv1_3)
    found = exporter(server)
    assert found is not None
    assert len(found) == 32
    assert exporter(client) == found
    assert exporter(handshake(files, ssl.TLSVersion.TLSv1_3)[0]) not in (None, found)


def test_not_with_tls_1_2_nor_without_tls(files: tuple[Path, Path]) -> None:
    assert exporter(handshake(files, ssl.TLSVersion.TLSv1_2)[0]) is None
    assert exporter(None) is None


def test_no_pointer_is_followed_where_the_words_are_not_what_they_should_be(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, _ = handshake(files, ssl.TLSVersion.TLSv1_3)
    monkeypatch.setattr(module, "_HEAD", module._HEAD + module._WORD)
    assert exporter(server) is None


def test_another_connection_is_not_taken_for_this_one(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, _ = handshake(files, ssl.TLSVersion.TLSv1_3)
    other, _ = handshake(files, ssl.TLSVersion.TLSv1_3)
    foreign = module._word(id(other._sslobj) + module._HEAD + module._WORD)  # type: ignore[attr-defined]
    assert module._known(module._library(), other, foreign)
    assert not module._known(module._library(), server, foreign)


def test_without_the_library_there_is_none(files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(module.ctypes, "CDLL", missing)
    assert exporter(handshake(files, ssl.TLSVersion.TLSv1_3)[0]) is None
