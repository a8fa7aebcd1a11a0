from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from quietwire.core.errors import ConfigError
from quietwire.net import verify
from quietwire.net.tls import certificate_domains
from quietwire.net.verify import PeerContext, Verifier, chain_of, choose_by_name, take_any

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)


class Made:
    """A certificate with its key; signed by `by`, or by itself."""

    def __init__(self, name: str, by: Made | None = None, *extensions: x509.ExtensionType, days: int = 30) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        signer = by or self
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(signer.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - DAY)
            .not_valid_after(NOW + days * DAY)
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.NameConstraints))
        self.certificate = builder.sign(signer.key, hashes.SHA256())

    def files(self, folder: Path) -> tuple[Path, Path]:
        certificate, key = folder / "certificate.pem", folder / "key.pem"
        certificate.write_bytes(self.certificate.public_bytes(Encoding.PEM))
        key.write_bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return certificate, key


CA = x509.BasicConstraints(ca=True, path_length=None)
NAMES = x509.SubjectAlternativeName([x509.DNSName("a.example")])
SIGNS_NOTHING = x509.KeyUsage(True, False, False, False, False, False, False, False, False)


def uses(*oids: ObjectIdentifier) -> x509.ExtendedKeyUsage:
    return x509.ExtendedKeyUsage(list(oids))


@pytest.fixture(scope="module")
def root() -> Made:
    return Made("root", None, CA)


def judge(tmp_path: Path, root: Made, *chain: Made, at: datetime = NOW) -> str:
    path = tmp_path / "root.pem"
    path.write_bytes(root.certificate.public_bytes(Encoding.PEM))
    return Verifier(path).judge([made.certificate for made in chain], at).fault


@pytest.mark.parametrize(
    "extensions",
    [
        (NAMES,),
        (NAMES, uses(ExtendedKeyUsageOID.SERVER_AUTH)),
        (NAMES, uses(ExtendedKeyUsageOID.CLIENT_AUTH)),
        (NAMES, uses(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)),
        (),
    ],
)
def test_certificates_that_authorities_give_to_servers(
    tmp_path: Path, root: Made, extensions: tuple[x509.ExtensionType, ...]
) -> None:
    assert judge(tmp_path, root, Made("a", root, *extensions)) == ""


def test_a_certificate_for_something_else(tmp_path: Path, root: Made) -> None:
    assert judge(tmp_path, root, Made("a", root, NAMES, uses(ExtendedKeyUsageOID.EMAIL_PROTECTION))) == "not-trusted"


def test_times(tmp_path: Path, root: Made) -> None:
    short = Made("a", root, NAMES, days=2)
    assert judge(tmp_path, root, short, at=NOW - 2 * DAY) == "not-yet-valid"
    assert judge(tmp_path, root, short, at=NOW + 3 * DAY) == "expired"
    assert judge(tmp_path, root) == "missing"


def test_an_authority_between(tmp_path: Path, root: Made) -> None:
    between = Made("between", root, CA)
    leaf = Made("a", between, NAMES)
    assert judge(tmp_path, root, leaf, between) == ""
    assert judge(tmp_path, root, leaf) == "not-trusted"
    old = Made("between", root, CA, days=1)
    assert judge(tmp_path, root, Made("a", old, NAMES), old, at=NOW + 2 * DAY) == "not-trusted"


@pytest.mark.parametrize(
    "extensions",
    [(), (x509.BasicConstraints(ca=False, path_length=None),), (CA, SIGNS_NOTHING)],
)
def test_who_is_no_authority_signs_nothing(
    tmp_path: Path, root: Made, extensions: tuple[x509.ExtensionType, ...]
) -> None:
    mallory = Made("mallory", root, *extensions)
    assert judge(tmp_path, root, Made("a", mallory, NAMES), mallory) == "not-trusted"


def test_an_authority_for_other_names_only(tmp_path: Path, root: Made) -> None:
    limits = x509.NameConstraints(permitted_subtrees=[x509.DNSName("b.example")], excluded_subtrees=None)
    between = Made("between", root, CA, limits)
    assert judge(tmp_path, root, Made("a", between, NAMES), between) == "not-trusted"


def test_a_self_signed_certificate(tmp_path: Path, root: Made) -> None:
    alone = Made("a", None, NAMES)
    assert judge(tmp_path, root, alone) == "not-trusted"
    assert judge(tmp_path, alone, alone) == ""  # the administrator chose to trust it


def test_a_signature_by_another_of_the_same_name(tmp_path: Path, root: Made) -> None:
    impostor = Made("root", None, CA)
    assert judge(tmp_path, root, Made("a", impostor, NAMES), impostor) == "not-trusted"


def test_authorities_that_cannot_be_read(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    for path in (empty, tmp_path / "missing.pem"):
        with pytest.raises(ConfigError, match=r"tls\.authority"):
            Verifier(path)


def test_the_systems_authorities(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, root: Made) -> None:
    certificate = root.certificate.public_bytes(Encoding.PEM)
    (tmp_path / "one.pem").write_bytes(certificate)
    (tmp_path / "two.pem").write_bytes(certificate.replace(b" CERT", b" TRUSTED CERT"))
    paths = ssl.get_default_verify_paths()
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths._replace(cafile="", capath=str(tmp_path)))
    assert Verifier(None).judge([Made("a", root, NAMES).certificate], NOW).fault == ""
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths._replace(cafile="", capath=""))
    with pytest.raises(ConfigError):
        Verifier(None)


def shake(server: ssl.SSLContext, client: ssl.SSLContext, name: str = "b.example") -> ssl.SSLObject:
    """A handshake in memory: the server's end."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_side=False, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return ends[1]


def contexts(tmp_path: Path, shown: Made | None, version: ssl.TLSVersion) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    server = PeerContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*Made("b", None, NAMES, days=9999).files(tmp_path))
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.maximum_version = version
    if shown is not None:
        client.load_cert_chain(*shown.files(tmp_path))
    return server, client


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_any_certificate_is_taken(tmp_path: Path, version: ssl.TLSVersion) -> None:
    expired = Made("a", None, NAMES, uses(ExtendedKeyUsageOID.SERVER_AUTH), days=0)
    server, client = contexts(tmp_path, expired, version)
    assert take_any(server)
    assert server.verify_mode == ssl.CERT_OPTIONAL
    assert chain_of(shake(server, client)) == [expired.certificate]
    server, client = contexts(tmp_path, None, version)
    assert take_any(server)
    assert chain_of(shake(server, client)) == []


def test_a_python_that_is_not_known_asks_as_ssl_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "_LAST_KNOWN_PYTHON", (3, 0))
    server, client = contexts(tmp_path, Made("a", None, NAMES), ssl.TLSVersion.TLSv1_3)
    assert not take_any(server)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(server, client)


def test_certificates_are_chosen_by_name(tmp_path: Path) -> None:
    server, client = contexts(tmp_path, None, ssl.TLSVersion.TLSv1_3)
    other, _ = contexts(tmp_path, None, ssl.TLSVersion.TLSv1_3)
    choose_by_name(server, {"rooms.b.example": other})
    assert shake(server, client, "Rooms.b.example").context is other
    assert shake(server, client, "b.example").context is server


XMPP_ADDR = ObjectIdentifier("1.3.6.1.5.5.7.8.5")


def test_an_authority_for_some_names_does_not_vouch_for_names_that_its_limits_do_not_bind(
    root: Made, tmp_path: Path
) -> None:
    """RFC 5280 §4.2.1.10: limits of DNS names say nothing of others."""
    path = tmp_path / "root.pem"
    path.write_bytes(root.certificate.public_bytes(Encoding.PEM))
    limits = x509.NameConstraints(permitted_subtrees=[x509.DNSName("a.example")], excluded_subtrees=None)
    names = x509.SubjectAlternativeName(
        [x509.DNSName("a.example"), x509.OtherName(XMPP_ADDR, b"\x0c\x0evictim.example")]
    )
    free, limited = Made("free", root, CA), Made("limited", root, CA, limits)
    for between, found in ((free, {"a.example", "victim.example"}), (limited, {"a.example"})):
        own = Made("own", between, names)
        judged = Verifier(path).judge([own.certificate, between.certificate], NOW)
        assert (judged.fault, judged.limited) == ("", between is limited)
        der = own.certificate.public_bytes(Encoding.DER)
        assert certificate_domains(der, dns_only=judged.limited) == found
