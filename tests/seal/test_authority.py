from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from quietwire.seal.authority import Authority, Issued, new_p256_key

NOW = datetime.now(UTC).timestamp()  # OpenSSL checks validity against the real clock


def authority(now: float = NOW) -> Authority:
    return Authority("Test", now=now, days=2, new_key=new_p256_key, random=lambda n: b"\x07" * n)


def shake(tmp_path: Path, issued: Issued, root: bytes, name: str) -> str | None:
    """A handshake in memory with both sides verifying strictly, as servers do among themselves: the TLS version."""
    pem = tmp_path / "leaf.pem"
    pem.write_bytes(issued.certificate + issued.key)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for context in (server, client):
        context.load_cert_chain(pem)
        context.load_verify_locations(cadata=root.decode())
        context.verify_flags |= ssl.VERIFY_X509_STRICT
    server.verify_mode = ssl.CERT_REQUIRED
    c_in, c_out = ssl.MemoryBIO(), ssl.MemoryBIO()
    left = client.wrap_bio(c_in, c_out, server_hostname=name)
    right = server.wrap_bio(c_out, c_in, server_side=True)
    done: set[ssl.SSLObject] = set()
    for _ in range(4):
        for side in (left, right):
            try:
                side.do_handshake()
                done.add(side)
            except ssl.SSLWantReadError:
                pass
    assert done == {left, right}
    assert right.getpeercert()
    return left.version()


def test_a_leaf_passes_strict_verification_on_both_sides(tmp_path: Path) -> None:
    root = authority()
    assert shake(tmp_path, root.issue(["a.example"]), root.certificate, "a.example") == "TLSv1.3"


def test_another_name_is_refused(tmp_path: Path) -> None:
    root = authority()
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake(tmp_path, root.issue(["a.example"]), root.certificate, "b.example")


def test_another_authority_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(tmp_path, authority().issue(["a.example"]), authority().certificate, "a.example")


def test_an_expired_one_is_refused(tmp_path: Path) -> None:
    old = authority(NOW - 3 * 86400)
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        shake(tmp_path, old.issue(["a.example"]), old.certificate, "a.example")


def test_extensions_that_strict_mode_asks_for() -> None:
    root = authority()
    leaf = x509.load_pem_x509_certificate(root.issue(["a.example", "b.example"]).certificate)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.critical
    assert names.value.get_values_for_type(x509.DNSName) == ["a.example", "b.example"]
    assert not list(leaf.subject)
    usages = set(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    assert usages == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    signer = x509.load_pem_x509_certificate(root.certificate)
    ski = signer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier == ski
    assert signer.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign


def test_no_name_is_an_error() -> None:
    with pytest.raises(ValueError, match="name"):
        authority().issue([])


def test_a_key_does_not_show_in_a_repr() -> None:
    assert repr(authority().issue(["a.example"])) == "Issued(...)"
