"""A throw-away certificate authority: for the demo, `quickstart` and tests, never for a server on the open network.

Pure: keys, serial numbers and the time are handed in. The certificates satisfy OpenSSL's strict mode (the default
of Python 3.13): AKI, SKI, keyUsage, and a critical subjectAltName where the subject is empty (RFC 5280 §4.2.1.6).
Leaves carry serverAuth and clientAuth, since a server presents the same certificate when it dials another one and
authenticates by SASL EXTERNAL (RFC 6120 §13.7.1.2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NewKey = Callable[[], ec.EllipticCurvePrivateKey]

BACKDATED = timedelta(minutes=5)
"""Validity begins a little in the past: a client's clock may be behind."""


def new_p256_key() -> ec.EllipticCurvePrivateKey:
    """The usual `NewKey`."""
    return ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate with its key, both PEM; the key is unencrypted PKCS#8: write it to a file of mode 0600."""

    certificate: bytes
    key: bytes

    def __repr__(self) -> str:
        return "Issued(...)"  # a key must not reach a log by way of a traceback


class Authority:
    """Issues certificates under a root of its own.

    `now` is in epoch seconds. `random(n)` returns n random bytes: serial numbers carry 127 bits of them.
    """

    def __init__(self, name: str, *, now: float, days: int, new_key: NewKey, random: Callable[[int], bytes]) -> None:
        self._key = new_key()
        self._new_key = new_key
        self._random = random
        self._subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._from = datetime.fromtimestamp(now, UTC) - BACKDATED
        self._until = self._from + timedelta(days=days)
        public = self._key.public_key()
        certificate = (
            self._builder(self._subject, public)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(authority=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.certificate: bytes = certificate.public_bytes(serialization.Encoding.PEM)
        """The root, PEM: what those who are to trust this authority are given."""

    def issue(self, names: Sequence[str]) -> Issued:
        """A leaf for `names`: DNS names in A-label form, at least one. Raises ValueError for none."""
        if not names:
            raise ValueError("a certificate needs a name")
        key = self._new_key()
        certificate = (
            self._builder(x509.Name([]), key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(authority=False), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )
        return Issued(
            certificate.public_bytes(serialization.Encoding.PEM),
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        )

    def _builder(self, subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._subject)
            .public_key(public)
            .serial_number(int.from_bytes(self._random(16), "big") >> 1 | 1)
            .not_valid_before(self._from)
            .not_valid_after(self._until)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
