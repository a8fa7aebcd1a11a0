"""Whose certificate is taken for the user's server, and what is said when it is not."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from quietwire.core.errors import ConfigError
from quietwire.net.shield_trust import Trust, checked_pin, pin_of
from quietwire.net.tls import certificate_domains
from quietwire.seal.authority import Authority, Issued, new_p256_key
from quietwire.testing.links import FakeLink

NOW = time.time()


def authority(name: str, now: float = NOW) -> Authority:
    return Authority(name, now=now, days=2, new_key=new_p256_key, random=os.urandom)


OURS = authority("ours")
SERVER = OURS.issue(["a.example"])


def read(issued: Issued) -> x509.Certificate:
    return x509.load_pem_x509_certificate(issued.certificate)


class World:
    """A link whose other end shows these certificates, judged as `net.stream` has it judged."""

    def __init__(self, folder: Path, *, pin: str = "") -> None:
        root = folder / "root.pem"
        root.write_bytes(OURS.certificate)
        self.file = folder / "server.pin"
        self.said: list[str] = []
        self.trust = Trust("a.example", "A.example", root, pin, self.file, self.said.append)

    def verdict(self, *shown: Issued) -> str:
        chain = [read(one) for one in shown]
        judged = self.trust.judge(chain)
        domains: Iterable[str] = ()
        if chain and not judged.fault:
            domains = certificate_domains(chain[0].public_bytes(Encoding.DER))
        return self.trust.verdict(FakeLink(secure=True, peer_domains=domains, peer_fault=judged.fault))


def test_the_first_key_is_kept_and_it_is_said(tmp_path: Path) -> None:
    world = World(tmp_path)
    assert world.verdict(SERVER) == ""
    assert world.file.read_text() == pin_of(read(SERVER)) + "\n"
    assert stat.S_IMODE(world.file.stat().st_mode) == 0o600
    assert world.said == [f"pinned A.example's key {pin_of(read(SERVER))} in {world.file}"]
    assert World(tmp_path).verdict(SERVER) == ""
    assert world.trust.bindings()["tls-server-end-point"]


def test_another_key_is_refused_although_its_chain_is_good(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.verdict(SERVER)
    other = OURS.issue(["a.example"])
    for judge in (world, World(tmp_path)):
        line = judge.verdict(other)
        assert "another key" in line
        assert f"remove {world.file}" in line
        assert pin_of(read(other)) in line
        assert "\n" not in line


def test_a_renewed_certificate_of_the_same_key_passes(tmp_path: Path) -> None:
    key = new_p256_key()
    maker = Authority("ours", now=NOW, days=2, new_key=lambda: key, random=os.urandom)
    first, second = maker.issue(["a.example"]), maker.issue(["a.example"])
    (tmp_path / "root.pem").write_bytes(maker.certificate)
    trust = Trust("a.example", "a.example", tmp_path / "root.pem", "", tmp_path / "server.pin", lambda line: None)
    for issued in (first, second):
        assert trust.judge([read(issued)]).fault == ""
        assert trust.verdict(FakeLink(secure=True, peer_domains=["a.example"])) == ""


def test_a_pin_that_was_given_is_all_that_counts(tmp_path: Path) -> None:
    stranger = authority("another").issue(["b.example"])
    assert World(tmp_path, pin=pin_of(read(stranger))).verdict(stranger) == ""
    assert not (tmp_path / "server.pin").exists()
    assert "--pin names" in World(tmp_path, pin=pin_of(read(stranger))).verdict(SERVER)


def test_who_is_not_the_server(tmp_path: Path) -> None:
    stranger = authority("another").issue(["a.example"])
    line = World(tmp_path).verdict(stranger)
    assert "nobody whom this machine trusts" in line
    assert f"--pin {pin_of(read(stranger))}" in line
    assert "not A.example's" in World(tmp_path).verdict(OURS.issue(["b.example"]))
    past = authority("ours", NOW - 30 * 86_400).issue(["a.example"])
    assert "expired" in World(tmp_path).verdict(past)
    future = authority("ours", NOW + 30 * 86_400).issue(["a.example"])
    assert "not yet valid" in World(tmp_path).verdict(future)
    assert "no certificate" in World(tmp_path).verdict()
    assert not (tmp_path / "server.pin").exists(), "nobody was taken for it"


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.trust._file = tmp_path / "gone" / "server.pin"
    assert world.verdict(SERVER) == ""
    assert "until the shield ends" in world.said[0]
    assert "another key" in world.verdict(OURS.issue(["a.example"]))


@pytest.mark.parametrize("text", ["", "sha256/", "sha256/AAAA", "sha1/" + "A" * 44, "sha256/" + "!" * 44])
def test_what_is_no_pin(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="44 characters of base64"):
        checked_pin(text, "shield")
    if text:
        (tmp_path / "server.pin").write_text(text)
        with pytest.raises(ConfigError):
            World(tmp_path)
