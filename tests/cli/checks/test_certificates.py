from __future__ import annotations

import time
from pathlib import Path

import pytest

from quietwire.cli.checks import certificates as module
from quietwire.cli.checks.certificates import certificates
from quietwire.cli.checks.finding import Finding, Severity
from quietwire.cli.config import Certificate, Config, Tls
from quietwire.seal.authority import Authority, new_p256_key

NOW = time.time()
DAY = 86_400.0


class Folder:
    """A folder with a certificate for these domains, good for so many days from `at` on."""

    def __init__(self, path: Path, *domains: str, days: int = 60, at: float = NOW) -> None:
        self.path = path
        self.authority = Authority("t", now=at, days=days, new_key=new_p256_key, random=lambda n: b"\1" * n)
        issued = self.authority.issue(list(domains))
        self.certificate, self.key = path / "certificate.pem", path / "key.pem"
        self.certificate.write_bytes(issued.certificate)
        self.key.write_bytes(issued.key)
        self.key.chmod(0o600)

    def found(self, *hosted: str, now: float = NOW) -> list[Finding]:
        config = Config(domain="a.example", tls=Tls(certificate=self.certificate, key=self.key))
        return certificates(config, hosted, now)

    def causes(self, severity: Severity, *hosted: str, now: float = NOW) -> str:
        return "; ".join(one.cause for one in self.found(*hosted, now=now) if one.severity == severity)


@pytest.fixture(autouse=True)
def no_authorities(monkeypatch: pytest.MonkeyPatch) -> None:
    """This system's are not the test's affair."""
    monkeypatch.setattr(module, "_authorities", list)


def test_a_good_one(tmp_path: Path) -> None:
    folder = Folder(tmp_path, "a.example", "*.a.example")
    assert folder.causes(Severity.ERROR, "rooms.a.example") == ""
    assert "stands for a.example" in folder.causes(Severity.OK)
    assert "good until" in folder.causes(Severity.OK)
    assert "do not trust it" in folder.causes(Severity.WARNING)


def test_the_system_trusts_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cryptography import x509

    folder = Folder(tmp_path, "a.example")
    root = x509.load_pem_x509_certificate(folder.authority.certificate)
    monkeypatch.setattr(module, "_authorities", lambda: [root])
    assert folder.causes(Severity.WARNING) == ""
    assert "this system's authorities trust it" in folder.causes(Severity.OK)
    assert "has expired" in folder.causes(Severity.ERROR, now=NOW + 61 * DAY)


def test_times(tmp_path: Path) -> None:
    folder = Folder(tmp_path, "a.example")
    assert "expires in 9 days" in folder.causes(Severity.WARNING, now=NOW + 50.1 * DAY)
    assert "has expired on" in folder.causes(Severity.ERROR, now=NOW + 61 * DAY)
    assert "is not valid before" in folder.causes(Severity.ERROR, now=NOW - 30 * DAY)


def test_names(tmp_path: Path) -> None:
    folder = Folder(tmp_path, "host.example")
    assert "does not stand for a.example: it names host.example" in folder.causes(Severity.ERROR)
    folder = Folder(tmp_path, "a.example")
    assert "does not stand for rooms.a.example, up.a.example" in folder.causes(
        Severity.WARNING, "rooms.a.example", "up.a.example"
    )


def test_the_key(tmp_path: Path) -> None:
    folder = Folder(tmp_path, "a.example")
    folder.key.chmod(0o644)
    assert "may read it (mode 0644)" in folder.causes(Severity.WARNING)
    folder.key.write_bytes(folder.authority.issue(["b.example"]).key)
    assert "is not the key of tls.certificate" in folder.causes(Severity.ERROR)
    folder.key.write_bytes(b"nonsense")
    assert "is no PEM key" in folder.causes(Severity.ERROR)
    folder.key.unlink()
    assert "cannot be read: No such file" in folder.causes(Severity.ERROR)


def test_a_file_that_is_none(tmp_path: Path) -> None:
    folder = Folder(tmp_path, "a.example")
    folder.certificate.write_bytes(b"nonsense")
    assert [one.cause for one in folder.found()] == ["is no PEM certificate"]
    folder.certificate.unlink()
    assert [one.severity for one in folder.found()] == [Severity.ERROR]


def test_a_file_that_is_no_chain(tmp_path: Path) -> None:
    folder = Folder(tmp_path, "a.example")
    other = Authority("o", now=NOW, days=9, new_key=new_p256_key, random=lambda n: b"\2" * n)
    folder.certificate.write_bytes(folder.certificate.read_bytes() + other.certificate)
    assert "are not a chain" in folder.causes(Severity.ERROR)


def test_one_that_signs_itself(tmp_path: Path) -> None:
    folder = Folder(tmp_path, "a.example")
    folder.certificate.write_bytes(folder.authority.certificate)
    assert "signs itself" in folder.causes(Severity.WARNING)


def test_a_domain_with_a_certificate_of_its_own(tmp_path: Path) -> None:
    folder = Folder(tmp_path, "a.example")
    (tmp_path / "rooms").mkdir()
    rooms = Folder(tmp_path / "rooms", "rooms.a.example", days=9)
    own = Certificate(certificate=rooms.certificate, key=rooms.key)
    tls = Tls(certificate=folder.certificate, key=folder.key, domains={"rooms.a.example": own, "b.a.example": own})
    found = certificates(Config(domain="a.example", tls=tls), ["rooms.a.example"], NOW)
    causes = {(one.subject, one.severity): one.cause for one in found}
    assert "expires in" in causes['tls.domains."rooms.a.example"', Severity.WARNING]
    assert ('tls.domains."rooms.a.example"', Severity.ERROR) not in causes
    assert "does not stand for b.a.example" in causes['tls.domains."b.a.example"', Severity.ERROR]
    assert not any("other servers' users" in cause for cause in causes.values())
    rooms.certificate.unlink()
    found = certificates(Config(domain="a.example", tls=tls), [], NOW)
    assert any("cannot be read" in one.cause for one in found)
