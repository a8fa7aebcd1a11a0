from __future__ import annotations

import hashlib
import os
import ssl
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ObjectIdentifier

from quietwire.core.errors import ConfigError
from quietwire.net.tls import (
    NOTHING,
    Shown,
    certificate_domains,
    channel_bindings,
    client_context,
    own_certificate,
    server_dial_context,
    server_listen_context,
    shown_by,
    web_context,
)
from quietwire.seal.authority import Authority, new_p256_key


class World:
    """An authority and certificates for the two domains, as files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = self._authority("root")
        self.a = self.issue(self.root, "a", "a.example")
        self.b = self.issue(self.root, "b", "b.example", "*.b.example")

    def _authority(self, name: str) -> Authority:
        authority = Authority(name, now=time.time(), days=1, new_key=new_p256_key, random=os.urandom)
        self.path(name).write_bytes(authority.certificate)
        return authority

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.pem"

    def issue(self, authority: Authority, name: str, *domains: str) -> tuple[Path, Path]:
        issued = authority.issue(domains)
        certificate, key = self.path(name), self.path(f"{name}-key")
        certificate.write_bytes(issued.certificate)
        key.write_bytes(issued.key)
        return certificate, key


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("pki"))


def shake(
    server: ssl.SSLContext, client: ssl.SSLContext, name: str = "b.example"
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """A TLS handshake in memory: (the server's end, the client's end)."""
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
                pass
    return ends[1], ends[0]


def dial(world: World) -> ssl.SSLContext:
    return server_dial_context(*world.a, world.path("root"))


def listen(world: World) -> ssl.SSLContext:
    return server_listen_context(*world.b, world.path("root"))


def test_both_servers_see_the_other_ones_domains(world: World) -> None:
    accepted, dialled = shake(listen(world), dial(world))
    assert shown_by(dialled) == Shown(frozenset({"b.example", "*.b.example"}), "")
    assert shown_by(accepted) == Shown(frozenset({"a.example"}), "")
    assert dialled.version() == "TLSv1.3"
    assert dialled.selected_alpn_protocol() == "xmpp-server"


def test_dialling_without_a_certificate_stands_for_nothing(world: World) -> None:
    client = ssl.create_default_context(cafile=str(world.path("root")))
    accepted, dialled = shake(listen(world), client)
    assert dialled.version() == "TLSv1.3"
    assert shown_by(accepted) == NOTHING


def test_a_certificate_that_nobody_verified_stands_for_nothing(world: World) -> None:
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    _, dialled = shake(client_context(*world.b), client)
    assert dialled.getpeercert(True)
    assert shown_by(dialled) == NOTHING


def test_a_strange_authority_stands_for_nothing_on_both_sides(world: World) -> None:
    strange = world._authority("strange")
    pair = world.issue(strange, "mallory", "b.example")
    _, dialled = shake(server_listen_context(*pair, world.path("root")), dial(world))
    assert shown_by(dialled) == Shown(frozenset(), "not-trusted")
    accepted, _ = shake(listen(world), server_dial_context(*pair, world.path("root")))
    assert shown_by(accepted) == Shown(frozenset(), "not-trusted")
    accepted.write(b"x")  # dialback may still say who it is


def test_a_domain_may_have_a_certificate_of_its_own(world: World) -> None:
    rooms = {"rooms.b.example": world.issue(world.root, "rooms", "rooms.b.example")}
    server = server_listen_context(*world.b, world.path("root"), rooms)
    for name, domains in (("rooms.b.example", {"rooms.b.example"}), ("b.example", {"b.example", "*.b.example"})):
        accepted, dialled = shake(server, dial(world), name)
        assert shown_by(dialled).domains == domains
        assert shown_by(accepted).domains == {"a.example"}
    client = server_dial_context(*world.a, world.path("root"), {"rooms.a.example": rooms["rooms.b.example"]})
    assert client.for_domain("a.example") is client
    accepted, _ = shake(server, client.for_domain("rooms.a.example"))
    assert shown_by(accepted).domains == {"rooms.b.example"}
    for context in (web_context(*world.b, rooms), client):
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert shake(web_context(*world.b, rooms), dial(world), "rooms.b.example")[1].getpeercert(True) == own_certificate(
        rooms["rooms.b.example"][0]
    )


def test_old_tls_and_static_key_exchange_are_refused(world: World) -> None:
    for context in (client_context(*world.b), listen(world), dial(world)):
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
        assert context.options & ssl.OP_NO_TICKET
        assert all("ECDHE" in c["name"] for c in context.get_ciphers() if c["protocol"] == "TLSv1.2")
    assert client_context(*world.b).num_tickets == 0


def test_no_session_tickets_on_the_wire(world: World) -> None:
    accepted, dialled = shake(listen(world), dial(world))
    accepted.write(b"x")
    assert dialled.read(10) == b"x"
    assert dialled.session is None or not dialled.session.has_ticket


def test_own_certificate_and_its_binding(world: World) -> None:
    der = own_certificate(world.b[0])
    assert channel_bindings(der) == {"tls-server-end-point": hashlib.sha256(der).digest()}
    _, dialled = shake(client_context(*world.b), dial(world))
    assert dialled.getpeercert(True) == der


def made(*names: x509.GeneralName, hash: hashes.HashAlgorithm | None = None, ed: bool = False) -> bytes:
    """A self-signed certificate, DER."""
    key = ed25519.Ed25519PrivateKey.generate() if ed else ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "common.example")])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, None if ed else hash or hashes.SHA256()).public_bytes(Encoding.DER)  # type: ignore[arg-type]


def test_binding_uses_the_hash_of_the_signature() -> None:
    der = made(hash=hashes.SHA384())
    assert channel_bindings(der) == {"tls-server-end-point": hashlib.sha384(der).digest()}


# Self-signed with SHA-1 by the openssl command, since `cryptography` signs no more with it.
SHA1_CERTIFICATE = bytes.fromhex(
    "3082017e30820126a003020102021415b89904656b6057f827bf55b99aeaadf143ea01300906072a8648ce3d040130163114"
    "301206035504030c0b6f6c642e6578616d706c65301e170d3236313132313035323035325a170d3336313131383035323035"
    "325a30163114301206035504030c0b6f6c642e6578616d706c653059301306072a8648ce3d020106082a8648ce3d03010703"
    "420004184f8379964bc7071771d11ed0a3cb364ecb1d47ad652d8bf0072e984ad6ca36be5a617c7f76421036191fc778972e"
    "6aa2a567efae21874c7df8542ecd043bb7a3533051301d0603551d0e04160414cc8b245dc2bcced6dc283128f5766cf20047"
    "9d85301f0603551d23041830168014cc8b245dc2bcced6dc283128f5766cf200479d85300f0603551d130101ff0405300301"
    "01ff300906072a8648ce3d04010347003044022062f9b828b3ad2760cf8209af81a2ff109a1dc8aa8230cb8db9afba88bf01"
    "438502206f89bc383e600c4401a25b81a819cf6a6d5d1635cd883a1e0a767c7d90f73ce1"
)


def test_binding_of_sha1_is_sha256() -> None:
    used = x509.load_der_x509_certificate(SHA1_CERTIFICATE).signature_hash_algorithm
    assert used is not None
    assert used.name == "sha1"
    assert channel_bindings(SHA1_CERTIFICATE) == {"tls-server-end-point": hashlib.sha256(SHA1_CERTIFICATE).digest()}


def test_binding_is_undefined_without_a_hash() -> None:
    assert channel_bindings(made(ed=True)) == {}
    assert channel_bindings(b"no certificate") == {}


def other(oid: str, der: bytes) -> x509.OtherName:
    return x509.OtherName(ObjectIdentifier(oid), der)


def utf8(text: str, tag: int = 0x0C) -> bytes:
    data = text.encode()
    length = bytes([len(data)]) if len(data) < 128 else bytes([0x81, len(data)])
    return bytes([tag]) + length + data


XMPP_ADDR, SRV_NAME = "1.3.6.1.5.5.7.8.5", "1.3.6.1.5.5.7.8.7"


@pytest.mark.parametrize(
    ("name", "domains"),
    [
        (x509.DNSName("A.Example"), {"a.example"}),
        (x509.DNSName("*.a.example"), {"*.a.example"}),
        (x509.DNSName("xn--mnchen-3ya.example"), {"münchen.example"}),
        (x509.DNSName("f*.a.example"), set()),
        (other(XMPP_ADDR, utf8("im.a.example")), {"im.a.example"}),
        (other(XMPP_ADDR, utf8("münchen.example")), {"münchen.example"}),
        (other(XMPP_ADDR, utf8(".".join(["label"] * 25))), {".".join(["label"] * 25)}),
        (other(XMPP_ADDR, utf8("alice@a.example")), set()),
        (other(XMPP_ADDR, utf8("*.a.example")), set()),
        (other(XMPP_ADDR, utf8("a.example", 0x16)), set()),
        (other(XMPP_ADDR, b"\x0c\x01\xff"), set()),
        (other(SRV_NAME, utf8("_xmpp-server.a.example", 0x16)), {"a.example"}),
        (other(SRV_NAME, utf8("_xmpp-client.a.example", 0x16)), set()),
        (x509.RFC822Name("alice@a.example"), set()),
    ],
)
def test_names_of_a_certificate(name: x509.GeneralName, domains: set[str]) -> None:
    assert certificate_domains(made(name)) == domains


def test_a_common_name_is_no_name() -> None:
    assert certificate_domains(made()) == frozenset()
    assert certificate_domains(b"no certificate") == frozenset()


def test_mistakes_name_file_and_key(world: World, tmp_path: Path) -> None:
    certificate, key = world.a
    missing, empty = tmp_path / "missing.pem", tmp_path / "empty.pem"
    empty.write_bytes(b"")
    for wrong in (missing, empty):
        with pytest.raises(ConfigError, match=f"{wrong}: tls.certificate"):
            client_context(wrong, key)
        with pytest.raises(ConfigError, match=f"{wrong}: tls.key"):
            client_context(certificate, wrong)
        with pytest.raises(ConfigError, match=f"{wrong}: tls.authority"):
            server_dial_context(certificate, key, wrong)
    with pytest.raises(ConfigError, match=r"tls\.key"):
        client_context(certificate, world.b[1])


def test_an_encrypted_key_is_refused_without_a_prompt(world: World, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, PrivateFormat

    path = tmp_path / "key.pem"
    key = load_pem_private_key(world.a[1].read_bytes(), None)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
    with pytest.raises(ConfigError, match=r"tls\.key"):
        client_context(world.a[0], path)


def test_the_systems_authorities_can_be_asked_for(world: World) -> None:
    _, dialled = shake(listen(world), server_dial_context(*world.a, None))
    assert shown_by(dialled).fault == "not-trusted"
